"""Who is new to a model, and where those start of whom nothing leads to what it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

_SEED = 20  # of what is drawn, with the numbers of those it is drawn for


def without_entries(
    model: Any, known: sparse.csr_array, touched: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the touched users and items there are no entries of so far: nothing was learned of
    them, whether they have a row or not. Those are others of whom features tell."""
    lengths = np.diff(known.indptr), np.bincount(known.indices, minlength=known.shape[1])
    users, items = (
        np.setdiff1d(rows[of_side[rows] == 0], _told_by_features(model, side))
        for side, rows, of_side in zip(("users", "items"), touched, lengths, strict=True)
    )
    return users, items


def _told_by_features(model: Any, side: str) -> np.ndarray:
    return model._features[side].rows if side in model._features else np.empty(0, np.int64)


def lost(model: Any, counts: sparse.csr_array) -> np.ndarray:
    """The items with entries and zero factors whose users all have zero factors: no half-sweep
    gets them away from there."""
    zero = ~model._item_factors.any(axis=1)
    if not zero.any():
        return np.empty(0, np.int64)
    at = np.flatnonzero(zero[counts.indices])
    users = np.searchsorted(counts.indptr, at, side="right") - 1
    items, led_to = counts.indices[at], model._user_factors.any(axis=1)[users]
    return np.setdiff1d(items, items[led_to])


def start_lost(model: Any, counts: sparse.csr_array) -> None:
    """Give `lost` items, in an array that is written to, factors to start from, drawn at the size
    of those that others have; the same ones each time."""
    rows = lost(model, counts)
    if not len(rows):
        return
    factors = model._item_factors
    key = _SEED, len(factors), int(rows[0])
    drawn = np.random.default_rng(key).standard_normal((len(rows), factors.shape[1]))
    others = factors[factors.any(axis=1)]
    size = np.sqrt(np.mean(np.square(others, dtype=np.float64))) if len(others) else 0.0
    drawn *= size or model.init_scale / np.sqrt(factors.shape[1])
    factors[rows] = np.abs(drawn) if getattr(model, "nonnegative", False) else drawn
