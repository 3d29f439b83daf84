"""Weights that `ImplicitALS` finds better than the rule's on a sample."""

import logging

import numpy as np
import pytest
import scipy.sparse as sp

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


def csr(users, items, shape):
    matrix = sp.csr_array((np.ones(len(users), np.float32), (users, items)), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    matrix.indices = matrix.indices.astype(np.int32)
    return matrix


@pytest.mark.parametrize(
    ("data", "corner"),
    [
        (groups_of_items(1, 0.2), CORNERS[0]),  # tastes that are narrow: others' items say little
        (what_is_popular(), CORNERS[1]),  # nothing to tell users apart by
        (groups_of_items(4, 0.2, per_user=20), (1.0, 1.0)),
    ],
    ids=["narrow tastes", "popularity alone", "the rule"],
)
def test_a_corner_that_is_better_is_found(data, corner, caplog):
    assert tried(data, RULE, 1) == corner == tried(data, RULE, 2)
    with caplog.at_level(logging.INFO, "recsys"):
        model = ImplicitALS(4, iterations=0, random_state=1).fit(data, show_progress=False)
    rule = RULE(model._signed(data))
    w0, lambda_ = corner[0] * rule.unobserved, corner[1] * rule.regularization
    assert (model.unobserved_weight_, model.regularization_) == pytest.approx((w0, lambda_))
    assert f"regularization={lambda_:.4g}" in caplog.text
    assert ("by a trial w0 and lambda are" in caplog.text) == (corner != (1.0, 1.0))


def test_what_is_given_is_not_tried():
    data = groups_of_items(1, 0.2)
    rule = RULE(data)
    given = ImplicitALS(4, iterations=0, confidence="scaled", unobserved_weight=rule.unobserved)
    given.fit(data, show_progress=False)
    assert given.regularization_ == pytest.approx(rule.regularization)


def test_with_few_entries_it_is_the_rule():
    data = groups_of_items(1, 0.2)
    few = data[: FEWEST // 12]
    assert few.nnz < FEWEST < data.nnz
    assert tried(few, RULE, 1) == (1.0, 1.0)


@pytest.mark.parametrize("value", [-1.0, 1e30])
def test_data_without_likes_or_out_of_scale(value):
    data = groups_of_items(1, 0.2)
    data.data[:] = value
    assert tried(data, RULE, 1) in ((1.0, 1.0), *CORNERS)
