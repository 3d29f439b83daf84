"""Where rows of factors lie in memory: at cache lines, so that gathering one takes the fewest."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ._als import CACHE_LINE


def padded(rows: np.ndarray) -> np.ndarray:
    """A copy of `rows`, (n, f), each of them beginning at a cache line, zeros behind it: a gathered
    row then takes the fewest lines, and whole vectors."""
    out = whole_lines(len(rows), rows.shape[1], rows.dtype)
    out[:, : rows.shape[1]] = rows
    return out


def whole_lines(rows: int, width: int, dtype: np.dtype) -> np.ndarray:
    """Zeros, (rows, width rounded up to whole cache lines), each row beginning at one."""
    dtype = np.dtype(dtype)
    line = CACHE_LINE // dtype.itemsize
    stride = -(-width // line) * line
    return on_line((rows, stride), dtype, np.zeros)


def on_line(
    shape: tuple[int, int], dtype: np.dtype, allocate: Callable[..., np.ndarray] = np.empty
) -> np.ndarray:
    """Not yet written, beginning at a cache line: rows of whole lines then lie in the fewest."""
    dtype, size = np.dtype(dtype), math.prod(shape)
    memory = allocate(size + CACHE_LINE // dtype.itemsize, dtype)
    begin = -memory.ctypes.data % CACHE_LINE // dtype.itemsize
    return memory[begin : begin + size].reshape(shape)
