"""Users for items, and why an item is listed."""

import numpy as np
import pytest
from every_model import FACTORS, counts, trained
from in_ids import assert_lists, both, item, pairs, user
from scipy import sparse

from recsys import BPR, LogisticMF, UnknownIdError

TABLE = counts().toarray()


@pytest.mark.parametrize("name", FACTORS)
def test_users_of_items(name):
    model = trained(name)
    scores = model.score(np.arange(40)[:, None], np.arange(30))
    for options, allowed in (
        ({}, lambda i: TABLE[:, i] == 0),
        ({"filter_seen": False}, lambda i: np.ones(40, bool)),
        ({"users": [2, 3, 9, 30], "filter_users": [9]}, lambda i: (TABLE[:, i] == 0) & np.isin(
            np.arange(40), [2, 3, 30])),
    ):  # fmt: skip
        ids, found = model.recommend_users([4, 7, 0], N=5, **options)
        for row, column in enumerate([4, 7, 0]):
            users = np.flatnonzero(allowed(column))
            want = users[np.argsort(-scores[users, column], kind="stable")][:5]
            got = ids[row][ids[row] >= 0]
            assert len(got) == len(want) and len(set(got)) == len(got)
            np.testing.assert_allclose(found[row][: len(want)], scores[want, column], atol=1e-5)
            np.testing.assert_allclose(scores[got, column], scores[want, column], atol=1e-5)
    alone = model.recommend_users(4, N=5)
    np.testing.assert_array_equal(alone[1], model.recommend_users([7, 4], N=5)[1][1])


@pairs("recommend_users")
def test_users_of_items_by_id(name, kind):
    model, by_row = both(name, kind)
    got = model.recommend_users(item(kind, [4, 0]), N=3, users=user(kind, range(20)))
    assert_lists(got, by_row.recommend_users([4, 0], N=3, users=np.arange(20)), model.users)
    assert list(got.to_frame("pandas").columns) == ["item", "user", "rank", "score"]


def test_users_of_unknown_items():
    model, by_row = both("ImplicitALS", "string")
    with pytest.raises(UnknownIdError, match="items not known: 'x'"):
        model.recommend_users("x")
    lists = model.recommend_users(["x", *item("string", [4])], N=3, unknown="skip")
    assert lists.unknown.tolist() == [True, False] and lists.ids[0].tolist() == [None] * 3
    assert lists.ids[1].tolist() == model.recommend_users(item("string", 4), N=3).ids.tolist()
    with pytest.raises(ValueError, match="N must be at most 1000"):
        by_row.recommend_users(3, N=1001)
    with pytest.raises(IndexError, match="items not known to the model: 30"):
        by_row.recommend_users(30)
    with pytest.raises(IndexError, match="users not known to the model: 99"):
        by_row.recommend_users(3, users=[99])


# ---- why ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [BPR, LogisticMF])
@pytest.mark.parametrize("factors", [3, 12])  # fewer and more than what users like
def test_explain(model_class, factors):
    model = model_class(factors, random_state=0, dtype=np.float64).fit(
        counts(), show_progress=False
    )
    for u, i, given in ((4, 2, None), (9, 7, None), (4, 2, counts()[[4]]), (3, 1, None)):
        x = model.user_factors[u]
        bias = 0 if model.user_biases is None else model.user_biases[u]
        if given is not None:
            folded = model.fold_in(given)
            x, bias = (folded[0][0], folded[1][0]) if isinstance(folded, tuple) else (folded[0], 0)
        liked = np.flatnonzero(TABLE[u] > 0)
        y = model.item_factors[liked]
        a = y @ np.linalg.pinv(y.T @ y) @ x if len(liked) else np.zeros(0)
        parts = a * (y @ model.item_factors[i])
        score, ids, contributions = model.explain(u, i, N=50, user_items=given)
        assert score == pytest.approx(x @ model.item_factors[i] + bias + model.item_biases[i])
        assert set(ids) == set(liked)
        np.testing.assert_allclose(contributions, -np.sort(-parts), atol=1e-8)
        rest = (x - a @ y) @ model.item_factors[i]
        total = contributions.sum() + rest + bias + model.item_biases[i]
        assert total == pytest.approx(score, abs=1e-9)
        if len(liked) >= factors:
            assert abs(rest) < 1e-6
    assert len(model.explain(4, 2, N=2)[1]) == 2
    with pytest.raises(IndexError, match="item not known"):
        model.explain(4, 30)


@pytest.mark.parametrize("name", ["BPR", "LogisticMF"])
def test_explain_by_id(name):
    model, by_row = both(name, "string")
    got, want = model.explain("user 4", "ítem 2", N=3), by_row.explain(4, 2, N=3)
    assert got[0] == want[0] and got[1].tolist() == item("string", want[1])
    row = sparse.csr_array(([1.0], ([0], [5])), shape=(1, 30))
    assert by_row.explain(999, 2, user_items=row)[1].tolist() == [5]
