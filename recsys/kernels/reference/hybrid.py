"""Stochastic gradient steps for users and items that are sums of features (Kula, CBRecSys 2015).

Steps come in batches: the gradients of a batch follow from the values before it, and are applied
one step after the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .rng import below, draw
from .sigmoid import sigmoid

LOGISTIC, BPR, WARP, KOS = range(4)
SIDES = "user", "item"
TRIES = 64  # draws of one negative of BPR until the step is skipped
MOST = 10.0  # z of WARP
MOST_SCALE = 1e6


class Side(NamedTuple):
    """Users or items: what their rows are sums of."""

    indptr: Any
    indices: Any
    weights: Any
    values: Any
    squares: Any
    momentum: Any
    alpha: float
    scale: float

    @property
    def rows(self):
        return len(self.values) if self.indptr is None else len(self.indptr) - 1

    def features(self, row):
        """The features of a row, and their weights."""
        if self.indptr is None:
            return np.array([row]), np.ones(1)
        at = slice(self.indptr[row], self.indptr[row + 1])
        return self.indices[at], self.weights[at]

    def row(self, row):
        features, weights = self.features(row)
        return weights @ self.values[features] / self.scale


class Step(NamedTuple):
    user: int
    item: int
    other: int | None
    z: float
    user_row: np.ndarray  # a 1 in place of the bias
    direction: np.ndarray  # what the user's gradient is z times of
    mean_rate: float


def hybrid_steps(
    user_values,
    user_squares,
    user_momentum,
    user_indptr,
    user_indices,
    user_weights,
    item_values,
    item_squares,
    item_momentum,
    item_indptr,
    item_indices,
    item_weights,
    screen,
    users,
    items,
    weights,
    liked,
    stored_indptr,
    stored_indices,
    pool,
    rank_weights,
    scales,
    *,
    factors,
    loss,
    rate,
    key,
    begin,
    end,
    batch,
    k,
    n,
    rho,
    epsilon,
    user_alpha,
    item_alpha,
    hogwild,
    isa=None,
    num_threads=1,
):
    """The steps of the samples begin:end, `batch` at a time, or until a scale is too large.

    Of each feature of a side there are values (features, stride), an embedding of so many `factors`
    with a bias behind, written to; squares, sums of squared gradients, written to; and momentum,
    None: AdaGrad, else AdaDelta's, written to. The side's rows are sums of features' by a CSR
    matrix: indptr (rows + 1,), indices and weights (nnz,); with indptr None row r is feature r.

    users, items (samples,), in the order of training; weights (samples,) or None: all 1; liked
    (samples,) uint8 of the logistic loss; stored_indptr, stored_indices: CSR of what is no
    negative; pool: of BPR, items as often as they are to be drawn; rank_weights (max_sampled,) of
    WARP by the number of draws less one; screen (item rows, stride): rows of a while ago that draws
    are looked at in first, or None. scales (2,), written to: how many times the values of users and
    items are too large, where `user_alpha` or `item_alpha` regularize.

    Returns
    -------
    int
        Where the steps ended: `end`, or earlier when a scale is more than 1e6.
    """
    arrays = dict(locals())
    for first in range(begin, end, batch):
        sides = [_side(arrays, name, scale) for name, scale in zip(SIDES, scales, strict=True)]
        last = min(first + batch, end)
        steps = [_step(arrays, *sides, sample) for sample in range(first, last)]
        steps = [step for step in steps if step is not None and step.z != 0]
        for step in steps:
            _update(arrays, *sides, step)
        for place, side in enumerate(sides):
            scales[place] *= np.prod([1 + side.alpha * step.mean_rate for step in steps])
        if max(scales) > MOST_SCALE:
            return last
    return end


def _side(arrays, name, scale):
    fields = ("indptr", "indices", "weights", "values", "squares", "momentum", "alpha")
    return Side(*(arrays[f"{name}_{field}"] for field in fields), scale)


def _step(arrays, user_side, item_side, sample):
    """What a sample wants changed, or None."""
    f, loss = arrays["factors"], arrays["loss"]
    user, item, other = int(arrays["users"][sample]), int(arrays["items"][sample]), None
    weight = 1.0 if arrays["weights"] is None else arrays["weights"][sample]
    x = user_side.row(user)
    bias, x[f] = x[f], 1
    if loss == LOGISTIC:
        direction = item_side.row(item)
        z = weight * (sigmoid(x @ direction + bias) - arrays["liked"][sample])
        direction[f] = 1
    else:
        if loss == KOS:
            item = _kth_best(arrays, item_side, user, sample, x)
        if item is None:
            return None
        if loss == BPR:
            other = _negative(arrays, user, sample)
        else:
            other, rank_weight = _violator(arrays, item_side, user, item, sample, x)
        if other is None:
            return None
        direction = item_side.row(other) - item_side.row(item)
        z = weight * sigmoid(x @ direction) if loss == BPR else min(MOST, weight * rank_weight)
        direction[f] = 0
    mean_rate = _mean_rate(arrays, user_side, item_side, user, item, other)
    return Step(user, item, other, z, x, direction, mean_rate)


def _stored(arrays, user):
    return arrays["stored_indices"][
        arrays["stored_indptr"][user] : arrays["stored_indptr"][user + 1]
    ]


def _number(arrays, counter, n):
    """A number below n, by its place in the epoch's sequence."""
    [number] = below(draw(arrays["key"], np.array([counter], np.uint64)), n)
    return int(number)


def _negative(arrays, user, sample):
    """An item of a random sample that the user has not, or None after TRIES draws."""
    pool, stored = arrays["pool"], _stored(arrays, user)
    for t in range(TRIES):
        item = pool[_number(arrays, sample * TRIES + t, len(pool))]
        if item not in stored:
            return int(item)
    return None


def _kth_best(arrays, item_side, user, sample, x):
    """The k-th best of n draws, with replacement, out of the user's items."""
    stored, n = _stored(arrays, user), arrays["n"]
    counter = sample * (n + len(arrays["rank_weights"]))
    draws = min(n, len(stored))
    drawn = [stored[_number(arrays, counter + d, len(stored))] for d in range(draws)]
    drawn.sort(key=lambda item: -(x @ item_side.row(item)))
    return int(drawn[min(arrays["k"], draws) - 1]) if drawn else None


def _violator(arrays, item_side, user, item, sample, x):
    """The first draw that comes within the margin, and its weight; None: there is none."""
    least = x @ item_side.row(item) - 1
    counter = sample * (arrays["n"] + len(arrays["rank_weights"])) + arrays["n"]
    for t, rank_weight in enumerate(arrays["rank_weights"]):
        drawn = _number(arrays, counter + t, item_side.rows)
        if arrays["screen"] is not None and not x @ arrays["screen"][drawn] > least:
            continue
        if x @ item_side.row(drawn) > least and drawn not in _stored(arrays, user):
            return drawn, rank_weight
    return None, 0.0


def _mean_rate(arrays, user_side, item_side, user, item, other):
    """Of all values that the step touches."""
    f, rates = arrays["factors"], []
    rows = [(user_side, user), (item_side, item)] + [(item_side, other)] * (other is not None)
    for side, row in rows:
        features, _ = side.features(row)
        squares = side.squares[features, : f + 1]
        momentum = None if side.momentum is None else side.momentum[features, : f + 1]
        rates.append(_rates(arrays, squares, momentum).ravel())
    rates = np.concatenate(rates)
    return rates.mean() if len(rates) else 0.0


def _rates(arrays, squares, momentum):
    if momentum is None:
        return arrays["rate"] / np.sqrt(squares)
    return np.sqrt(momentum + arrays["epsilon"]) / np.sqrt(squares + arrays["epsilon"])


def _update(arrays, user_side, item_side, step):
    if step.other is None:
        _down(arrays, item_side, step.item, step.z, step.user_row)
    else:
        _down(arrays, item_side, step.item, -step.z, step.user_row)
        _down(arrays, item_side, step.other, step.z, step.user_row)
    _down(arrays, user_side, step.user, step.z, step.direction, stays=step.other is not None)


def _down(arrays, side, row, z, direction, stays=False):
    """A row's features go down their gradients; with `stays` biases only count them."""
    f, rho = arrays["factors"], arrays["rho"]
    for feature, weight in zip(*side.features(row), strict=True):
        values, squares = side.values[feature, : f + 1], side.squares[feature, : f + 1]
        gradient = z * weight * direction[: f + 1]
        counted = gradient**2
        if stays:
            counted[f] = (z * weight) ** 2
        if side.momentum is None:
            rate = _rates(arrays, squares, None)
            squares += counted
        else:
            momentum = side.momentum[feature, : f + 1]
            rate = _rates(arrays, rho * squares + (1 - rho) * gradient**2, momentum)
            squares[:] = rho * squares + (1 - rho) * counted
            momentum[:] = rho * momentum + (1 - rho) * (rate * gradient) ** 2
        values -= side.scale * rate * gradient
        values *= 1 + side.alpha * rate
