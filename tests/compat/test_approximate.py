"""implicit.approximate_als and implicit.ann."""

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
