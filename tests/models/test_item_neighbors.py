"""Item-item neighbours against dense arithmetic, and on real data against published figures."""

import numpy as np
import pytest
from scipy import sparse

from recsys import ItemNeighbors, weighting


@pytest.fixture
def counts():
    matrix = sparse.random(60, 40, 0.2, "csr", random_state=0)
    matrix.data = np.ceil(9 * matrix.data)
    return matrix


def dense_similarity(counts, kind, k):
    items = counts.toarray().T
    if kind in ("tfidf", "bm25"):
        idf = np.log(len(items)) - np.log1p((items > 0).sum(axis=0))
        length = items.sum(axis=1, keepdims=True)
        bm25 = items * 2.2 / (1.2 * (0.25 + 0.75 * length / length.mean()) + items)
        items = idf * (np.sqrt(items) if kind == "tfidf" else bm25)
    if kind in ("cosine", "tfidf"):
        norms = np.linalg.norm(items, axis=1, keepdims=True)
        items = items / np.where(norms > 0, norms, 1)
    s = items @ items.T
    kept = np.zeros_like(s)
    for row, values in enumerate(s):
        best = np.lexsort((np.arange(len(values)), values))[::-1][:k]
        kept[row, best] = values[best]
    return kept


@pytest.mark.parametrize("kind", ["cosine", "tfidf", "bm25", None])
@pytest.mark.parametrize("orientation", ["target", "history"])
@pytest.mark.parametrize("normalize_rows", [True, False])
def test_is_the_dense_computation(counts, kind, orientation, normalize_rows):
    options = {"orientation": orientation, "normalize_rows": normalize_rows, "dtype": np.float64}
    model = ItemNeighbors(7, weighting=kind, K1=1.2, B=0.75, **options).fit(counts)
    s = dense_similarity(counts, kind, 7)
    np.testing.assert_allclose(model.similarity.toarray(), s, atol=1e-12)
    if normalize_rows:
        s = s / np.where(s.sum(axis=1) > 0, s.sum(axis=1), 1)[:, np.newaxis]
    table = counts.toarray() @ (s.T if orientation == "target" else s)
    np.testing.assert_allclose(
        model.score(np.arange(60)[:, None], np.arange(40)), table, atol=1e-12
    )
    table[(counts.toarray() != 0) | (table == 0)] = -np.inf
    ids, scores = model.recommend(np.arange(60), N=6)
    np.testing.assert_allclose(scores, np.sort(table)[:, ::-1][:, :6], atol=1e-12)
    places = np.maximum(ids, 0)
    np.testing.assert_allclose(
        np.where(ids >= 0, np.take_along_axis(table, places, 1), -np.inf), scores, atol=1e-12
    )
    score, items, parts = model.explain(3, 11, 40)
    assert score == pytest.approx(model.score(3, 11), abs=1e-12)
    assert parts.sum() == pytest.approx(score, abs=1e-12)
    assert set(items) <= set(counts[3].indices)


def test_similar_items_are_the_neighbors(counts):
    model = ItemNeighbors(9, weighting="cosine").fit(counts)
    neighbors, cosines = model.similar_items([4, 5], N=12)
    assert neighbors[:, 0].tolist() == [4, 5] and (neighbors[:, 9:] == -1).all()
    np.testing.assert_allclose(cosines[:, 0], 1, rtol=1e-6)


def test_bad_arguments(counts):
    with pytest.raises(ValueError, match="k must be at least 1"):
        ItemNeighbors(0).fit(counts)
    with pytest.raises(ValueError, match=r"unknown weighting 'cosin'.*did you mean 'cosine'"):
        ItemNeighbors(weighting="cosin").fit(counts)
    with pytest.raises(ValueError, match="unknown orientation"):
        ItemNeighbors(orientation="sideways").fit(counts)
    model = ItemNeighbors().fit(counts)
    before = model.similarity
    for kind in ("tfidf", "bm25"):
        with pytest.raises(ValueError, match="user_items holds -"):
            model.set_params(weighting=kind).fit(-counts)
    np.testing.assert_array_equal(model.similarity.data, before.data)


def test_weights_of_terms_that_everybody_has():
    counts = sparse.csr_matrix([[1.0, 2.0], [0.0, 3.0]])
    assert weighting.tfidf_weight(counts).toarray()[0, 1] == 0
    assert weighting.tfidf_weight(counts, negative_idf=True).toarray()[0, 1] < 0
    assert weighting.bm25_weight(counts, negative_idf=True).toarray()[0, 1] < 0
    np.testing.assert_allclose(weighting.normalize(counts).toarray()[0], [1 / 5**0.5, 2 / 5**0.5])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "recall", "ndcg"),
    [
        ({"weighting": "cosine", "orientation": "history"}, 0.1157, 0.0840),
        ({"weighting": "cosine"}, 0.1270, 0.0936),
        ({"weighting": "cosine", "normalize_rows": True}, 0.1450, 0.1087),
        ({"weighting": "tfidf", "normalize_rows": True}, 0.1480, 0.1112),
        ({}, 0.1394, 0.1056),
    ],
)
def test_gowalla(data_folder, options, recall, ndcg):
    from recsys.evaluation import evaluate

    with np.load(data_folder / "gowalla.npz") as file:
        train, test = (
            sparse.csr_matrix(
                (np.ones(len(file[f"{part}_indices"])), file[f"{part}_indices"],
                 file[f"{part}_indptr"]), shape=tuple(file["shape"]))
            for part in ("train", "test")
        )  # fmt: skip
    model = ItemNeighbors(100, **options).fit(train)
    found = evaluate(model, train, test, ["recall", "ndcg"], k=20, show_progress=False).mean
    assert found["recall@20"] == pytest.approx(recall, abs=1e-3)
    assert found["ndcg@20"] == pytest.approx(ndcg, abs=1e-3)
