"""Weights tried on a sample of the data, where another corner than the rule's may be far better."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recsys import csr, kernels
from recsys.models.weights import Weights

if TYPE_CHECKING:
    from scipy import sparse

# Multiples of the rule's w0 and lambda that are far better than the rule on some of the data sets
# of docs/defaults.md, which were told by a sample of this size; and what they have to gain there.
CORNERS = (1 / 8, 1.0), (1.0, 1.5)
GAIN = 1.03
SAMPLE = 40_000  # entries
FEWEST = 5_000  # entries; with fewer a gain is chance
LISTED = 2_000  # users whose lists are looked at
K = 20
FACTORS, ITERATIONS = 32, 3
HELD_OUT = 0.2


def tried(
    signed: sparse.csr_array,
    rule: Callable[[sparse.csr_array], Weights],
    num_threads: int,
) -> tuple[float, float]:
    """What the rule's w0 and lambda are to be multiplied by: (1, 1), or one of `CORNERS`.

    On some 40,000 entries of users drawn at random, a fifth of their likes is held out, and small
    models learn from the rest: one with the weights that `rule` gives for it, one for each corner.
    The one with the highest NDCG@20 is it, if that is 3 % above the rule's. Nothing here depends on
    a seed, or on the number of threads.

    Parameters
    ----------
    signed : csr_array, users x items
        Confidences, as `kernels.make_sides` takes them.
    rule : callable
        Weights for such a matrix.
    num_threads : int
    """
    nothing = 1.0, 1.0
    if signed.nnz < FEWEST:
        return nothing
    train, held_out = _sample(signed)
    if not held_out.nnz:
        return nothing
    weights = rule(train)
    least = GAIN * _worth(train, held_out, weights, num_threads)
    worth = {
        corner: _worth(train, held_out, times(weights, corner), num_threads) for corner in CORNERS
    }
    best = max(worth, key=worth.__getitem__)
    return best if worth[best] > least else nothing


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
    train: sparse.csr_array, held_out: sparse.csr_array, weights: Weights, num_threads: int
) -> float:
    """Mean NDCG@20 of the first users with anything held out; 0 if there are no such factors."""
    try:
        users, items = _learned(train, weights, num_threads)
    except FloatingPointError:  # that corner is out of scale
        return 0.0
    from recsys.evaluation import lists, metrics  # not before it is asked for

    who = np.flatnonzero(np.diff(held_out.indptr))[:LISTED]
    skip = train.indptr.astype(np.int64), train.indices
    best, _ = kernels.topk(
        users, items, min(K, len(items)), rows=who, skip=skip, skip_rows=who,
        num_threads=num_threads,
    )  # fmt: skip
    judged = lists.judge(best, csr.take_rows(held_out, who))
    return float(metrics.ndcg(judged, K).mean())


def _learned(
    train: sparse.csr_array, weights: Weights, num_threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Factors of users and items after a few iterations from a spectral start."""
    sides = kernels.make_sides(train, *weights)
    random = np.random.default_rng(0)
    users, items = (kernels.on_line((count, FACTORS), train.dtype) for count in train.shape)
    random.standard_normal(dtype=train.dtype, out=items)
    kernels.spectral_start(sides, users, items, num_threads=num_threads)
    both = kernels.Factors(users), kernels.Factors(items)
    for _ in range(ITERATIONS):
        kernels.half_sweep(sides[0], both[1], None, both[0], num_threads=num_threads)
        kernels.half_sweep(sides[1], both[0], None, both[1], num_threads=num_threads)
    return users, items
