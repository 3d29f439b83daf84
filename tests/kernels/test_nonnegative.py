"""Rows that may not be negative: against their twin, by the conditions of a minimum, by NNLS."""

import numpy as np
import pytest
from cases import CASES
from scipy import optimize
from twins import of_twin

from recsys.kernels import (
    Factors,
    _als,
    make_sides,
    nonnegative,
    nonnegative_fold_in,
    nonnegative_half_sweep,
    objective,
)
from recsys.kernels.reference import als_nonnegative_rows

SHAPES = ["every length", "mixed", "one entry"]


def problem(case, f, dtype, *, bias=False, w0=0.5, lambda_=1.0, ratings=False):
    matrix = CASES[case]().astype(dtype)
    rng = np.random.default_rng(3)
    users, items = make_sides(matrix, lambda_, 0.0, w0, ratings)
    x, y = (
        Factors(
            rng.random((n, f), dtype) / dtype(f**0.5),
            rng.standard_normal(n, dtype) / dtype(4) if bias else None,
        )
        for n in matrix.shape
    )
    return users, items, x, y


def systems(side, fixed, mean=0.0):
    """A and b of each row, float64, straight from the definition."""
    y, t = fixed.factors.astype(np.float64), np.zeros(len(fixed.factors))
    if fixed.biases is not None:
        y, t = np.column_stack([y, np.ones(len(y))]), fixed.biases.astype(np.float64) + mean
    for u in range(side.n_rows):
        entries = slice(side.indptr[u], side.indptr[u + 1])
        weight, p = np.full(len(y), side.unobserved_weight), np.zeros(len(y))
        values = side.confidence[entries].astype(np.float64)
        at = side.indices[entries]
        weight[at] = 1 if side.ratings else np.abs(values)
        p[at] = values if side.ratings else values > 0
        a = (y.T * weight) @ y + side.regularization[u] * np.eye(y.shape[1])
        yield a, y.T @ (weight * (p - t))


def together(solved):
    if solved.biases is None:
        return solved.factors
    return np.column_stack([solved.factors, solved.biases])


def violations(side, fixed, solved, mean=0.0):
    """How far each row is from a minimum, beside its largest |b_j|."""
    for (a, b), x in zip(systems(side, fixed, mean), together(solved), strict=True):
        gradient = a @ x - b
        off = np.where(x > 0, np.abs(gradient), np.maximum(-gradient, 0))
        off[solved.factors.shape[1] :] = np.abs(gradient[solved.factors.shape[1] :])
        yield off.max() / max(np.abs(b).max(), 1e-30)


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("f", [1, 5, 17])
def test_equals_twin(isa, dtype, case, f):
    side, _, x, y = problem(case, f, dtype)
    offsets = np.linspace(-0.2, 0.3, len(y.factors)).astype(dtype)
    args = {
        "indptr": side.indptr, "indices": side.indices, "confidence": side.confidence,
        "order": side.order, "spans": side.spans, "fixed": y.factors, "solved": x.factors,
        "gram": y.factors.T.astype(np.float64) @ y.factors, "regularization": side.regularization,
        "unobserved_weight": 0.5, "tolerance": 1e-9, "sweeps": 2000,
        "failed": np.zeros(side.n_rows, np.uint8), "row_loss": np.full(side.n_rows, np.nan),
        "offsets": offsets, "common": -dtype(0.5) * (offsets @ y.factors)[np.newaxis],
        "unbounded": f // 17,
    }  # fmt: skip
    written = ("solved", "failed", "row_loss")
    own = {name: args[name].copy() for name in written}
    _als.als_nonnegative_rows(**{**args, **own}, isa=isa, num_threads=2)
    expected = of_twin(als_nonnegative_rows, args, written)
    assert not own["failed"].any()
    assert case == "one entry" or own["solved"][:, : f - f // 17].min() == 0  # the bound is felt
    error = np.linalg.norm(own["solved"] - expected["solved"], axis=1)
    size = np.linalg.norm(expected["solved"], axis=1)
    assert (error <= (2e-3 if dtype is np.float32 else 1e-6) * size + 1e-30).all()
    np.testing.assert_allclose(own["row_loss"], expected["row_loss"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("ratings", [False, True])
def test_a_half_sweep_is_a_minimum(dtype, bias, ratings):
    w0 = 0.0 if ratings else 0.5
    users, items, x, y = problem("mixed", 33, dtype, bias=bias, w0=w0, ratings=ratings)
    for side, fixed, out in ((users, y, x), (items, x, y)):
        sweep = nonnegative_half_sweep(side, fixed, out, out, mean=0.1, loss=True)
        assert out.factors.min() == 0 < out.factors.max()
        assert max(violations(side, fixed, out, 0.1 if bias else 0.0)) < 1e-4
    expected = objective(users, items, x, y, mean=0.1 if bias else 0.0)
    assert sweep.loss == pytest.approx(expected, rel=1e-5)


def test_solves_what_nnls_solves():
    side, _, x, y = problem("every length", 9, np.float64)
    nonnegative_half_sweep(side, y, None, x)
    for (a, b), row in zip(systems(side, y), x.factors, strict=True):
        lower = np.linalg.cholesky(a)
        expected = optimize.nnls(lower.T, np.linalg.solve(lower, b))[0]
        np.testing.assert_allclose(row, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("bias", [False, True])
def test_rows_that_descend_too_slowly_are_solved_by_an_active_set(dtype, bias, monkeypatch, caplog):
    users, _, x, y = problem("mixed", 12, dtype, bias=bias)
    monkeypatch.setattr(nonnegative, "SWEEPS", 1)
    with caplog.at_level("DEBUG", logger="recsys"):
        sweep = nonnegative_half_sweep(users, y, None, x, loss=True)
    assert "rows solved by an active set" in caplog.text
    assert x.factors.min() == 0 and max(violations(users, y, x)) < 1e-4
    plain = Factors(*(None if each is None else each.copy() for each in x))
    monkeypatch.undo()
    assert sweep.loss == pytest.approx(
        nonnegative_half_sweep(users, y, x, plain, loss=True).loss, rel=1e-5
    )


def test_same_bits_for_any_number_of_threads(dtype):
    users, _, x, y = problem("every length", 20, dtype, bias=True)
    first = None
    for threads in (1, 2, 3, 7):
        nonnegative_half_sweep(users, y, None, x, num_threads=threads)
        first = first or together(x).tobytes()
        assert together(x).tobytes() == first


def test_folding_in_is_the_half_sweep_of_new_rows(dtype):
    matrix = CASES["mixed"]().astype(dtype)
    users, _, x, y = problem("mixed", 8, dtype, bias=True, lambda_=2.0)
    nonnegative_half_sweep(users, y, None, x, mean=0.2)
    rows = nonnegative_fold_in(matrix, y, 2.0, 0.0, 0.5, mean=0.2)
    np.testing.assert_array_equal(together(rows), together(x))


def test_what_no_column_has_stays_zero():
    users, _, x, y = problem("one entry", 4, np.float64, lambda_=0.0, w0=0.0)
    y.factors[:, 2] = 0
    nonnegative_half_sweep(users, y, x, x)
    assert (x.factors[:, 2] == 0).all()


def test_confidences_out_of_scale_are_an_error():
    users, _, x, y = problem("one entry", 4, np.float64)
    users.confidence[...] = 1e308
    y.factors[...] *= 1e10
    with pytest.raises(FloatingPointError, match="has no finite solution"):
        nonnegative_half_sweep(users, y, x, x)
