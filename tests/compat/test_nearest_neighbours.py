"""implicit.nearest_neighbours by its contract, and beside implicit where it is installed."""

import pickle
import warnings

import numpy as np
import pytest
from cases import stripes
from scipy import sparse

from recsys.compat.implicit import nearest_neighbours as ours
from recsys.compat.implicit.utils import ParameterWarning

KINDS = ["ItemItemRecommender", "CosineRecommender", "TFIDFRecommender", "BM25Recommender"]


def make(module, kind, K=50):
    return getattr(module, kind)(K=K)


@pytest.fixture
def counts():
    matrix = sparse.random(60, 40, 0.2, "csr", random_state=0)
    matrix.data = np.ceil(9 * matrix.data)
    return matrix


@pytest.fixture
def theirs():
    pytest.importorskip("implicit", reason="implicit is not installed: pip install implicit")
    import implicit.nearest_neighbours

    return implicit.nearest_neighbours


@pytest.mark.parametrize("kind", KINDS)
def test_recommend(kind):
    likes = stripes(50)
    model = make(ours, kind)
    model.fit(likes, show_progress=False)
    users = np.arange(50)
    ids, scores = model.recommend(users, likes, N=1)
    np.testing.assert_array_equal(ids[:, 0], users)
    assert ids.dtype == np.int32 and scores.dtype == np.float64
    for user in (0, 31):
        one, its_scores = model.recommend(user, likes[user], N=1)
        assert one[0] == user and its_scores[0] == scores[user, 0]
    assert 0 not in model.recommend(0, likes[0], N=1, filter_items=[0])[0]
    assert len(model.recommend(0, likes[0], N=1000, filter_already_liked_items=False)[0]) == 25
    some = [1, 2, 3, 4, 5, 6]
    found = model.recommend(0, likes[0], items=some, N=20, filter_already_liked_items=False)[0]
    assert sorted(found) == some and set(found[:3]) == {2, 4, 6}
    with pytest.raises(IndexError):
        model.recommend(0, likes[0], items=[3, 50])
    for similar in (model.similar_items(np.arange(50), N=10)[0], model.similar_items(4)[0][None]):
        assert (similar % 2 == similar[:, :1] % 2).all()
    assert (model.similar_items([0, 1], filter_items=np.arange(10))[0] >= 10).all()
    with pytest.raises(NotImplementedError):
        model.similar_users(0)
    with pytest.raises(NotImplementedError, match="items isn't supported"):
        model.similar_items(np.arange(50), items=np.arange(10))
    with pytest.raises(NotImplementedError, match="callback isn't support"):
        model.fit(likes, callback=print)
    with pytest.raises(ValueError, match="user_items needs to be a CSR sparse matrix"):
        model.recommend(0, likes.tocsc())
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).recommend(users, likes, N=1)[0], ids
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_neighbours(theirs, counts, kind):
    models = [make(module, kind, K=7) for module in (ours, theirs)]
    models[0].fit(counts, show_progress=False)
    with warnings.catch_warnings(action="ignore"):  # theirs warns of its own conversion
        models[1].fit(counts, show_progress=False)
    one, other = (model.similarity for model in models)
    np.testing.assert_allclose(one.toarray(), other.toarray(), rtol=1e-9, atol=1e-12)
    assert type(one) is type(other) and one.dtype == other.dtype
    users = np.arange(60)
    (ids, scores), (their_ids, their_scores) = (m.recommend(users, counts, N=5) for m in models)
    listed = their_scores > 0  # theirs go on with what is liked already
    np.testing.assert_allclose(scores[listed], their_scores[listed], rtol=1e-9)
    np.testing.assert_array_equal(ids[listed], their_ids[listed])
    ids, scores = models[0].similar_items(users[:40], N=5)
    np.testing.assert_allclose(scores, models[1].similar_items(users[:40], N=5)[1], rtol=1e-9)


def test_weights(theirs, counts):
    for name, options in (("tfidf_weight", {}), ("bm25_weight", {"K1": 2, "B": 0.3})):
        one, other = (getattr(module, name)(counts, **options) for module in (ours, theirs))
        np.testing.assert_allclose(one.toarray(), other.toarray(), rtol=1e-12)
        assert type(one) is type(other)
    one, other = ours.normalize(counts), theirs.normalize(counts)
    np.testing.assert_allclose(one.toarray(), other.toarray(), rtol=1e-12)


def test_all_pairs_knn(counts):
    found = ours.all_pairs_knn(counts, 3).tocsr()
    products = (counts.T @ counts).toarray()
    for item in range(40):
        best = np.sort(products[item])[::-1][:3]
        np.testing.assert_allclose(np.sort(found[[item]].data)[::-1], best[best > 0])


def test_files(counts, tmp_path):
    model = ours.BM25Recommender(K=5)
    model.fit(counts, show_progress=False)
    model.save(tmp_path / "m")
    again = ours.ItemItemRecommender.load(tmp_path / "m")
    assert again.K == 5 and (again.similarity != model.similarity).nnz == 0
    np.testing.assert_array_equal(
        again.recommend([0, 1], counts[:2])[0], model.recommend([0, 1], counts[:2])[0]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_models_not_fitted(kind, tmp_path):
    options = {"K1": 2.5, "B": 0.1} if kind == "BM25Recommender" else {}
    model = getattr(ours, kind)(K=7, **options)
    model.save(tmp_path / "m")
    again = type(model).load(tmp_path / "m")
    assert again.similarity is None and vars(again) == vars(model)
    with pytest.raises(ValueError, match="no neighbours yet: call fit"):
        again.recommend(0, sparse.csr_matrix((1, 4)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["coo", "lil", "csc"])
def test_a_fit_of_what_is_not_csr_warns_once(counts, kind, form):
    model, other = make(ours, kind), make(ours, kind)
    with pytest.warns(ParameterWarning, match=f"was passed {form}_matrix instead") as caught:
        model.fit(counts.asformat(form), show_progress=False)
    assert len(caught) == 1
    with warnings.catch_warnings(action="error"):
        other.fit(counts, show_progress=False)
    assert (model.similarity != other.similarity).nnz == 0


def test_any_n(counts):
    model = make(ours, "CosineRecommender")
    model.fit(counts, show_progress=False)
    for n in (40, 41, 5000):
        one, its_scores = model.recommend(3, counts[3], N=n)
        assert 0 < len(one) == len(its_scores) < 40
        ids, scores = model.recommend([3, 4], counts[3:5], N=n)
        assert ids.shape == scores.shape == (2, n) and ids.dtype == np.int32
        np.testing.assert_array_equal(ids[0, : len(one)], one)
        assert (ids[:, len(one) + 10 :] == -1).all()
        assert (scores[ids == -1] == -np.finfo(np.float32).max).all()
        assert model.similar_items([0, 1], N=n)[0].shape == (2, n)


def test_a_row_wider_than_the_model(counts):
    model = make(ours, "CosineRecommender")
    model.fit(counts, show_progress=False)
    wide = counts[:2].copy()
    wide.resize((2, 55))
    np.testing.assert_array_equal(
        model.recommend([0, 1], wide)[0], model.recommend([0, 1], counts[:2])[0]
    )
    wide = sparse.csr_matrix(([1.0, 1.0], [3, 50], [0, 1, 2]), shape=(2, 55))
    with pytest.raises(ValueError, match=r"55 columns; expected at most 40.* in column 50"):
        model.recommend([0, 1], wide)


def chain(count):
    """Every item has the next one as its only neighbour."""
    return sparse.eye_array(count, k=1, format="csr")


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, sparse.coo_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_similarity_may_be_assigned(counts, form, dtype):
    model = make(ours, "CosineRecommender")
    likes = sparse.csr_matrix(([1.0, 1.0], [3, 5], [0, 2]), shape=(1, 9))
    for before in range(2):  # of a model that is fitted, and of one that is not
        model.similarity = form(chain(9).astype(dtype))
        assert sorted(model.recommend(0, likes)[0]) == [4, 6]
        assert list(model.similar_items(2)[0]) == [3]
        model.similarity = form(chain(9).T.astype(dtype))
        assert sorted(model.recommend(0, likes)[0]) == [2, 4]
        assert list(pickle.loads(pickle.dumps(model)).similar_items(2)[0]) == [1]
        if not before:
            model.fit(counts, show_progress=False)
    model.similarity = sparse.csr_matrix(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"items and items; got shape \(3, 4\)"):
        model.similar_items(0)


def test_similarity_pruned_in_place():
    """What most programs do with it: no item is its own neighbour."""
    model = make(ours, "ItemItemRecommender")
    model.fit(stripes(10), show_progress=False)
    assert 4 in model.similar_items(4)[0]
    model.similarity.setdiag(0)
    model.similarity.eliminate_zeros()
    ids, scores = model.similar_items(4)
    assert sorted(ids) == [0, 2, 6, 8]
    np.testing.assert_array_equal(scores, np.sort(model.similarity[[4]].data)[::-1])


def test_files_go_both_ways(theirs, counts, tmp_path):
    path = str(tmp_path / "m.npz")
    for here, there in ((ours, theirs), (theirs, ours)):
        model = here.ItemItemRecommender(K=5)
        model.fit(counts, show_progress=False)
        model.save(path)
        again = there.ItemItemRecommender.load(path)
        assert (again.similarity != model.similarity).nnz == 0
        here.BM25Recommender(K=6).save(path)
        again = there.BM25Recommender.load(path)
        assert again.similarity is None and again.K == 6
