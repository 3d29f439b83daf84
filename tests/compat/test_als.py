"""implicit.als by its contract: what is fitted, how it is listed, what is refused."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest
from cases import stripes
from scipy import sparse

from recsys.compat import implicit
from recsys.compat.implicit.als import AlternatingLeastSquares
from recsys.compat.implicit.recommender_base import ModelFitError, RecommenderBase
from recsys.compat.implicit.utils import ParameterWarning

LOWEST = -np.finfo(np.float32).max


def fitted(matrix, **options):
    options = {"factors": 32, "regularization": 0, "random_state": 23} | options
    model = AlternatingLeastSquares(**options)
    model.fit(matrix, show_progress=False)
    return model


def dense_iteration(counts, x, y, alpha, regularization):
    """One iteration by the definition: c = alpha |v|, p = v > 0, weight 1 where nothing is."""
    counts = counts.toarray().astype(np.float64)

    def solve(values, fixed):
        rows = []
        for row in values:
            c = np.where(row != 0, alpha * np.abs(row), 1.0)
            a = (fixed.T * c) @ fixed + regularization * np.eye(fixed.shape[1])
            rows.append(np.linalg.solve(a, fixed.T @ (c * (row > 0))) if row.any() else 0 * a[0])
        return np.array(rows)

    x = solve(counts, y)
    return x, solve(counts.T, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [1.0, 5.0])
def test_fit_is_the_definition(dtype, alpha):
    counts = sparse.random(20, 15, 0.3, "csr", random_state=0)
    counts.data = np.where(np.arange(counts.nnz) % 4 == 0, -1, 1) * np.ceil(5 * counts.data)
    options = {"use_cg": False, "random_state": 7, "dtype": dtype, "alpha": alpha}
    model = AlternatingLeastSquares(4, regularization=0.5, iterations=2, **options)
    model.fit(counts, show_progress=False)
    draws = np.random.default_rng(7)
    x, y = (draws.random((n, 4), dtype=dtype).astype(np.float64) * 0.01 for n in (20, 15))
    for _ in range(2):
        x, y = dense_iteration(counts, x, y, alpha, 0.5)
    tolerance = 1e-3 if dtype is np.float32 else 1e-6  # the data is float32 in both
    tables = model.user_factors @ model.item_factors.T, x @ y.T
    np.testing.assert_allclose(*tables, rtol=tolerance, atol=tolerance)
    assert model.user_factors.dtype == model.item_factors.dtype == dtype == model.dtype


def test_a_second_fit_goes_on():
    counts = stripes(20)
    once = fitted(counts, iterations=4, regularization=1)
    twice = fitted(counts, iterations=1, regularization=1)
    twice.iterations = 3
    twice.fit(counts, show_progress=False)
    np.testing.assert_array_equal(once.user_factors, twice.user_factors)
    with pytest.raises(ValueError, match=r"\(20, 32\) to go on from, but .*\(30, 32\): set user"):
        twice.fit(stripes(30), show_progress=False)


@pytest.mark.parametrize("use_cg", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_enough_factors_reproduce_the_preferences(use_cg, dtype):
    rng = np.random.default_rng(1)
    liked = sparse.csr_matrix((rng.random((7, 6)) < 0.4).astype(np.float64))
    model = fitted(liked * 2, factors=6, use_cg=use_cg, dtype=dtype, random_state=42)
    table = model.user_factors @ model.item_factors.T
    np.testing.assert_allclose(table, liked.toarray(), atol=1e-3)


def test_callback_and_loss():
    seen = []
    counts = stripes(10)
    counts.data[::3] *= -1
    model = AlternatingLeastSquares(
        3, iterations=3, calculate_training_loss=True, alpha=2, random_state=0
    )
    model.fit_callback = lambda *event: seen.append((*event, model.user_factors.copy()))
    model.fit(counts, show_progress=False)
    assert [event[0] for event in seen] == [0, 1, 2]
    assert all(isinstance(event[1], float) and isinstance(event[2], float) for event in seen)
    np.testing.assert_array_equal(seen[-1][3], model.user_factors)
    table = model.user_factors.astype(float) @ model.item_factors.T.astype(float)
    v = counts.toarray()
    c = np.where(v != 0, 2 * np.abs(v), 1)
    norms = (model.user_factors**2).sum() + (model.item_factors**2).sum()
    total = (c * ((v > 0) - table) ** 2).sum() + 0.01 * norms + c[v < 0].sum()
    assert seen[-1][2] == pytest.approx(total / c.sum(), rel=1e-5)
    loss = implicit.cpu.als.calculate_loss(2 * counts, model.user_factors, model.item_factors, 0.01)
    assert loss == pytest.approx(seen[-1][2], rel=5e-6)
    model.fit(counts, show_progress=False, callback=lambda *event: seen.clear())
    assert not seen  # an argument goes before the attribute


@pytest.mark.parametrize("options", [{"iterations": 0}, {"iterations": 0, "use_cg": False}])
def test_no_iterations_and_no_entries(options):
    model = fitted(stripes(10), calculate_training_loss=True, **options)
    assert 0 < model.user_factors.max() < 0.01
    nothing = fitted(sparse.csr_matrix((4, 3)))
    assert not nothing.user_factors.any() and nothing.item_factors.shape == (3, 32)
    one = np.zeros((3, 3))
    one[1, 1] = 1
    assert fitted(sparse.csr_matrix(one)).recommend(1, sparse.csr_matrix((1, 3)))[0][0] == 1


def test_rows_and_columns_without_entries():
    matrix = stripes(50).toarray()
    matrix[[42, 49]] = 0
    matrix[:, [42, 49]] = 0
    model = fitted(sparse.csr_matrix(matrix))
    for item in range(40):
        assert 42 not in model.similar_items(item, 10)[0]


def test_input_formats():
    want = fitted(stripes(10)).user_factors
    for matrix in (stripes(10).tocoo(), stripes(10).tocsc()):
        with pytest.warns(ParameterWarning, match="expects CSR input, and was passed"):
            np.testing.assert_array_equal(fitted(matrix).user_factors, want)
    np.testing.assert_array_equal(fitted(sparse.csr_array(stripes(10))).user_factors, want)
    wide = stripes(10)
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int32)
    np.testing.assert_array_equal(fitted(wide).user_factors, want)
    before = stripes(10)
    fitted(before, alpha=4)
    assert (before != stripes(10)).nnz == 0
    with pytest.raises(TypeError, match="expected a scipy sparse matrix; got ndarray"):
        fitted(stripes(10).toarray())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(bad):
    matrix = stripes(10)
    matrix.data[3] = bad
    with pytest.raises(ModelFitError, match=r"^user_items holds NaN or infinity"):
        fitted(matrix)


def test_parameters():
    with pytest.raises(ValueError, match="Invalid dtype 'float16' for cpu ALS model"):
        AlternatingLeastSquares(dtype=np.float16)
    with pytest.raises(ValueError, match="No CUDA extension has been built"):
        AlternatingLeastSquares(use_gpu=True)
    with pytest.raises(ValueError, match="No CUDA extension has been built"):
        implicit.gpu.als.AlternatingLeastSquares()
    for seed in (np.random.RandomState(3), np.random.default_rng(3), 3, np.int64(3), None):
        assert np.isfinite(fitted(stripes(10), random_state=seed).user_factors).all()


def test_recommend():
    likes = stripes(50)
    model = fitted(likes)
    users = np.arange(50)
    ids, scores = model.recommend(users, likes, N=1)
    np.testing.assert_array_equal(ids[:, 0], users)
    assert ids.dtype == np.int32 and scores.dtype == np.float32 and ids.shape == (50, 1)
    for user in (0, np.int64(7), 49):
        own, its_scores = model.recommend(user, likes[user], N=1)
        assert own.shape == (1,) and own[0] == user
        np.testing.assert_array_equal(its_scores, scores[user])
    everything = model.recommend(users, likes[users], N=5, filter_already_liked_items=False)
    for user in users:
        one = model.recommend(user, None, N=5, filter_already_liked_items=False)
        np.testing.assert_array_equal(one[0], everything[0][user])
        np.testing.assert_array_equal(one[1], everything[1][user])
    assert 0 not in model.recommend([2, 3, 4], likes[[2, 3, 4]], N=1, filter_items=[0])[0]


def test_what_may_not_be_recommended_comes_last():
    model = fitted(stripes(50))
    likes = stripes(50)
    ids, scores = model.recommend([0, 1], likes[:2], N=50, filter_items=[3, 5])
    for user in (0, 1):
        out = set(likes[user].indices) | {3, 5}
        kept = 50 - len(out)
        assert set(ids[user][kept:]) == out and not set(ids[user][:kept]) & out
        assert (scores[user][kept:] == LOWEST).all() and (scores[user][:kept] > LOWEST).all()
        assert (np.diff(ids[user][kept:]) < 0).all()
    ids, scores = model.recommend(0, likes[0], N=60)
    assert len(ids) == 60 and (ids[50:] == -1).all() and (scores[50:] == LOWEST).all()
    assert sorted(ids[:50]) == list(range(50))


def test_recommend_among_items():
    likes = stripes(50)
    model = fitted(likes)
    ids, scores = model.recommend(0, likes[0], items=np.array([6, 5, 4, 3, 2, 1]), N=20)
    assert ids.dtype == np.int64 and set(ids) == {1, 2, 3, 4, 5, 6} and set(ids[3:]) == {2, 4, 6}
    assert (scores[3:] == LOWEST).all()
    ids, _ = model.recommend(np.arange(50), likes, items=np.arange(10) * 3)
    assert all(set(row) == set(range(0, 30, 3)) for row in ids)
    for wrong in ([1, 2, -1], [1, 50], []):
        with pytest.raises(IndexError):
            model.recommend(0, likes[0], items=wrong)
    for both in ([1], np.array([1, 2])):
        with pytest.raises(ValueError, match="Can't set both items and filter_items"):
            model.recommend(0, likes[0], items=[1, 2], filter_items=both)


def test_equal_scores_go_by_the_higher_number():
    model = fitted(stripes(6))
    model.user_factors, model.item_factors = np.ones((1, 2)), np.ones((6, 2))
    ids = model.recommend(0, None, N=3, filter_already_liked_items=False)[0]
    assert ids.tolist() == [5, 4, 3] or ids.tolist() == [2, 1, 0]


def test_bad_requests():
    likes = stripes(20)
    model = fitted(likes, factors=4)
    for matrix in (likes.tocsc(), likes.tocoo(), None, likes.toarray()):
        with pytest.raises(ValueError, match="user_items needs to be a CSR sparse matrix"):
            model.recommend(0, matrix)
    with pytest.raises(ValueError, match=r"1 row for every user.*\(20, 20\) for 1: pass user_it"):
        model.recommend(0, likes)
    for wrong in (20, -1):
        with pytest.raises(IndexError, match=f"not in the model: {wrong}; expected 0 to 19"):
            model.recommend(wrong, likes[0])
        with pytest.raises(IndexError, match=f"not in the model: {wrong}"):
            model.recommend(0, likes[0], filter_items=[1, wrong])
        with pytest.raises(IndexError, match=f"not in the model: {wrong}"):
            model.similar_items(wrong)
    with pytest.raises(ValueError, match="N must be at least 1"):
        model.recommend(0, likes[0], N=0)
    with pytest.raises(ValueError, match="no factors yet: call fit"):
        AlternatingLeastSquares().recommend(0, likes[0])
    wide = sparse.csr_matrix(([1.0], [30], [0, 1]), shape=(1, 31))
    with pytest.raises(ValueError, match="31 columns; expected at most 20"):
        model.recommend(0, wide, recalculate_user=True)
    with pytest.raises(ValueError, match="must contain 1 row for every user in userids"):
        model.partial_fit_users([1, 2], likes[:1])


def test_any_n():
    likes = stripes(20)
    model = fitted(likes, factors=4)
    users = np.arange(20)
    for n in (20, 21, 3000):
        ids, scores = model.recommend(users, likes, N=n)
        assert ids.shape == scores.shape == (20, n)
        assert all(sorted(row[:20]) == list(range(20)) for row in ids)
        assert (scores[:, 11:] == LOWEST).all() and (ids[:, 20:] == -1).all()
        one, its_scores = model.recommend(3, likes[3], N=n)
        np.testing.assert_array_equal(one, ids[3])
        np.testing.assert_allclose(its_scores, scores[3], rtol=1e-5)
        for similar in (model.similar_items, model.similar_users):
            ids, scores = similar(users, N=n)
            assert ids.shape == (20, n) and (ids[:, 20:] == -1).all()
            assert (scores[:, 20:] == LOWEST).all()


def test_rows_wider_than_the_model():
    """What was cut from a matrix of more items, of which none is liked here."""
    likes = stripes(20)
    model = fitted(likes, factors=4)
    wide = likes.copy()
    wide.resize((20, 31))
    for call in (
        lambda rows: model.recommend([0, 1], rows[:2], N=5)[0],
        lambda rows: model.recommend([0, 1], rows[:2], N=5, recalculate_user=True)[0],
        lambda rows: model.recommend(0, rows[0], items=[1, 2, 3])[0],
        lambda rows: model.recalculate_user([4, 5], rows[4:6]),
        lambda rows: model.similar_items(0, recalculate_item=True, item_users=rows[0])[0],
        lambda rows: model.explain(3, rows, 5)[0],
    ):
        np.testing.assert_array_equal(call(wide), call(likes))
    x, y = model.user_factors.copy(), model.item_factors
    model.solver(wide, x, y, 0.1)
    with pytest.raises(ValueError, match=r"Cui has 31 columns.* entry in column 30"):
        model.solver(sparse.csr_matrix(([1.0], ([0], [30])), (20, 31)), x, y, 0.1)


def test_similar():
    likes = stripes(256)
    model = fitted(likes)
    some = np.arange(50)
    for similar in (model.similar_items, model.similar_users):
        ids, scores = similar(some, N=10)
        np.testing.assert_array_equal(ids[:, 0], some)
        np.testing.assert_allclose(scores[:, 0], 1, rtol=1e-5)
        assert (ids % 2 == some[:, np.newaxis] % 2).all() and ids.dtype == np.int32
        one, its_scores = similar(7)
        np.testing.assert_array_equal(one, ids[7])
        np.testing.assert_array_equal(its_scores, scores[7])
    again, _ = model.similar_items(some, recalculate_item=True, item_users=likes.T.tocsr()[some])
    assert (again % 2 == some[:, np.newaxis] % 2).all()
    few = np.arange(10)
    assert (model.similar_items(some, filter_items=np.arange(52) * 5)[0] % 5 != 0).all()
    assert (model.similar_users(some, filter_users=np.arange(52) * 5)[0] % 5 != 0).all()
    assert (np.sort(model.similar_items(some, items=few)[0]) == few).all()
    assert (np.sort(model.similar_users(some, users=few)[0]) == few).all()
    ids, scores = model.similar_items(3, N=12, items=few)
    assert (ids[10:] == -1).all() and (scores[10:] == LOWEST).all()


def test_new_users_and_items():
    likes = stripes(50)
    model = fitted(likes, factors=2)
    assert model.recommend(0, likes[0])[0][0] == 0
    model.partial_fit_users([0], likes[1])  # who now likes what 1 likes
    assert model.recommend(0, likes[1])[0][0] == 1
    model.partial_fit_users([100], likes[1])
    assert model.user_factors.shape == (101, 2) and not model.user_factors[60].any()
    assert model.recommend(100, likes[1])[0][0] == 1
    model.partial_fit_items([100], likes[1])  # a row of fewer users than there are by now
    assert set(model.recommend(1, likes[1], N=2)[0]) == {1, 100}
    model.partial_fit_users([101], likes[1])
    model.partial_fit_items([101], likes[1])
    assert set(model.recommend(101, likes[1], N=3)[0]) == {1, 100, 101}
    for wrong in (3, np.int64(3)):
        with pytest.raises(TypeError):
            model.partial_fit_users(wrong, likes[1])


def test_recalculate_user():
    likes = stripes(50)
    model = fitted(likes, alpha=2.0, regularization=0.1, iterations=30)
    one, many = model.recalculate_user(4, likes[4]), model.recalculate_user([4, 5], likes[4:6])
    assert one.shape == (32,) and many.shape == (2, 32)
    np.testing.assert_allclose(one, many[0], rtol=1e-6)
    ids, scores = model.recommend(4, likes[4], N=1, recalculate_user=True)
    np.testing.assert_allclose(scores, one @ model.item_factors[ids[0]], rtol=1e-5)
    assert ids[0] == 4


def test_explain():
    counts = sparse.csr_matrix(
        np.array([[2, 0, 3, 1, -2, 0], [0, 2, 1, 0, 0, 4], [6, 0, 2, 1, 1, 0]], np.float32)
    )
    model = fitted(counts, factors=3, regularization=2, use_cg=False, alpha=1.5)
    score, parts, weights = model.explain(2, counts, 1)
    want = model.recalculate_user(2, counts[2]) @ model.item_factors[1]
    assert score == pytest.approx(want, abs=1e-4)
    assert sum(part for _, part in parts) == pytest.approx(score)
    assert sorted(item for item, _ in parts) == [0, 2, 3, 4]
    assert [part for _, part in parts] == sorted((part for _, part in parts), reverse=True)
    again = model.explain(2, counts, 1, user_weights=weights, N=2)
    assert again[0] == score and again[1] == parts[:2]
    assert sorted(item for item, _ in model.explain(0, counts, 1)[1]) == [0, 2, 3]  # no dislikes


def test_solver_as_rectools_calls_it():
    counts = sparse.random(30, 20, 0.3, "csr", random_state=0, dtype=np.float32)
    counts.data = np.ceil(9 * counts.data)
    rng = np.random.default_rng(0)
    x, y = rng.random((30, 6), dtype=np.float32), rng.random((20, 6), dtype=np.float32)
    exact = np.zeros_like(x)
    AlternatingLeastSquares(use_cg=False).solver(counts, exact, y, 0.7, 1)
    want = dense_iteration(counts, x, y.astype(np.float64), 1, 0.7)[0]
    np.testing.assert_allclose(exact, want, rtol=1e-3, atol=1e-4)
    model = AlternatingLeastSquares()
    before = np.abs(x - want).sum()
    model.solver(counts, x, y, 0.7, 2)
    assert np.abs(x - want).sum() < 0.2 * before
    model.cg_steps = 30
    model.solver(counts, x, y, 0.7)
    np.testing.assert_allclose(x, want, rtol=1e-2, atol=1e-3)
    implicit.cpu._als._least_squares(
        y.T @ y, counts.indptr, counts.indices, counts.data, x, y, 0.7, 1
    )
    np.testing.assert_array_equal(x, exact)
    YtY = y.T @ y
    alone = implicit.cpu.als.user_factor(y, YtY, counts, 3, 0.7, 6)
    np.testing.assert_allclose(alone, want[3], rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match=r"Cui of shape \(30, 20\), X of shape \(29, 6\)"):
        model.solver(counts, x[:29], y, 0.7, 1)


def test_deprecated_ways():
    likes = stripes(20)
    model = fitted(likes)
    with pytest.warns(DeprecationWarning, match="recommend_all is deprecated"):
        every = model.recommend_all(likes, N=3)
    np.testing.assert_array_equal(every, model.recommend(np.arange(20), likes, N=3)[0])
    with pytest.warns(DeprecationWarning, match="rank_items is deprecated"):
        ids, _ = model.rank_items(0, likes[0], [1, 2, 3])
    assert set(ids) == {1, 2, 3}


def test_copies_and_attributes():
    model = fitted(stripes(20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            np.testing.assert_array_equal(twin.item_factors, model.item_factors)
            twin.item_factors[0] = 9  # plain arrays, of its own
            assert model.item_factors[0, 0] != 9
    assert isinstance(model, implicit.cpu.als.AlternatingLeastSquares)
    assert model.item_norms.shape == (20,) and model.YtY.shape == model.XtX.shape == (32, 32)
    model.user_factors[3] = 0
    model._user_norms = None
    assert model.user_norms[3] == np.float32(1e-10)


def test_a_factory_makes_the_class_of_the_cpu():
    """Programs tell models apart by ``type(model)`` and name the factory in their settings."""
    for module, name in (
        ("als", "AlternatingLeastSquares"),
        ("bpr", "BayesianPersonalizedRanking"),
        ("lmf", "LogisticMatrixFactorization"),
    ):
        factory = getattr(getattr(implicit, module), name)
        cls = getattr(getattr(implicit.cpu, module), name)
        assert inspect.isfunction(factory) and inspect.isclass(cls)
        assert type(factory()) is cls and type(copy.deepcopy(factory())) is cls
        assert type(pickle.loads(pickle.dumps(factory()))) is cls
        assert not isinstance(factory(), implicit.gpu.als.AlternatingLeastSquares)


def test_models_for_a_gpu_are_classes_that_cannot_be_had():
    base = implicit.gpu.matrix_factorization_base.MatrixFactorizationBase
    for cls in (
        implicit.gpu.als.AlternatingLeastSquares,
        implicit.gpu.bpr.BayesianPersonalizedRanking,
    ):
        assert issubclass(cls, base) and issubclass(cls, RecommenderBase)
        for attempt in (
            cls,
            lambda cls=cls: cls(8, regularization=2),
            lambda cls=cls: cls.load("x"),
        ):
            with pytest.raises(ValueError, match="No CUDA extension has been built"):
                attempt()


def test_factors_of_another_width():
    """RecTools widens the factors by feature columns of its own."""
    likes = stripes(20)
    model = AlternatingLeastSquares(4, iterations=2, use_cg=False)
    rng = np.random.default_rng(0)
    model.user_factors = rng.random((20, 7), dtype=np.float32)
    model.item_factors = rng.random((20, 7), dtype=np.float32)
    model.fit(likes, show_progress=False)
    assert model.user_factors.shape == (20, 7)
    assert model.recommend([0, 1], likes[:2])[0].shape == (2, 10)
