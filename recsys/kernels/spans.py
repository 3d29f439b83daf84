"""Cutting rows into tasks for threads, and tasks into calls short enough to be interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import numpy as np

SLICE_SECONDS = 0.1  # between looks for a KeyboardInterrupt
_QUERIES = 1 << 13  # whose lists are made together: what is gathered for them stays small


def query_blocks(count: int, most: int | None = None) -> Iterator[slice]:
    """Cut `count` queries into blocks whose lists are made together, of so many at `most`."""
    size = min(_QUERIES, most or _QUERIES)
    return (slice(at, min(at + size, count)) for at in range(0, count, size))


def most_work_first(work: np.ndarray) -> np.ndarray:
    """Rows by falling work, int32: what takes longest should not be started last."""
    most = work.max(initial=0)
    if work.dtype.kind in "iu" and work.min(initial=0) >= 0 and most < 1 << 16:
        work = (most - work).astype(np.uint16)  # which NumPy sorts by counting
    else:
        work = -work
    return np.argsort(work, kind="stable").astype(np.int32)


def cut(work: np.ndarray, piece: float) -> np.ndarray:
    """Where to cut rows of so much `work` each, int64 from 0 to their number: a span ends where
    about `piece` has come together. A function of the work alone, not of any number of threads."""
    done = np.cumsum(work)
    ends = np.searchsorted(done, np.arange(piece, done[-1] if len(done) else 0, piece)) + 1
    return np.unique(np.concatenate([[0], ends, [len(done)]])).astype(np.int64)


def slices(spans: np.ndarray, num_threads: int) -> Iterator[np.ndarray]:
    """Consecutive pieces of `spans`, each taking some SLICE_SECONDS: Python looks for signals in
    between, while the results, row by row, are the same however they are cut."""
    at, count = 0, num_threads
    while at < len(spans) - 1:
        began = perf_counter()
        yield spans[at : at + count + 1]
        at += count
        seconds = max(perf_counter() - began, 1e-6)
        count = max(num_threads, int(count * min(4.0, SLICE_SECONDS / seconds)))
