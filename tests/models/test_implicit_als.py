import copy
import dataclasses

import numpy as np
import pytest
from dense_als import Dense, plays
from scipy import sparse

from recsys import ImplicitALS, NotFittedError, NumericalWarning
from recsys.models.alternating import SOLVERS

SMALL = {"alpha": 20.0, "factors": 5, "iterations": 3, "random_state": 1, "regularization": 2.0}


def state(model):
    return (
        model.user_factors.tobytes(),
        model.item_factors.tobytes(),
        tuple(model.history),
        model.training_matrix.indices.tobytes(),
    )


SETTINGS = {
    "log": ({}, lambda r, mean: 1 + 20 * np.log1p(r / mean)),
    "log, epsilon": ({"epsilon": 3.0, "alpha": 2}, lambda r, mean: 1 + 2 * np.log1p(r / 3)),
    "linear": ({"confidence": "linear", "alpha": 0.3}, lambda r, mean: 1 + 0.3 * r),
    "Hu, Koren, Volinsky": (
        {"confidence": lambda c: 1 + 40 * abs(c.data)},
        lambda r, mean: 1 + 40 * r,
    ),
    "scaled": ({"confidence": "scaled", "alpha": 0.3}, lambda r, mean: 0.3 * r),
    "callable": ({"confidence": lambda c: np.sqrt(abs(c.data))}, lambda r, mean: np.sqrt(r)),
    "unobserved weight": ({"unobserved_weight": 0.1}, lambda r, mean: 1 + 20 * np.log1p(r / mean)),
    "heavier unobserved": ({"unobserved_weight": 9}, lambda r, mean: 1 + 20 * np.log1p(r / mean)),
    "scaled regularization": (
        {"regularization_exponent": 1.0, "regularization": 0.05, "unobserved_weight": 0.2},
        lambda r, mean: 1 + 20 * np.log1p(r / mean),
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SETTINGS)
def test_against_dense_least_squares(name, dtype):
    changed, confidence = SETTINGS[name]
    matrix = plays(negative=True, zeros=True)
    params = {**SMALL, "acceleration": False, "dtype": dtype, "compute_loss": True, **changed}
    r = np.abs(matrix.data)
    lengths = np.diff(matrix.indptr)
    mean = np.repeat(
        np.add.reduceat(np.append(r, 0), matrix.indptr[:-1]) / lengths.clip(1), lengths
    )
    dense = Dense(
        matrix,
        confidence(r, mean),
        params["regularization"],
        params.get("regularization_exponent", 0),
        params.get("unobserved_weight", 1),
    )
    y = ImplicitALS(**{**params, "iterations": 0}).fit(matrix).item_factors
    model = ImplicitALS(**params).fit(matrix)
    tolerance = 2e-4 if dtype is np.float32 else 1e-9
    for entry in model.history:
        x, y = dense.iterate(y)
        assert entry.loss == pytest.approx(dense.loss(x, y), rel=tolerance)
    scores = model.user_factors @ model.item_factors.T
    np.testing.assert_allclose(scores, x @ y.T, atol=tolerance)
    assert model.objective(matrix) == pytest.approx(dense.loss(x, y), rel=tolerance)
    assert (model.user_factors[3] == 0).all() and (model.item_factors[7] == 0).all()
    assert model.user_factors.dtype == model.item_factors.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cg_ends_near_cholesky(dtype):
    matrix = plays(200, 150)
    exact, cg = (
        ImplicitALS(8, solver=solver, random_state=0, dtype=dtype).fit(matrix).objective(matrix)
        for solver in ("cholesky", "cg")
    )
    assert cg == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factors", [3, 16, 33])
def test_loss_never_rises(dtype, factors):
    matrix = plays(120, 80)
    model = ImplicitALS(factors, dtype=dtype, iterations=15, random_state=0, regularization=3)
    losses = [entry.loss for entry in model.fit(matrix).history]
    assert len(losses) == 15
    assert (np.diff(losses) <= np.finfo(dtype).eps * losses[0]).all()
    assert losses[-1] == pytest.approx(model.objective(matrix), rel=1e-5)


@pytest.mark.parametrize("confidence", ["log", "linear", "scaled"])
def test_no_confidence_is_worked_out_in_the_callers_matrix(confidence):
    matrix = plays(negative=True).astype(np.float32)
    before = matrix.data.copy()
    matrix.data.flags.writeable = False  # so that a write would raise as well
    ImplicitALS(**SMALL, confidence=confidence).fit(matrix)
    np.testing.assert_array_equal(matrix.data, before)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("bias", [False, True])
def test_solvers_come_to_the_same_objective(solver, bias):
    options = {"bias": bias, "regularization": 2.0, "dtype": np.float64, "random_state": 0}
    losses = [
        ImplicitALS(4, solver=each, iterations=150, compute_loss=True, **options)
        .fit(plays())
        .history[-1]
        .loss
        for each in ("cholesky", solver)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-7)


def test_a_solver_without_paths_logs_none(monkeypatch, caplog):
    other = SOLVERS["cholesky"]._replace(has_paths=False)
    monkeypatch.setitem(SOLVERS, "other", other)
    with caplog.at_level("INFO", "recsys"):
        ImplicitALS(**{**SMALL, "solver": "other"}).fit(plays())
    assert "ImplicitALS solves users and items by other" in caplog.messages


BAD_PARAMETERS = [
    ({"alpha": 0}, ValueError, "alpha must be a finite number greater than 0; got 0"),
    ({"alpha": np.inf}, ValueError, "alpha must be a finite number greater than 0; got inf"),
    ({"epsilon": 0}, ValueError, "epsilon must be a finite number greater than 0; got 0"),
    ({"epsilon": -1.0}, ValueError, "epsilon must be a finite number greater than 0; got -1.0"),
    ({"unobserved_weight": -1}, ValueError, "unobserved_weight must be .* of at least 0; got -1"),
    ({"regularization_exponent": np.inf}, ValueError, "exponent must be a finite number; got inf"),
    ({"cg_steps": 0}, ValueError, "cg_steps must be at least 1; got 0"),
    ({"cg_steps": 2.5}, TypeError, "cg_steps must be an integer of at least 1; got 2.5"),
    (
        {"solver": "choleski"},
        ValueError,
        r"unknown solver 'choleski'; expected 'cholesky' or 'cg'; did you mean 'cholesky'\?",
    ),
    ({"solver": None}, ValueError, "unknown solver None; expected 'cholesky' or 'cg'"),
    (
        {"confidence": "Linear"},
        ValueError,
        r"confidence 'Linear'.*a callable; did you mean 'linear'",
    ),
    ({"confidence": 3}, ValueError, "unknown confidence 3; expected 'linear' or 'log' or 'scaled'"),
]


@pytest.fixture(scope="module")
def fitted():
    return ImplicitALS(**SMALL).fit(plays())


@pytest.mark.parametrize("params, error, message", BAD_PARAMETERS)
def test_bad_parameters(params, error, message, fitted):
    model = copy.deepcopy(fitted).set_params(**params)
    before = state(model)
    with pytest.raises(error, match=message):
        model.fit(plays())
    assert state(model) == before
    fresh = ImplicitALS(**params)
    with pytest.raises(error, match=message):
        fresh.fit(plays())
    assert not hasattr(fresh, "user_factors") and fresh.history == []


def test_history_tells_both_half_sweeps(fitted):
    for entry in fitted.history:
        assert 0 < entry.user_seconds + entry.item_seconds <= entry.seconds
        assert entry.loss > 0
    assert np.all(np.diff([entry.momentum for entry in fitted.history]) > 0)
    plain = ImplicitALS(**SMALL, acceleration=False).fit(plays())
    for entry in plain.history:
        assert entry.loss is None  # unless asked for
        assert entry.momentum == 0 and not entry.taken_back


def test_warm_start_from_given_factors():
    matrix = plays()
    model = ImplicitALS(**{**SMALL, "iterations": 1}, dtype=np.float64)
    rng = np.random.default_rng(0)
    model.user_factors = np.ones((40, 5))
    model.item_factors = rng.normal(size=(30, 5))
    dense = Dense(matrix, 1 + 0.5 * matrix.data)
    x, y = dense.iterate(model.item_factors)
    model.set_params(confidence="linear", alpha=0.5).fit(matrix, warm_start=True)
    np.testing.assert_allclose(model.user_factors @ model.item_factors.T, x @ y.T, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_iterations_gives_the_initial_factors(dtype):
    model = ImplicitALS(
        64, iterations=0, random_state=0, dtype=dtype, init="random", init_scale=0.5
    )
    model.fit(plays(400, 300, 0.05))
    assert model.history == []
    for factors in (model.user_factors, model.item_factors):
        assert factors.dtype == dtype
        assert abs(factors.mean()) < 0.002
        assert factors.std() == pytest.approx(0.5 / 8, rel=0.02)
    assert not np.array_equal(model.user_factors[:300], model.item_factors)
    model.recommend(0)


def test_repr():
    assert repr(ImplicitALS()) == "ImplicitALS()"
    model = ImplicitALS(32, solver="cg", dtype=np.float64, confidence=np.sqrt)
    assert repr(model) == "ImplicitALS(factors=32, confidence=sqrt, solver='cg', dtype=float64)"


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (3, 2)])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_tiny_matrices(shape, solver):
    matrix = sparse.csr_array(np.ones(shape))
    model = ImplicitALS(8, solver=solver, regularization=0.01, random_state=0).fit(matrix)
    np.testing.assert_allclose(model.user_factors @ model.item_factors.T, 1, atol=0.02)
    ids, scores = model.recommend(0)
    assert (ids == -1).all() and (scores == -np.inf).all()


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_nothing_liked_gives_zero_factors(solver):
    matrix = sparse.csr_array(np.array([[-1.0, 0, -3], [0, -2, 0]]))
    model = ImplicitALS(4, solver=solver, random_state=0).fit(matrix)
    assert np.abs(model.user_factors @ model.item_factors.T).max() < 1e-3


def test_no_regularization_on_rank_deficient_data():
    matrix = sparse.csr_array(np.outer(np.arange(1, 21) % 3, np.arange(1, 16) % 2))
    model = ImplicitALS(12, regularization=0, random_state=0).fit(matrix)
    assert np.isfinite(model.user_factors).all() and np.isfinite(model.item_factors).all()
    scores = model.user_factors @ model.item_factors.T
    np.testing.assert_allclose(scores, matrix.toarray() > 0, atol=1e-2)


def test_heavy_confidences_warn():
    matrix = plays()
    matrix.data[10] = 1e7
    with pytest.warns(NumericalWarning) as warned:
        model = ImplicitALS(**SMALL, confidence="linear").fit(matrix)
    assert "the largest confidence" in str(warned[0].message)
    assert "solved again in double" in str(warned[1].message)
    assert {w.filename for w in warned} == {__file__}
    assert np.isfinite(model.user_factors).all() and np.isfinite(model.item_factors).all()


def test_what_a_callback_sets_counts_from_the_next_fit_on():
    model = ImplicitALS(**SMALL).fit(plays())
    options = {"solver": "nonsense", "cg_steps": -3}
    other = ImplicitALS(**SMALL)
    other.fit(plays(), callback=lambda *_: other.set_params(**options) and None)
    np.testing.assert_array_equal(other.user_factors, model.user_factors)
    with pytest.raises(ValueError, match="unknown solver 'nonsense'"):
        other.fit(plays())


def test_rows_solved_again_are_counted_in_one_warning(monkeypatch):
    exact = SOLVERS["cholesky"]

    def counting(*args, **kwargs):
        return dataclasses.replace(exact.half_sweep(*args, **kwargs), retried=3, jittered=1)

    monkeypatch.setitem(SOLVERS, "cholesky", exact._replace(half_sweep=counting))
    with pytest.warns(
        NumericalWarning, match="18 rows were solved again in double and 6 needed"
    ) as w:
        ImplicitALS(**SMALL).fit(plays())
    assert len(w) == 1 and w[0].filename == __file__


def test_objective_needs_the_shape(fitted):
    with pytest.raises(NotFittedError, match=r"call fit\(user_items\) first"):
        ImplicitALS().objective(plays())
    with pytest.raises(
        ValueError, match="41 users x 30 items, but the model has factors for 40 x 30"
    ):
        fitted.objective(plays(41))


def test_factors_that_vanish_are_told_of(caplog):
    counts = sparse.csr_array(np.eye(6) + np.eye(6, k=1))
    for regularization, told in ((0.1, 0), (80, 1)):
        caplog.clear()
        model = ImplicitALS(4, regularization=regularization, random_state=0)
        model.fit(counts, show_progress=False)
        assert sum("all but vanished" in message for message in caplog.messages) == told
