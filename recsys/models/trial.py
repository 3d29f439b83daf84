"""What is tried on a sample of the data, where it may be far better than what the rule says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recsys import csr, kernels
from recsys.models.weights import Weights, mean_preference

if TYPE_CHECKING:
    from scipy import sparse

# Multiples of the rule's w0 and lambda that are far better than the rule on some of the data sets
# of docs/defaults.md, which were told by a sample of this size; and what they have to gain there.
CORNERS = (1 / 8, 1.0), (1.0, 1.5)
GAIN = 1.03
# Where biases are worth more than this to the sample, they are worth a third more to the whole; on
# all other data sets they cost the whole something, and gain the sample at most 3 %.
GAIN_OF_BIASES = 1.1
SAMPLE = 40_000  # entries
FEWEST = 5_000  # entries; with fewer a gain is chance
LISTED = 2_000  # users whose lists are looked at
K = 20
FACTORS, ITERATIONS = 32, 3
HELD_OUT = 0.2


class Tried(NamedTuple):
    """What the rule's w0 and lambda are multiplied by, and whether biases are to be learned."""

    corner: tuple[float, float]
    bias: bool


NOTHING = Tried((1.0, 1.0), False)


def tried(
    signed: sparse.csr_array,
    rule: Callable[[sparse.csr_array], Weights],
    bias: bool | None,
    num_threads: int,
    corners: tuple[tuple[float, float], ...] = CORNERS,
) -> Tried:
    """The corner (1, 1), or one of `corners`; and biases where they are asked for, or far better.

    On some 40,000 entries of users drawn at random, a fifth of their likes is held out, and small
    models learn from the rest: one with the weights that `rule` gives for it, one for each corner.
    The one with the highest NDCG@20 is it, if that is 3 % above the rule's. Where `bias` is None,
    another one of its weights has biases; they are it if that is 10 % better again. Nothing here
    depends on a seed, or on the number of threads.

    Parameters
    ----------
    signed : csr_array, users x items
        Confidences, as `kernels.make_sides` takes them.
    rule : callable
        Weights for such a matrix.
    bias : bool or None
        Whether there are to be biases, if that is known.
    num_threads : int
    corners : tuple of (float, float)
        Beside the rule; none where some of the weights are given.
    """
    nothing = NOTHING._replace(bias=bool(bias))
    if signed.nnz < FEWEST or not (corners or bias is None):
        return nothing
    train, held_out = _sample(signed)
    if not held_out.nnz:
        return nothing
    weights = rule(train)

    def worth(corner: tuple[float, float], bias: bool = False) -> np.ndarray:
        return _worth(train, held_out, times(weights, corner), bias, num_threads)

    each = {corner: worth(corner) for corner in (NOTHING.corner, *corners)}
    best = max(corners, key=lambda corner: float(each[corner].mean()), default=NOTHING.corner)
    if each[best].mean() <= GAIN * each[NOTHING.corner].mean():
        best = NOTHING.corner
    if bias is None:
        bias = _far_better(worth(best, bias=True), each[best])
    return Tried(best, bias)


def _far_better(values: np.ndarray, others: np.ndarray) -> bool:
    """By `GAIN_OF_BIASES`, and not by chance: by more than three standard errors of the mean."""
    gains = values - others
    error = gains.std() / np.sqrt(len(gains))
    return bool(values.mean() > GAIN_OF_BIASES * others.mean() and gains.mean() > 3 * error)


def times(weights: Weights, corner: tuple[float, float]) -> Weights:
    """With w0 and lambda so many times as large."""
    return weights._replace(
        unobserved=corner[0] * weights.unobserved,
        regularization=corner[1] * weights.regularization,
    )


def _sample(signed: sparse.csr_array) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Of some users what to learn from, and the likes held out; of the items that are learned."""
    random = np.random.default_rng(0)
    rows = random.permutation(signed.shape[0])
    total = np.cumsum(np.diff(signed.indptr)[rows])
    some = csr.take_rows(signed, rows[: np.searchsorted(total, SAMPLE) + 1])
    held = (random.random(some.nnz) < HELD_OUT) & (some.data > 0)
    train, held_out = csr.keep(some, ~held), csr.keep(some, held)
    known, columns = np.unique(train.indices, return_inverse=True)
    renumbered = np.full(signed.shape[1], -1, np.int32)
    renumbered[known] = np.arange(len(known), dtype=np.int32)
    held_out = csr.keep(held_out, renumbered[held_out.indices] >= 0)
    train, held_out = (
        csr.assemble(part.data, indices.astype(np.int32), part.indptr, (some.shape[0], len(known)))
        for part, indices in ((train, columns), (held_out, renumbered[held_out.indices]))
    )
    return train, held_out


def _worth(
    train: sparse.csr_array,
    held_out: sparse.csr_array,
    weights: Weights,
    bias: bool,
    num_threads: int,
) -> np.ndarray:
    """NDCG@20 of the first users with anything held out; zeros if there are no such factors."""
    who = np.flatnonzero(np.diff(held_out.indptr))[:LISTED]
    try:
        users, items = _learned(train, weights, bias, num_threads)
    except FloatingPointError:  # that corner is out of scale
        return np.zeros(len(who))
    from recsys.evaluation import lists, metrics  # not before it is asked for

    skip = train.indptr.astype(np.int64), train.indices
    scored = items.factors
    if items.biases is not None:
        scored = np.column_stack([scored, items.biases])
    best, _ = kernels.topk(
        users.factors, scored, min(K, len(scored)), rows=who, skip=skip, skip_rows=who,
        num_threads=num_threads,
    )  # fmt: skip
    judged = lists.judge(best, csr.take_rows(held_out, who))
    return metrics.ndcg(judged, K)


def _learned(
    train: sparse.csr_array, weights: Weights, bias: bool, num_threads: int
) -> tuple[kernels.Factors, kernels.Factors]:
    """Users and items after a few iterations from a spectral start."""
    sides = kernels.make_sides(train, *weights, num_threads=num_threads)
    mean = mean_preference(train, weights.unobserved) if bias else 0.0
    random = np.random.default_rng(0)
    users, items = (kernels.on_line((count, FACTORS), train.dtype) for count in train.shape)
    random.standard_normal(dtype=train.dtype, out=items)
    kernels.spectral_start(sides, users, items, mean=mean, num_threads=num_threads)
    half_sweep = functools.partial(kernels.half_sweep, mean=mean, num_threads=num_threads)
    by_user, by_item = (
        kernels.Factors(each, np.zeros(len(each), each.dtype) if bias else None)
        for each in (users, items)
    )
    for _ in range(ITERATIONS):
        half_sweep(sides[0], by_item, None, by_user)
        half_sweep(sides[1], by_user, None, by_item)
    return by_user, by_item
