"""implicit.approximate_als and implicit.ann."""

import importlib

import numpy as np
import pytest
from cases import stripes

from recsys.compat import implicit

KINDS = {"NMSLib": "usearch", "Annoy": "usearch", "Faiss": "faiss"}


@pytest.mark.parametrize("kind", KINDS)
def test_lists(kind):
    pytest.importorskip(KINDS[kind], reason=f"{KINDS[kind]} is not installed")
    make = getattr(implicit.approximate_als, f"{kind}AlternatingLeastSquares")
    model = make(factors=16, regularization=0, random_state=23)
    likes = stripes(60)
    model.fit(likes, show_progress=False)
    users = np.arange(60)
    ids, scores = model.recommend(users, likes, N=1)
    np.testing.assert_array_equal(ids[:, 0], users)
    one, its_scores = model.recommend(7, likes[7], N=1)
    assert one[0] == 7 and its_scores[0] == pytest.approx(scores[7, 0], rel=1e-5)
    assert 7 not in model.recommend(7, likes[7], N=1, filter_items=[7])[0]
    assert set(model.recommend(0, likes[0], items=[1, 2, 3], N=9)[0]) == {1, 2, 3}
    similar = model.similar_items(users, N=10)[0]
    assert (similar % 2 == users[:, np.newaxis] % 2).all()
    assert model.similar_users(3)[0][0] == 3
    assert model.user_factors.shape == (60, 16) and model.factors == 16
    with pytest.raises(ValueError, match="user_items needs to be a CSR"):
        model.recommend(0, likes.tocsc())
    with pytest.raises(NotImplementedError, match=r"save the \.model"):
        model.save("nowhere")
    exact = make(factors=16, approximate_recommend=False, approximate_similar_items=False)
    exact.fit(likes, show_progress=False)
    assert exact.recommend(0, likes[0], N=3)[0].shape == (3,)


def test_around_a_trained_model():
    pytest.importorskip("faiss", reason="faiss is not installed")
    from recsys.compat.implicit.ann.faiss import FaissModel

    model = implicit.als.AlternatingLeastSquares(factors=8, random_state=0)
    model.fit(stripes(30), show_progress=False)
    index = FaissModel(model)
    want = model.recommend(3, stripes(30)[3], N=4)
    np.testing.assert_allclose(index.recommend(3, stripes(30)[3], N=4)[1], want[1], rtol=1e-5)


@pytest.fixture(params=["Annoy", "Faiss"])
def wrap(request):
    pytest.importorskip(KINDS[request.param], reason=f"{KINDS[request.param]} is not installed")
    module = importlib.import_module(f"recsys.compat.implicit.ann.{request.param.lower()}")
    return getattr(module, f"{request.param}Model")


def test_any_n(wrap):
    likes = stripes(60)
    model = implicit.als.AlternatingLeastSquares(factors=8, random_state=0)
    model.fit(likes, show_progress=False)
    index = wrap(model)
    users = np.arange(60)[::-1]  # in another order than the model's, and as many
    for n in (59, 60, 61, 1001, 3000):
        ids, scores = index.recommend(users, likes[users], N=n)
        assert ids.shape == scores.shape == (60, n)
        for row, user in ((0, 59), (59, 0), (40, 19)):
            left = set(range(60)) - set(likes[user].indices)
            assert set(ids[row, : len(left)]) == left
            assert (scores[row, len(left) :] == -np.finfo(np.float32).max).all()
        one, its_scores = index.recommend(19, likes[19], N=n)
        np.testing.assert_allclose(its_scores, scores[40], rtol=1e-5)
        assert one.shape == (n,) and (ids[:, 60:] == -1).all()
        ids, scores = index.similar_items(users, N=n)
        assert ids.shape == (60, n) and (ids[:, 60:] == -1).all()


def test_around_any_model(wrap):
    likes = stripes(60)
    for model in (
        implicit.bpr.BayesianPersonalizedRanking(8, iterations=50, random_state=0),
        implicit.lmf.LogisticMatrixFactorization(8, iterations=5, random_state=0),
    ):
        index = wrap(model)
        index.fit(likes, show_progress=False)
        for users in ([3], np.arange(40)):
            scores = index.recommend(users, likes[users], N=4)[1]
            wanted = model.recommend(users, likes[users], N=4)[1]
            np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-6)
        wanted = model.similar_items([3, 4], N=4)[1]
        np.testing.assert_allclose(index.similar_items([3, 4], N=4)[1], wanted, rtol=1e-4)


def test_what_was_changed_after_the_index_was_built(wrap):
    likes = stripes(60)
    model = implicit.als.AlternatingLeastSquares(factors=8, random_state=0)
    index = wrap(model)
    index.fit(likes, show_progress=False)
    model.partial_fit_users([2, 60], likes[[3, 5]])
    assert index.recommend([2, 60], likes[[3, 5]], N=1)[0].tolist() == [[3], [5]]
    wide = likes[:3].copy()
    wide.resize((3, 99))
    users = [0, 1, 2]
    np.testing.assert_array_equal(
        index.recommend(users, wide)[0], index.recommend(users, likes[users])[0]
    )
    index.approximate_recommend = index.approximate_similar_items = False
    for mine, its in (
        (index.recommend, model.recommend),
        (index.similar_items, model.similar_items),
    ):
        options = (likes[users],) if mine == index.recommend else ()
        np.testing.assert_array_equal(mine(users, *options)[0], its(users, *options)[0])
