"""What every model is asked and answers in ids is what the same model fitted on the matrix is asked
and answers in row numbers."""

import numpy as np
import pytest
from every_model import counts, learned
from in_ids import (
    USERS,
    assert_lists,
    both,
    interactions,
    item,
    newcomers,
    pairs,
    their_matrix,
    user,
)
from scipy import sparse

from recsys import Interactions, UnknownIdError

# ---- fit ---------------------------------------------------------------------------------------


@pairs()
def test_fit_learns_the_same(name, kind):
    model, by_row = both(name, kind)
    assert learned(model) == learned(by_row)
    assert (model.users.kind, model.items.kind) == (kind, kind)
    assert list(model.users) == user(kind, USERS) and len(model.items) == 30
    assert by_row.users is None and by_row.items is None
    own = model.without_ids()
    assert own.users is None and learned(own) == learned(model)
    for mine, its in zip(own.recommend(USERS), by_row.recommend(USERS), strict=True):
        np.testing.assert_array_equal(mine, its)
    model.fit(counts(), show_progress=False)  # what it is fitted on last counts
    assert model.users is None and type(model.recommend(0)) is tuple


# ---- lists -------------------------------------------------------------------------------------


@pairs()
def test_recommend(name, kind):
    model, by_row = both(name, kind)
    for who in (5, [5], [3, 39, 5], []):
        assert_lists(model.recommend(user(kind, who)), by_row.recommend(who), model.items)
    got = model.recommend(user(kind, [4, 9]), N=29, items=item(kind, [1, 2, 3, 4]))
    assert_lists(got, by_row.recommend([4, 9], N=29, items=[1, 2, 3, 4]), model.items)
    out = {"filter_items": item(kind, [6, 7]), "filter_seen": False}
    got = model.recommend(users=user(kind, USERS), N=5, **out)
    out["filter_items"] = [6, 7]
    assert_lists(got, by_row.recommend(USERS, N=5, **out), model.items)


@pairs()
def test_recommend_all(name, kind):
    model, by_row = both(name, kind)
    out = {"N": 4, "show_progress": False}
    got = model.recommend_all(**out, filter_items=item(kind, 2))
    assert_lists(got, by_row.recommend_all(**out, filter_items=2), model.items)
    assert got.to_frame("pandas")["user"].drop_duplicates().tolist() == [
        each
        for each in model.users
        if (model.recommend([each], filter_items=item(kind, 2), N=4)[1] > -np.inf).any()
    ]


@pytest.mark.parametrize("numbered", ["string", "integer"])
def test_recommend_all_to_a_file(numbered, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    model, _ = both("ItemNeighbors", numbered)
    model.recommend_all(N=4, path=tmp_path / "lists", show_progress=False)
    ids, scores = model.recommend_all(N=4, show_progress=False)
    table = parquet.read_table(tmp_path / "lists").to_pydict()
    assert table["user"] == list(model.users)
    kept = [row[own > -np.inf].tolist() for row, own in zip(ids, scores, strict=True)]
    assert table["items"] == kept and [] in kept


def test_recommend_all_of_objects_to_a_file(tmp_path):
    pytest.importorskip("pyarrow")
    model, _ = both("ItemNeighbors", "object")
    with pytest.raises(TypeError, match="ids of type tuple cannot be written"):
        model.recommend_all(path=tmp_path / "lists")
    assert not list(tmp_path.iterdir())


@pairs("similar_items")
def test_similar(name, kind):
    model, by_row = both(name, kind)
    for what in (2, [2, 7]):
        assert_lists(model.similar_items(item(kind, what)), by_row.similar_items(what), model.items)
    some = {"among": item(kind, [1, 2, 9]), "filter_items": item(kind, 9)}
    got = model.similar_items(item(kind, [2, 9]), N=3, **some)
    rows = by_row.similar_items([2, 9], N=3, among=[1, 2, 9], filter_items=9)
    assert_lists(got, rows, model.items)
    if hasattr(model, "similar_users"):
        got = model.similar_users(user(kind, [3, 8]), among=user(kind, [8, 9]), N=3)
        assert_lists(got, by_row.similar_users([3, 8], among=[8, 9], N=3), model.users)
        got = model.similar_users(user(kind, 3), filter_users=user(kind, [8, 9]))
        assert_lists(got, by_row.similar_users(3, filter_users=[8, 9]), model.users)


@pairs()
def test_lists_for_other_entries(name, kind, caplog):
    model, by_row = both(name, kind)
    other = counts(seed=5)
    own = interactions(kind, other)
    who = [9, 2, 33]
    want = by_row.recommend(who, other, N=6)
    assert_lists(model.recommend(user(kind, who), own, N=6), want, model.items)
    turned = Interactions.from_frame(own.to_frame("pandas")[::-1], value="count")
    assert_lists(model.recommend(user(kind, who), turned, N=6), want, model.items)
    assert_lists(model.recommend(user(kind, who), other, N=6), want, model.items)
    assert_lists(model.recommend(user(kind, who), other[who], N=6), want, model.items)
    want = by_row.recommend(who, other, N=6, fold_in=True)
    for given in (turned, other):
        got = model.recommend(user(kind, who), given, N=6, fold_in=True)
        np.testing.assert_allclose(got[1], want[1], rtol=2e-5, atol=2e-6)
    assert not caplog.messages


@pairs()
def test_lists_of_newcomers(name, kind, caplog):
    model, by_row = both(name, kind)
    new, matrix = newcomers(kind), their_matrix()
    want = by_row.recommend([0, 1, 2], matrix, N=6, fold_in=True)
    assert_lists(model.recommend(new.users, new, N=6, fold_in=True), want, model.items)
    assert caplog.messages == [
        "user_items: 1 of 6 entries are of unknown users or items, and left out"
    ]
    got = model.recommend(user(kind, [52, 50]), new, N=6, fold_in=True)
    assert_lists(got, tuple(part[[2, 0]] for part in want), model.items)
    got = model.recommend(user(kind, 51), matrix[[1]], N=6, fold_in=True)
    assert_lists(got, tuple(part[1] for part in want), model.items)
    with pytest.raises(UnknownIdError, match="users not known"):
        model.recommend(user(kind, [0, 50]), new, fold_in=True)
    stranger = Interactions.from_arrays(["eve"], ["nothing known"])
    with pytest.raises(
        UnknownIdError, match=r"items not known: 'nothing known'|items holds 'nothing known'"
    ):
        model.recommend("eve", stranger, fold_in=True)
    once = model.recommend((each for each in new.users), new, N=6, fold_in=True)
    assert_lists(once, want, model.items)
    assert len(once.to_frame("pandas")) == (want[0] >= 0).sum()


# ---- scores ------------------------------------------------------------------------------------


@pairs()
def test_score(name, kind):
    model, by_row = both(name, kind)
    assert model.score(user(kind, 4), item(kind, 11)) == by_row.score(4, 11)
    got = model.score(user(kind, [1, 2]), item(kind, [3, 4]))
    np.testing.assert_array_equal(got, by_row.score([1, 2], [3, 4]))
    if kind != "object":
        table = model.score(np.array(user(kind, USERS))[:, np.newaxis], item(kind, [3, 4]))
        np.testing.assert_array_equal(table, by_row.score(USERS[:, np.newaxis], [3, 4]))


@pairs("explain")
def test_explain(name, kind):
    model, by_row = both(name, kind)

    def assert_same(got, rows):
        assert (
            got[0] == pytest.approx(rows[0])
            and got[1].tolist() == model.items.take(rows[1]).tolist()
        )
        np.testing.assert_allclose(got[2], rows[2])

    assert_same(model.explain(user(kind, 4), item(kind, 11)), by_row.explain(4, 11))
    new, matrix = newcomers(kind), their_matrix()
    got = model.explain(user(kind, 52), item(kind, 20), user_items=new)
    assert_same(got, by_row.explain(0, 20, user_items=matrix[[2]]))
    got = model.explain("nobody", item(kind, 20), user_items=matrix[[2]])
    assert_same(got, by_row.explain(0, 20, user_items=matrix[[2]]))
    other = counts(seed=5)
    got = model.explain(user(kind, 6), item(kind, 20), user_items=other)
    assert_same(got, by_row.explain(6, 20, user_items=other))


@pairs("predict")
def test_ratings(name, kind):
    model, by_row = both(name, kind)
    got = model.predict(user(kind, [4, 50]), item(kind, [11, 11]), clip=True)
    np.testing.assert_array_equal(got, by_row.predict([4, 50], [11, 11], clip=True))
    other = counts(45, 33, seed=8)  # more users and items than the model has
    want = by_row.rmse(other)
    assert model.rmse(interactions(kind, other)) == pytest.approx(want)
    assert model.rmse(interactions(kind)) == by_row.rmse(counts()) == model.rmse(counts())


@pairs("objective")
def test_objective(name, kind):
    model, by_row = both(name, kind)
    assert model.objective(interactions(kind)) == by_row.objective(counts())


# ---- learning single users and items -----------------------------------------------------------


@pairs("fold_in")
def test_fold_in(name, kind):
    model, by_row = both(name, kind)
    got, want = model.fold_in(newcomers(kind)), by_row.fold_in(their_matrix())
    for mine, its in zip(_parts(got), _parts(want), strict=True):
        np.testing.assert_array_equal(mine, its)


@pairs("partial_fit_users")  # of others by features alone
def test_fold_in_items(name, kind):
    model, by_row = both(name, kind)
    new = Interactions.from_arrays(user(kind, [7, 2, 9]), item(kind, [60, 60, 61]), [2, 3, 1])
    rows = sparse.csr_array(([2.0, 3, 1], ([0, 0, 1], [7, 2, 9])), shape=(2, 40))
    for mine, its in zip(
        *map(_parts, (model.fold_in_items(new), by_row.fold_in_items(rows))), strict=True
    ):
        np.testing.assert_array_equal(mine, its)


def _parts(found):
    return found if isinstance(found, tuple) else (found,)


@pairs("partial_fit_users")
def test_partial_fit(name, kind):
    model, by_row = both(name, kind)
    before = model.users
    model.partial_fit_users(user(kind, [52, 50, 51]), newcomers(kind))
    by_row.partial_fit_users([40, 41, 42], their_matrix()[[2, 0, 1]])
    assert list(model.users) == list(before) + user(kind, [52, 50, 51])
    model.partial_fit_users(user(kind, [4, 53]), events=their_matrix()[[0, 1]])
    by_row.partial_fit_users([4, 43], events=their_matrix()[[0, 1]])
    new = Interactions.from_arrays(user(kind, [7, 50, 9]), item(kind, [60, 60, 3]), [2, 3, 1])
    model.partial_fit_items(new.items, rows=new)
    rows = sparse.csr_array(([2.0, 3, 1], ([0, 0, 1], [7, 41, 9])), shape=(2, 44))
    by_row.partial_fit_items([30, 3], rows=rows)
    assert learned(model) == learned(by_row)
    assert model.items[30] == item(kind, 60)
    who = [7, 41, 43]
    got = model.recommend([model.users[row] for row in who], N=31)
    assert_lists(got, by_row.recommend(who, N=31), model.items)
    assert len(before) == 40  # ids are never changed


def test_partial_fit_of_what_cannot_be():
    model, _ = both("ImplicitALS", "string")
    before, matrix = learned(model), their_matrix()
    for who, given, error, message in (
        (["a", "a"], matrix[:2], ValueError, "the id 'a' comes twice"),
        ([1, 2], matrix[:2], TypeError, r"users holds 1 \(int\), of another kind.*strings"),
        (["a"], matrix[:2], ValueError, "expected one row for each of the 1 users"),
        (["a"], newcomers("string"), UnknownIdError, "users not known: 'a'"),
    ):
        with pytest.raises(error, match=message):
            model.partial_fit_users(who, given)
    assert learned(model) == before and len(model.users) == 40
