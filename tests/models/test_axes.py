"""Factors stay in the axes of those before, so that yesterday's items go with today's users."""

import numpy as np
import pytest
from scipy import sparse

from recsys import ExplicitALS, ImplicitALS

N_USERS, N_ITEMS = 300, 120


def plays(seed=0):
    """Users of one of six tastes, who mostly play the items of that."""
    rng = np.random.default_rng(seed)
    user_taste, item_taste = rng.integers(0, 6, N_USERS), rng.integers(0, 6, N_ITEMS)
    same = user_taste[:, np.newaxis] == item_taste
    chosen = rng.random((N_USERS, N_ITEMS)) < np.where(same, 0.5, 0.05)
    return sparse.csr_array(chosen * rng.integers(1, 9, chosen.shape).astype(np.float32))


def changed(matrix, share=0.1, seed=1):
    """`matrix` with a share of its entries gone, and as many elsewhere."""
    rng = np.random.default_rng(seed)
    dense = matrix.toarray()
    rows, columns = dense.nonzero()
    gone = rng.random(len(rows)) < share
    dense[rows[gone], columns[gone]] = 0
    places = rng.integers(0, dense.size, gone.sum())
    dense.reshape(-1)[places] = rng.integers(1, 9, len(places))
    return sparse.csr_array(dense)


def models(iterations):
    common = {"factors": 8, "iterations": iterations, "random_state": 0}
    implicit = common | {"regularization": 1.0, "alpha": 1.0}
    # of ratings, an accelerated fit goes as far in three iterations as a plain one in five
    explicit = common | {"acceleration": False, "init": "random"}
    for solver in ("cholesky", "cg"):
        for bias in (False, True):
            options = {"solver": solver, "bias": bias}
            yield pytest.param(ImplicitALS(**implicit, **options), id=f"implicit-{solver}-{bias}")
            yield pytest.param(ExplicitALS(**explicit, **options), id=f"explicit-{solver}-{bias}")


def scores(model, item_factors, item_biases):
    """Of all users, with these items."""
    table = model.user_factors @ item_factors.T
    if model.user_biases is None:
        return table
    return model.mean + model.user_biases[:, np.newaxis] + item_biases + table


def correlation(first, second):
    return np.corrcoef(first.reshape(-1), second.reshape(-1))[0, 1]


@pytest.mark.parametrize("model", list(models(15)))
def test_yesterdays_items_go_with_todays_users(model):
    model.fit(plays())
    yesterday = model.item_factors.copy(), np.copy(model.item_biases)
    model.set_params(iterations=3).fit(changed(plays()), warm_start=True)
    today = scores(model, model.item_factors, model.item_biases)
    assert correlation(scores(model, *yesterday), today) > 0.95


@pytest.mark.parametrize("model", list(models(12)))
def test_from_one_iteration_to_the_next(model):
    items = []
    model.fit(plays(), callback=lambda *_: items.append(model.item_factors.copy()))
    last = model.user_factors @ items[-1].T
    assert correlation(model.user_factors @ items[-2].T, last) > 0.99
    # and by the factors themselves: no axis is turned, swapped or mirrored
    assert correlation(items[-2], items[-1]) > 0.99
