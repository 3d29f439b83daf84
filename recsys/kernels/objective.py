"""The objective over all cells, without looking at each of them.

    sum_ui w_ui (p_ui - s_ui)^2
        + sum_u lambda_u (|x_u|^2 + b_u^2) + sum_i lambda_i (|y_i|^2 + b_i^2)

(Hu, Koren and Volinsky 2008, equation 3) with s_ui = mean + b_u + b_i + x_u.y_i. It is a sum over
the stored entries, w0 times the sum of s^2 over all cells, which follows from Gramians, and the
regularization terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _als
from .config import kernel_options
from .factors import Factors
from .sides import Side
from .threads import single_threaded_blas


@single_threaded_blas()
def objective(
    users_side: Side,
    items_side: Side,
    users: Factors,
    items: Factors,
    num_threads: int = 0,
    *,
    mean: float = 0.0,
) -> float:
    """The objective over all cells for any factors.

    Sums run in float64, scores in the dtype of the factors. Biases and `mean` count where `users`
    and `items` have biases.
    """
    options = kernel_options(num_threads)
    x, y = users.factors, items.factors
    # all scores are [x, a, 1].[y, 1, b], where a = b_u + mean
    x_more, y_more = [], []
    if users.biases is not None:
        x_more = [(users.biases + mean).astype(x.dtype), ones_like(users)]
        y_more = [ones_like(items), items.biases]
    x_gram, y_gram = gramian_of(x, x_more, options), gramian_of(y, y_more, options)
    row_loss = np.zeros(users_side.n_rows)
    _als.als_loss(
        users_side.indptr, users_side.indices, users_side.confidence, y, x,
        users_side.unobserved_weight, row_loss, users_side.ratings,
        offsets=items.biases, biases=x_more[0] if x_more else None, **options,
    )  # fmt: skip
    cells = users_side.unobserved_weight * np.sum(x_gram * y_gram)
    return float(
        cells
        + row_loss.sum()
        + penalty(users_side.regularization, users, x_gram, options)
        + penalty(items_side.regularization, items, y_gram, options)
    )


def ones_like(side: Factors) -> np.ndarray:
    """A one for each row, in the memory of one number."""
    return np.broadcast_to(side.factors.dtype.type(1), len(side.factors))


def gramian_of(x: np.ndarray, columns: Sequence[np.ndarray], options: dict[str, Any]) -> np.ndarray:
    """The Gramian of [x, *columns], (f + columns,) * 2 float64, without making that matrix."""
    f, size = x.shape[1], x.shape[1] + len(columns)
    gram = np.empty((size, size))
    gram[:f, :f] = _als.gramian(x, **options)
    for i, one in enumerate(columns, f):
        gram[i, :f] = gram[:f, i] = _als.column_sums(x, one, **options)
        for j, other in enumerate(columns, f):
            gram[i, j] = np.sum(one * other.astype(np.float64))
    return gram


def penalty(
    regularization: np.ndarray, rows: Factors, gram: np.ndarray, options: dict[str, Any]
) -> float:
    """sum_u lambda_u (|x_u|^2 + b_u^2); `gram` has x'x in its first rows and columns."""
    x, biases = rows
    total = 0.0
    if biases is not None:
        total += float(regularization @ biases.astype(np.float64) ** 2)
    if np.all(regularization == regularization[0]):
        return total + float(regularization[0] * np.trace(gram[: x.shape[1], : x.shape[1]]))
    return total + _als.weighted_squares(x, regularization, **options)
