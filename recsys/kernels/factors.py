"""What half-sweeps read and write: the factors of one side, and memory to work in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .sides import Side

_CACHE_LINE = 64


class Factors(NamedTuple):
    """What one side of a model has learned."""

    factors: np.ndarray  # (rows, f)
    biases: np.ndarray | None = None  # (rows,) of the same dtype; None in a model without

    @property
    def width(self) -> int:
        """Unknowns of a row: its factors, and its bias."""
        return self.factors.shape[1] + (self.biases is not None)


class Workspace:
    """Scratch memory of half-sweeps: a block for the fixed side as it is rotated and, of models
    with biases, one for the rows that are solved.

    Parameters
    ----------
    rotated, solved : int
        Numbers of each block, of `dtype`. Blocks begin at a cache line: a gathered row then takes
        the fewest.
    """

    def __init__(self, rotated: int, solved: int, dtype: np.dtype) -> None:
        self._rotated, self._solved = _aligned(rotated, dtype), _aligned(solved, dtype)

    @classmethod
    def of(cls, sides: tuple[Side, Side], f: int, bias: bool, dtype: np.dtype) -> Workspace:
        """Enough for either half-sweep of a fit with `f` factors."""
        most = max(side.n_rows for side in sides) * (f + bias)
        return cls(most, most if bias else 0, dtype)

    @classmethod
    def for_one(cls, fixed: Factors, out: Factors) -> Workspace:
        """Enough for one half-sweep."""
        solved = 0 if out.biases is None else len(out.factors) * out.width
        return cls(len(fixed.factors) * fixed.width, solved, fixed.factors.dtype)

    def rotated(self, rows: int, width: int) -> np.ndarray:
        return self._rotated[: rows * width].reshape(rows, width)

    def solved(self, rows: int, width: int) -> np.ndarray:
        return self._solved[: rows * width].reshape(rows, width)


def _aligned(count: int, dtype: np.dtype) -> np.ndarray:
    dtype = np.dtype(dtype)
    memory = np.empty(count + _CACHE_LINE // dtype.itemsize, dtype)
    begin = -memory.ctypes.data % _CACHE_LINE // dtype.itemsize
    return memory[begin : begin + count]
