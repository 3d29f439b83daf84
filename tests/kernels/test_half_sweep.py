"""A half-sweep as a whole: exactness, the loss, the retry in double, interruption."""

import dataclasses

import numpy as np
import pytest
from cases import CASES

from recsys.kernels import (
    Factors,
    Workspace,
    _als,
    half_sweep,
    make_sides,
    objective,
    reference,
    sides,
)


def problem(case, f, dtype, *, lambda_=1.0, exponent=0.0, w0=1.0, seed=0):
    matrix = CASES[case]().astype(dtype)
    rng = np.random.default_rng(seed)
    x, y = (Factors(rng.standard_normal((n, f)).astype(dtype) / f**0.5) for n in matrix.shape)
    return (*make_sides(matrix, lambda_, exponent, w0), x, y)


def gradients(side, fixed, solved):
    """|A x - b| / |b| of each row, in float64, straight from the definition."""
    y = fixed.factors.astype(np.float64)
    gram = side.unobserved_weight * (y.T @ y)
    out = np.zeros(side.n_rows)
    for u in range(side.n_rows):
        entries = slice(side.indptr[u], side.indptr[u + 1])
        z, c = y[side.indices[entries]], side.confidence[entries].astype(np.float64)
        a = gram + (z.T * (np.abs(c) - side.unobserved_weight)) @ z
        a += side.regularization[u] * np.eye(y.shape[1])
        b = z.T @ np.maximum(c, 0)
        out[u] = np.linalg.norm(a @ solved.factors[u] - b) / (np.linalg.norm(b) or 1)
    return out


@pytest.mark.parametrize("case", ["every length", "many short", "mixed", "one entry"])
@pytest.mark.parametrize("f", [8, 64, 130])
def test_a_cholesky_half_sweep_has_zero_gradient(isa, dtype, case, f):
    users, items, x, y = problem(case, f, dtype, lambda_=0.5)
    limit = 1e-5 if dtype is np.float32 else 1e-11
    for side, fixed, out in ((users, y, x), (items, x, y)):
        # in its Gramian's eigenbasis already: the rounding of rotations is not looked at here
        fixed = turned(fixed, np.linalg.eigh(reference.gramian(fixed.factors))[1][:, ::-1])
        half_sweep(side, fixed, None, out)
        assert gradients(side, fixed, out).max() < limit


@pytest.mark.parametrize("exponent, w0", [(0.0, 1.0), (1.0, 0.1), (0.5, 0.0)])
def test_loss_is_the_objective_over_all_cells(dtype, exponent, w0):
    users, items, x, y = problem("mixed", 9, dtype, exponent=exponent, w0=w0)
    loss = half_sweep(users, y, None, x, loss=True).loss
    c = np.full((users.n_rows, items.n_rows), w0)
    p = np.zeros_like(c)
    for u in range(users.n_rows):
        entries = slice(users.indptr[u], users.indptr[u + 1])
        c[u, users.indices[entries]] = np.abs(users.confidence[entries])
        p[u, users.indices[entries]] = users.confidence[entries] > 0
    x64, y64 = (rows.factors.astype(np.float64) for rows in (x, y))
    dense = np.sum(c * (p - x64 @ y64.T) ** 2)
    dense += users.regularization @ np.sum(x64**2, axis=1)
    dense += items.regularization @ np.sum(y64**2, axis=1)
    assert loss == pytest.approx(dense, rel=2e-6)
    assert objective(users, items, x, y) == pytest.approx(dense, rel=2e-6)


def test_loss_never_rises_under_cholesky(isa, dtype):
    users, items, x, y = problem("every length", 20, dtype, lambda_=0.3)
    losses = []
    for _ in range(6):
        losses.append(half_sweep(users, y, None, x, loss=True).loss)
        losses.append(half_sweep(items, x, None, y, loss=True).loss)
    assert np.all(np.diff(losses) <= 1e-6 * losses[0])


def turned(side, turn):
    """In other axes."""
    return Factors(np.ascontiguousarray(side.factors @ turn, dtype=side.factors.dtype))


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_the_axes_are_those_of_what_is_held_fixed(solver):
    """From X and Y, or from X R and Y R: half-sweeps give results that differ by exactly R."""
    users, items, x, y = problem("every length", 12, np.float64)
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((12, 12)))[0]
    x2, y2 = turned(x, turn), turned(y, turn)
    for side, fixed, start, fixed2, start2 in ((users, y, x, y2, x2), (items, x, y, x2, y2)):
        before = fixed.factors.copy(), start.factors.copy()
        out, out2 = (Factors(np.empty_like(start.factors)) for _ in range(2))
        half_sweep(side, fixed, start, out, solver=solver)
        half_sweep(side, fixed2, start2, out2, solver=solver)
        assert np.array_equal(fixed.factors, before[0]) and np.array_equal(start.factors, before[1])
        np.testing.assert_allclose(out2.factors, out.factors @ turn, atol=1e-9)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_a_converged_solution_stays(dtype, solver):
    users, items, x, y = problem("many short", 2, dtype, lambda_=5.0)
    for _ in range(300):
        half_sweep(users, y, None, x)
        half_sweep(items, x, None, y)
    before = x.factors.copy(), y.factors.copy()
    half_sweep(users, y, x, x, solver=solver)
    half_sweep(items, x, y, y, solver=solver)
    for one, then in zip((x, y), before, strict=True):
        assert np.abs(then).max() > 0.1
        atol = 1e-5 if dtype is np.float32 else 1e-12
        np.testing.assert_allclose(one.factors, then, atol=atol)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_memory_that_was_used_before_changes_no_bits(solver):
    users, items, x, y = problem("every length", 17, np.float32)
    memory = np.full((max(users.n_rows, items.n_rows), 17), np.nan, np.float32)
    workspace = Workspace.of((users, items), 17, False, np.float32).or_else(memory)
    for _ in range(2):
        for side, fixed, start in ((users, y, x), (items, x, y)):
            alone, shared = (Factors(np.empty_like(start.factors)) for _ in range(2))
            half_sweep(side, fixed, start, alone, solver=solver)
            half_sweep(side, fixed, start, shared, solver=solver, workspace=workspace)
            assert np.array_equal(alone.factors, shared.factors)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_side_that_is_left_turned(solver, in_place, dtype):
    users, items, x, y = problem("every length", 17, dtype)
    workspace = Workspace() if in_place else None
    one_x, one_y, two_x, two_y = (Factors(np.empty_like(side.factors)) for side in (x, y, x, y))
    half_sweep(users, y, x, one_x, solver=solver)
    one = half_sweep(items, one_x, y, one_y, solver=solver, loss=True)
    axes = half_sweep(users, y, x, two_x, solver=solver, turned="out").axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(17), atol=1e-12)
    apart = np.abs(two_x.factors - one_x.factors).max()
    assert apart > 0.01 * np.abs(one_x.factors).max()
    options = {"solver": solver, "workspace": workspace, "loss": True}
    two = half_sweep(items, two_x, y, two_y, axes=axes, **options)
    rtol = 2e-4 if dtype is np.float32 else 1e-9
    for got, want in ((two_x.factors, one_x.factors), (two_y.factors, one_y.factors)):
        np.testing.assert_allclose(got, want, rtol=0, atol=rtol * np.abs(want).max())
    assert two.loss == pytest.approx(one.loss, rel=rtol)
    if in_place:
        half_sweep(users, y, x, two_x, solver=solver, turned="out")
        two = half_sweep(items, two_x, y, two_y, axes=axes, turned="fixed", **options)
        back = two_x.factors.astype(np.float64) @ two.axes.T
        np.testing.assert_allclose(back, one_x.factors, rtol=0, atol=rtol * np.abs(back).max())
        assert two.loss == pytest.approx(one.loss, rel=rtol)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_without_memory_the_fixed_side_is_rotated_in_place_and_back(solver, dtype):
    users, items, x, y = problem("every length", 17, dtype)
    workspace = Workspace.of((users, items), 17, False, dtype)
    for side, fixed, start in ((users, y, x), (items, x, y)):
        before = fixed.factors.copy()
        alone, shared = np.empty((2, *start.factors.shape), dtype)
        half_sweep(side, fixed, start, Factors(alone), solver=solver)
        assert np.array_equal(fixed.factors, before)
        half_sweep(side, fixed, start, Factors(shared), solver=solver, workspace=workspace)
        eps = 50 * np.finfo(dtype).eps
        np.testing.assert_allclose(fixed.factors, before, rtol=0, atol=eps * np.abs(before).max())
        np.testing.assert_array_equal(shared, alone)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_same_bits_for_any_threads(isa, dtype, solver, num_threads):
    users, items, x, y = problem("every length", 17, dtype)

    def run(threads):
        x1, y1 = (Factors(rows.factors.copy()) for rows in (x, y))
        for _ in range(2):
            half_sweep(users, y1, x1, x1, solver=solver, num_threads=threads)
            s = half_sweep(items, x1, y1, y1, solver=solver, num_threads=threads, loss=True)
        return x1.factors, y1.factors, s.loss

    for one, many in zip(run(1), run(num_threads), strict=True):
        assert np.array_equal(one, many)


def test_rows_beyond_single_precision_are_solved_in_double(isa):
    users, _, x, y = problem("huge confidences", 32, np.float32)
    sweep = half_sweep(users, y, None, x, loss=True)
    exact = Factors(x.factors.astype(np.float64))
    users64 = dataclasses.replace(users, confidence=users.confidence.astype(np.float64))
    loss = half_sweep(users64, Factors(y.factors.astype(np.float64)), None, exact, loss=True).loss
    assert 0 < sweep.retried < users.n_rows
    assert sweep.jittered == 0
    # rotated in single precision: the Gramian is a diagonal to rounding only
    largest = np.abs(exact.factors).max()
    np.testing.assert_allclose(x.factors, exact.factors, atol=2e-3 * largest)
    assert sweep.loss == pytest.approx(loss, rel=1e-4)


def test_a_row_that_even_double_cannot_solve_is_jittered(monkeypatch):
    users, _, x, y = problem("huge confidences", 32, np.float32)
    confidence = users.confidence.copy()
    confidence[users.indptr[3] : users.indptr[4]] = 1e18
    users = dataclasses.replace(users, confidence=confidence)
    sweep = half_sweep(users, y, None, x)
    assert sweep.jittered >= 1
    assert np.isfinite(x.factors).all()


def test_a_row_out_of_scale_is_named():
    users, _, x, y = problem("every length", 4, np.float32)
    confidence = users.confidence.copy()
    confidence[users.indptr[2]] = np.inf
    broken = dataclasses.replace(users, confidence=confidence)
    with pytest.raises(FloatingPointError, match="row 2 has no finite solution"):
        half_sweep(broken, y, None, x)


def test_non_finite_factors_are_named():
    users, _, x, y = problem("every length", 4, np.float32)
    y.factors[7, 1] = np.nan
    with pytest.raises(FloatingPointError, match="row 7 is not finite"):
        half_sweep(users, y, None, x)


def test_no_regularization_on_rank_deficient_data_is_finite(isa, dtype):
    users, items, x, y = problem("one full column", 6, dtype, lambda_=0.0)
    for _ in range(3):
        half_sweep(users, y, None, x)
        half_sweep(items, x, None, y)
    assert np.isfinite(x.factors).all() and np.isfinite(y.factors).all()
    scores = x.factors @ y.factors.T
    np.testing.assert_allclose(scores, 1, rtol=1e-3 if dtype is np.float32 else 1e-8)


def test_spans_cut_all_rows_into_work_of_similar_size():
    lengths = np.sort(np.random.default_rng(0).zipf(1.5, 50_000).clip(max=70_000))[::-1]
    spans = sides.make_spans(lengths)
    assert spans[0] == 0 and spans[-1] == len(lengths)
    assert np.all(np.diff(spans) > 0)
    work = np.add.reduceat(lengths + 1, spans[:-1])
    biggest_row = lengths[0] + 1
    assert work.max() <= biggest_row + 2 * _als.SPAN_CYCLES / 100 + 64 * _als.MOST_LANES


def test_unknown_instruction_set_is_an_error():
    x = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match="sse9"):
        _als.gramian(x, isa="sse9", num_threads=1)
