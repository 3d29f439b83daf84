"""Why an item is listed, of models whose users are no sums over what they like."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys import checks, csr
from recsys.models import ids
from recsys.models.selection import one_history


def explain(
    model: Any, user: Any, item: Any, N: int, user_items: Any
) -> tuple[float, np.ndarray, np.ndarray]:
    """Which liked items a user's factors point to, and how much of the score of an item each makes.

    x_u is divided into the part that the factors y_k of the liked items k span, and the rest, which
    is orthogonal to all of these: with A = sum_k y_k y_k' and its pseudo-inverse A^+, ::

        x_u = sum_k (y_k' A^+ x_u) y_k + rest

    are the coefficients of least squares, and item k contributes ``(y_k' A^+ x_u) (y_k . y_i)``.
    """
    vocabulary = model._vocabulary()
    given = user_items is not None
    user, user_items = ids.with_history(vocabulary, user, user_items, newcomers=True)
    item = ids.to_rows(vocabulary, "items", item, "item")
    n_users, n_items = model._known_shape()
    column = checks.one_row_number("item", item, n_items)
    checks.integer("N", N, 1)
    history = one_history(model, user, user_items)
    if given:
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
