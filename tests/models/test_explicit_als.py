"""ExplicitALS: against dense definitions, and the predictions all rating models share."""

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys import ExplicitALS, NotFittedError
from recsys.evaluation import random_split

QUIET = {"show_progress": False}


def some(rows=40, columns=30, seed=0, density=0.3):
    """Ratings 0 to 5; the zeros are stored; the last row and column are empty."""
    rng = np.random.default_rng(seed)
    at = np.argwhere(rng.random((rows - 1, columns - 1)) < density)
    taste = rng.standard_normal((rows, 3)) @ rng.standard_normal((3, columns))
    values = np.clip(np.round(2.5 + taste[at[:, 0], at[:, 1]]), 0, 5)
    return sparse.csr_array((values, (at[:, 0], at[:, 1])), shape=(rows, columns))


def fitted(ratings, **changed):
    options = {"regularization": 0.1, "dtype": np.float64, "iterations": 5, "random_state": 0}
    return ExplicitALS(4, **options | changed).fit(ratings, **QUIET)


def places(ratings):
    return np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr)), ratings.indices


def lambdas(model, ratings):
    counts = np.diff(ratings.indptr), np.bincount(ratings.indices, minlength=ratings.shape[1])
    if not model.weighted_regularization:
        counts = tuple(np.ones(len(n)) for n in counts)
    return tuple(model.regularization * n for n in counts)


def objective(model, ratings):
    errors = ratings.data - model.predict(*places(ratings))
    total = errors @ errors
    for own, factors, biases in zip(
        lambdas(model, ratings),
        (model.user_factors, model.item_factors),
        (model.user_biases, model.item_biases),
        strict=True,
    ):
        total += own @ (np.sum(factors**2, axis=1) + (0 if biases is None else biases**2))
    return total


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_items_are_where_the_objective_is_flat(weighted, bias):
    ratings = some()
    model = fitted(ratings, weighted_regularization=weighted, bias=bias)
    assert model.mean == pytest.approx(ratings.data.mean() if bias else 0)
    users, items = places(ratings)
    errors = np.zeros(ratings.shape)
    errors[users, items] = ratings.data - model.predict(users, items)
    own = lambdas(model, ratings)[1]
    by_factor = errors.T @ model.user_factors - own[:, np.newaxis] * model.item_factors
    assert np.abs(by_factor).max() < 1e-9
    if bias:
        assert np.abs(errors.sum(axis=0) - own * model.item_biases).max() < 1e-9
    else:
        assert model.user_biases is None and model.item_biases is None
    # who has no ratings has neither factors nor a bias
    assert not model.user_factors[-1].any() and not model.item_factors[-1].any()


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("bias", [True, False])
def test_history(solver, bias):
    ratings, held_out = random_split(some(density=0.4), 0.2, random_state=0)
    model = ExplicitALS(4, solver=solver, bias=bias, regularization=0.1, dtype=np.float64)
    seen = []

    def callback(iteration, seconds, loss):
        seen.append((iteration, loss, objective(model, ratings), model.rmse(held_out)))

    model.set_params(random_state=0).fit(
        ratings, validation=held_out, validate_every=1, callback=callback, **QUIET
    )
    losses = [entry.loss for entry in model.history]
    assert np.all(np.diff(losses) <= 1e-9 * losses[0])
    for entry, (iteration, loss, dense, error) in zip(model.history, seen, strict=True):
        assert entry.iteration == iteration and entry.loss == loss
        assert entry.loss == pytest.approx(dense, rel=1e-9)
        assert entry.validation == pytest.approx(error, rel=1e-9)
        assert entry.user_seconds > 0 and entry.item_seconds > 0
    assert model.history[-1].train_rmse == pytest.approx(model.rmse(ratings), rel=1e-9)
    assert fitted(ratings).history[0].validation is None


def test_finds_a_planted_structure(dtype=np.float32):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((200, 3)), rng.standard_normal((150, 3))
    truth = 3 + rng.standard_normal((200, 1)) + rng.standard_normal(150) + x @ y.T
    known = rng.random(truth.shape) < 0.4
    ratings = sparse.csr_array(np.where(known, truth, 0))
    model = ExplicitALS(3, regularization=1e-4, iterations=30, random_state=0, dtype=dtype)
    model.fit(ratings, **QUIET)
    predicted = model.predict(np.arange(200)[:, np.newaxis], np.arange(150))
    assert np.sqrt(np.mean((predicted - truth)[~known] ** 2)) < 0.05
    alone = ExplicitALS(3, bias=False, regularization=1e-4, iterations=30, random_state=0)
    assert alone.fit(ratings, **QUIET).rmse(ratings) > model.rmse(ratings)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_same_bits_for_any_threads(dtype, solver):
    one, many = (fitted(some(), num_threads=n, dtype=dtype, solver=solver) for n in (1, 3))
    for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
        assert np.array_equal(getattr(one, name), getattr(many, name))
        assert getattr(one, name).dtype == dtype
    assert one.rmse(some()) == many.rmse(some())


@pytest.mark.parametrize("bias", [True, False])
def test_predictions(bias):
    ratings = some()
    model = fitted(ratings, bias=bias)
    users, items = np.array([[0], [5], [39], [99]]), np.array([3, 29, 1000])
    x, y = (np.zeros((100, 4)), np.zeros((1001, 4)))
    x[:40], y[:30] = model.user_factors, model.item_factors
    table = x @ y.T + model.mean
    if bias:
        table[:40] += model.user_biases[:, np.newaxis]
        table[:, :30] += model.item_biases
    got = model.predict(users, items)
    np.testing.assert_allclose(got, table[users, items], rtol=1e-12)
    np.testing.assert_array_equal(model.predict(5, 3), got[1, 0])
    np.testing.assert_array_equal(model.score(5, 3), got[1, 0])
    low, high = np.quantile(got, [0.3, 0.6])
    np.testing.assert_array_equal(
        model.predict(users, items, clip=(low, high)), np.clip(got, low, high)
    )
    everywhere = model.predict(np.arange(40)[:, np.newaxis], np.arange(30), clip=True)
    assert everywhere.min() >= 0 and everywhere.max() <= 5
    wide = sparse.csr_array((ratings.data, ratings.indices, ratings.indptr), shape=(40, 50))
    errors = wide.data - model.predict(*places(wide))
    assert model.rmse(wide) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-12)
    clipped = wide.data - model.predict(*places(wide), clip=True)
    assert model.rmse(wide, clip=True) == pytest.approx(np.sqrt(np.mean(clipped**2)), rel=1e-12)


def dense_rows(model, ratings, held, biases, own):
    """[x, b] of each row of ratings."""
    z = np.column_stack([held, np.ones(len(held))])
    out = np.zeros((ratings.shape[0], z.shape[1]))
    for u in range(len(out)):
        at = slice(ratings.indptr[u], ratings.indptr[u + 1])
        items, targets = ratings.indices[at], ratings.data[at]
        if len(items):
            a = z[items].T @ z[items] + own[u] * np.eye(z.shape[1])
            right = z[items].T @ (targets - model.mean - biases[items])
            out[u] = np.linalg.solve(a, right)
    return out


def test_newcomers():
    ratings, new = some(), some(rows=5, seed=1)
    model = fitted(ratings)
    expected = dense_rows(model, new, model.item_factors, model.item_biases, lambdas(model, new)[0])
    folded = np.column_stack(model.fold_in(new))
    np.testing.assert_allclose(folded, expected, atol=1e-10)
    ids, scores = model.recommend(range(5), new, N=3, fold_in=True)
    table = expected[:, :-1] @ model.item_factors.T + expected[:, -1:]
    table += model.item_biases + model.mean
    np.testing.assert_allclose(scores, np.take_along_axis(table, ids, axis=1), atol=1e-9)
    model.partial_fit_users([41, 2], rows=new[[0, 1]])
    got = np.column_stack([model.user_factors, model.user_biases])
    np.testing.assert_allclose(got[[41, 2]], expected[:2], atol=1e-10)
    assert not got[40].any()
    items = some(rows=3, columns=42, seed=2)
    own = lambdas(model, items)[0]
    expected = dense_rows(model, items, model.user_factors, model.user_biases, own)
    np.testing.assert_allclose(np.column_stack(model.fold_in_items(items)), expected, atol=1e-10)


def test_a_new_rating_takes_the_place_of_the_old():
    ratings = some()
    model = fitted(ratings)
    known = ratings[[3]].toarray()[0]
    item = int(ratings.indices[ratings.indptr[3]])
    fresh = next(i for i in range(29) if i not in set(ratings.indices[slice(*ratings.indptr[3:5])]))
    changed = sparse.csr_array(([0.0, 4.0], ([0, 0], [item, fresh])), shape=(1, 30))
    model.partial_fit_users(3, events=changed)
    known[[item, fresh]] = 0, 4
    remembered = model.training_matrix.astype(np.float64)[[3]]
    np.testing.assert_array_equal(remembered.toarray()[0], known)
    assert remembered.nnz == np.diff(ratings.indptr)[3] + 1
    model.partial_fit_items(item, events=sparse.csr_array(([5.0], ([0], [3])), shape=(1, 40)))
    assert model.training_matrix[3, item] == 5


def test_warm_start_and_files(tmp_path):
    ratings = some()
    whole, parts = (fitted(ratings, iterations=n, acceleration=False) for n in (5, 2))
    parts.save(tmp_path / "model")
    parts = recsys.load(tmp_path / "model").set_params(iterations=3)
    held_out = sparse.csr_array(([2.0], ([39], [29])), ratings.shape)
    parts.fit(ratings, warm_start=True, validation=held_out, **QUIET)
    np.testing.assert_array_equal(parts.item_biases, whole.item_biases)
    assert [entry.iteration for entry in parts.history] == [1, 2, 3, 4, 5]
    parts.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert isinstance(loaded, ExplicitALS) and loaded.history == parts.history
    pairs = np.arange(40)[:, np.newaxis], np.arange(30)
    np.testing.assert_array_equal(
        loaded.predict(*pairs, clip=True), parts.predict(*pairs, clip=True)
    )


@pytest.mark.parametrize("value", [3.0, 0.0, -2.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (4, 1)])
def test_tiny(shape, value):
    ratings = sparse.csr_array(np.ones(shape))
    ratings.data[:] = value
    model = ExplicitALS(2, random_state=0).fit(ratings, **QUIET)
    assert model.mean == value
    np.testing.assert_allclose(model.predict(0, 0), value, atol=0.1)
    assert model.predict(7, 7) == value


def test_bad_arguments():
    ratings = some()
    with pytest.raises(TypeError, match="weighted_regularization must be True or False; got 1"):
        ExplicitALS(weighted_regularization=1).fit(ratings)
    with pytest.raises(ValueError, match=r"regularization must be .* at least 0; got -1"):
        ExplicitALS(regularization=-1).fit(ratings)
    with pytest.raises(TypeError, match="validation must be a SciPy sparse matrix"):
        ExplicitALS().fit(ratings, validation=ratings.toarray())
    model = ExplicitALS(3)
    with pytest.raises(NotFittedError):
        model.predict(0, 0)
    model = fitted(ratings)
    with pytest.raises(IndexError, match="users holds -1; expected at least 0"):
        model.predict(-1, 0)
    with pytest.raises(TypeError, match="clip must be True, False or a pair"):
        model.predict(0, 0, clip=5)
    with pytest.raises(ValueError, match=r"clip must be \(low, high\) with low <= high"):
        model.predict(0, 0, clip=(5, 1))
    with pytest.raises(ValueError, match="looks transposed"):
        model.rmse(ratings.T)
    given = ExplicitALS(4)
    given.user_factors, given.item_factors = model.user_factors, model.item_factors
    assert given.predict(100, 0) == 0
    with pytest.raises(NotFittedError, match="no training matrix is remembered"):
        given.predict(0, 0, clip=True)
