import logging
import subprocess
import sys

import numpy as np
import plain_metrics
import pytest
import scipy.sparse as sp

import recsys
from recsys import ImplicitALS, Interactions, ItemNeighbors, evaluation
from recsys.evaluation import OVERALL_METRICS, USER_METRICS, evaluate, protocol
from recsys.interactions.ids import IdKindError, Ids


class Dense:
    """Ranks by a dense matrix of scores; of equal ones, the lower id comes first."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, float)
        self.asked = []

    def recommend(self, users, user_items, N):
        assert isinstance(user_items, sp.csr_matrix) and user_items.shape[0] == len(users)
        assert user_items.indptr.dtype == user_items.indices.dtype
        self.asked.append((users.tolist(), N))
        scores = np.where(user_items.toarray() != 0, -np.inf, self.scores[users])
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :N]
        return ids, np.take_along_axis(scores, ids, axis=1)


class Lists:
    """Gives everybody the same lists."""

    def __init__(self, ids, scores):
        self.ids, self.scores = ids, scores

    def recommend(self, users, user_items, N):
        return np.tile(self.ids, (len(users), 1)), np.tile(self.scores, (len(users), 1))


class Popular:
    """By the number of users; of equal ones, in an order independent of their ids."""

    def __init__(self, train, seed=0):
        counts = np.bincount(train.indices, minlength=train.shape[1])
        self.order = np.lexsort((np.random.default_rng(seed).random(len(counts)), -counts))
        self.counts = counts[self.order]

    def recommend(self, users, user_items, N):
        width = min(len(self.order), N + int(np.diff(user_items.indptr).max()))
        place = np.full(len(self.order), width)
        place[self.order[:width]] = np.arange(width)
        seen = np.zeros((len(users), width + 1), bool)
        row = np.repeat(np.arange(len(users)), np.diff(user_items.indptr))
        seen[row, place[user_items.indices]] = True
        left = np.argsort(seen[:, :width], axis=1, kind="stable")[:, :N]
        return self.order[left], self.counts[left]


@pytest.fixture
def world():
    """Scores, train and test of 40 users x 30 items; four users have no test item."""
    rng = np.random.default_rng(0)
    both = rng.random((40, 30))
    test = (both < 0.2) * rng.integers(1, 5, both.shape)
    train = ((both > 0.2) & (both < 0.5)) * rng.integers(1, 5, both.shape)
    test[[0, 7, 8, 39]] = 0
    return rng.random(both.shape), sp.csr_matrix(train), sp.csr_matrix(test)


def of(model, train, test, **options):
    return evaluate(model, train, test, show_progress=False, **options)


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_all_metrics_equal_the_plain_ones(block, world, monkeypatch):
    scores, train, test = world
    monkeypatch.setattr(protocol, "_USERS", block)
    names = [*(set(USER_METRICS) - {"diversity"}), *OVERALL_METRICS]
    found = of(Dense(scores), train, test, metrics=names, k=[5, 1, 100])
    assert found.users.tolist() == sorted(set(range(40)) - {0, 7, 8, 39})
    assert found.n_without_test == 4
    seen = [set(train.indices[train.indptr[u] : train.indptr[u + 1]]) for u in found.users]
    goal = [set(test.indices[test.indptr[u] : test.indptr[u + 1]]) for u in found.users]
    ranked = [
        [item for item in np.argsort(-scores[user]).tolist() if item not in own]
        for user, own in zip(found.users, seen, strict=True)
    ]
    for k in (1, 5, 100):
        plain = [
            plain_metrics.user_values(*one, k, 30, own)
            for *one, own in zip(ranked, goal, seen, strict=True)
        ]
        for name in plain[0]:
            np.testing.assert_allclose(
                found.per_user[f"{name}@{k}"], [values[name] for values in plain], atol=1e-9
            )
        overall = plain_metrics.overall_values(ranked, goal, k, 30)
        for name, value in overall.items():
            assert found.overall[f"{name}@{k}"] == pytest.approx(value, abs=1e-9)


def test_each_user_is_ranked_once(world):
    scores, train, test = world
    model = Dense(scores)
    of(model, train, test, metrics=["recall", "ndcg"], k=[3, 9])
    [(users, length)] = model.asked
    assert len(users) == 36 and length == 10  # one more, to see ties across the cut
    of(model, train, test, k=9, ties="model")
    assert model.asked[1][1] == 9


def test_k_beyond_the_catalogue(world):
    scores, train, test = world
    model = Dense(scores)
    found = of(model, train, test, metrics=["recall", "precision", "ndcg"], k=[30, 1000])
    assert model.asked[0][1] == 30
    assert found.mean["recall@1000"] == 1
    assert found.mean["precision@1000"] == pytest.approx(found.mean["precision@30"] * 30 / 1000)
    assert found.mean["ndcg@1000"] == pytest.approx(found.mean["ndcg@30"])


def test_long_lists_are_made_for_fewer_users_at_a_time(world, monkeypatch):
    scores, train, test = world
    monkeypatch.setattr(protocol, "_PLACES", 100)
    model = Dense(scores)
    found = of(model, train, test, k=19)
    assert {(len(users), length) for users, length in model.asked} == {(5, 20), (1, 20)}
    assert found.mean == of(Dense(scores), train, test, k=19).mean


def test_one_metric_and_one_k_without_a_list(world):
    scores, train, test = world
    found = of(Dense(scores), train, test, metrics="recall", k=5)
    assert list(found.mean) == ["recall@5"]


def test_a_model_of_this_package(world):
    _, train, test = world
    model = recsys.ImplicitALS(factors=4, iterations=2, random_state=0)
    model.fit(train, show_progress=False)
    ids, _ = model.recommend(np.arange(40), N=5)
    goal = test.toarray() > 0
    hits = np.take_along_axis(goal, ids, axis=1).sum(axis=1)
    found = of(model, train, test, metrics="recall", k=5)
    expected = hits[found.users] / goal[found.users].sum(axis=1)
    np.testing.assert_allclose(found.per_user["recall@5"], expected)


def test_held_out_users_are_folded_in(world):
    _, train, test = world
    split = evaluation.user_split(train + test, 10, random_state=0)
    model = recsys.ImplicitALS(factors=4, iterations=2, random_state=0)
    model.fit(split.train, show_progress=False)
    found = of(model, split.fold_in, split.test, k=5, options={"fold_in": True})
    assert found.users.tolist() == split.users.tolist()
    ids, _ = model.recommend(split.users, split.fold_in[split.users], N=5, fold_in=True)
    hits = np.take_along_axis(split.test.toarray()[split.users] > 0, ids, axis=1)
    np.testing.assert_allclose(found.per_user["precision@5"], hits.sum(axis=1) / 5)


def test_popularity_on_gowalla(data_folder):
    stored = np.load(data_folder / "gowalla.npz")
    train, test = (
        sp.csr_matrix(
            (
                np.ones(len(stored[f"{part}_indices"]), np.float32),
                stored[f"{part}_indices"],
                stored[f"{part}_indptr"],
            ),
            shape=stored["shape"],
        )
        for part in ("train", "test")
    )
    found = of(Popular(train), train, test, metrics=["recall", "ndcg"], k=20)
    assert found.mean["recall@20"] == pytest.approx(0.0416, abs=2e-4)
    assert found.mean["ndcg@20"] == pytest.approx(0.0317, abs=2e-4)
    assert (len(found.users), found.n_without_test, found.n_unseen_items) == (29858, 0, 0)


# ---- the traps ---------------------------------------------------------------------------------


def test_the_ids_of_tied_items_do_not_decide():
    """All items tie: numbering the relevant ones first or last changes chance only."""
    train = sp.csr_matrix((2000, 10))
    model = Dense(np.zeros((2000, 10)))
    first, last = (
        sp.csr_matrix((np.ones(2000), (np.arange(2000), np.full(2000, item))), shape=(2000, 10))
        for item in (0, 9)
    )
    for test in (first, last):
        found = of(model, train, test, metrics="mrr", k=10)
        expected = (1 / np.arange(1, 11)).mean()
        assert found.mean["mrr@10"] == pytest.approx(expected, abs=0.03)
        assert found.n_cut_ties == 0
        assert of(model, train, test, k=10).mean == of(model, train, test, k=10).mean
    assert of(model, train, first, metrics="mrr", k=10, ties="model").mean["mrr@10"] == 1
    assert of(model, train, last, metrics="mrr", k=10, ties="model").mean[
        "mrr@10"
    ] == pytest.approx(0.1)


def test_whoever_ties_may_be_listed():
    """Nobody has a history, and items are numbered by time: chance is 10 of 400, at any end."""
    train = sp.csr_matrix((300, 400))
    rng = np.random.default_rng(0)
    late = sp.csr_matrix((np.ones(300), (np.arange(300), rng.integers(350, 400, 300))), (300, 400))
    for test in (late, late[:, ::-1].tocsr()):
        model = Dense(np.zeros((300, 400)))
        for ties in ("hash", "random"):
            found = of(model, train, test, metrics="recall", k=10, ties=ties)
            assert found.mean["recall@10"] == pytest.approx(10 / 400, abs=0.02)
            assert found.n_cut_ties == 300
        again = of(model, train, test, metrics="recall", k=10, random_state=9)
        hashed = of(model, train, test, metrics="recall", k=10)
        np.testing.assert_array_equal(again.per_user["recall@10"], hashed.per_user["recall@10"])
        by_place = of(model, train, test, metrics="recall", k=10, ties="model").mean["recall@10"]
        assert by_place in (0, pytest.approx(0.2, abs=0.1))


def test_ties_go_by_ids_where_there_are_such():
    """The same data in another order of rows and columns: the same lists."""
    users = [f"u{n}" for n in range(30)]
    items = [f"i{n}" for n in range(40)]
    train = Interactions.from_arrays(users + ["u0"] * 40, items[:30] + items)
    test = Interactions.from_arrays(users[1:], items[11:])
    orders = []
    for step in (1, -1):
        seen = train.aligned(train.users, Ids.of(list(train.items)[::step]))
        model = Dense(np.zeros((30, 40)))
        found = evaluate(model, seen, test, "recall", 10, show_progress=False)
        orders.append(found.per_user["recall@10"])
    np.testing.assert_array_equal(*orders)


def test_users_without_a_history():
    train = sp.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]))
    test = sp.csr_matrix(np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]))
    model = Dense(np.tile([0.0, 1, 2, 3], (4, 1)))
    assert of(model, train, test, metrics="recall", k=1).per_user["recall@1"].tolist() == [
        0,
        0,
        0,
        1,
    ]
    found = of(model, train, test, metrics="recall", k=1, unknown="popular")  # item 0
    assert found.per_user["recall@1"].tolist() == [0, 1, 0, 0] and found.n_without_history == 0
    found = of(model, train, test, metrics="recall", k=1, unknown="skip")
    assert found.users.tolist() == [0, 2] and found.to_dict()["n_without_history"] == 2
    with pytest.raises(ValueError, match="2 users with test items have no entry in train: unknown"):
        of(model, train, test, metrics="recall", k=1, unknown="error")
    with pytest.raises(
        ValueError, match="unknown word for unknown= 'x'; expected 'error' or 'skip'"
    ):
        of(model, train, test, metrics="recall", k=1, unknown="x")
    with pytest.raises(ValueError, match="so nobody is measured"):
        of(model, sp.csr_matrix((4, 4)), test, metrics="recall", k=1, unknown="skip")


def test_strangers_of_test_are_answered_as_asked():
    train = Interactions.from_arrays(["a", "a", "b"], ["p", "q", "p"])
    test = Interactions.from_arrays(["b", "x", "y", "y"], ["q", "p", "q", "new"])
    model = ItemNeighbors(k=2, weighting=None).fit(train, show_progress=False)
    options = {"metrics": "recall", "k": 1, "show_progress": False}
    assert evaluate(model, train, test, **options).users.tolist() == [1]
    found = evaluate(model, train, test, **options, unknown="popular")  # x and y get p
    assert found.users.tolist() == [1, 2, 3] and found.n_without_history == 0
    assert found.per_user["recall@1"].tolist() == [1, 1, 0]
    found = evaluate(model, train, test, **options, unknown="skip")
    assert found.users.tolist() == [1] and found.n_without_history == 2
    with pytest.raises(ValueError, match="2 users with test items have no entry in train"):
        evaluate(model, train, test, **options, unknown="error")
    with pytest.raises(IdKindError, match="users of test holds 1"):
        evaluate(model, train, Interactions.from_arrays([1], ["q"]), **options, unknown="skip")


def test_items_in_options_are_ids_where_there_are_such():
    train = Interactions.from_arrays(["a", "a", "b", "c"], ["p", "q", "p", "r"])
    test = Interactions.from_arrays(["b"], ["q"])
    model = ImplicitALS(2, random_state=0).fit(train, show_progress=False)
    options = {"metrics": "recall", "k": 1, "show_progress": False}
    for name, items, hit in (("among", ["q"], 1), ("items", ["r"], 0), ("filter_items", "q", 0)):
        found = evaluate(model, train, test, **options, options={name: items})
        assert found.mean["recall@1"] == hit
        rows = {name: np.atleast_1d(model.items.rows(items))}
        plain = model.without_ids(), train.user_items, test.aligned(model.users, model.items)
        assert of(*plain[:2], plain[2].user_items, options=rows).mean == pytest.approx(
            evaluate(model, train, test, options={name: items}, show_progress=False).mean
        )
    with pytest.raises(KeyError, match="among not known: 'z'"):
        evaluate(model, train, test, **options, options={"among": ["z"]})


def test_ties_across_the_cut_are_counted():
    scores = np.array([[3, 2, 2, 1], [3, 2, 1, 0], [1, 1, 1, 1]])
    test = sp.csr_matrix(np.eye(3, 4))
    train = sp.csr_matrix((3, 4))
    assert of(Dense(scores), train, test, k=2).n_cut_ties == 2
    assert of(Dense(scores), train, test, k=4).n_cut_ties == 0
    assert of(Dense(scores), train, test, k=2, ties="model").n_cut_ties is None


def test_shuffling_keeps_untied_places_and_the_models_order():
    model = Lists([5, 1, 2, 4, 0], [0.5, 0.7, 0.7, 0.7, 0.1])  # not sorted by score: as it is
    test = sp.csr_matrix(np.ones((200, 1)) @ np.eye(1, 6, 5))
    found = of(model, sp.csr_matrix((200, 6)), test, metrics="mrr", k=4)
    assert found.mean["mrr@4"] == 1
    test = sp.csr_matrix(np.ones((200, 1)) @ np.eye(1, 6, 4))
    values = of(model, sp.csr_matrix((200, 6)), test, metrics="mrr", k=4).per_user["mrr@4"]
    assert set(values) == {1 / 2, 1 / 3, 1 / 4}


@pytest.mark.parametrize(
    ("ids", "scores"),
    [
        ([1, -1, -1], [2.0, 1.0, 1.0]),
        ([1, 0, 3], [2.0, -np.inf, -np.inf]),
        ([1, 0, 3], [2.0, -np.finfo(np.float32).max, -np.finfo(np.float32).max]),
        ([1, 0, 0], np.array([2, -3.5e38, -3.5e38])),
    ],
)
@pytest.mark.parametrize("ties", ["random", "model"])
def test_empty_places_are_neither_hits_nor_misses(ids, scores, ties):
    test = sp.csr_matrix(np.array([[1, 1, 0, 1]]))
    train = sp.csr_matrix((1, 4))
    names = ["recall", "auc", "coverage"]
    found = of(Lists(ids, scores), train, test, metrics=names, k=3, ties=ties)
    assert found.mean["recall@3"] == pytest.approx(1 / 3)
    assert found.overall["coverage@3"] == 1 / 4
    assert found.mean["auc@3"] == pytest.approx((1 + 3) / 2 / 3)


def test_an_empty_place_among_ties_does_not_move_forward():
    test = sp.csr_matrix(np.tile([0, 1, 0], (100, 1)))
    model = Lists([1, -1, -1], [0.0, 0.0, 0.0])
    assert of(model, sp.csr_matrix((100, 3)), test, metrics="mrr", k=3).mean["mrr@3"] == 1


def test_items_in_train_and_test(world):
    scores, train, test = world
    test = test.tolil()
    user, item = 3, int(train[3].indices[0])
    test[user, item] = 1
    with pytest.raises(ValueError, match=f"1 entries are in train .* user {user}, item {item}: "):
        of(Dense(scores), train, test.tocsr())
    found = of(Dense(scores), train, test.tocsr(), metrics="recall", k=30, allow_overlap=True)
    assert found.per_user["recall@30"][found.users == user] < 1  # it cannot be listed
    assert (found.per_user["recall@30"][found.users != user] == 1).all()


def test_items_nobody_has_in_train_stay_relevant(world):
    scores, train, test = world
    train = train.tolil()
    train[:, :3] = 0
    found = of(Dense(scores), train.tocsr(), test, metrics="recall", k=30)
    assert found.n_unseen_items == np.count_nonzero(test.toarray()[:, :3].any(axis=0)) > 0
    assert found.mean["recall@30"] == 1


def test_stored_zeros(world):
    scores, train, test = world
    zero = test.copy()
    zero.data[zero.indptr[1] : zero.indptr[2]] = 0  # user 1 likes nothing any more
    found = of(Dense(scores), train, zero)
    assert 1 not in found.users and found.n_without_test == 5


def test_a_model_that_lists_what_was_seen_is_reported(world, caplog):
    _, train, test = world
    model = Lists(np.arange(5), np.arange(5.0, 0, -1))
    with caplog.at_level(logging.WARNING, "recsys"):
        of(model, train, test, k=4)
    assert "name items of their rows of train" in caplog.text


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (object(), TypeError, r"must have a method recommend\(users, user_items, N=\.\.\.\)"),
        (Lists([0, 1], [np.nan, 1.0]), ValueError, r"gives user 1 a list with .* \(place 1\)"),
        (Lists([0, 30], [2.0, 1.0]), ValueError, "names item 30; expected 0 to 29"),
        (Lists([4, 4], [2.0, 1.0]), ValueError, "names item 4 more than once"),
        (Lists([0.0, 1.0], [2.0, 1.0]), TypeError, "ids must be integers; got dtype float64"),
        (Lists([0, 1], ["a", "b"]), TypeError, "scores must be real numbers"),
        (Lists([0, 1], [1.0]), ValueError, r"ids of shape \(36, 2\) and scores of shape"),
        (Lists(np.arange(20), np.arange(20)), ValueError, r"expected \(36, 11\) for both"),
    ],
)
def test_models_that_are_wrong(model, error, message, world):
    with pytest.raises(error, match=message):
        of(model, *world[1:], k=10)


def test_a_model_that_returns_ids_only(world):
    class Ids:
        def recommend(self, users, user_items, N):
            return np.zeros((len(users), N), int)

    with pytest.raises(TypeError, match="two arrays, item ids and scores; got ndarray"):
        of(Ids(), *world[1:])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metrics": "ndgc"}, ValueError, "unknown metric 'ndgc'.*did you mean 'ndcg'"),
        ({"metrics": 10}, TypeError, "got 10. Where lists are cut is k="),
        ({"metrics": []}, ValueError, "metrics is empty"),
        ({"k": 0}, ValueError, "k must be at least 1; got 0"),
        ({"k": 2.5}, TypeError, "k must be an integer"),
        ({"k": []}, ValueError, "k is empty"),
        ({"ties": "id"}, ValueError, "unknown ties 'id'"),
        ({"random_state": "x"}, TypeError, "random_state must be"),
    ],
)
def test_wrong_arguments(options, error, message, world):
    model = Dense(world[0])
    with pytest.raises(error, match=message):
        of(model, *world[1:], **options)
    assert not model.asked


def test_matrices_that_are_wrong(world):
    scores, train, test = world
    model = Dense(scores)
    with pytest.raises(ValueError, match=r"test has shape \(30, 40\).*looks transposed"):
        of(model, train, test.T)
    with pytest.raises(TypeError, match="test must be a SciPy sparse matrix"):
        of(model, train, test.toarray())
    with pytest.raises(ValueError, match="nobody has a relevant item"):
        of(model, train, -test)
    bad = test.astype(float)
    bad.data[0] = np.nan
    with pytest.raises(ValueError, match="test holds nan at row 1"):
        of(model, train, bad)


def test_any_format_and_nothing_is_written_to(world):
    scores, train, test = world
    expected = of(Dense(scores), train, test).mean
    int64 = sp.csr_array(test)
    int64.indptr, int64.indices = int64.indptr.astype(np.int64), int64.indices.astype(np.int64)
    for matrix in (train, test):
        for array in (matrix.data, matrix.indices, matrix.indptr):
            array.flags.writeable = False
    for left, right in ((train, test), (train.tocoo(), test.tocsc()), (train.tolil(), int64)):
        assert of(Dense(scores), left, right).mean == expected


def test_it_comes_with_the_package_and_costs_nothing_before():
    code = (
        "import sys, recsys; before = 'recsys.evaluation' in sys.modules; "
        "print(before, recsys.evaluation.evaluate.__name__, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "evaluate", "False"], done.stderr
