"""A small fit for ranks that are threads, and its factors by the kernels in one process."""

from functools import partial

import numpy as np
from scipy import sparse

from recsys import csr, kernels
from recsys.distributed import ITEM, USER, Problem
from recsys.distributed.problem import start
from recsys.kernels import (
    Factors,
    Momentum,
    half_sweep,
    make_side,
    nonnegative_half_sweep,
    objective,
)
from recsys.models.confidence import signed_confidence

LINEAR = partial(signed_confidence, scheme="linear", alpha=20.0, epsilon=None)
LOG = partial(signed_confidence, scheme="log", alpha=20.0, epsilon=1.0)


def entries(n=4000, n_users=300, n_items=120, seed=0):
    """Keys of any size, counts, and some of both signs; pairs come more than once."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, n_users, n) * 7 - 500
    items = (rng.zipf(1.3, n) % n_items) * 2**40 - 2**45
    return users, items, rng.choice([1, 2, 5, -1], n, p=[0.5, 0.3, 0.15, 0.05]).astype(np.float32)


def problem(**changed):
    common = {
        "factors": 8, "iterations": 4, "seed": 3, "regularization": 0.5, "exponent": None,
        "unobserved_weight": 1.0, "signed": LINEAR,
    }  # fmt: skip
    return Problem(**(common | changed))


def alone(users, items, values, told):
    """Factors and objective by `half_sweep`, from the same start; items first."""
    (user_keys, u), (item_keys, i) = (np.unique(k, return_inverse=True) for k in (users, items))
    shape = len(user_keys), len(item_keys)
    counts = csr.canonical(sparse.coo_array((values, (u, i)), shape=shape).tocsr(), np.float32)
    if told.by_user_mean:  # the scheme's own epsilon
        signed = signed_confidence(counts, "log", 20.0, None)
    else:
        signed = counts if told.signed is None else told.signed(counts)
    matrices = signed, kernels.transposed(signed)
    ratings = told.signed is None
    lambdas = [told.regularization * _counted(matrix, ratings) for matrix in matrices]
    sides = [
        make_side(matrices[s], lambdas[s], lambdas[1 - s], told.unobserved_weight, ratings, None)
        for s in (USER, ITEM)
    ]
    x, y = (_start(keys, side, told) for side, keys in enumerate((user_keys, item_keys)))
    half = nonnegative_half_sweep
    if not told.nonnegative:
        half = partial(half_sweep, solver="cg" if told.cg_steps else "cholesky")
    mean, momentum, before = _mean(signed, told), Momentum(np.dtype(np.float32)), None
    half = partial(half, cg_steps=told.cg_steps or 3, mean=mean)

    def iterate(users):
        half(sides[ITEM], users, y, y)
        half(sides[USER], y, x, x)
        return objective(*sides, x, y, mean=mean)

    for _ in range(told.iterations):
        now = _copy(x)
        if told.acceleration and momentum.weight:
            momentum.extrapolate(now, before)
            if momentum.rose(iterate(before)):
                momentum.restart()
                for old, new in zip(x, now, strict=True):
                    if old is not None:
                        old[...] = new
        if not (told.acceleration and momentum.weight):
            iterate(_copy(x))
        momentum.made(objective(*sides, x, y, mean=mean))
        before = now
    loss = objective(*sides, x, y, mean=mean)
    return *(side.factors if not told.bias else np.column_stack(side) for side in (x, y)), loss


def _start(keys, side, told):
    factors = start(keys, side, told.factors, told.seed, told.init_scale)
    biases = np.zeros(len(keys), np.float32) if told.bias else None
    return Factors(np.abs(factors) if told.nonnegative else factors, biases)


def _copy(side):
    return Factors(*(None if each is None else each.copy() for each in side))


def _mean(signed, told):
    if not told.bias:
        return 0.0
    if told.signed is None:
        return float(signed.data.mean(dtype=np.float64))
    others = told.unobserved_weight * (np.prod(signed.shape) - signed.nnz)
    return signed.data[signed.data > 0].sum() / (np.abs(signed.data).sum() + others)


def _counted(matrix, ratings):
    counted = sparse.csr_array(
        ((np.ones(matrix.nnz) if ratings else matrix.data > 0).astype(float), matrix.indices,
         matrix.indptr), matrix.shape,
    )  # fmt: skip
    return counted.sum(axis=1)
