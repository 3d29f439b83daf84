"""implicit.als: factors learned today go with those of yesterday."""

import numpy as np
import pytest
from scipy import sparse

from recsys.compat.implicit.als import AlternatingLeastSquares


def fitted(counts, **options):
    model = AlternatingLeastSquares(16, 5.0, 10.0, random_state=23, **options)
    model.fit(counts, show_progress=False)
    return model


@pytest.fixture
def two_days():
    """Counts of 300 users in six tastes, and the same with a tenth of the entries other ones."""
    rng = np.random.default_rng(0)
    taste = rng.random((300, 6)) ** 4 @ rng.random((6, 200)) ** 4
    taste *= 2 / taste.mean()
    before, fresh = (rng.poisson(taste) * (rng.random(taste.shape) < p) for p in (0.6, 0.06))
    today = np.where(rng.random(taste.shape) < 0.1, 0, before) + fresh
    return sparse.csr_matrix(before), sparse.csr_matrix(today)


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.parametrize("assigned", [True, False])
@pytest.mark.parametrize("use_cg", [True, False])
def test_a_fit_goes_on_in_the_axes_it_has(two_days, use_cg, assigned):
    """Yesterday's item factors, which some server still has, go with today's user factors."""
    before, today = two_days
    first = fitted(before, use_cg=use_cg)
    yesterdays = first.item_factors.copy()
    model = AlternatingLeastSquares(16, 5.0, 10.0, use_cg=use_cg) if assigned else first
    if assigned:
        model.user_factors, model.item_factors = first.user_factors.copy(), yesterdays.copy()
    model.iterations = 3
    model.fit(today, show_progress=False)
    scores = model.user_factors @ model.item_factors.T
    assert correlation(model.user_factors @ yesterdays.T, scores) > 0.95


def test_single_rows_are_learned_in_the_axes_of_the_others(two_days):
    before, today = two_days
    model = fitted(before)
    yesterdays = model.user_factors @ model.item_factors.T
    users, items = model.user_factors.copy(), model.item_factors.copy()
    assert correlation(model.recalculate_user(np.arange(300), today) @ items.T, yesterdays) > 0.95
    item_users = today.T.tocsr()
    again = model.recalculate_item(np.arange(200), item_users)
    assert correlation(users @ again.T, yesterdays) > 0.95
    model.partial_fit_users(np.arange(0, 300, 2), today[::2])
    model.partial_fit_items(np.arange(0, 200, 2), item_users[::2])
    assert correlation(model.user_factors @ items.T, yesterdays) > 0.95
    assert correlation(users @ model.item_factors.T, yesterdays) > 0.95
