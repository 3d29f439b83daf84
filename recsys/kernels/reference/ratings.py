"""Stochastic gradient steps on ratings (Koren, Bell and Volinsky, Computer 2009)."""

from __future__ import annotations

import itertools


def ratings_cells(
    x,
    y,
    user_biases,
    item_biases,
    users,
    items,
    ratings,
    cells,
    losses,
    *,
    rate,
    regularization,
    isa=None,
    num_threads=1,
):
    """A step for each entry of `cells`, in order.

    x (n_users, f or more), y (n_items, f or more), user_biases (n_users,) and item_biases
    (n_items,), or None for both: written to. users, items, ratings (nnz,): the entries. cells
    (count,): of the dtype CELL of recsys/kernels/grid.py; losses (count,), written to: the sum of
    squared errors before the steps. With e = r - b_u - b_i - x_u . y_i,

        x_u += rate (e y_i - regularization x_u)    b_u += rate (e - regularization b_u)
        y_i += rate (e x_u - regularization y_i)    b_i += rate (e - regularization b_i)

    all from the values before the step.
    """
    for number, cell in enumerate(cells):
        losses[number] = 0
        groups = zip(cell["begin"], cell["end"], strict=True)
        for entry in itertools.chain.from_iterable(range(*group) for group in groups):
            u, i = users[entry], items[entry]
            error = ratings[entry] - x[u] @ y[i]
            if user_biases is not None:
                error -= user_biases[u] + item_biases[i]
                user_biases[u] += rate * (error - regularization * user_biases[u])
                item_biases[i] += rate * (error - regularization * item_biases[i])
            own = x[u].copy()
            x[u] += rate * (error * y[i] - regularization * own)
            y[i] += rate * (error * own - regularization * y[i])
            losses[number] += error**2
