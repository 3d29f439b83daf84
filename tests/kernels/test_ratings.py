"""Stochastic gradients on ratings against their NumPy twin."""

import numpy as np
import pytest
from cases import CASES, FACTORS
from scipy import sparse
from sgd_problem import arguments
from twins import assert_like_twin

from recsys.kernels import RatingSGD, _sgd
from recsys.kernels.reference import ratings as reference

WRITTEN = ("x", "y", "user_biases", "item_biases", "losses")


def problem(matrix, dtype, factors=16, bands=2, biased=True):
    _, args = arguments(matrix, dtype, factors, bands)
    rng = np.random.default_rng(1)
    return {
        "x": args["x"],
        "y": args["y"],
        "user_biases": rng.random(len(args["x"])).astype(dtype) if biased else None,
        "item_biases": args["b"] if biased else None,
        "users": args["users"],
        "items": args["items"],
        "ratings": args["weights"],
        "cells": args["cells"],
        "losses": np.zeros(len(args["cells"])),
        "rate": 0.1,
        "regularization": 0.03,
    }


def assert_equals_reference(args, isa):
    kernels = _sgd.ratings_cells, reference.ratings_cells
    assert_like_twin(*kernels, args, WRITTEN, isa=isa, num_threads=1)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"long"}))
@pytest.mark.parametrize("biased", [True, False])
def test_cases(case, biased, isa, dtype):
    assert_equals_reference(problem(CASES[case]()[:40], dtype, bands=None, biased=biased), isa)


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("bands", [1, 3])
def test_factors(factors, bands, isa, dtype):
    assert_equals_reference(problem(CASES["many short"]()[:60], dtype, factors, bands), isa)


def test_same_bits_for_any_number_of_threads():
    matrix = sparse.random_array((500, 800), density=0.02, rng=np.random.default_rng(0)).tocsr()
    rng = np.random.default_rng(3)
    start = [rng.standard_normal(shape) for shape in ((500, 20), (800, 20), 500, 800)]
    found = []
    for threads in (1, 2, 3, 7):
        training = RatingSGD(matrix, *start, bands=3)
        losses = [training.epoch(0.05, 0.01, key, threads) for key in (5, 6)]
        found.append((losses, *training.learned(tuple(map(np.empty_like, start)))))
    for losses, *arrays in found[1:]:
        assert losses == found[0][0]
        for one, other in zip(arrays, found[0][1:], strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_epoch_has_each_rating_once():
    """From zero, with a tiny rate, each bias becomes rate times the sum of the ratings."""
    matrix = sparse.random_array((200, 300), density=0.1, rng=np.random.default_rng(0)).tocsr()
    zeros = [np.zeros(shape) for shape in ((200, 1), (300, 1), 200, 300)]
    for bands in (0, 1, 2):
        training = RatingSGD(matrix, *zeros, bands=bands)
        assert training.epoch(1e-9, 0.0, 1, num_threads=1) == pytest.approx(
            (matrix.data**2).mean(), rel=1e-6
        )
        learned = training.learned(tuple(map(np.empty_like, zeros)))
        np.testing.assert_allclose(learned[2], 1e-9 * matrix.sum(axis=1), rtol=1e-6)
        np.testing.assert_allclose(learned[3], 1e-9 * matrix.sum(axis=0), rtol=1e-6)
