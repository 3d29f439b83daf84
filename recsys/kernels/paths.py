"""Which solver each row of a half-sweep gets, counted for people."""

from __future__ import annotations

import numpy as np

from . import _als
from .sides import Side

_BLOCK = 1 << 20  # entries looked at together


def row_paths(side: Side, factors: int, cg_steps: int = 0) -> dict[str, int]:
    """How many rows of `side` are solved in which way, most first.

    The kernel chooses, and is asked here; csrc/kernels/als.h says what the names mean.

    Parameters
    ----------
    side : Side
    factors : int
        Columns of what is held fixed.
    cg_steps : int, default 0
        0: every row is solved exactly.
    """
    kinds, rows = np.unique(
        2 * np.diff(side.indptr) + _any_below_unobserved(side), return_counts=True
    )
    counts: dict[str, int] = {}
    for kind, count in zip(kinds.tolist(), rows.tolist(), strict=True):
        length, below = divmod(kind, 2)
        path = _als.row_path(
            length, factors, cg_steps, below=below, itemsize=side.confidence.itemsize
        )
        counts[path] = counts.get(path, 0) + count
    return dict(sorted(counts.items(), key=lambda path: (-path[1], path[0])))


def is_exact(entries: int, factors: int, cg_steps: int) -> bool:
    """Whether a row of so many float32 entries is solved exactly however many there are more."""
    path = _als.row_path(entries, factors, cg_steps, below=False, itemsize=4)
    return cg_steps == 0 or path == "long primal"


def _any_below_unobserved(side: Side) -> np.ndarray:
    """Which rows have an entry of less confidence than cells without an entry have."""
    below = np.zeros(side.n_rows, bool)
    limit = side.confidence.dtype.type(side.unobserved_weight)
    if side.ratings or not limit:
        return below
    for begin in range(0, len(side.confidence), _BLOCK):
        entries = begin + np.flatnonzero(np.abs(side.confidence[begin : begin + _BLOCK]) < limit)
        below[np.searchsorted(side.indptr, entries, side="right") - 1] = True
    return below
