"""Scores of items that only features tell of, multiplied in lists of old and new items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recsys import checks, kernels
from recsys.models.ids import Lists


def boosting(model: Any, boost: Any) -> Any:
    """The model, or a twin whose lists multiply what new items add to a score."""
    if checks.number("new_item_boost", boost, above=0) == 1:
        return model
    if "items" not in model._features:
        raise ValueError(
            f"new_item_boost={boost:g} is for items that only features tell of, and the model "
            "knows none: fit with item_features=..."
        )
    prepared = model._once(f"boosted by {boost!r}", model._item_factors, dict)
    return model._twin(_boost=float(boost), _prepared=prepared)


def boosted(model: Any, scored: np.ndarray) -> np.ndarray:
    """What items have that lists go by, with that of new ones multiplied; see `mended`."""
    out = scored.copy()
    out[model._features["items"].rows] *= out.dtype.type(model._boost)
    return out


def mended(
    listed: Lists,
    new: np.ndarray,
    boost: float,
    of_new: Callable[[np.ndarray], Lists],
    among: np.ndarray | None,
) -> Lists:
    """Lists by boosted scores, with those of new items that are negative as they are without boost.

    Such an item has a place in a list only if it has one among new items by plain scores, which
    `of_new` lists of some items; `among` is what lists are made of.
    """
    best, scores = listed
    chosen = new if among is None else np.intersect1d(new, among)
    if not len(chosen):
        return listed
    worst = scores[:, -1:].min(initial=np.inf)
    is_negative = (scores < 0) & np.isin(best, new)
    if not is_negative.any() and worst >= 0:
        return listed
    more, plain = of_new(chosen)
    kept = np.where(is_negative, -np.inf, scores)
    plain = np.where((plain < 0) & (more != kernels.NO_ID), plain, -np.inf)
    return merged((np.where(is_negative, kernels.NO_ID, best), kept), (more, plain))


def merged(first: Lists, second: Lists) -> Lists:
    """The best of two lists for each query, as long as the first, that name no item both; places
    of score -inf are empty."""
    ids, scores = np.hstack([first[0], second[0]]), np.hstack([first[1], second[1]])
    ids[np.isneginf(scores)] = kernels.NO_ID
    order = np.lexsort((-ids, -scores), axis=-1)[:, : first[0].shape[1]]
    return (
        np.ascontiguousarray(np.take_along_axis(ids, order, axis=1)),
        np.ascontiguousarray(np.take_along_axis(scores, order, axis=1)),
    )
