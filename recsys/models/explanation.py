"""Why an item is listed, of models whose users are no sums over what they like."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys import checks, csr
from recsys.models import ids
from recsys.models.selection import one_history


def explain(
    model: Any, user: int, item: int, N: int = 10, *, user_items: Any = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """Which of the items a user likes make the score of an item, and how much of it each makes.

    The user's factors are no sum over what they like, as those of `ImplicitALS` are, but near
    one: by least squares, of minimum norm, x_u = sum_k a_k y_k + rest over the liked items k,
    where the rest is orthogonal to all y_k. Item k contributes ``a_k (y_k . y_i)``. All
    contributions, the biases and rest . y_i add up to the score; of users who like at least
    `factors` items there is no rest, as a rule.

    With A = sum_k y_k y_k' and its pseudo-inverse A^+, ``a_k = y_k' A^+ x_u``.

    Parameters
    ----------
    user, item, N, user_items
        As of `ImplicitALS.explain`; with `user_items` the user's factors are those of
        `fold_in`, without them those of training.

    Returns
    -------
    score : float
        Of the item, as of `score`.
    ids : ndarray of int32 (ids: int64 or objects), at most N
        Liked items, the one that contributes most first.
    contributions : ndarray of float64, same length

    Raises
    ------
    NotFittedError, IndexError, TypeError, ValueError
        As in `recommend`.
    """
    vocabulary = model._vocabulary()
    by_entries = user_items is not None
    user, user_items = ids.with_history(vocabulary, user, user_items, newcomers=True)
    item = ids.to_rows(vocabulary, "items", item, "item")
    n_users, n_items = model._known_shape()
    column = checks.one_row_number("item", item, n_items)
    checks.integer("N", N, 1)
    history = one_history(model, user, user_items)
    if by_entries:
        factors, biases = model._fold(history)
        x, bias = factors[0], 0.0 if biases is None else float(biases[0])
    else:
        row = checks.one_row_number("user", user, n_users)
        x = model._user_factors[row]
        bias = 0.0 if model._user_biases is None else float(model._user_biases[row])
    liked = csr.keep(history, history.data > 0).indices
    y = model._item_factors.astype(np.float64)
    x = x.astype(np.float64)
    coefficients = np.linalg.lstsq(y[liked].T, x, rcond=None)[0]  # of minimum norm: y_k' A^+ x
    contributions = coefficients * (y[liked] @ y[column])
    score = float(x @ y[column]) + bias + model._mean
    if model._item_biases is not None:
        score += float(model._item_biases[column])
    best = np.argsort(-contributions, kind="stable")[:N]
    return score, ids.to_item_ids(vocabulary, liked[best]), contributions[best]
