"""Weights that `ImplicitALS` finds better than the rule's on a sample."""

import copy
import logging

import numpy as np
import pytest
import scipy.sparse as sp

import recsys
from recsys import ImplicitALS
from recsys.models.trial import CORNERS, FEWEST, tried
from recsys.models.weights import Parameters

RULE = Parameters(None, None, None).by_data


def groups_of_items(n_tastes, noise, per_user=12, seed=0):
    """Users who like items of so many groups of 20, out of 150, and some from anywhere."""
    random = np.random.default_rng(seed)
    users = np.repeat(np.arange(1500), per_user)
    tastes = np.argsort(random.random((1500, 150)), axis=1)[:, :n_tastes]
    group = tastes[users, random.integers(n_tastes, size=len(users))]
    items = 20 * group + random.integers(20, size=len(users))
    items = np.where(
        random.random(len(users)) < noise, random.integers(3000, size=len(users)), items
    )
    return csr(users, items, (1500, 3000))


def what_is_popular(seed=0):
    """Users whose likes are drawn from one distribution for all."""
    random = np.random.default_rng(seed)
    popularity = random.dirichlet(np.full(600, 0.3))
    return csr(*np.nonzero(random.random((2000, 600)) < 12 * popularity), (2000, 600))


def one_for_all(seed=0):
    """Users of tastes, one in three of whom likes item 3000 too, and many who like that alone."""
    tastes = groups_of_items(4, 0.2, per_user=8)
    users, liked = np.repeat(np.arange(1500), np.diff(tastes.indptr)), tastes.indices
    random = np.random.default_rng(seed)
    fans = np.flatnonzero(random.random(1500) < 0.3)
    others = 1500 + np.arange(3000)
    others_too = others[:600], random.integers(3000, size=600)
    users = np.concatenate([users, fans, others, others_too[0]])
    items = np.concatenate([liked, np.full(len(fans) + 3000, 3000), others_too[1]])
    return csr(users, items, (4500, 3001))


def csr(users, items, shape):
    matrix = sp.csr_array((np.ones(len(users), np.float32), (users, items)), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    matrix.indices = matrix.indices.astype(np.int32)
    return matrix


@pytest.mark.parametrize(
    ("data", "corner", "bias"),
    [
        (groups_of_items(1, 0.2), CORNERS[0], False),  # narrow tastes: others' items say little
        (what_is_popular(), CORNERS[1], False),  # nothing to tell users apart by
        (groups_of_items(4, 0.2, per_user=20), (1.0, 1.0), False),
        (one_for_all(), CORNERS[1], True),  # what is in common has little else
    ],
    ids=["narrow tastes", "popularity alone", "the rule", "biases"],
)
def test_what_is_better_is_found(data, corner, bias, caplog):
    assert tried(data, RULE, None, 1) == (corner, bias) == tried(data, RULE, None, 2)
    with caplog.at_level(logging.INFO, "recsys"):
        model = ImplicitALS(4, iterations=0, random_state=1).fit(data, show_progress=False)
    rule = RULE(model._signed(data))
    w0, lambda_ = corner[0] * rule.unobserved, corner[1] * rule.regularization
    assert (model.unobserved_weight_, model.regularization_) == pytest.approx((w0, lambda_))
    assert f"regularization={lambda_:.4g}" in caplog.text
    assert ("w0 and lambda are" in caplog.text) == (corner != (1.0, 1.0))
    assert ("it learns biases" in caplog.text) == bias
    assert (model.user_biases is not None) == (model.item_biases is not None) == bias
    assert model.bias_ is bias


def test_biases_are_kept_later_and_in_files(tmp_path, caplog):
    data = one_for_all()
    model = ImplicitALS(4, iterations=1, random_state=0).fit(data, show_progress=False)
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert loaded.bias is None and loaded.item_biases is not None
    day = sp.csr_array(([1.0], ([1], [2])), data.shape)
    for each in (model, loaded):
        each.fit(data, warm_start=True, show_progress=False)
        each.partial_fit(day)
        np.testing.assert_array_equal(each.item_biases, model.item_biases)
    plain = ImplicitALS(4, iterations=1, bias=False, random_state=0)
    plain.fit(data, show_progress=False)
    assert plain.item_biases is None
    going_on = copy.deepcopy(plain).set_params(bias=None)
    with caplog.at_level(logging.INFO, "recsys"):
        assert going_on.fit(data, warm_start=True, show_progress=False).item_biases is None
    assert "goes on without biases" in caplog.text
    assert going_on.fit(data, show_progress=False).item_biases is not None
    assert model.fit(data[:50], show_progress=False).item_biases is None  # too few to tell


def test_what_is_given_is_not_tried():
    data = groups_of_items(1, 0.2)
    rule = RULE(data)
    given = ImplicitALS(4, iterations=0, confidence="scaled", unobserved_weight=rule.unobserved)
    given.fit(data, show_progress=False)
    assert given.regularization_ == pytest.approx(rule.regularization)
    assert given.item_biases is None


def test_biases_are_tried_where_a_weight_is_given():
    for given in ({"unobserved_weight": 0.1}, {"regularization_exponent": 1.0}):
        model = ImplicitALS(4, iterations=0, **given).fit(one_for_all(), show_progress=False)
        assert model.item_biases is not None
    plain = ImplicitALS(4, iterations=0, regularization=1.0).fit(one_for_all(), show_progress=False)
    assert plain.item_biases is None


def test_with_few_entries_it_is_the_rule():
    data = groups_of_items(1, 0.2)
    few = data[: FEWEST // 12]
    assert few.nnz < FEWEST < data.nnz
    assert tried(few, RULE, None, 1) == ((1.0, 1.0), False)
    assert tried(few, RULE, True, 1) == ((1.0, 1.0), True)


@pytest.mark.parametrize("value", [-1.0, 1e30])
def test_data_without_likes_or_out_of_scale(value):
    data = groups_of_items(1, 0.2)
    data.data[:] = value
    corner, bias = tried(data, RULE, None, 1)
    assert corner in ((1.0, 1.0), *CORNERS) and not bias
