"""Arguments of the kernels of stochastic gradients: a matrix dealt into a grid, random factors."""

import numpy as np
from scipy import sparse

from recsys.kernels.grid import make_grid
from recsys.kernels.rows import padded


def arguments(matrix, dtype, factors=16, bands=2, chances=None, seed=0, means=False, **options):
    random = np.random.default_rng(seed)
    liked = sparse.csr_array(matrix)
    liked.data = random.random(liked.nnz).astype(dtype) + dtype(0.5)
    if chances is None:
        chances = np.ones(liked.shape[1])
    grid = make_grid(liked.indptr.astype(np.int64), liked.indices, chances, liked.data, bands)

    def normal(*shape):
        return (random.standard_normal(shape) / factors**0.25).astype(dtype)

    cells = grid.rounds(random).reshape(-1)
    args = {
        "users": grid.users,
        "items": grid.items,
        "weights": grid.values,
        "x": padded(normal(liked.shape[0], factors)),
        "y": padded(normal(liked.shape[1], factors)),
        "b": normal(liked.shape[1]),
        "cells": cells,
        "sums": np.zeros((len(cells), 4)),
        "factors": factors,
        "rate": 0.1,
        "reg_user": 0.02,
        "reg_positive": 0.03,
        "reg_negative": 0.01,
        "key": 99,
    }
    if means:
        args["x_mean"] = padded(normal(liked.shape[0], factors))
        args["y_mean"] = padded(normal(liked.shape[1], factors))
        args["b_mean"] = normal(liked.shape[1])
        args |= {"reg_user": 0.3, "reg_positive": 0.2, "reg_negative": 0.1}
    return grid, args | options
