import copy
import dataclasses
import pickle

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS, NotFittedError, NumericalWarning, kernels

SMALL = {"factors": 5, "iterations": 3, "random_state": 1, "regularization": 2.0}


def plays(n_users=40, n_items=30, density=0.2, seed=0, negative=False, zeros=False):
    """Counts with a user and an item without entries and, where asked, dislikes and stored 0s."""
    matrix = sparse.random_array((n_users, n_items), density=density, rng=seed, format="csr")
    rng = np.random.default_rng(seed)
    matrix.data = np.ceil(rng.exponential(20, matrix.nnz))
    if negative:
        matrix.data[rng.random(matrix.nnz) < 0.2] *= -1
    if zeros:
        matrix.data[rng.random(matrix.nnz) < 0.1] = 0
    keep = np.ones(matrix.nnz, bool)
    keep[matrix.indptr[3] : matrix.indptr[4]] = False
    keep[matrix.indices == 7] = False
    rows = np.repeat(np.arange(n_users), np.diff(matrix.indptr))[keep]
    entries = (matrix.data[keep], (rows, matrix.indices[keep]))
    return sparse.csr_array(entries, shape=matrix.shape)


def state(model):
    return (
        model.user_factors.tobytes(),
        model.item_factors.tobytes(),
        tuple(model.history),
        model._seen.indices.tobytes(),
    )


class Dense:
    """The objective and its exact alternating minimization, cell by cell, in float64."""

    def __init__(self, matrix, confidence, lam=2.0, nu=0.0, w0=1.0):
        shape = matrix.shape
        rows = np.repeat(np.arange(shape[0]), np.diff(matrix.indptr))
        self.weight = np.full(shape, float(w0))
        self.weight[rows, matrix.indices] = confidence
        self.preference = np.zeros(shape)
        self.preference[rows, matrix.indices] = matrix.data > 0
        stored = np.zeros(shape)
        stored[rows, matrix.indices] = 1
        self.lam_users = lam * (stored.sum(1) + w0 * shape[1]) ** nu
        self.lam_items = lam * (stored.sum(0) + w0 * shape[0]) ** nu

    def loss(self, x, y):
        x, y = x.astype(float), y.astype(float)
        cells = self.weight * (self.preference - x @ y.T) ** 2
        return cells.sum() + self.lam_users @ (x**2).sum(1) + self.lam_items @ (y**2).sum(1)

    def iterate(self, y):
        x = self._solve(self.weight, self.preference, self.lam_users, y.astype(float))
        return x, self._solve(self.weight.T, self.preference.T, self.lam_items, x)

    def _solve(self, weight, preference, lam, fixed):
        return np.array(
            [
                np.linalg.solve(
                    (fixed.T * w) @ fixed + r * np.eye(fixed.shape[1]), (fixed.T * w) @ p
                )
                for w, p, r in zip(weight, preference, lam, strict=True)
            ]
        )


SETTINGS = {
    "log": ({}, lambda r, mean: 1 + 10 * np.log1p(r / mean)),
    "log, epsilon": ({"epsilon": 3.0, "alpha": 2}, lambda r, mean: 1 + 2 * np.log1p(r / 3)),
    "linear": ({"confidence": "linear", "alpha": 0.3}, lambda r, mean: 1 + 0.3 * r),
    "scaled": ({"confidence": "scaled", "alpha": 0.3}, lambda r, mean: 0.3 * r),
    "callable": ({"confidence": lambda c: np.sqrt(abs(c.data))}, lambda r, mean: np.sqrt(r)),
    "unobserved weight": ({"unobserved_weight": 0.1}, lambda r, mean: 1 + 10 * np.log1p(r / mean)),
    "heavier unobserved": ({"unobserved_weight": 9}, lambda r, mean: 1 + 10 * np.log1p(r / mean)),
    "scaled regularization": (
        {"regularization_exponent": 1.0, "regularization": 0.05, "unobserved_weight": 0.2},
        lambda r, mean: 1 + 10 * np.log1p(r / mean),
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SETTINGS)
def test_against_dense_least_squares(name, dtype):
    changed, confidence = SETTINGS[name]
    matrix = plays(negative=True, zeros=True)
    params = {**SMALL, "dtype": dtype, "compute_loss": True, **changed}
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
    model = ImplicitALS(factors, dtype=dtype, compute_loss=True, random_state=0, regularization=3)
    losses = [entry.loss for entry in model.fit(matrix).history]
    assert len(losses) == 15
    assert (np.diff(losses) <= np.finfo(dtype).eps * losses[0]).all()
    assert losses[-1] == pytest.approx(model.objective(matrix), rel=1e-5)


def test_any_form_of_the_matrix_gives_the_same_bits():
    matrix = plays().astype(np.float32)
    want = state_of_factors(ImplicitALS(**SMALL).fit(matrix))
    shuffled = matrix.tocoo()
    order = np.random.default_rng(0).permutation(matrix.nnz)
    shuffled = (shuffled.data[order], (shuffled.row[order], shuffled.col[order]))
    halves = sparse.csr_array(matrix.shape, dtype=np.float32)  # each entry as two: 1 and the rest
    halves.indptr = matrix.indptr * 2
    halves.indices = np.repeat(matrix.indices, 2)
    halves.data = np.repeat(matrix.data, 2)
    halves.data[::2] = 1
    halves.data[1::2] -= 1
    wide = matrix.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    forms = [
        sparse.csr_matrix(matrix),
        matrix.astype(np.float64),
        matrix.astype(np.int32),
        matrix.astype(np.uint8),
        wide,
        halves,
        sparse.coo_array(shuffled, shape=matrix.shape),
        *(matrix.asformat(fmt) for fmt in ("csc", "coo", "lil", "dok", "bsr")),
    ]
    for form in forms:
        assert state_of_factors(ImplicitALS(**SMALL).fit(form)) == want, form.format


def state_of_factors(model):
    return model.user_factors.tobytes(), model.item_factors.tobytes()


@pytest.mark.parametrize("confidence", ["log", "linear", "scaled"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "int64 indices", "unsorted"])
def test_the_callers_matrix_is_not_changed(kind, confidence, tmp_path):
    matrix = plays(negative=True).astype("float32" if " " in kind or kind == "unsorted" else kind)
    if kind == "int64 indices":
        matrix.indices = matrix.indices.astype(np.int64)
    if kind == "unsorted":
        matrix.indices, matrix.data = matrix.indices.copy(), matrix.data.copy()
        for array in (matrix.indices, matrix.data):
            array[matrix.indptr[0] : matrix.indptr[1]] = array[: matrix.indptr[1]][::-1].copy()
        matrix.has_sorted_indices = False
    names = ("data", "indices", "indptr")
    for name in names:  # read-only and memory-mapped, so that a write would raise as well
        np.save(tmp_path / f"{name}.npy", getattr(matrix, name))
        setattr(matrix, name, np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    before = [getattr(matrix, name).tobytes() for name in names]
    sorted_flag = matrix.has_sorted_indices
    for solver in ("cholesky", "cg"):
        ImplicitALS(**SMALL, confidence=confidence, solver=solver).fit(matrix)
    assert [getattr(matrix, name).tobytes() for name in names] == before
    assert matrix.has_sorted_indices == sorted_flag


BAD_PARAMETERS = [
    ({"factors": 0}, ValueError, "factors must be at least 1; got 0"),
    ({"factors": -3}, ValueError, "factors must be at least 1; got -3"),
    ({"factors": 8.0}, TypeError, r"factors must be an integer of at least 1; got 8.0 \(float\)"),
    ({"factors": True}, TypeError, "factors must be an integer of at least 1; got True"),
    ({"factors": "64"}, TypeError, "factors must be an integer"),
    ({"regularization": -0.1}, ValueError, "regularization must be .* of at least 0; got -0.1"),
    ({"regularization": np.nan}, ValueError, "regularization must be a finite number"),
    ({"regularization": "1"}, TypeError, "regularization must be a finite number"),
    ({"alpha": 0}, ValueError, "alpha must be a finite number greater than 0; got 0"),
    ({"alpha": np.inf}, ValueError, "alpha must be a finite number greater than 0; got inf"),
    ({"epsilon": 0}, ValueError, "epsilon must be a finite number greater than 0; got 0"),
    ({"epsilon": -1.0}, ValueError, "epsilon must be a finite number greater than 0; got -1.0"),
    ({"unobserved_weight": -1}, ValueError, "unobserved_weight must be .* of at least 0; got -1"),
    ({"regularization_exponent": np.inf}, ValueError, "exponent must be a finite number; got inf"),
    ({"cg_steps": 0}, ValueError, "cg_steps must be at least 1; got 0"),
    ({"cg_steps": 2.5}, TypeError, "cg_steps must be an integer of at least 1; got 2.5"),
    ({"iterations": -1}, ValueError, "iterations must be at least 0; got -1"),
    ({"iterations": None}, TypeError, "iterations must be an integer of at least 0; got None"),
    ({"init_scale": 0}, ValueError, "init_scale must be a finite number greater than 0; got 0"),
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
    ({"dtype": np.float16}, ValueError, "dtype must be np.float32 or np.float64; got <class 'num"),
    ({"dtype": "int32"}, ValueError, "dtype must be np.float32 or np.float64; got 'int32'"),
    ({"num_threads": -1}, ValueError, "num_threads must be at least 0; got -1"),
    ({"num_threads": 1.5}, TypeError, "num_threads must be an integer of at least 0; got 1.5"),
    ({"random_state": "seed"}, TypeError, "random_state must be None, an integer, a numpy.rand"),
    ({"random_state": 1.5}, TypeError, "random_state must be None, an integer, a numpy.random"),
    ({"random_state": -1}, ValueError, "random_state must be at least 0; got -1"),
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


def nan_matrix():
    matrix = plays()
    matrix.data[5] = np.nan
    return matrix


def out_of_range():
    matrix = plays()
    matrix.indices[5] = 30
    return matrix


BAD_MATRICES = [
    (lambda: np.ones(4), TypeError, "dense 1-D array"),
    (lambda: np.ones((3, 4)), TypeError, r"csr_matrix\(user_items\)"),
    (lambda: sparse.coo_array(np.ones(4)), ValueError, "must be 2-D"),
    (lambda: sparse.csr_array((0, 4)), ValueError, "empty"),
    (lambda: plays() * 1j, TypeError, "complex128"),
    (nan_matrix, ValueError, "nan at row"),
    (out_of_range, ValueError, "is 30; expected 0 to 29"),
]


@pytest.mark.parametrize("make, error, message", BAD_MATRICES)
def test_bad_matrices(make, error, message, fitted):
    model = copy.deepcopy(fitted)
    before = state(model)
    with pytest.raises(error, match=message):
        model.fit(make())
    assert state(model) == before


def test_bad_callback(fitted):
    with pytest.raises(TypeError, match=r"function of \(iteration, seconds, loss\); got 3"):
        fitted.fit(plays(), callback=3)


def test_before_fit():
    for call in (
        lambda m: m.recommend(0),
        lambda m: m.similar_items(0),
        lambda m: m.objective(plays()),
    ):
        with pytest.raises(NotFittedError, match=r"call fit\(user_items\) first"):
            call(ImplicitALS())


def test_history_and_callback():
    seen = []
    model = ImplicitALS(**SMALL, compute_loss=True)
    model.fit(plays(), callback=lambda *entry: seen.append(entry))
    assert seen == [(h.iteration, h.seconds, h.loss) for h in model.history]
    assert [h.iteration for h in model.history] == [1, 2, 3]
    for h in model.history:
        assert 0 < h.user_seconds + h.item_seconds <= h.seconds
    seen.clear()
    model.set_params(compute_loss=False).fit(plays(), callback=lambda *e: seen.append(e) or True)
    assert len(seen) == len(model.history) == 1 and seen[0][2] is None


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_warm_start_continues(solver, dtype):
    model = ImplicitALS(**{**SMALL, "iterations": 7}, solver=solver, dtype=dtype, compute_loss=True)
    longer = model.fit(plays())
    parts = ImplicitALS(**model.get_params()).set_params(iterations=3)
    parts.fit(plays(), warm_start=True)  # nothing to continue from: a fresh start
    before = parts.user_factors.copy()
    held = parts.user_factors
    parts.set_params(iterations=4).fit(plays(), warm_start=True)
    assert state_of_factors(parts) == state_of_factors(longer)
    assert [h.iteration for h in parts.history] == list(range(1, 8))
    assert [h.loss for h in parts.history] == [h.loss for h in longer.history]
    np.testing.assert_array_equal(held, before)  # an array the user holds is not written to
    fresh = parts.set_params(iterations=7).fit(plays())
    assert state_of_factors(fresh) == state_of_factors(longer) and len(fresh.history) == 7


def test_warm_start_from_given_factors():
    matrix = plays()
    model = ImplicitALS(**{**SMALL, "iterations": 1}, dtype=np.float64)
    with pytest.raises(NotFittedError, match="no item_factors"):
        model.user_factors = np.ones((40, 5))
        model.fit(matrix, warm_start=True)
    rng = np.random.default_rng(0)
    model.item_factors = rng.normal(size=(30, 5))
    dense = Dense(matrix, 1 + 0.5 * matrix.data)
    x, y = dense.iterate(model.item_factors)
    model.set_params(confidence="linear", alpha=0.5).fit(matrix, warm_start=True)
    np.testing.assert_allclose(model.user_factors @ model.item_factors.T, x @ y.T, atol=1e-9)


def test_warm_start_needs_matching_shapes(fitted):
    model = copy.deepcopy(fitted)
    before = state(model)
    with pytest.raises(ValueError, match=r"user_factors of shape \(40, 5\): expected \(50, 5\)"):
        model.fit(plays(50, 30), warm_start=True)
    with pytest.raises(ValueError, match=r"item_factors of shape \(30, 5\): expected \(31, 5\)"):
        model.fit(plays(40, 31), warm_start=True)
    with pytest.raises(ValueError, match=r"expected \(40, 6\), for 40 users .* factors=6"):
        model.set_params(factors=6).fit(plays(), warm_start=True)
    model.set_params(factors=5)
    assert state(model) == before


def test_refit_on_other_sizes(fitted):
    model = copy.deepcopy(fitted)
    for shape in ((90, 70), (8, 11)):
        matrix = plays(*shape, density=0.4)
        model.fit(matrix)
        assert model.user_factors.shape == (shape[0], 5)
        assert state(model)[:2] == state(ImplicitALS(**SMALL).fit(matrix))[:2]
        ids, _ = model.recommend(np.arange(shape[0]), N=shape[1])
        for user, row in enumerate(ids):
            assert not set(row) & set(matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_iterations_gives_the_initial_factors(dtype):
    model = ImplicitALS(64, iterations=0, random_state=0, dtype=dtype, init_scale=0.5)
    model.fit(plays(400, 300, 0.05))
    assert model.history == []
    for factors in (model.user_factors, model.item_factors):
        assert factors.dtype == dtype
        assert abs(factors.mean()) < 0.002
        assert factors.std() == pytest.approx(0.5 / 8, rel=0.02)
    assert not np.array_equal(model.user_factors[:300], model.item_factors)
    model.recommend(0)


def test_random_state():
    def fit(random_state):
        return state_of_factors(ImplicitALS(**{**SMALL, "random_state": random_state}).fit(plays()))

    assert fit(5) == fit(5) == fit(np.random.default_rng(5)) != fit(6)
    assert fit(None) != fit(None)
    assert fit(np.random.RandomState(5)) == fit(np.random.RandomState(5)) != fit(5)
    generator = np.random.default_rng(5)
    assert fit(generator) != fit(generator)  # it has been drawn from


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_change_a_bit(solver, dtype):
    matrix = plays(700, 500, density=0.04)
    params = {"factors": 17, "iterations": 3, "random_state": 0, "dtype": dtype, "solver": solver}
    states = []
    for threads in (1, 2, 3, 7, 0):
        model = ImplicitALS(**params, num_threads=threads, compute_loss=True).fit(matrix)
        states.append((state_of_factors(model), [h.loss for h in model.history]))
    assert all(other == states[0] for other in states)


def test_copies(fitted):
    for twin in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert state(twin) == state(fitted)
        assert repr(twin) == repr(fitted)
        np.testing.assert_array_equal(twin.recommend([0, 1])[0], fitted.recommend([0, 1])[0])
        assert not np.may_share_memory(twin.item_factors, fitted.item_factors)


def test_scikit_learn_clone(fitted):
    sklearn = pytest.importorskip("sklearn.base")
    model = ImplicitALS(7, confidence=np.sqrt, epsilon=2.0, dtype="float64", random_state=3)
    twin = sklearn.clone(model)
    assert twin is not model and twin.get_params() == model.get_params()
    assert not hasattr(sklearn.clone(fitted), "user_factors")


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


def test_rows_solved_again_are_counted_in_one_warning(monkeypatch):
    half_sweep = kernels.half_sweep

    def counting(*args, **kwargs):
        return dataclasses.replace(half_sweep(*args, **kwargs), retried=3, jittered=1)

    monkeypatch.setattr(kernels, "half_sweep", counting)
    with pytest.warns(
        NumericalWarning, match="18 rows were solved again in double and 6 needed"
    ) as w:
        ImplicitALS(**SMALL).fit(plays())
    assert len(w) == 1 and w[0].filename == __file__


def test_objective_needs_the_shape(fitted):
    with pytest.raises(
        ValueError, match="41 users x 30 items, but the model has factors for 40 x 30"
    ):
        fitted.objective(plays(41))
