"""What is the same of every model: lists, scores, new users, files and copies."""

import copy
import pickle

import numpy as np
import pytest
from every_model import (
    EVERY,
    FACTORS,
    MODELS,
    REGRESSIONS,
    counts,
    fitted,
    in_parts,
    learned,
    make,
    more,
    trained,
)
from scipy import sparse

import recsys
from recsys import LogisticMF, NotFittedError
from recsys.models.factor_model import FactorModel

every = pytest.mark.parametrize("name", EVERY)
factors = pytest.mark.parametrize("name", FACTORS)

# LogisticMF does not write down its sums of squares: the first steps after loading are larger.
RESUMED = [name for name in FACTORS if MODELS[name][0] is not LogisticMF]

USERS = np.arange(40)


def seen(user):
    matrix = counts()
    return set(matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]].tolist())


def listed(ids):
    return [item for item in ids.tolist() if item >= 0]


def assert_same_lists(one, other):
    for mine, its in zip(one, other, strict=True):
        assert mine.dtype == its.dtype
        np.testing.assert_array_equal(mine, its)


def assert_well_formed(ids, scores):
    """Best first, each item once, and what stays empty at the end."""
    for row, values in zip(np.atleast_2d(ids), np.atleast_2d(scores), strict=True):
        count = len(listed(row))
        assert (row[count:] == -1).all() and (values[count:] == -np.inf).all()
        assert (np.diff(values[:count]) <= 0).all() and np.isfinite(values[:count]).all()
        assert len(set(listed(row))) == count


# ---- lists -------------------------------------------------------------------------------------


@every
def test_lists_of_users(name, dtype):
    model = fitted(name, dtype=dtype)
    ids, scores = model.recommend(USERS, N=7)
    assert ids.shape == scores.shape == (40, 7)
    assert ids.dtype == np.int32 and scores.dtype == dtype
    assert_well_formed(ids, scores)
    for user in (0, 3, 39):
        assert not seen(user) & set(ids[user])
        for alone in (user, np.int64(user), np.array(user)):
            own, its_scores = model.recommend(alone, N=7)
            assert own.shape == its_scores.shape == (7,)
            assert_same_lists((own, its_scores), (ids[user], scores[user]))
    assert_same_lists(model.recommend([5, 2, 5], N=7), (ids[[5, 2, 5]], scores[[5, 2, 5]]))
    assert model.recommend([], N=7)[0].shape == (0, 7)


@every
def test_scores_are_those_of_the_lists(name):
    model = trained(name)
    ids, scores = model.recommend(USERS, N=30, filter_seen=False)
    table = model.score(USERS[:, np.newaxis], np.arange(30))
    assert table.shape == (40, 30) and table.dtype == scores.dtype
    kept = ids >= 0
    want = np.take_along_axis(table, np.maximum(ids, 0), axis=1)
    np.testing.assert_allclose(scores[kept], want[kept], rtol=1e-5, atol=1e-6)
    assert model.score(4, 11) == table[4, 11]
    np.testing.assert_array_equal(model.score([1, 2], [3, 4]), table[[1, 2], [3, 4]])
    if isinstance(model, FactorModel):  # who lists what has a score only
        assert kept.all()
    assert (kept.sum(axis=1) >= table.astype(bool).sum(axis=1)).all()


@every
def test_longer_lists_than_the_catalogue(name):
    model = trained(name)
    ids, scores = model.recommend(USERS, N=50)
    assert ids.shape == (40, 50)
    assert_well_formed(ids, scores)
    for user in USERS:
        left = 30 - len(seen(user))
        count = len(listed(ids[user]))
        assert count == left if isinstance(model, FactorModel) else count <= left
    np.testing.assert_array_equal(ids[:, :7], model.recommend(USERS, N=7)[0])


@every
def test_items_to_choose_from_and_to_leave_out(name):
    model = trained(name)
    everything, scores = model.recommend(USERS, N=30)
    for options, allowed in (
        ({"filter_items": [2, 5, 5, 11]}, set(range(30)) - {2, 5, 11}),
        ({"items": [2, 5, 5, 11, 29, 0]}, {0, 2, 5, 11, 29}),
        ({"items": [2, 5, 11], "filter_items": 5}, {2, 11}),
        ({"items": 4}, {4}),
    ):
        ids, own = model.recommend(USERS, N=30, **options)
        for user in USERS:
            want = [item for item in listed(everything[user]) if item in allowed]
            assert listed(ids[user]) == want
            place = [listed(everything[user]).index(item) for item in want]
            np.testing.assert_allclose(own[user, : len(want)], scores[user, place], rtol=1e-5)
        one = model.recommend(8, N=30, **options)[0]
        np.testing.assert_array_equal(one, ids[8])


@every
def test_lists_of_everyone(name):
    model = trained(name)
    options = {"N": 6, "filter_items": [1, 2]}
    found = model.recommend_all(show_progress=False, **options)
    assert_same_lists(found, model.recommend(USERS, **options))


@every
def test_similar_items(name):
    model = trained(name)
    ids, scores = model.similar_items([4, 9], N=5)
    assert ids.shape == (2, 5) and ids.dtype == np.int32
    if name in REGRESSIONS:
        assert not np.any(ids == [[4], [9]])
    else:
        assert ids[:, 0].tolist() == [4, 9]
    assert_well_formed(ids, scores)
    assert_same_lists(model.similar_items(9, N=5), (ids[1], scores[1]))
    assert_well_formed(*model.similar_items([4, 7], N=50))
    some = listed(ids[0])[1:3]
    assert set(listed(model.similar_items(4, among=some)[0])) == set(some)
    assert not {4, *some} & set(model.similar_items(4, filter_items=[4, *some])[0])


@factors
def test_similar_users(name):
    model = trained(name)
    ids, scores = model.similar_users([4, 9], N=5)
    assert ids.shape == (2, 5) and ids[:, 0].tolist() == [4, 9]
    assert_well_formed(ids, scores)
    np.testing.assert_array_equal(scores[:, 0], 1)
    assert_same_lists(model.similar_users(9, N=5), (ids[1], scores[1]))
    assert ids[0, 1] not in model.similar_users(4, filter_users=[ids[0, 1]])[0]
    assert set(listed(model.similar_users(4, among=[1, 8])[0])) == {1, 8}


@every
def test_what_is_asked_wrongly(name):
    model = trained(name)
    before = model.recommend(0)
    for call, error, message in (
        (lambda: model.recommend(40), IndexError, "users not known.*: 40; .* 0 to 39"),
        (lambda: model.recommend([0, -1]), IndexError, "users not known to the model: -1;"),
        (lambda: model.recommend("me"), TypeError, "users must be a row number"),
        (lambda: model.recommend([[1]]), ValueError, "users must be a row number.*shape"),
        (lambda: model.recommend(0, N=0), ValueError, "N must be at least 1; got 0"),
        (lambda: model.recommend(0, N=2.5), TypeError, "N must be an integer"),
        (lambda: model.recommend(0, N=10**12), ValueError, "N must be at most 1000; got 10+: th"),
        (lambda: model.recommend_all(1001), ValueError, "N must be at most 1000; got 1001"),
        (lambda: model.similar_items(0, N=1001), ValueError, "N must be at most 1000; got 1001"),
        (lambda: model.recommend(0, items=[30]), IndexError, "items not known to the model: 30"),
        (lambda: model.recommend(0, filter_items=[-1]), IndexError, "filter_items not known"),
        (lambda: model.recommend(0, counts().T), ValueError, "looks transposed"),
        (lambda: model.recommend(0, counts()[:5]), ValueError, r"shape \(5, 30\); expected"),
        (lambda: model.recommend(0, np.ones((1, 30))), TypeError, "must be a SciPy sparse"),
        (lambda: model.recommend(0, counts()[[0]] * np.inf), ValueError, "user_items holds inf"),
        (lambda: model.recommend(0, fold_in=True), ValueError, "fold_in=True takes users from"),
        (lambda: model.recommend_all(0), ValueError, "N must be at least 1; got 0"),
        (lambda: model.similar_items(30), IndexError, "items not known to the model: 30"),
        (lambda: model.similar_items(0, N=0), ValueError, "N must be at least 1; got 0"),
        (lambda: model.score(0, 30), IndexError, "items not known to the model: 30"),
        (lambda: model.score([0, 1], [0, 1, 2]), ValueError, "do not pair up"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert_same_lists(model.recommend(0), before)


@every
def test_before_fit(name, tmp_path):
    model = make(name)
    for call in (
        lambda: model.recommend(0),
        lambda: model.recommend_all(),
        lambda: model.similar_items(0),
        lambda: model.score(0, 0),
        lambda: model.save(tmp_path / "model"),
    ):
        with pytest.raises(NotFittedError, match=r"call fit\(user_items\)"):
            call()
    assert model.history == [] and not list(tmp_path.iterdir())


# ---- users from elsewhere ----------------------------------------------------------------------


def newcomers():
    """Five rows like those of training, the last without entries."""
    rows = counts(5, 30, seed=1)
    return sparse.csr_array(sparse.vstack([rows[[0, 1, 2, 4]], rows[[3]]]))


@every
def test_other_entries_count_as_seen(name):
    model = trained(name)
    given = counts(seed=2)
    ids, _ = model.recommend(USERS, given, N=30)
    for user in USERS:
        own = given.indices[given.indptr[user] : given.indptr[user + 1]]
        assert not set(ids[user]) & set(own)
    np.testing.assert_array_equal(model.recommend([8, 1], given[[8, 1]], N=30)[0], ids[[8, 1]])


@every
def test_lists_of_new_users(name):
    model = trained(name)
    new = newcomers()
    ids, scores = model.recommend(np.arange(5), new, N=6, fold_in=True)
    assert ids.shape == (5, 6) and scores.dtype == np.float32
    assert_well_formed(ids, scores)
    for user in range(5):
        assert not set(ids[user]) & set(new[[user]].indices)
        for number in (0, 123456):
            alone = model.recommend(number, new[[user]], N=6, fold_in=True)
            assert_same_lists(alone, (ids[user], scores[user]))
    assert_same_lists(
        model.recommend([3, 1], new, N=6, fold_in=True), (ids[[3, 1]], scores[[3, 1]])
    )
    assert learned(model) == learned(trained(name))


def fold_in(model, rows):
    """The factors, where there are biases too."""
    found = model.fold_in(rows)
    return found[0] if isinstance(found, tuple) else found


@factors
def test_a_new_user_has_the_same_factors_alone_and_among_others(name, dtype):
    model = fitted(name, dtype=dtype)
    new = newcomers()
    together = fold_in(model, new)
    assert together.shape == (5, 5) and together.dtype == dtype and together[:4].any(axis=1).all()
    for user in range(5):
        np.testing.assert_array_equal(fold_in(model, new[[user]])[0], together[user])
    other = sparse.csr_array(sparse.vstack([counts(9, 30, seed=4), new]))
    np.testing.assert_array_equal(fold_in(model, other)[9:], together)
    for threads in (1, 3):
        model.num_threads = threads
        np.testing.assert_array_equal(fold_in(model, new), together)
    assert learned(model) == learned(fitted(name, dtype=dtype))


@factors
def test_new_users_that_do_not_fit(name):
    with pytest.raises(NotFittedError, match="call fit"):
        make(name).fold_in(newcomers())
    model = trained(name)
    with pytest.raises(
        ValueError, match=r"user_items has shape \(40, 29\); expected one column for each .* 30 "
    ):
        model.fold_in(counts()[:, :29])
    with pytest.raises(ValueError, match="looks transposed"):
        model.fold_in(counts().T)
    with pytest.raises(TypeError, match="must be a SciPy sparse matrix"):
        model.fold_in(np.ones((2, 30)))


# ---- files and copies --------------------------------------------------------------------------


@every
def test_a_loaded_model_is_the_model(name, tmp_path):
    model = trained(name)
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert type(loaded) is type(model) and loaded.get_params() == model.get_params()
    assert repr(loaded) == repr(model) and loaded.history == model.history
    assert learned(loaded) == learned(model)
    assert_same_lists(loaded.recommend(USERS), model.recommend(USERS))
    assert_same_lists(loaded.similar_items([3, 7]), model.similar_items([3, 7]))
    new = newcomers()
    for both in zip(
        *(m.recommend(np.arange(5), new, fold_in=True) for m in (loaded, model)), strict=True
    ):
        np.testing.assert_array_equal(*both)
    loaded.fit(counts(20, 25), show_progress=False)
    assert learned(loaded) == learned(fitted(name, counts(20, 25)))
    loaded.save(tmp_path / "model")
    assert learned(recsys.load(tmp_path / "model")) == learned(loaded)


@pytest.mark.parametrize("name", RESUMED)
def test_a_loaded_model_goes_on(name, tmp_path):
    fitted(name, **in_parts(name)).save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model").set_params(**more(name, 4))
    loaded.fit(counts(), warm_start=True, show_progress=False)
    assert learned(loaded) == learned(fitted(name, **more(name, 7), **in_parts(name)))


@every
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_a_copy_is_the_model_and_independent(name, copied):
    model = trained(name)
    model.recommend(0)  # what has been prepared must not come between them
    twin = copied(model)
    assert learned(twin) == learned(model) and repr(twin) == repr(model)
    assert_same_lists(twin.recommend(USERS), model.recommend(USERS))
    twin.fit(counts(20, 25), show_progress=False)
    assert learned(twin) == learned(fitted(name, counts(20, 25)))
    assert learned(model) == learned(trained(name))
    assert_same_lists(model.recommend(USERS), trained(name).recommend(USERS))


@factors
def test_a_copy_goes_on(name):
    model = fitted(name, **in_parts(name))
    twin = pickle.loads(pickle.dumps(model)).set_params(**more(name, 4))
    twin.fit(counts(), warm_start=True, show_progress=False)
    assert learned(twin) == learned(fitted(name, **more(name, 7), **in_parts(name)))
