"""Rows of factors as the kernels of stochastic gradients want them."""

from __future__ import annotations

import numpy as np

from ._als import CACHE_LINE


def padded(rows: np.ndarray) -> np.ndarray:
    """A copy of `rows`, (n, f), each of them beginning at a cache line, zeros behind it: a gathered
    row then takes the fewest lines, and whole vectors."""
    line = CACHE_LINE // rows.itemsize
    count, stride = len(rows), -(-rows.shape[1] // line) * line
    memory = np.zeros(count * stride + line, rows.dtype)
    begin = -memory.ctypes.data % CACHE_LINE // rows.itemsize
    out = memory[begin : begin + count * stride].reshape(count, stride)
    out[:, : rows.shape[1]] = rows
    return out
