"""Pairwise stochastic gradient against its NumPy twin."""

import itertools

import numpy as np
import pytest
from cases import CASES, FACTORS
from scipy import sparse
from sgd_problem import arguments
from twins import assert_like_twin

from recsys.kernels import _sgd
from recsys.kernels.bpr import PairwiseSGD, Rates, _alias_tables
from recsys.kernels.grid import make_grid
from recsys.kernels.reference import bpr as reference

WRITTEN = ("x", "y", "b", "sums")
RANK_WEIGHTS = np.array([1.0, 0.8, 0.5])


def assert_equals_reference(args, isa):
    assert_like_twin(_sgd.bpr_cells, reference.bpr_cells, args, WRITTEN, isa=isa, num_threads=1)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"long"}))
def test_cases(case, isa, dtype):
    matrix = CASES[case]()
    assert_equals_reference(arguments(matrix[:40], dtype, bands=None)[1], isa)


@pytest.mark.parametrize("factors", FACTORS)
def test_factors(factors, isa, dtype):
    _, args = arguments(CASES["many short"]()[:60], dtype, factors)
    assert_equals_reference(args, isa)


OPTIONS = {
    "no biases": {"b": None},
    "no weights": {"weights": None},
    "frozen": {"frozen": True},
    "several": {"negatives": 7},
    "hardest": {"candidates": 11},
    "warp": {"rank_weights": RANK_WEIGHTS, "candidates": 3, "margin": 0.5},
    "means": {"means": True},
    "means, frozen": {"means": True, "frozen": True},
    "means, no biases": {"means": True, "b": None, "rank_weights": RANK_WEIGHTS, "candidates": 3},
    "warp of several": {"rank_weights": RANK_WEIGHTS, "candidates": 3, "negatives": 2, "b": None},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("bands", [1, 2, 4])
def test_options(options, bands, isa, dtype):
    _, args = arguments(CASES["every length"]()[5:20, :80], dtype, bands=bands, **options)
    assert_equals_reference(args, isa)


def test_by_popularity(isa, dtype):
    matrix = CASES["every length"]()[5:20, :80]
    chances = np.arange(80.0) ** 2
    grid, args = arguments(matrix, dtype, chances=chances)
    keep, alias = _alias_tables(chances[np.argsort(grid.place)], grid.bounds)
    assert_equals_reference({**args, "alias_keep": keep, "alias": alias}, isa)


def test_adaptive(isa, dtype):
    grid, args = arguments(CASES["every length"]()[5:20, :80], dtype, 5)
    y = args["y"][:, :5]
    ranking = np.empty((5, 80), np.int32)
    for lo, hi in zip(grid.bounds[:-1], grid.bounds[1:], strict=True):
        ranking[:, lo:hi] = lo + np.argsort(-y[lo:hi].T, axis=1)
    options = {"ranking": ranking, "spread": y.std(axis=0), "adaptive_share": 0.3}
    assert_equals_reference({**args, **options}, isa)


def test_no_two_cells_of_a_round_share_anything():
    matrix = sparse.random_array((300, 900), density=0.05, rng=np.random.default_rng(0)).tocsr()
    grid = make_grid(matrix.indptr.astype(np.int64), matrix.indices, np.ones(900), None, 4)
    assert sorted(grid.place) == list(range(900))
    met = np.zeros(matrix.nnz, int)
    for cells in grid.rounds(np.random.default_rng(0)):
        users, items = [], []
        for cell in cells:
            spans = [np.arange(cell["begin"][g], cell["end"][g]) for g in (0, 1)]
            entries = np.concatenate(spans)
            met[entries] += 1
            users.append(set(grid.users[entries]))
            groups = zip(cell["lo"], cell["hi"], strict=True)
            items.append({item for group in groups for item in range(*group)})
            for g in (0, 1):
                own = grid.items[spans[g]]
                assert np.all((own >= cell["lo"][g]) & (own < cell["hi"][g]))
        assert sum(map(len, users)) == len(set.union(*users))
        assert sum(map(len, items)) == len(set.union(*items)) == 900
    assert np.all(met == 1)


def test_alias_tables_have_the_weights():
    weights = np.random.default_rng(0).pareto(1, 60)
    bounds = np.array([0, 7, 8, 60])
    keep, alias = _alias_tables(weights, bounds)
    for lo, hi in itertools.pairwise(bounds):
        share = keep[lo:hi] / 2**32
        chance = share + np.bincount(alias[lo:hi] - lo, 1 - share, hi - lo)
        np.testing.assert_allclose(
            chance / (hi - lo), weights[lo:hi] / weights[lo:hi].sum(), atol=1e-8
        )


def sgd(matrix, dtype=np.float32, factors=20, **options):
    random = np.random.default_rng(3)
    x, y = (random.standard_normal((n, factors)).astype(dtype) / 4 for n in matrix.shape)
    return PairwiseSGD(matrix, x, y, None, np.zeros(matrix.shape[1], dtype), **options)


SAMPLERS = {
    "uniform": {},
    "popular": {"chances": np.arange(800.0)},
    "adaptive": {"adaptive_share": 0.05},
    "hard": {"candidates": 5},
    "warp": {"candidates": 3, "rank_weights": RANK_WEIGHTS},
}


@pytest.mark.parametrize("options", SAMPLERS.values(), ids=SAMPLERS)
def test_same_bits_for_any_number_of_threads(options):
    matrix = sparse.random_array((500, 800), density=0.02, rng=np.random.default_rng(0)).tocsr()
    found = []
    for threads in (1, 2, 3, 7):
        training = sgd(matrix, bands=3, **options)
        sums = [training.epoch(Rates(0.1, 0.01, 0.01, 0.01), key, threads) for key in (5, 6)]
        found.append((sums, training._x, training._y, training._b))
    for sums, *arrays in found[1:]:
        assert sums == found[0][0]
        for one, other in zip(arrays, found[0][1:], strict=True):
            np.testing.assert_array_equal(one, other)


def test_negatives_are_as_often_as_they_should():
    """Each item comes as often as any other, over the epochs, whatever group it is in."""
    n_items, epochs = 256, 600
    liked = np.arange(64)[:, np.newaxis] * 4 + np.arange(3)  # nobody likes 3, 7, 11, ...
    matrix = sparse.csr_array(
        (np.ones(192), (np.repeat(np.arange(64), 3), liked.reshape(-1))), shape=(64, n_items)
    )
    training = PairwiseSGD(
        matrix, np.ones((64, 1)), np.zeros((n_items, 1)), None, np.zeros(n_items), bands=2
    )
    b = np.zeros(n_items)
    for key in range(epochs):
        training._x[:], training._y[:], training._b[:] = 0, 0, 0
        training.epoch(Rates(1.0, 0.0, 0.0, 0.0), key, 1)
        b += training._b[training._grid.place] * 2  # a step of a half for each time it came
    never = b[3::4]
    expected = epochs * 192 / n_items
    assert abs(-never.mean() / expected - 1) < 0.05
    assert never.std() < 4 * np.sqrt(expected)


def test_skipped_where_everything_is_liked():
    matrix = sparse.csr_array(np.ones((3, 4)))
    sums = sgd(matrix, np.float64, 2).epoch(Rates(0.1, 0, 0, 0), 1)
    assert sums.skipped == 12 and sums.steps == 0
