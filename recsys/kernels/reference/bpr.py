"""Pairwise stochastic gradient steps: BPR (Rendle et al., UAI 2009) and WARP (Weston et al. 2011).

Users and items come in cells of a grid (recsys/kernels/grid.py). In a cell, steps are queued user
by user, QUEUE at a time, and done TOGETHER at a time, those taken from as many parts of the queue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .rng import below, draw
from .sigmoid import sigmoid, softplus

QUEUE = 64
TOGETHER = 8
TRIES = 16  # draws of one negative until a step is skipped: all were liked


class Step(NamedTuple):
    user: int
    item: int
    group: int  # the item's, 0 or 1
    counter: int  # of what is drawn for the step
    weight: float
    liked: tuple[np.ndarray, np.ndarray]  # the user's items in each group of the cell
    before: np.ndarray  # the user's factors when the user's turn in the cell began


def bpr_cells(
    x,
    y,
    b,
    users,
    items,
    weights,
    cells,
    sums,
    *,
    factors,
    rate,
    reg_user,
    reg_positive,
    reg_negative,
    key,
    negatives=1,
    candidates=1,
    rank_weights=None,
    margin=1.0,
    alias_keep=None,
    alias=None,
    ranking=None,
    spread=None,
    adaptive_share=0.0,
    frozen=False,
    x_mean=None,
    y_mean=None,
    b_mean=None,
    isa=None,
    num_threads=1,
):
    """The steps of each of `cells`: `negatives` for each of its entries.

    users, items (nnz,): the entries, sorted by user and item within a group of a cell; weights
    (nnz,) scale their steps, None: all 1. x (n_users, at least f), y (n_items, at least f), b
    (n_items,) or None: factors and biases of the items, written to. cells (count,): of the dtype
    CELL of recsys/kernels/grid.py; sums (count, 4), written to: loss, steps that were in the right
    order, steps, steps skipped for want of a negative.

    With s = x_u . (y_i - y_j) + b_i - b_j, a step of BPR goes down the gradient of log(1 + e^-s):

        z = sigma(-s)
        x_u += rate (z (y_i - y_j) - reg_user x_u)
        y_i += rate (z x_u - reg_positive y_i)       b_i += rate (z - reg_positive b_i)
        y_j += rate (-z x_u - reg_negative y_j)      b_j += rate (-z - reg_negative b_j)

    all from the values before it, s of those before the steps done together. With `frozen` only x
    is learned, each row as if it were alone: entries are numbered anew, and no step is done
    together with those of others. Where there are `x_mean`, `y_mean` or `b_mean`, of the shapes of
    x, y and b, regularization draws there: - reg_user (x_u - x_mean_u), and so on.
    j is drawn uniformly; or by `alias_keep` and `alias`, alias tables within each group; or by
    `ranking` (factors, n_items), each group's items by falling y_k, `spread` (factors,) and
    `adaptive_share` (Rendle and Freudenthaler, WSDM 2014). With `candidates` > 1 it is the one of
    so many draws with the highest score.

    With `rank_weights` (candidates,) the loss is WARP's: j is the first draw with s < `margin`, and
    if it was number t, z = rank_weights[t - 1]; no step where none of `candidates` draws is.
    """
    problem = dict(locals())
    for cell, out in zip(cells, sums, strict=True):
        out[:] = 0
        queue = []
        for step in _steps(problem, cell):
            other = None
            if rank_weights is None and candidates == 1:
                other = _negative(problem, cell, step, step.counter)
                if other is None:
                    out[3] += 1
                    continue
            if frozen and queue and queue[-1][0].user != step.user:
                _flush(problem, cell, queue, out)
                queue = []
            queue.append((step, other))
            if len(queue) == QUEUE:
                _flush(problem, cell, queue, out)
                queue = []
        _flush(problem, cell, queue, out)


def _steps(problem, cell):
    """The steps of a cell in order."""
    users, items, weights = problem["users"], problem["items"], problem["weights"]
    groups = [np.arange(cell["begin"][g], cell["end"][g]) for g in (0, 1)]
    for user in np.unique(users[np.concatenate(groups)]):
        of_user = [entries[users[entries] == user] for entries in groups]
        liked = items[of_user[0]], items[of_user[1]]
        before = problem["x"][user].copy()
        for group in (0, 1):
            for entry in of_user[group]:
                for n in range(problem["negatives"]):
                    place = entry - of_user[group][0] if problem["frozen"] else entry
                    counter = (place * problem["negatives"] + n) * problem["candidates"]
                    weight = 1.0 if weights is None else weights[entry]
                    yield Step(user, items[entry], group, int(counter), weight, liked, before)


def _flush(problem, cell, queue, out):
    part = max(1, -(-len(queue) // TOGETHER))
    for turn in range(min(part, len(queue))):
        together = queue[turn::part]
        if problem["rank_weights"] is None:
            _bpr_steps(problem, cell, together, out)
            continue
        for step, _ in together:
            _warp_step(problem, cell, step, out)


def _bpr_steps(problem, cell, together, out):
    if problem["candidates"] > 1:
        together = [(step, _hardest(problem, cell, step)) for step, _ in together]
    out[3] += sum(other is None for _, other in together)
    together = [(step, other) for step, other in together if other is not None]
    differences = [
        _score(problem, step.user, step.item) - _score(problem, step.user, other)
        for step, other in together
    ]
    for (step, other), s in zip(together, differences, strict=True):
        out[:3] += softplus(-s), s > 0, 1
        _update(problem, step.user, step.item, other, step.weight * sigmoid(-s))


def _warp_step(problem, cell, step, out):
    trials = 0
    for c in range(problem["candidates"]):
        other = _negative(problem, cell, step, step.counter + c)
        if other is None:
            continue
        trials += 1
        s = _score(problem, step.user, step.item) - _score(problem, step.user, other)
        if not s >= problem["margin"]:
            z = problem["rank_weights"][trials - 1] * step.weight
            out[:3] += z * (problem["margin"] - s), s > 0, 1
            _update(problem, step.user, step.item, other, z)
            return
    out[:] += 0, trials > 0, trials > 0, trials == 0


def _hardest(problem, cell, step):
    drawn = (_negative(problem, cell, step, step.counter + c) for c in range(problem["candidates"]))
    drawn = [item for item in drawn if item is not None]
    return max(drawn, key=lambda item: _score(problem, step.user, item), default=None)


def _score(problem, user, item):
    score = problem["x"][user] @ problem["y"][item]
    return score if problem["b"] is None else score + problem["b"][item]


def _update(problem, user, i, j, z):
    x, y, b, rate = problem["x"], problem["y"], problem["b"], problem["rate"]
    x_mean, y_mean, b_mean = (
        np.zeros(1 if array is None else len(array)) if problem[name] is None else problem[name]
        for name, array in (("x_mean", x), ("y_mean", y), ("b_mean", b))
    )
    user_factors, liked, other = x[user].copy(), y[i].copy(), y[j].copy()
    x[user] += rate * (z * (liked - other) - problem["reg_user"] * (user_factors - x_mean[user]))
    if problem["frozen"]:
        return
    y[i] += rate * (z * user_factors - problem["reg_positive"] * (liked - y_mean[i]))
    y[j] += rate * (-z * user_factors - problem["reg_negative"] * (other - y_mean[j]))
    if b is not None:
        b[i] += rate * (z - problem["reg_positive"] * (b[i] - b_mean[i]))
        b[j] += rate * (-z - problem["reg_negative"] * (b[j] - b_mean[j]))


def _negative(problem, cell, step, counter):
    """An item that the user has not liked, or None after TRIES draws."""
    lo, hi, share = (cell[name].tolist() for name in ("lo", "hi", "share"))
    for t in range(TRIES):
        [random] = draw(problem["key"], np.array([counter * TRIES + t], np.uint64)).tolist()
        group = step.group
        if hi[1 - group] > lo[1 - group] and random % 2**32 >= share[group]:
            group = 1 - group
        item = _drawn(problem, step.before, lo[group], hi[group] - lo[group], random)
        if item is not None and item not in step.liked[group]:
            return item
    return None


def _drawn(problem, before, lo, count, random):
    more = draw(random, np.array([1, 2], np.uint64)).tolist()
    if problem["ranking"] is not None:
        return _adaptively(problem, before, lo, count, *more)
    item = lo + int(below(np.uint64(random), count))
    if problem["alias_keep"] is None or more[0] % 2**32 < problem["alias_keep"][item]:
        return item
    return problem["alias"][item]


def _adaptively(problem, before, lo, count, first, second):
    """By rank along a factor drawn by |x_uk| spread_k, exponential from the user's end of it."""
    factors = problem["factors"]
    cumulative = np.cumsum(np.abs(before[:factors]) * problem["spread"])
    wanted = (first >> 11) * 2.0**-53 * cumulative[-1]
    k = min(int(np.searchsorted(cumulative, wanted, side="right")), factors - 1)
    rank = -np.log(((second >> 11) + 0.5) * 2.0**-53) * problem["adaptive_share"] * count
    if rank >= count:
        return None
    at = int(rank) if before[k] > 0 else count - 1 - int(rank)
    return problem["ranking"][k, lo + at]
