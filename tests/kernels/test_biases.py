"""Half-sweeps with biases, and of ratings, against dense float64 solutions from the definition."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from cases import CASES

from recsys.kernels import Factors, fold_in, half_sweep, make_sides, objective

CASE_NAMES = ["every length", "many short", "mixed", "nothing stored"]


def problem(case, f, dtype, *, lambda_=1.0, exponent=0.5, w0=1.0, ratings=False):
    """Sides, (X, b_u), (Y, b_i), and a mean."""
    matrix = CASES[case]().astype(dtype)
    rng = np.random.default_rng(0)
    rows = [
        Factors(
            (rng.standard_normal((n, f)) / f**0.5).astype(dtype),
            rng.standard_normal(n).astype(dtype) / 3,
        )
        for n in matrix.shape
    ]
    return make_sides(matrix, lambda_, exponent, w0, ratings), *rows, 0.3


def dense(side):
    """Weights and targets of all cells, rows x columns."""
    weights = np.full((side.n_rows, len(side.other_regularization)), side.unobserved_weight)
    targets = np.zeros_like(weights)
    for u in range(side.n_rows):
        entries = slice(side.indptr[u], side.indptr[u + 1])
        values = side.confidence[entries].astype(np.float64)
        at = u, side.indices[entries]
        weights[at] = 1 if side.ratings else np.abs(values)
        targets[at] = values if side.ratings else values > 0
    return weights, targets


def dense_solution(side, fixed, mean):
    """[x, b] of every row: weighted least squares of all cells, in float64; 0 if nothing counts."""
    weights, targets = dense(side)
    z = np.column_stack([fixed.factors, np.ones(len(fixed.factors))]).astype(np.float64)
    out = np.zeros((side.n_rows, z.shape[1]))
    for u in range(side.n_rows):
        a = (z.T * weights[u]) @ z + side.regularization[u] * np.eye(z.shape[1])
        b = z.T @ (weights[u] * (targets[u] - mean - fixed.biases))
        if a.any():
            out[u] = np.linalg.solve(a, b)
    return out


def dense_objective(users, items, x, y, mean):
    weights, targets = dense(users)
    scores = x.factors.astype(np.float64) @ y.factors.T.astype(np.float64)
    scores += mean + x.biases[:, np.newaxis] + y.biases
    total = np.sum(weights * (targets - scores) ** 2)
    for side, rows in ((users, x), (items, y)):
        squares = np.column_stack(rows).astype(np.float64) ** 2
        total += side.regularization @ squares.sum(axis=1)
    return total


@pytest.mark.parametrize("case", CASE_NAMES)
@pytest.mark.parametrize("f", [15, 64])
@pytest.mark.parametrize("w0, ratings", [(1.0, False), (0.1, False), (0.0, True)])
def test_equals_the_dense_solution(isa, dtype, case, f, w0, ratings):
    sides, x, y, mean = problem(case, f, dtype, w0=w0, ratings=ratings)
    for side, fixed, own in ((sides[0], y, x), (sides[1], x, y)):
        expected = dense_solution(side, fixed, mean)
        before = fixed.factors.copy()
        half_sweep(side, fixed, own, own, mean=mean)
        assert np.array_equal(fixed.factors, before)
        got = np.column_stack(own)
        error = np.linalg.norm(got - expected, axis=1)
        size = np.linalg.norm(expected, axis=1).max() + 1e-30
        assert error.max() <= (3e-4 if dtype is np.float32 else 1e-10) * size


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("w0, ratings", [(1.0, False), (0.2, False), (0.0, True)])
def test_loss_is_the_objective_over_all_cells(dtype, solver, w0, ratings):
    (users, items), x, y, mean = problem("mixed", 9, dtype, w0=w0, ratings=ratings)
    for side, fixed, own in ((users, y, x), (items, x, y)):
        sweep = half_sweep(side, fixed, own, own, mean=mean, solver=solver, loss=True)
        expected = dense_objective(users, items, x, y, mean)
        assert sweep.loss == pytest.approx(expected, rel=1e-5)
        got = objective(users, items, x, y, mean=mean)
        assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("case", ["every length", "mixed"])
@pytest.mark.parametrize("w0, ratings", [(1.0, False), (0.1, False), (0.0, True)])
def test_loss_never_rises_under_cholesky(isa, dtype, case, w0, ratings):
    (users, items), x, y, mean = problem(case, 20, dtype, lambda_=0.3, w0=w0, ratings=ratings)
    losses = []
    for _ in range(6):
        losses.append(half_sweep(users, y, x, x, mean=mean, loss=True).loss)
        losses.append(half_sweep(items, x, y, y, mean=mean, loss=True).loss)
    assert np.all(np.diff(losses) <= 1e-6 * losses[0])
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("w0, ratings", [(1.0, False), (0.0, True)])
def test_same_bits_for_any_threads(isa, dtype, solver, w0, ratings, num_threads):
    results = []
    for threads in (1, num_threads):
        (users, items), x, y, mean = problem("every length", 17, dtype, w0=w0, ratings=ratings)
        how = {"solver": solver, "num_threads": threads, "loss": True}
        half_sweep(users, y, x, x, mean=mean, **how)
        sweep = half_sweep(items, x, y, y, mean=mean, **how)
        results.append((*x, *y, sweep.loss))
    for one, many in zip(*results, strict=True):
        assert np.array_equal(one, many)


def test_converged_conjugate_gradient_is_exact(dtype):
    (users, _), x, y, mean = problem("every length", 16, dtype)
    exact = Factors(*(part.copy() for part in x))
    half_sweep(users, y, exact, exact, mean=mean)
    half_sweep(users, y, x, x, mean=mean, solver="cg", cg_steps=300)
    np.testing.assert_allclose(x.factors, exact.factors, atol=1e-4 if dtype is np.float32 else 1e-9)
    np.testing.assert_allclose(x.biases, exact.biases, atol=1e-4 if dtype is np.float32 else 1e-9)


def test_rows_beyond_single_precision_are_solved_in_double(isa):
    (users, _), x, y, mean = problem("huge confidences", 31, np.float32)
    users = dataclasses.replace(users, confidence=100 * users.confidence)
    expected = dense_solution(users, y, mean)
    sweep = half_sweep(users, y, x, x, mean=mean, loss=True)
    assert 0 < sweep.retried < users.n_rows
    np.testing.assert_allclose(np.column_stack(x), expected, atol=2e-3 * np.abs(expected).max())


def test_fold_in_is_the_half_sweep(dtype):
    matrix = CASES["mixed"]().astype(dtype)
    (users, _), x, y, mean = problem("mixed", 12, dtype, w0=0.4)
    half_sweep(users, y, x, x, mean=mean)
    folded = fold_in(matrix, y, 1.0, 0.5, 0.4, mean=mean)
    np.testing.assert_allclose(folded.factors, x.factors, atol=1e-5)
    np.testing.assert_allclose(folded.biases, x.biases, atol=1e-5)


def test_ratings_of_one_and_unit_weights_agree(dtype):
    """Where every entry is liked with confidence 1 a rating of 1 says the same."""
    (users, _), x, y, mean = problem("weight equals unobserved", 9, dtype, w0=0.0)
    rated = dataclasses.replace(users, ratings=True)
    for side in (users, rated):
        half_sweep(side, y, x, x, mean=mean)
        assert np.abs(np.column_stack(x) - dense_solution(side, y, mean)).max() < 1e-4


@pytest.mark.parametrize("biased", [False, True])
def test_a_fold_in_of_few_rows_has_the_bits_of_one_of_all(dtype, biased):
    """It rotates the columns of its own entries only."""
    matrix = CASES["many short"]().astype(dtype)
    count = matrix.shape[0]
    spread = sp.csr_array((matrix.data, 7 * matrix.indices, matrix.indptr), (count, 290))
    rng = np.random.default_rng(0)
    biases = rng.standard_normal(290).astype(dtype) if biased else None
    fixed = Factors(rng.standard_normal((290, 9)).astype(dtype), biases)
    whole = fold_in(spread, fixed, 1.0, 0.5, 0.4, mean=0.2)
    for rows in ([0], [3, 22], [199]):  # the first is empty
        few = fold_in(spread[rows], fixed, 1.0, 0.5, 0.4, mean=0.2)
        assert np.array_equal(few.factors, whole.factors[rows])
        assert (few.biases is None) == (not biased)
        if biased:
            assert np.array_equal(few.biases, whole.biases[rows])


def test_empty_rows_among_those_solved_again():
    """Offsets whose sum is beyond float32 but not double: no row, empty ones included, is solved
    in single precision."""
    (users, _), _, y, _ = problem("many short", 3, np.float32)
    y.factors[:] = 1 + np.abs(y.factors)
    fixed = Factors(y.factors, np.full(len(y.biases), 3e37, np.float32))
    assert np.diff(users.indptr)[0] == 0
    last_is_empty = dataclasses.replace(
        users,
        indptr=np.append(users.indptr, users.indptr[-1]),
        regularization=np.append(users.regularization, 1.0),
        order=np.append(users.order, np.int32(users.n_rows)),
        spans=np.append(users.spans[:-1], users.n_rows + 1),
    )
    rows = last_is_empty.n_rows
    out = Factors(np.empty((rows, 3), np.float32), np.empty(rows, np.float32))
    sweep = half_sweep(last_is_empty, fixed, None, out)
    assert sweep.retried == rows
    expected = dense_solution(last_is_empty, fixed, 0.0)
    atol = 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(np.column_stack(out), expected, atol=atol)


def test_biases_that_are_not_finite_are_named(dtype):
    (users, _), x, y, mean = problem("many short", 3, dtype)
    y.biases[5] = np.inf
    with pytest.raises(FloatingPointError, match="row 5 is not finite"):
        half_sweep(users, y, None, x, mean=mean)
