"""Learning single users and items: what a training on all of the data would hold is held."""

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS, NotFittedError


def some(rows, columns, seed=0, density=0.25):
    matrix = sparse.random_array((rows, columns), density=density, rng=seed, format="csr")
    matrix.data = np.ceil(20 * matrix.data) - 3  # dislikes and stored zeros too
    return matrix


@pytest.fixture(params=["log", "linear"])
def model(request):
    options = {"regularization_exponent": 0.5, "regularization": 0.1, "dtype": np.float64}
    model = ImplicitALS(6, iterations=3, random_state=0, confidence=request.param, **options)
    return model.fit(some(40, 30), show_progress=False)


def solved_items(model, counts):
    """Item factors by the definition, from all of the data."""
    sizes = np.abs(counts.toarray())
    stored = np.zeros(counts.shape, bool)
    for row in range(len(stored)):  # stored zeros too
        stored[row, counts.indices[counts.indptr[row] : counts.indptr[row + 1]]] = True
    if model.confidence == "log":
        n = stored.sum(axis=1, keepdims=True)
        mean = sizes.sum(axis=1, keepdims=True) / np.maximum(n, 1)
        weights = 1 + model.alpha * np.log1p(sizes / np.maximum(mean, 1e-300))
    else:
        weights = 1 + model.alpha * sizes
    liked = counts.toarray() > 0
    x = model.user_factors
    factors = np.zeros((counts.shape[1], x.shape[1]))
    for item in np.flatnonzero(stored.any(axis=0)):
        c = np.where(stored[:, item], weights[:, item], 1)
        lambda_ = 0.1 * (stored[:, item].sum() + len(x)) ** 0.5
        a = (x.T * c) @ x + lambda_ * np.eye(x.shape[1])
        factors[item] = np.linalg.solve(a, x.T @ (c * liked[:, item]))
    return factors


def remembered(model):
    return model.training_matrix.toarray()


def test_fold_in_items(model):
    new = some(5, 40, seed=1)
    before = model.item_factors.copy(), remembered(model)
    got = model.fold_in_items(new)
    everything = sparse.csr_array(sparse.hstack([some(40, 30), new.T]))
    np.testing.assert_allclose(got, solved_items(model, everything)[30:], atol=1e-9)
    np.testing.assert_array_equal(model.item_factors, before[0])
    np.testing.assert_array_equal(remembered(model), before[1])
    nothing = sparse.csr_array((2, 40))
    shape = r"item_users has shape \(40, 5\); expected one column.*40"
    np.testing.assert_array_equal(model.fold_in_items(nothing), np.zeros((2, 6)))
    with pytest.raises(ValueError, match=shape):
        model.fold_in_items(new.T)
    with pytest.raises(TypeError, match="item_users must be a SciPy sparse matrix"):
        model.fold_in_items(new.toarray())


def test_items_without_a_training_matrix(model):
    given = ImplicitALS(**model.get_params())
    given.user_factors, given.item_factors = model.user_factors, model.item_factors
    new = some(5, 40, seed=1)
    np.testing.assert_allclose(
        given.fold_in_items(new), solved_items(given, sparse.csr_array(new.T)), atol=1e-9
    )


@pytest.mark.parametrize("keep_known", [True, False])
def test_partial_fit_users(model, keep_known):
    counts, new = some(40, 30), some(4, 30, seed=1)
    before = model.user_factors.copy(), model.item_factors.copy()
    rows = np.array([45, 7, 42, 0])
    assert model.partial_fit_users(rows, **{"events" if keep_known else "rows": new}) is model
    want = np.zeros((46, 30))
    want[:40] = counts.toarray()
    want[rows] = new.toarray() + (want[rows] if keep_known else 0)
    np.testing.assert_array_equal(remembered(model), want)
    assert model.user_factors.shape == (46, 6)
    untouched = np.setdiff1d(np.arange(40), rows)
    np.testing.assert_array_equal(model.user_factors[untouched], before[0][untouched])
    assert not model.user_factors[[40, 41, 43, 44]].any()
    np.testing.assert_array_equal(model.item_factors, before[1])
    known = model.training_matrix
    np.testing.assert_allclose(model.user_factors[rows], model.fold_in(known)[rows], atol=1e-12)
    for user in (45, 7):
        ids = model.recommend(user, N=30)[0]
        assert not set(ids[ids >= 0]) & set(new[[list(rows).index(user)]].indices)
    assert model.recommend(41, N=30)[0].min() == 0  # nothing is known of the one skipped


@pytest.mark.parametrize("keep_known", [True, False])
def test_partial_fit_items(model, keep_known):
    counts, new = some(40, 30), some(4, 40, seed=1)
    before = model.item_factors.copy()
    columns = np.array([33, 7, 31, 0])
    model.recommend(0)
    assert model.partial_fit_items(columns, **{"events" if keep_known else "rows": new}) is model
    want = np.zeros((40, 34))
    want[:, :30] = counts.toarray()
    want[:, columns] = new.toarray().T + (want[:, columns] if keep_known else 0)
    np.testing.assert_array_equal(remembered(model), want)
    everything = model.training_matrix
    expected = solved_items(model, everything)
    np.testing.assert_allclose(model.item_factors[columns], expected[columns], atol=1e-9)
    untouched = np.setdiff1d(np.arange(30), columns)
    np.testing.assert_array_equal(model.item_factors[untouched], before[untouched])
    assert not model.item_factors[[30, 32]].any()
    ids, scores = model.recommend(3, N=34, filter_seen=False)
    np.testing.assert_array_equal(np.sort(ids), np.arange(34))
    np.testing.assert_allclose(scores, (model.item_factors @ model.user_factors[3])[ids])


def test_a_user_and_then_an_item_of_theirs(model):
    model.partial_fit_users(40, sparse.csr_array(([5.0], ([0], [3])), shape=(1, 30)))
    model.partial_fit_items(30, sparse.csr_array(([4.0], ([0], [40])), shape=(1, 41)))
    model.partial_fit_users([40], events=sparse.csr_array(([2.0], ([0], [3])), shape=(1, 31)))
    assert remembered(model)[40].tolist() == [0] * 3 + [7] + [0] * 26 + [4]
    assert set(model.explain(40, 30)[1]) == {3, 30}


def test_what_is_changed_later_is_not_remembered(model):
    mine = some(40, 30).astype(np.float32)
    model = ImplicitALS(4, iterations=1, random_state=0).fit(mine, show_progress=False)
    score = model.explain(0, 3)[0]
    mine.data[:] = 1
    mine.indices[:] = 0
    assert model.explain(0, 3)[0] == score
    np.testing.assert_array_equal(remembered(model), some(40, 30).toarray())


def test_bad_arguments(model):
    before = model.user_factors.copy(), model.item_factors.copy(), remembered(model)
    new = some(2, 30)
    for error, message, call in [
        (ValueError, "users names 3 more than once", lambda: model.partial_fit_users([3, 3], new)),
        (IndexError, "users holds -1; expected at least 0",
         lambda: model.partial_fit_users([-1], new)),
        (ValueError, r"\(2, 30\); expected one row for each of the 3 users",
         lambda: model.partial_fit_users([1, 2, 3], new)),
        (ValueError, r"\(2, 30\); expected one column for each of the model's 40 users",
         lambda: model.partial_fit_items([1, 2], new)),
        (ValueError, "user_items holds nan", lambda: model.partial_fit_users([1, 2], new * np.nan)),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()
    for got, want in zip((model.user_factors, model.item_factors, remembered(model)), before,
                         strict=True):  # fmt: skip
        np.testing.assert_array_equal(got, want)
    with pytest.raises(NotFittedError):
        ImplicitALS().partial_fit_users([0], new)
