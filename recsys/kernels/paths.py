"""Which solver each row of a half-sweep gets, counted for people.

The kernel chooses for itself: this is the twin of `choose_path` in csrc/kernels/als.h, which says
what the names mean.
"""

from __future__ import annotations

import numpy as np

from .sides import Side

# As in csrc/kernels/als.h and als_row.h
CG_FEWEST = 16
CG_PRIMAL_FACTORS = 256
BATCH_MOST = 64
LONG_ROW = 1048576

_BLOCK = 1 << 20  # entries looked at together


def row_paths(side: Side, factors: int, cg_steps: int = 0) -> dict[str, int]:
    """How many rows of `side` are solved in which way, most first.

    Parameters
    ----------
    side : Side
    factors : int
        Columns of what is held fixed.
    cg_steps : int, default 0
        0: every row is solved exactly.
    """
    n, f = np.diff(side.indptr), factors
    is_long = n * f * side.confidence.itemsize > LONG_ROW
    by_steps = (cg_steps > 0) & (n > CG_FEWEST)
    is_dual = ~_any_below_unobserved(side)
    fits_batch = n <= min(f, BATCH_MOST)
    ways = (
        ("empty", n == 0),
        ("long primal", by_steps & is_long & (f <= CG_PRIMAL_FACTORS)),
        ("cg", by_steps),
        ("batch", is_dual & fits_batch),
        ("wide", is_dual & ~fits_batch & (n <= f * 5 // 8)),
        ("long primal", is_long),
    )
    names, rows = zip(*ways, strict=True)
    taken, counts = np.unique(np.select(rows, names, "primal"), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return dict(zip(taken[order].tolist(), counts[order].tolist(), strict=True))


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
