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

    Where there is no block the fixed side is rotated in place, and back at the end.

    Parameters
    ----------
    rotated, solved : 1-D array or None
        The blocks, of the factors' dtype.
    """

    def __init__(self, rotated: np.ndarray | None = None, solved: np.ndarray | None = None) -> None:
        self._rotated, self._solved = rotated, solved

    @classmethod
    def of(cls, sides: tuple[Side, Side], f: int, bias: bool, dtype: np.dtype) -> Workspace:
        """For both half-sweeps of a fit with `f` factors. Without biases there are no blocks: that
        would be half as much memory again as the factors take."""
        if not bias:
            return cls()
        most = max(side.n_rows for side in sides) * (f + 1)
        return cls(_aligned(most, dtype), _aligned(most, dtype))

    @classmethod
    def for_one(cls, fixed: Factors, out: Factors) -> Workspace:
        """Enough for one half-sweep."""
        dtype, has_biases = fixed.factors.dtype, out.biases is not None
        rotated = _aligned(len(fixed.factors) * fixed.width, dtype)
        return cls(rotated, _aligned(len(out.factors) * out.width, dtype) if has_biases else None)

    def or_else(self, memory: np.ndarray) -> Workspace:
        """With the memory of an array that is free at present, where there is no block."""
        if self._rotated is not None:
            return self
        return Workspace(memory.reshape(-1), self._solved)

    def rotated(self, rows: int, width: int) -> np.ndarray | None:
        return _cut(self._rotated, rows, width)

    def solved(self, rows: int, width: int) -> np.ndarray | None:
        return _cut(self._solved, rows, width)


def _cut(block: np.ndarray | None, rows: int, width: int) -> np.ndarray | None:
    return None if block is None else block[: rows * width].reshape(rows, width)


def _aligned(count: int, dtype: np.dtype) -> np.ndarray:
    """A block that begins at a cache line: a gathered row then takes the fewest."""
    dtype = np.dtype(dtype)
    memory = np.empty(count + _CACHE_LINE // dtype.itemsize, dtype)
    begin = -memory.ctypes.data % _CACHE_LINE // dtype.itemsize
    return memory[begin : begin + count]
