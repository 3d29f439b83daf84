"""Models fitted with features: items and users that no entry tells of."""

import numpy as np
import pytest
from every_model import FACTORS, make, more
from scipy import sparse

from recsys import Features, ImplicitALS, Interactions, LogisticMF
from recsys.evaluation import evaluate
from recsys.models.ratings import RatingModel

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
    among = model.items.rows(list(cold.items))
    found = evaluate(model, plays, cold, "ndcg", 10, options={"among": among}, show_progress=False)
    assert found.mean["ndcg@10"] > 0.8
    nearest, _ = model.similar_items("i41", N=5)
    assert {int(each[1:]) % 4 for each in nearest} == {1}
