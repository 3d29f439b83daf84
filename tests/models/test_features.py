"""Models fitted with features: items and users that no entry tells of."""

from types import SimpleNamespace

import numpy as np
import pytest
from every_model import FACTORS, make, more
from scipy import sparse

import recsys
from recsys import BPR, ExplicitALS, Features, ImplicitALS, Interactions, LogisticMF, csr, kernels
from recsys.evaluation import evaluate
from recsys.models import ridge, strength
from recsys.models.ratings import RatingModel
from recsys.models.strength import STRENGTHS, chosen_strength

USERS, ITEMS, NEW = 60, 40, 20


def tastes(seed=0):
    """Users and items of four genres; users have items of their own genre."""
    rng = np.random.default_rng(seed)
    of_users, of_items = rng.integers(0, 4, USERS), np.arange(ITEMS + NEW) % 4
    likes = (of_users[:, None] == of_items) & (rng.random((USERS, ITEMS + NEW)) < 0.7)
    likes |= rng.random(likes.shape) < 0.02
    return likes.astype(float), of_users, of_items


def features(genres):
    return Features.from_csr(np.eye(4)[genres])


def by_ids(likes, of_users, of_items):
    """The same with ids, and features in another order than the interactions."""
    plays = Interactions.from_csr(
        sparse.csr_array(likes[:, :ITEMS]),
        [f"u{n}" for n in range(USERS)],
        [f"i{n}" for n in range(ITEMS)],
    )
    order = np.random.default_rng(3).permutation(len(of_items))
    known = Features.from_csr(np.eye(4)[of_items[order]], [f"i{n}" for n in order])
    return plays, known


@pytest.mark.parametrize("name", FACTORS)
def test_new_items_go_to_those_who_like_their_kind(name):
    likes, of_users, of_items = tastes()
    model = make(name, factors=8, **more(name, 60))
    if isinstance(model, RatingModel | LogisticMF):  # whose defaults are for more data
        model.set_params(regularization=0.02)
    ratings = likes[:, :ITEMS] * 4 + (np.random.default_rng(1).random((USERS, ITEMS)) < 0.3)
    counts = ratings if model._ratings else likes[:, :ITEMS]
    model.fit(sparse.csr_array(counts), item_features=features(of_items), show_progress=False)
    assert model.item_factors.shape == (ITEMS + NEW, 8)
    assert model.training_matrix.shape == (USERS, ITEMS + NEW)
    new = np.arange(ITEMS, ITEMS + NEW)
    best, _ = model.recommend(np.arange(USERS), N=5, among=new)
    right = of_items[best] == of_users[:, None]
    assert right.mean() > 0.9  # by chance 0.25
    scores = model.score(np.arange(USERS)[:, None], new)
    assert np.isfinite(scores).all()


def test_a_matrix_is_asked_with_columns_of_new_items():
    likes, _, of_items = tastes()
    plays = sparse.csr_array(likes[:, :ITEMS])
    model = ImplicitALS(4, iterations=2, random_state=0)
    model.fit(plays, item_features=features(of_items), show_progress=False)
    with pytest.raises(ValueError, match=rf"resize\({USERS}, {ITEMS + NEW}\)"):
        model.recommend([0], plays)
    plays.resize(USERS, ITEMS + NEW)
    found, _ = model.recommend([0], plays)
    assert np.array_equal(found, model.recommend([0])[0])


def test_ids_are_matched():
    likes, of_users, of_items = tastes()
    plays, known = by_ids(likes, of_users, of_items)
    options = {"factors": 6, "random_state": 0, "feature_regularization": 2.0}
    model = ImplicitALS(**options).fit(plays, item_features=known, show_progress=False)
    plain = ImplicitALS(**options).fit(
        sparse.csr_array(likes[:, :ITEMS]), item_features=features(of_items), show_progress=False
    )
    assert len(model.items) == ITEMS + NEW and list(model.items[:ITEMS]) == list(plays.items)
    rows = [int(each[1:]) for each in model.items]
    np.testing.assert_allclose(model.item_factors, plain.item_factors[rows], atol=1e-6)
    cold = Interactions.from_csr(
        sparse.csr_array(likes[:, ITEMS:]),
        plays.users,
        [f"i{n}" for n in range(ITEMS, ITEMS + NEW)],
    )
    options = {"among": list(cold.items)}
    found = evaluate(model, plays, cold, "ndcg", 10, options=options, show_progress=False)
    assert found.mean["ndcg@10"] > 0.8
    nearest, _ = model.similar_items("i41", N=5)
    assert {int(each[1:]) % 4 for each in nearest} == {1}


def test_the_ridge_is_that_of_the_normal_equations(monkeypatch):
    """With W the solution for rows less their means, exactly and by conjugate gradients."""
    monkeypatch.setattr(ridge, "_TOLERANCE", 1e-9)
    rng = np.random.default_rng(0)
    rows = sparse.random_array((300, 1100), density=0.02, rng=rng, format="csr")
    targets = rng.random((300, 5))
    for count in (40, 1100):
        some = csr.canonical(rows[:, :count], np.dtype(np.float32))
        got = ridge.fit(some, targets, 0.7)
        f = some.toarray().astype(float)
        f -= f.mean(axis=0)
        want = np.linalg.solve(
            f.T @ f + 0.7 * np.eye(count), f.T @ (targets - targets.mean(axis=0))
        )
        np.testing.assert_allclose(got.weights, want, atol=1e-7)
        means = some.toarray().mean(axis=0) @ got.weights + got.constant
        np.testing.assert_allclose(means, targets.mean(axis=0), atol=1e-10)


def test_features_that_tell_nothing_are_said_to(caplog):
    likes, _, of_items = tastes()
    rng = np.random.default_rng(5)
    of_no_use = Features.from_csr(np.eye(2)[rng.integers(0, 2, ITEMS)])
    model, counts = BPR(8, random_state=0), sparse.csr_array(likes[:, :ITEMS])
    with caplog.at_level("INFO", logger="recsys"):
        model.fit(counts, item_features=of_no_use, show_progress=False)
    assert model.feature_regularization_ == {"items": STRENGTHS[0]}
    assert "they hardly count" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", logger="recsys"):
        model.fit(counts, item_features=features(of_items[:ITEMS]), show_progress=False)
        model.set_params(feature_regularization=STRENGTHS[0])
        model.fit(counts, item_features=of_no_use, show_progress=False)
    assert "knows items by" in caplog.text and "they hardly count" not in caplog.text


@pytest.mark.parametrize("width", [5, 40])
def test_the_strength_goes_by_the_noise(width):
    """By errors in the direction that scores have, and not by what no score depends on."""
    rng = np.random.default_rng(0)
    shown = sparse.random_array((600, 30), density=0.2, rng=rng, format="csr")
    shown = csr.canonical(shown, np.dtype(np.float32))
    clear = shown @ rng.standard_normal((30, width))
    noise = 5 * rng.standard_normal(clear.shape)
    half = np.arange(width) % 2 == 0
    rows = kernels.Factors(np.where(half, clear, noise))
    entries = csr.canonical(sparse.csr_array(np.ones((600, width))), np.dtype(np.float64))
    model = SimpleNamespace(_ratings=True, num_threads=1)
    strengths = [
        chosen_strength(model, "items", shown, rows, kernels.Factors(np.diag(seen * 1.0)), entries)
        for seen in (half, ~half)
    ]
    assert strengths[0] == min(STRENGTHS) and strengths[1] >= 100


def test_the_strength_has_the_least_error_for_its_lists():
    """On each of two folds errors are least at 10, and what lists are worth grows from 3 to 1."""
    off = dict(zip(STRENGTHS, (9, 8, 6, 4, 2, 2.1, 2.3, 4, 6), strict=True))
    worth = dict(zip(STRENGTHS, (1, 1, 1, 1, 1, 1.2, 1.5, 1.6, 1.6), strict=True))
    now = [None]

    def expected(strength):
        now[0] = strength
        return np.full((1, 1), off[strength])

    fold = SimpleNamespace(rows=np.array([0]), targets=np.zeros((1, 1)), expected=expected)
    lists = SimpleNamespace(ndcg=lambda rows, means: worth[now[0]])
    assert strength._best([fold, fold], np.eye(1), None) == 10
    assert strength._best([fold, fold], np.eye(1), lists) == 1


@pytest.mark.parametrize("side", ["users", "items"])
@pytest.mark.parametrize("biases", [False, True])
def test_what_lists_are_worth(side, biases):
    """NDCG by scores that are sorted, of all who like something of what is listed."""
    rng = np.random.default_rng(0)
    others = kernels.Factors(rng.standard_normal((30, 4)), rng.random(30) if biases else None)
    expected = rng.standard_normal((12, 5))
    liked = sparse.csr_array((rng.random((40, 30)) < 0.1) * 1.0)
    rows = np.arange(0, 36, 3)
    scores = expected[:, :4] @ others.factors.T
    wanted = liked.toarray()[rows]
    if side == "users":
        scores += others.biases if biases else 0
    else:
        scores, wanted = scores.T + expected[:, 4], wanted.T
    discount = 1 / np.log2(np.arange(2, scores.shape[1] + 2))
    ranked = np.take_along_axis(wanted, np.argsort(-scores, axis=1), axis=1)
    count = wanted.sum(axis=1).astype(int)
    want = sum(ranked[u] @ discount / discount[: count[u]].sum() for u in np.flatnonzero(count))
    lists = strength._Lists(side, liked, others, np.random.default_rng(0), 1)
    assert lists.ndcg(rows, expected) == pytest.approx(want)


def dense_row(model, entries, prior, held):
    """argmin of a row's objective with lambda |x - m|^2, by its normal equations in NumPy."""
    lambda_, _, w0 = model._weights()
    values = np.zeros(len(held.factors))
    [signed] = [model._signed(entries)]
    values[signed.indices] = signed.data
    y = held.factors.astype(float)
    target, weight = (values > 0).astype(float), np.where(values != 0, np.abs(values), w0)
    if held.biases is not None:
        target = target - model.mean - held.biases
        y = np.column_stack([y, np.ones(len(y))])
    a = (y.T * weight) @ y + lambda_ * np.eye(y.shape[1])
    return np.linalg.solve(a, (y.T * weight) @ target + lambda_ * prior)


@pytest.mark.parametrize("bias", [False, True])
def test_fold_in_by_both_is_the_row_with_a_prior(bias):
    likes, of_users, _of_items = tastes()
    model = ImplicitALS(5, bias=bias, regularization=3.0, dtype=np.float64, random_state=0)
    people = features(of_users)
    model.fit(sparse.csr_array(likes), user_features=people, show_progress=False)
    entries = sparse.csr_array(likes[:2])
    told = people.transform(np.eye(4)[of_users[:2]])
    got = model.fold_in(entries, user_features=told)
    got = np.column_stack(got) if bias else got
    prior = model.fold_in(user_features=told)
    prior = np.column_stack(prior) if bias else prior
    for row in range(2):
        want = dense_row(model, entries[[row]], prior[row], model._held("item"))
        np.testing.assert_allclose(got[row], want, atol=1e-8)
    before = model.score(0, np.arange(6))
    model.partial_fit_users([0], rows=entries[[0]], user_features=people.transform(np.eye(4)[:1]))
    assert not np.array_equal(model.score(0, np.arange(6)), before)
    assert model.user_features.matrix[[0]].toarray().tolist() == [[1, 0, 0, 0]]


@pytest.mark.parametrize("name", ["BPR", "BPR warp", "LogisticMF"])
def test_steps_by_both_begin_at_what_features_say(name):
    likes, of_users, _ = tastes()
    model = make(name, factors=8, **more(name, 30))
    if isinstance(model, LogisticMF):  # whose default is for more data
        model.set_params(regularization=0.5)
    plays, people = sparse.csr_array(likes[:40]), features(of_users[:40])
    model.fit(plays, user_features=people, show_progress=False)
    new, told = np.arange(40, 60), people.transform(np.eye(4)[of_users[40:]])
    entries = sparse.lil_array((len(new), ITEMS + NEW))
    entries[0, 0], entries[1, 1], entries[2, 2] = 1, 1, 1  # of the others nothing is known
    entries = sparse.csr_array(entries)
    expected, by_events, both = (
        each if isinstance(each, tuple) else (each, np.zeros(len(new)))
        for each in (
            model.fold_in(user_features=told),
            model.fold_in(entries),
            model.fold_in(entries, user_features=told),
        )
    )
    for array, alone in zip(both, expected, strict=True):
        np.testing.assert_array_equal(array[3:], alone[3:])
    away, further = (
        np.linalg.norm(each[0][:3] - expected[0][:3], axis=1) for each in (both, by_events)
    )
    assert (away > 0).all() and (away < further).all()
    scores = (both[0] @ model.item_factors.T)[[0, 1, 2], [0, 1, 2]]
    assert (scores > (expected[0] @ model.item_factors.T)[[0, 1, 2], [0, 1, 2]]).all()
    one = model.fold_in(entries[[1]], user_features=people.transform(np.eye(4)[of_users[[41]]]))
    np.testing.assert_array_equal(one[0] if isinstance(one, tuple) else one, both[0][[1]])
    model.set_params(regularization=0.0, **{model._iterations_name: 0})
    model.fit(plays, user_features=people, warm_start=True, show_progress=False)
    with pytest.raises(ValueError, match="gives features no weight beside entries"):
        model.fold_in(entries, user_features=told)


@pytest.mark.parametrize("name", ["ImplicitALS bias", "BPR", "LogisticMF"])
def test_items_join_by_features_and_stay_in_files(name, tmp_path):
    likes, of_users, of_items = tastes()
    plays, known = by_ids(likes, of_users, of_items)
    model = make(name).fit(plays, item_features=known, show_progress=False)
    new = known.transform(np.eye(4)[[2, 0]], ["x", "y"])
    want = model.fold_in_items(item_features=new)[0]
    model.partial_fit_items(["y", "x"], item_features=new)
    np.testing.assert_array_equal(model.item_factors[-2:], want[::-1])
    assert list(model.items[-2:]) == ["y", "x"] and model.training_matrix.shape[1] == 62
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model", verify=True)
    assert loaded.feature_regularization_ == model.feature_regularization_
    for one in (model, loaded):
        told = one.explain_features("u3", "x")
        assert told.names == ["2"] and told.entries == 0
        assert told.score == pytest.approx(told.constant + told.contributions.sum())
        assert told.score == pytest.approx(float(one.score("u3", "x")), abs=1e-5)
        trained = one.explain_features("u3", "i5")
        assert trained.entries != 0
        assert trained.score == pytest.approx(
            trained.constant + trained.contributions.sum() + trained.entries
        )
    np.testing.assert_array_equal(
        loaded.fold_in_items(item_features=new)[0], model.fold_in_items(item_features=new)[0]
    )
    with pytest.raises(ValueError, match="item_features have no row of 'z'; expected one for each"):
        model.partial_fit_items(["x", "z"], item_features=new)
    model.save(tmp_path / "served", history=False)
    with pytest.raises(ValueError, match="known by entries already"):
        model.partial_fit_items(["i5"], item_features=known.transform(np.eye(4)[:1], ["i5"]))


def test_new_items_are_boosted():
    likes, _of_users, of_items = tastes()
    model = ImplicitALS(8, regularization=3.0, random_state=0)
    model.fit(sparse.csr_array(likes[:, :ITEMS]), item_features=features(of_items))
    plain, scores = model.recommend(0, N=ITEMS + NEW, filter_seen=False)
    listed, boosted = model.recommend(0, N=ITEMS + NEW, filter_seen=False, new_item_boost=3.0)
    by_item, by_item_boosted = np.empty(len(plain)), np.empty(len(plain))
    by_item[plain], by_item_boosted[listed] = scores, boosted
    factor = np.where((np.arange(ITEMS + NEW) < ITEMS) | (by_item < 0), 1, 3)
    np.testing.assert_allclose(by_item_boosted, by_item * factor, atol=1e-6)
    every, _ = model.recommend_all(N=4, new_item_boost=3.0, among=np.arange(30, 60))
    assert (every >= 30).all()
    skipped, _ = model.recommend([0, 99], N=3, unknown="skip", new_item_boost=3.0)
    assert (skipped[1] == -1).all()
    assert (skipped[0] == model.recommend(0, N=3, new_item_boost=3.0)[0]).all()
    # folding in goes by the factors as they are
    folded, _ = model.recommend(0, likes_row(likes), N=3, fold_in=True, new_item_boost=3.0)
    assert set(folded) & set(range(ITEMS, ITEMS + NEW))
    with pytest.raises(TypeError, match="two names of the same"):
        model.recommend(0, items=[1], among=[2])


def likes_row(likes):
    row = likes[[0]].copy()
    row[:, ITEMS:] = 0
    return sparse.csr_array(row)


def test_warm_start_and_events_of_new_items():
    likes, of_users, of_items = tastes()
    plays, known = by_ids(likes, of_users, of_items)
    options = {"factors": 6, "random_state": 0, "regularization": 3.0}
    model = ImplicitALS(**options).fit(plays, item_features=known, show_progress=False)
    with pytest.raises(ValueError, match="pass them again"):
        model.fit(plays, warm_start=True)
    other = Features.from_csr(np.eye(5)[of_items], known.ids)
    with pytest.raises(ValueError, match=r"have 5 columns, and those .* 4"):
        model.fit(plays, item_features=other, warm_start=True)
    model.fit(plays, item_features=known, warm_start=True, show_progress=False)
    assert model.item_factors.shape == (ITEMS + NEW, 6) and len(model.history) == 14
    day = Interactions.from_arrays(["u1", "u2", "u1"], ["i45", "i45", "i50"])
    before = model.score("u1", "i45")
    model.partial_fit(day)
    assert model.score("u1", "i45") != before
    assert len(model._features["items"].rows) == NEW - 2
    model.fit(plays.concat(day), item_features=known, warm_start=True, show_progress=False)
    assert model.item_factors.shape == (ITEMS + NEW, 6)
    model.fit(plays, show_progress=False)
    assert model.item_features is None and model.item_factors.shape == (ITEMS, 6)
    model.fit(plays, item_features=known, show_progress=False)
    model.item_factors = np.ones((3, 6))
    assert model.item_features is None


def test_users_by_features_are_no_strangers():
    likes, of_users, of_items = tastes()
    model = ImplicitALS(6, regularization=3.0, random_state=0)
    model.fit(sparse.csr_array(likes[:50]), user_features=features(of_users), show_progress=False)
    lists = model.recommend([3, 55, 99], N=3, unknown="popular")
    assert lists.unknown.tolist() == [False, False, True]
    best, _ = model.recommend(np.arange(50, 60), N=5, filter_seen=False)
    assert (of_items[best] == of_users[50:, None]).mean() > 0.9


def test_one_thread_and_two_give_the_same_bits():
    likes, _of_users, of_items = tastes()
    both = [
        ImplicitALS(6, random_state=0, num_threads=threads)
        .fit(sparse.csr_array(likes[:, :ITEMS]), item_features=features(of_items))
        .item_factors.tobytes()
        for threads in (1, 2)
    ]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.eye(4), TypeError, "must be recsys.Features; got ndarray"),
        (Features.from_csr(np.eye(4)), TypeError, "have no ids"),
        (Features.from_csr(np.eye(4), list("abcd")), ValueError, "none of which has an entry"),
        (Features.from_csr(np.eye(4), [1, 2, 3, 4]), KeyError, "another kind"),
    ],
)
def test_features_of_something_else(given, error, message):
    plays, _ = by_ids(*tastes())
    model = ImplicitALS(4)
    with pytest.raises(error, match=message):
        model.fit(plays, item_features=given)
    assert not model.history


def test_what_a_model_without_features_is_asked():
    likes, of_users, of_items = tastes()
    matrix, known = sparse.csr_array(likes), features(of_items)
    with pytest.raises(ValueError, match="40 rows; expected at least 60"):
        ImplicitALS(4).fit(matrix, item_features=features(of_items[:40]))
    with pytest.raises(TypeError, match="have ids, and what is fitted has none"):
        ImplicitALS(4).fit(matrix, item_features=by_ids(likes, of_users, of_items)[1])
    for cls in (ImplicitALS, ExplicitALS):
        with pytest.raises(ValueError, match=r"nonnegative=True cannot.* explained by no feature"):
            cls(4, nonnegative=True).fit(matrix, item_features=known)
    for bad in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="feature_regularization must be"):
            ImplicitALS(4, feature_regularization=bad).fit(matrix)
    model = ImplicitALS(4).fit(matrix, show_progress=False)
    assert model.item_features is None and model.user_feature_factors is None
    for ask in (
        lambda: model.recommend(0, new_item_boost=2.0),
        lambda: model.fold_in(user_features=known),
        lambda: model.fold_in_items(item_features=known),
        lambda: model.explain_features(0, 0),
        lambda: model.partial_fit_items([70], item_features=known),
    ):
        with pytest.raises(ValueError, match=r"fit with (item|user)_features="):
            ask()
    with pytest.raises(TypeError, match="got neither"):
        model.fold_in()
    with pytest.raises(IndexError, match="not known to the model: 70"):
        model.recommend(0, among=[70])
    model.fit(matrix, item_features=known, show_progress=False)
    with pytest.raises(ValueError, match="features of users"):
        model.fold_in(user_features=known)
    with pytest.raises(ValueError, match="have 3 columns"):
        model.fold_in_items(item_features=Features.from_csr(np.eye(3)))
    bpr = BPR(4, epochs=2).fit(matrix, item_features=known, show_progress=False)
    with pytest.raises(TypeError, match="single items by their features alone"):
        bpr.fold_in_items(matrix.T, item_features=known)


def test_a_nonnegative_model_gets_features_afterwards():
    likes, of_users, _ = tastes()
    model = ImplicitALS(6, nonnegative=True, regularization=3.0, random_state=0)
    model.fit(sparse.csr_array(likes), show_progress=False)
    before, people = model.user_factors.copy(), features(of_users)
    model.set_params(nonnegative=False, iterations=0)
    model.fit(sparse.csr_array(likes), user_features=people, warm_start=True, show_progress=False)
    np.testing.assert_array_equal(model.user_factors, before)
    both = sparse.csr_array(likes[:2]), people.transform(np.eye(4)[of_users[:2]])
    assert model.fold_in(both[0], user_features=both[1]).shape == (2, 6)
    model.set_params(nonnegative=True)
    with pytest.raises(ValueError, match="solves rows by their entries alone"):
        model.fold_in(both[0], user_features=both[1])


def test_an_index_has_new_items():
    pytest.importorskip("faiss")
    likes, _, of_items = tastes()
    model = ImplicitALS(6, regularization=3.0, random_state=0)
    model.fit(sparse.csr_array(likes[:, :ITEMS]), item_features=features(of_items))
    index = recsys.serving.AnnIndex.build(model, kind="similar", backend="faiss")
    nearest, _ = index.similar_items(45, N=8)
    assert 45 in nearest and {each % 4 for each in nearest.tolist()} == {1}


def test_a_trained_model_gets_features_without_training():
    likes, _, of_items = tastes()
    matrix = sparse.csr_array(likes[:, :ITEMS])
    model = ImplicitALS(6, regularization=3.0, random_state=0).fit(matrix, show_progress=False)
    before = model.item_factors.copy()
    model.set_params(iterations=0)
    model.fit(matrix, item_features=features(of_items), warm_start=True, show_progress=False)
    np.testing.assert_array_equal(model.item_factors[:ITEMS], before)
    assert model.item_factors.shape == (ITEMS + NEW, 6) and len(model.history) == 7


def test_a_day_keeps_what_features_say():
    """The rows it touches are drawn to what is expected of them: |x - m|^2 in place of |x|^2."""
    likes, _, of_items = tastes()
    options = {"factors": 3, "random_state": 0, "regularization": 5.0, "dtype": np.float64}
    model = ImplicitALS(**options, confidence="linear", alpha=1.0)
    plays = sparse.csr_array(likes[:, :ITEMS])
    model.fit(plays, item_features=features(of_items), show_progress=False)
    new, users, shape = ITEMS + 3, np.array([2, 8]), (USERS, ITEMS + NEW + 1)
    day = sparse.csr_array((np.ones(3), ([*users, 8], [new, new, ITEMS + NEW])), shape=shape)
    mean = model.item_factors[new].copy()  # nothing else is known of it
    [constant] = model.fold_in_items(sparse.csr_array((1, USERS)))
    model.partial_fit(day, rounds=1)
    for item, m, who in ((new, mean, users), (ITEMS + NEW, constant, users[1:])):
        x, own = model.user_factors, model.user_factors[who]
        a = x.T @ x + own.T @ own + 5 * np.eye(3)  # c = 2 where there is an entry, else 1
        want = m + np.linalg.solve(a, 2 * own.sum(axis=0) - (a - 5 * np.eye(3)) @ m)
        np.testing.assert_allclose(model.item_factors[item], want, atol=1e-8)
    assert model.item_features.matrix.shape[0] == ITEMS + NEW + 1
    told = model.explain_features(0, new)
    assert told.score == pytest.approx(model.score(0, new)) and len(told.names) == 1
    with pytest.raises(ValueError, match=r"no features of users.*It knows such of items"):
        model.explain_features(0, new, of="users")
