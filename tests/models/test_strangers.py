"""Users and items that a model does not know: an error, left out, or answered by popularity."""

import pickle

import every_model
import numpy as np
import pytest
from every_model import counts
from in_ids import both, interactions, item, pairs, user

from recsys import Interactions, UnknownIdError
from recsys.interactions.ids import IdKindError

HAVING = (counts().toarray() > 0).sum(axis=0)  # users of each item
POPULAR = np.lexsort((-np.arange(30), -HAVING))  # of equals the higher one first


def by_rank(allowed, N=4):
    return [number for number in POPULAR if number in allowed][:N]


@pairs()
def test_lists(name, kind):
    model, by_row = both(name, kind)
    known = by_row.recommend([4, 0], N=4)
    for asked, of, item_of in (
        (user(kind, [4, 77, 0]), model, lambda n: item(kind, n)),
        ([4, 77, 0], by_row, lambda n: n),
    ):
        for unknown in ("skip", "popular"):
            lists = of.recommend(asked, N=4, unknown=unknown)
            assert lists.unknown.tolist() == [False, True, False]
            for place, row in ((0, 0), (2, 1)):
                assert lists.ids[place].tolist() == [item_of(int(n)) for n in known[0][row]]
                np.testing.assert_array_equal(lists.scores[place], known[1][row])
            if unknown == "skip":
                assert (lists.scores[1] == -np.inf).all()
                assert 77 not in lists.to_frame("pandas").iloc[:, 0].tolist()
            else:
                assert lists.ids[1].tolist() == [item_of(int(n)) for n in by_rank(range(30))]
                assert lists.scores[1].tolist() == sorted(HAVING)[::-1][:4]
                assert (
                    lists.to_frame("pandas")["unknown"].tolist()
                    == [False] * 4 + [True] * 4 + [False] * 4
                )
            copied = pickle.loads(pickle.dumps(lists))
            assert copied.unknown.tolist() == lists.unknown.tolist()


@pytest.mark.parametrize("name", ["ImplicitALS", "ItemNeighbors"])
def test_allowed_items(name):
    model, _ = both(name, "string")
    some, out = [2, 5, 8, 20], [5, 21]
    lists = model.recommend(
        [*user("string", [9]), "eve"],
        N=4,
        items=[*item("string", some), "no such"],
        filter_items=["none", *item("string", out)],
        unknown="popular",
    )
    alone = model.recommend(
        user("string", 9), N=4, items=item("string", some), filter_items=item("string", out)
    )
    assert lists.ids[0].tolist() == alone.ids.tolist()
    assert lists.ids[1].tolist() == [*item("string", by_rank([2, 8, 20])), None]
    nothing = model.recommend("eve", N=2, items=["no such"], unknown="popular")
    assert nothing.ids.tolist() == [None, None] and nothing.unknown
    rest = model.recommend_all(2, filter_items=["none"], unknown="skip")
    assert rest.ids.tolist() == model.recommend_all(2).ids.tolist()
    with pytest.raises(UnknownIdError, match="filter_items not known: 'none'"):
        model.recommend_all(2, filter_items=["none"])


@pytest.mark.parametrize("name", ["ImplicitALS", "BPR", "ItemNeighbors"])
def test_users_without_entries_are_strangers(name):
    model, by_row = both(name, "string")
    lists = model.recommend(user("string", 3), N=4, unknown="popular")
    assert lists.ids.tolist() == item("string", by_rank(range(30))) and lists.unknown
    history = Interactions.from_arrays(["eve", "eve", "user 4"], item("string", [25, 23, 1]))
    lists = model.recommend(["eve", "bob"], history, N=4, unknown="popular", fold_in=True)
    assert lists.unknown.tolist() == [False, True]
    assert lists.ids[1].tolist() == item("string", by_rank(range(30)))
    alone = model.recommend("eve", history, N=4, fold_in=True)
    assert lists.ids[0].tolist() == alone.ids.tolist()
    seen = model.recommend(["eve", "user 4"], history, N=4, unknown="popular")
    assert seen.ids[0].tolist() == item("string", by_rank(set(range(30)) - {25, 23}))
    rows = counts()[[0, 1, 4]]
    lists = by_row.recommend([0, 99, 4], rows, N=4, unknown="popular")
    assert lists.ids[1].tolist() == by_rank(set(range(30)) - set(rows[[1]].indices))
    want = by_row.recommend([0, 4], rows[[0, 2]], N=4)[0]
    np.testing.assert_array_equal(lists.ids[[0, 2]], want)


@pytest.mark.parametrize("name", ["ImplicitALS bias", "ItemNeighbors"])
def test_similar_and_scores(name):
    model, by_row = both(name, "integer")
    wanted = [*item("integer", [4]), 777]
    lists = model.similar_items(wanted, N=3, among=item("integer", range(20)), unknown="popular")
    known = model.similar_items(item("integer", 4), N=3, among=item("integer", range(20)))
    assert lists.ids[0].tolist() == known.ids.tolist()
    assert lists.ids[1].tolist() == item("integer", by_rank(range(20), 3))
    assert (by_row.similar_items([4, 777], N=3, unknown="skip").scores[1] == -np.inf).all()
    who, what = [*user("integer", [4]), 777, 777], [*item("integer", [4, 5]), 888]
    got = model.score(who, what, unknown="popular")
    assert got[0] == by_row.score(4, 4) and got[1] == HAVING[5] and np.isnan(got[2])
    assert np.isnan(model.score(777, what[:2], unknown="skip")).all()
    if hasattr(model, "similar_users"):
        lists = model.similar_users([777, *user("integer", [2])], N=2, unknown="skip")
        assert lists.unknown.tolist() == [True, False] and (lists.ids[0] == -1).all()


def test_another_kind_of_id_is_an_error_whatever_is_unknown():
    model, by_row = both("ExplicitALS", "integer")
    for call in (
        lambda who: model.predict(who, 3),
        lambda who: model.recommend(who),
        lambda who: model.recommend(who, unknown="skip"),
        lambda who: model.score(who, 3, unknown="popular"),
        lambda who: model.similar_users(who),
    ):
        for who in ("7", [7.0], np.array([7.0])):
            with pytest.raises(IdKindError, match=r"users holds .*, of another kind.*mean 7\?"):
                call(who)
    with pytest.raises(IdKindError, match=r"items holds '3' \(str\)"):
        model.predict(7, "3")
    np.testing.assert_array_equal(model.predict([np.array(7), np.int32(8)], 3), model.predict(
        [7, 8], 3))  # fmt: skip
    with pytest.raises(TypeError, match="users must be a row number"):
        by_row.predict("7", 3)


def test_bad_words():
    model, by_row = both("ImplicitALS", "string")
    for call in (
        lambda: model.recommend("x", unknown="ignore"),
        lambda: model.similar_items("x", unknown="ignore"),
        lambda: model.score("x", "y", unknown="ignore"),
        lambda: model.similar_users("x", unknown="popular"),
        lambda: model.recommend_all(unknown="popular"),
    ):
        with pytest.raises(
            ValueError,
            match=r"unknown word for unknown= '(ignore|popular)'; expected 'error' or 'skip'",
        ):
            call()
    with pytest.raises(IndexError, match="expected at least 0"):
        by_row.recommend([-1], unknown="skip")
    with pytest.raises(ValueError, match="pass it, one row a user"):
        by_row.recommend([1], fold_in=True, unknown="skip")
    nobody = by_row.recommend([], counts(), fold_in=True)
    assert nobody[0].shape == (0, 10)
    with pytest.raises(IndexError, match="among not known to the model: 99"):
        by_row.similar_items(3, among=[99])
    with pytest.raises(IndexError, match="among not known to the model: 99"):
        every_model.trained("ItemNeighbors").similar_items(3, among=[99])
    assert interactions("string").users == model.users


@pytest.mark.parametrize("name", ["ImplicitALS", "BPR", "ItemNeighbors"])
def test_newcomers_without_entries_are_told_of(name, caplog):
    model, _ = both(name, "string")
    some = model.items.take(np.arange(2)).tolist()
    newcomers = Interactions.from_arrays(["x", "x", "y"], [*some, "no such"], np.ones(3))
    with caplog.at_level("WARNING", logger="recsys"):
        model.recommend(["x"], newcomers, N=4, fold_in=True)
        assert "tell nothing of them" not in caplog.text
        model.recommend(["x", "y"], newcomers, N=4, fold_in=True)
    assert "1 of 2 users have no entries of items that the model knows" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING", logger="recsys"):
        lists = model.recommend(["x", "y"], newcomers, N=4, fold_in=True, unknown="popular")
    assert lists.unknown.tolist() == [False, True] and "tell nothing" not in caplog.text
