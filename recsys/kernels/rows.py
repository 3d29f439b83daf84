"""Rows of factors as the kernels of stochastic gradients want them."""

from __future__ import annotations

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
    memory = np.zeros(rows * stride + line, dtype)
    begin = -memory.ctypes.data % CACHE_LINE // dtype.itemsize
    return memory[begin : begin + rows * stride].reshape(rows, stride)
