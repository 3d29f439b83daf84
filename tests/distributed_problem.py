"""A small fit for ranks that are threads, and its factors by the kernels in one process."""

from functools import partial

import numpy as np
from scipy import sparse

from recsys import csr
from recsys.distributed import ITEM, USER, Problem
from recsys.distributed.rank import start
from recsys.kernels import Factors, half_sweep, make_side, objective
from recsys.models.confidence import signed_confidence

LINEAR = partial(signed_confidence, scheme="linear", alpha=20.0, epsilon=None)


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
    signed = counts if told.signed is None else told.signed(counts)
    matrices = signed, csr.transposed(signed)
    ratings = told.signed is None
    lambdas = [told.regularization * _counted(matrix, ratings) for matrix in matrices]
    sides = [
        make_side(matrices[s], lambdas[s], lambdas[1 - s], told.unobserved_weight, ratings, None)
        for s in (USER, ITEM)
    ]
    x, y = (
        Factors(start(keys, side, told.factors, told.seed, told.init_scale))
        for side, keys in enumerate((user_keys, item_keys))
    )
    options = {"solver": "cg" if told.cg_steps else "cholesky", "cg_steps": told.cg_steps or 3}
    for _ in range(told.iterations):
        half_sweep(sides[ITEM], x, y, y, **options)
        half_sweep(sides[USER], y, x, x, **options)
    return x.factors, y.factors, objective(*sides, x, y)


def _counted(matrix, ratings):
    counted = sparse.csr_array(
        ((np.ones(matrix.nnz) if ratings else matrix.data > 0).astype(float), matrix.indices,
         matrix.indptr), matrix.shape,
    )  # fmt: skip
    return counted.sum(axis=1)
