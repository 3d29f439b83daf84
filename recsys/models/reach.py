"""Users for items: whom an item would reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys import checks, kernels
from recsys.models import ids, strangers
from recsys.models.ids import Lists
from recsys.models.selection import Choice, list_length


def recommend_users(
    model: Any,
    items: Any,
    N: int = 10,
    *,
    filter_seen: bool = True,
    filter_users: Any = None,
    users: Any = None,
    unknown: str = "error",
) -> tuple[np.ndarray, np.ndarray]:
    """The N users who give each item the highest scores: whom to tell of it.

    Parameters
    ----------
    items, N
        As in `similar_items`.
    filter_seen : bool, default True
        Leave out users who have an entry for the item in the training matrix.
    filter_users, users : int or array of int, optional
        Users to leave out; the only ones to choose from.
    unknown : {"error", "skip"}, default "error"
        Lists of unknown items stay empty, unknown users are left out.

    Returns
    -------
    ids, scores : as in `recommend`
    """
    vocabulary, items = model._vocabulary(), ids.listed(items)
    n_users, n_items = model._known_shape()
    strangers.check(unknown, strangers.LEAVING_OUT)
    chosen, left_out = (
        strangers.known_only(vocabulary, "users", values, name, n_users, unknown)
        for name, values in (("users", users), ("filter_users", filter_users))
    )
    list_length(N, n_users)
    choice = Choice(chosen, left_out, n_users, "users", among="users")
    seen = None
    if filter_seen:
        counts = model._remembered().counts(_dtype(model))
        seen = kernels.transposed(counts, model.num_threads)

    def answered(rows: np.ndarray) -> Lists:
        return _lists(model, rows, choice, N, seen)

    if unknown == "error":
        rows = ids.to_rows(vocabulary, "items", items, "items")
        rows = checks.row_numbers("items", rows, n_items)
        best, scores = answered(rows.reshape(-1))
        shape = (*rows.shape, N)
        both = best.reshape(shape), scores.reshape(shape)
        return ids.to_ids(vocabulary, "users", both, "items", items)
    rows = strangers.found(vocabulary, "items", items, "items", n_items)
    flat = rows.reshape(-1)
    owned = (("items", "users"), items, rows >= 0, lambda places: answered(flat[places]))
    return strangers.lists(model, *owned, None, N)


def _dtype(model: Any) -> np.dtype:
    return checks.floating_dtype(model.dtype)


def _lists(model: Any, rows: np.ndarray, choice: Choice, N: int, seen: Any) -> Lists:
    """The best users of some items; scores are inner products with [x_u, b_u], and what users have
    in common is added."""
    users, items = model._user_factors, model._item_factors
    if model._user_biases is not None:
        users = np.column_stack([users, model._user_biases])
        items = np.column_stack([items, np.ones(len(items), items.dtype)])
    best, scores = kernels.topk(
        np.ascontiguousarray(items[rows]),
        np.ascontiguousarray(users),
        N,
        among=choice.among,
        banned=choice.banned,
        skip=None if seen is None else (seen.indptr, seen.indices),
        skip_rows=rows,
        num_threads=model.num_threads,
    )
    common = np.full(len(rows), model._mean, scores.dtype)
    if model._item_biases is not None:
        common += model._item_biases[rows]
    return best, scores + common[:, np.newaxis]
