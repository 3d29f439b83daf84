"""Steps of logistic matrix factorization against their NumPy twin."""

import numpy as np
import pytest
from cases import CASES, FACTORS
from scipy import sparse
from twins import assert_like_twin, on_copies

from recsys.kernels import LmfSide, _lmf
from recsys.kernels.reference import lmf as reference
from recsys.kernels.reference import rng

WRITTEN = ("solved", "biases", "squares", "bias_squares", "row_loss")


def arguments(matrix, dtype, factors=16, negatives=3, seed=0):
    """A side of a problem in progress: squares that a step does not start from zero."""
    random = np.random.default_rng(seed)
    rows, columns = matrix.shape

    def normal(*shape):
        return (random.standard_normal(shape) / factors**0.25).astype(dtype)

    line = 64 // np.dtype(dtype).itemsize
    fixed = np.zeros((columns, -(-factors // line) * line), dtype)
    fixed[:, :factors] = normal(columns, factors)
    return {
        "indptr": matrix.indptr.astype(np.int64),
        "indices": matrix.indices.astype(np.int32),
        "confidence": matrix.data.astype(dtype),
        "order": random.permutation(rows).astype(np.int32),
        "spans": np.unique([0, rows // 3, rows // 2, rows]),
        "fixed": fixed,
        "fixed_biases": normal(columns),
        "solved": normal(rows, factors),
        "biases": normal(rows),
        "squares": (1 + random.random((rows, factors))).astype(dtype),
        "bias_squares": (1 + random.random(rows)).astype(dtype),
        "keys": rng.draw(seed, np.arange(rows)),
        "row_loss": np.zeros(rows),
        "negatives": negatives,
        "learning_rate": 0.5,
        "regularization": 0.3,
        "means": None,
    }


def run(args, **how):
    return on_copies(_lmf.lmf_rows, args, WRITTEN, **how)


def assert_equals_reference(args, isa, num_threads=2):
    kernels = _lmf.lmf_rows, reference.lmf_rows
    assert_like_twin(*kernels, args, WRITTEN, isa=isa, num_threads=num_threads)


@pytest.mark.parametrize("case", [name for name in CASES if name != "long"])
def test_equals_reference(isa, dtype, case):
    assert_equals_reference(arguments(CASES[case](), dtype), isa)


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("negatives", [1, 7])
def test_factors(isa, dtype, factors, negatives):
    assert_equals_reference(arguments(CASES["mixed"](), dtype, factors, negatives), isa)


@pytest.mark.parametrize("factors", [1, 17, 64])
def test_rows_are_drawn_to_means(isa, dtype, factors):
    args = arguments(CASES["mixed"](), dtype, factors)
    means = np.random.default_rng(5).standard_normal(args["solved"].shape).astype(dtype)
    assert_equals_reference({**args, "means": means}, isa)
    zero = run({**args, "means": np.zeros_like(means)}, isa=isa, num_threads=1)
    np.testing.assert_array_equal(zero["solved"], run(args, isa=isa, num_threads=1)["solved"])


def test_more_terms_than_are_listed_at_a_time(isa, dtype):
    assert_equals_reference(arguments(CASES["long"](), dtype, factors=3, negatives=1), isa)


def test_every_column_in_turn_where_as_many_are_drawn(isa, dtype):
    args = arguments(CASES["many short"](), dtype, negatives=40)
    assert_equals_reference(args, isa)
    other_keys = {**args, "keys": args["keys"] + np.uint64(1)}
    exact, again = (run(each, isa=isa, num_threads=1) for each in (args, other_keys))
    np.testing.assert_array_equal(exact["solved"], again["solved"])


def test_same_bits_for_any_number_of_threads(isa, dtype, num_threads):
    args = arguments(CASES["every length"](), dtype, factors=17)
    args["spans"] = np.arange(len(args["order"]) + 1)
    other = {**args, "order": np.sort(args["order"]), "spans": args["spans"][[0, -1]]}
    got = run(args, isa=isa, num_threads=num_threads)
    for name, values in run(other, isa=isa, num_threads=1).items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)


@pytest.mark.parametrize("negatives", [2, 9])
def test_rows_that_draw_together_have_the_bits_they_have_alone(isa, dtype, negatives):
    args = arguments(CASES["every length"](), dtype, factors=17, negatives=negatives)
    args["keys"] = args["keys"][np.arange(len(args["order"])) % 3]
    args["order"] = np.argsort(args["keys"], kind="stable").astype(np.int32)
    assert_equals_reference({**args, "spans": np.array([0, len(args["order"])])}, isa)
    together = run({**args, "spans": np.array([0, len(args["order"])])}, isa=isa, num_threads=1)
    alone = run({**args, "spans": np.arange(len(args["order"]) + 1)}, isa=isa, num_threads=2)
    for name, values in together.items():
        np.testing.assert_array_equal(alone[name], values, err_msg=name)


def test_rows_next_to_each_other_draw_together():
    matrix = CASES["every length"]().astype(np.float32)
    side = LmfSide.of(matrix, 2)
    keys = side.keys(seed=3, sweep=5)[side.order]
    assert (keys[:16] == keys[0]).all()
    assert len(np.unique(keys)) == -(-len(keys) // 16)
    assert (side.spans[:-1] % 16 == 0).all()
    assert side.spans[-1] == len(keys)
    assert not np.isin(side.keys(seed=3, sweep=6), keys).any()


def test_only_the_rows_of_the_spans_change(isa, dtype):
    args = arguments(CASES["many short"](), dtype)
    args["spans"] = np.array([20, 50])
    got = run(args, isa=isa, num_threads=2)
    changed = np.flatnonzero((got["solved"] != args["solved"]).any(axis=1))
    np.testing.assert_array_equal(changed, np.sort(args["order"][20:50]))


def one_score(scores, dtype):
    """Rows of one cell, the whole of their only column: row k's score is scores[k], and its only
    term that of a draw."""
    empty = sparse.csr_array((len(scores), 1))
    args = arguments(empty, dtype, factors=1, negatives=1)
    args["fixed"][:], args["fixed_biases"][:], args["biases"][:] = 0, 0, scores
    args["bias_squares"][:] = 0
    return args


def test_sigmoid_and_softplus_are_accurate(isa, dtype):
    least = -87.0 if dtype == np.float32 else -354.0  # whose squares are normal numbers as well
    scores = np.concatenate([np.linspace(least / 2, 90, 20_001), np.linspace(-1e-3, 1e-3, 101)])
    scores = scores.astype(dtype).astype(np.float64)
    args = one_score(scores, dtype)
    args["spans"] = np.array([0, len(scores)])
    got = run(args, isa=isa, num_threads=1)
    relative = 1e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(got["row_loss"], reference.softplus(scores), rtol=relative)
    slope = np.sqrt(got["bias_squares"].astype(np.float64))
    np.testing.assert_allclose(slope, reference.sigmoid(scores), rtol=relative)


def test_sigmoid_and_softplus_far_out(isa, dtype):
    got = run(one_score([-1e30, 1e30], dtype), isa=isa, num_threads=1)
    low, high = got["row_loss"]
    assert 0 < low < 1e-37 and high == pytest.approx(1e30)
    np.testing.assert_array_equal(got["bias_squares"][1], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_steps_to_numbers_that_are_not_finite_show_in_the_loss(isa, dtype, bad):
    args = arguments(CASES["many short"](), dtype)
    args["solved"][args["order"][3], 0] = bad
    args["biases"][args["order"][4]] = bad
    loss = run(args, isa=isa, num_threads=2)["row_loss"]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(loss)), np.sort(args["order"][3:5]))


def test_draws_are_uniform_and_differ_between_rows():
    columns = 1000
    keys = rng.draw(7, np.arange(50))
    drawn = rng.below(rng.draw(keys[:, np.newaxis], np.arange(4000)), columns)
    counts = np.bincount(drawn.reshape(-1).astype(np.int64), minlength=columns)
    assert drawn.max() == columns - 1
    # chi-squared of 999 degrees of freedom: mean 999, standard deviation 45
    assert 800 < ((counts - 200.0) ** 2 / 200).sum() < 1200
    assert len(np.unique(drawn[:, :8], axis=0)) == len(keys)
