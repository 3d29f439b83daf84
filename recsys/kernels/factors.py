"""What half-sweeps read and write: the factors of one side, and memory to work in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .rows import whole_lines
from .sides import Side


class Factors(NamedTuple):
    """What one side of a model has learned."""

    factors: np.ndarray  # (rows, f)
    biases: np.ndarray | None = None  # (rows,) of the same dtype; None in a model without

    @property
    def width(self) -> int:
        """Unknowns of a row: its factors, and its bias."""
        return self.factors.shape[1] + (self.biases is not None)

    def whole(self, rows: np.ndarray) -> np.ndarray:
        """Some rows, (n, width): the bias is the last column."""
        if self.biases is None:
            return self.factors[rows]
        return np.column_stack([self.factors[rows], self.biases[rows]])


class Workspace:
    """Scratch memory of half-sweeps: a block for the fixed side as it is rotated and, of models
    with biases, one for the rows that are solved.

    Where there is no block the fixed side is rotated in place, and back at the end.

    Parameters
    ----------
    rotated, solved : 2-D array or None
        The blocks, of the factors' dtype. The first may have more columns than there are factors,
        zeros: rows that are whole vectors, and begin at cache lines, are gathered faster. With
        biases it has one more for the columns' offsets.
    """

    def __init__(self, rotated: np.ndarray | None = None, solved: np.ndarray | None = None) -> None:
        self._rotated, self._solved = rotated, solved

    @classmethod
    def of(cls, sides: tuple[Side, Side], f: int, bias: bool, dtype: np.dtype) -> Workspace:
        """For both half-sweeps of a fit with `f` factors. Without biases there are no blocks: that
        would be half as much memory again as the factors take."""
        if not bias:
            return cls()
        most = max(side.n_rows for side in sides)
        return cls(whole_lines(most, f + 2, dtype), np.empty((most, f + 1), dtype))

    @classmethod
    def for_one(cls, fixed: Factors, out: Factors) -> Workspace:
        """Enough for one half-sweep."""
        dtype, has_biases = fixed.factors.dtype, fixed.biases is not None
        rotated = whole_lines(len(fixed.factors), fixed.width + has_biases, dtype)
        return cls(rotated, np.empty((len(out.factors), out.width), dtype) if has_biases else None)

    def or_else(self, memory: np.ndarray) -> Workspace:
        """With the memory of factors that is free at present, where there is no block."""
        return self if self._rotated is not None else Workspace(memory, self._solved)

    def rotated(self, columns: int) -> np.ndarray | None:
        """(columns, width or more): behind the width zeros, or what was there before."""
        return None if self._rotated is None else self._rotated[:columns]

    def solved(self, rows: int) -> np.ndarray | None:
        """(rows, width)"""
        return None if self._solved is None else self._solved[:rows]
