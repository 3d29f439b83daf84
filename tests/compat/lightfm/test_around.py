"""What is around recsys.compat.lightfm.LightFM: Dataset, evaluation, splits, data sets, _fast."""

import io
import logging
import zipfile

import numpy as np
import pytest
from scipy import sparse

from recsys import kernels
from recsys.compat.lightfm import _lightfm_fast, datasets, evaluation
from recsys.compat.lightfm.cross_validation import random_train_test_split
from recsys.compat.lightfm.data import Dataset


class Fixed:
    """A model whose ranks are known."""

    def __init__(self, ranks):
        self.ranks = sparse.csr_matrix(ranks, dtype=np.float32)

    def predict_rank(self, test, **how):
        assert set(how) >= {"train_interactions", "num_threads", "check_intersections"}
        return sparse.csr_matrix((self.ranks.data - 1, test.indices, test.indptr), test.shape)


TEST = sparse.csr_matrix([[1, 0, 1, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]])
TRAIN = sparse.csr_matrix([[0, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 1, 1, 1]])
MODEL = Fixed([[1, 0, 4, 0, 2], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]])  # places, the first being 1


def test_metrics():
    precision = evaluation.precision_at_k(MODEL, TEST, k=2)
    recall = evaluation.recall_at_k(MODEL, TEST, k=2)
    first = evaluation.reciprocal_rank(MODEL, TEST)
    np.testing.assert_allclose([precision, recall, first], [[1, 0.5], [2 / 3, 1], [1, 1]])
    assert {each.dtype for each in (precision, recall, first)} == {np.dtype(np.float32)}
    auc = evaluation.auc_score(MODEL, TEST)
    np.testing.assert_allclose(auc, [1 - (0 + 0 + 1) / (2 * 3), 1])
    auc = evaluation.auc_score(MODEL, TEST, TRAIN)  # the last user has no other item left
    np.testing.assert_allclose(auc, [1 - 1 / 3, 0.5], rtol=1e-6)
    for metric, without in (
        (evaluation.precision_at_k, 0), (evaluation.recall_at_k, 0), (evaluation.auc_score, 0.5),
        (evaluation.reciprocal_rank, 0),
    ):  # fmt: skip
        assert metric(MODEL, TEST, preserve_rows=True)[1] == without


def test_numbers_of_ids_and_features():
    dataset = Dataset()
    dataset.fit(["u", "v", "u"], [7, 9], user_features=["old"], item_features=iter(["red", "blue"]))
    dataset.fit_partial(items=[11])
    users, user_features, items, item_features = dataset.mapping()
    assert users == {"u": 0, "v": 1} and user_features == {"u": 0, "v": 1, "old": 2}
    assert items == {7: 0, 9: 1, 11: 2}
    assert item_features == {7: 0, 9: 1, "red": 2, "blue": 3, 11: 4}
    assert dataset.interactions_shape() == (2, 3) and dataset.model_dimensions() == (3, 5)
    assert dataset.user_features_shape() == (2, 3) and dataset.item_features_shape() == (3, 5)
    dataset.fit(["w"], [7])
    assert dataset.mapping()[0] == {"w": 0}


def test_interactions_and_weights():
    dataset = Dataset()
    dataset.fit("uv", "abc")
    ones, weights = dataset.build_interactions(iter([("v", "a"), ("u", "c", 2.5), ("v", "a", 3)]))
    assert ones.format == "coo" and ones.shape == (2, 3)
    assert (ones.dtype, weights.dtype) == (np.int32, np.float32)
    assert ones.row.tolist() == [1, 0, 1] and weights.col.tolist() == [0, 2, 0]
    assert ones.data.tolist() == [1, 1, 1] and weights.data.tolist() == [1, 2.5, 3]
    assert dataset.build_interactions([])[0].shape == (2, 3)
    many = [("u", "b", 1.0)] * 70_000  # more than are taken apart at a time
    assert dataset.build_interactions(many)[1].sum() == 70_000
    for wrong, match in (
        ([("x", "a")], "User id 'x'"), ([("u", "z")], "Item id 'z'"), ([("u",)], "Expecting tuples")
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            dataset.build_interactions(wrong)


def test_feature_matrices(caplog):
    dataset = Dataset(item_identity_features=False)
    dataset.fit("uv", "ab", ["x", "y"], ["red", "blue"])
    matrix = dataset.build_user_features([("v", ["x", "y", "x"])])
    np.testing.assert_allclose(matrix.toarray(), [[1, 0, 0, 0], [0, 0.25, 0.5, 0.25]])
    assert matrix.format == "csr" and matrix.dtype == np.float32
    data = [("a", {"red": 2.0, "blue": -1.0}), ("b", iter(["blue"]))]
    matrix = dataset.build_item_features(data, normalize=False)
    assert matrix.toarray().tolist() == [[2, -1], [0, 1]]
    for error, wrong, match in (
        (ValueError, [("a", ["green"])], "Feature 'green'"),
        (ValueError, [("z", ["red"])], "Item id 'z'"),
        (ValueError, [("a", ["red"], 1)], "Expected tuples"),
        (ValueError, [("a", ["red"])], "zero norm"),
        (TypeError, [("a", "red")], r"\['red'\]"),
    ):
        with pytest.raises(error, match=match):
            dataset.build_item_features(wrong)
    with caplog.at_level(logging.WARNING, logger="recsys"):
        dataset.fit_partial(user_features=["u", "z"])
    assert "1 names of user features are ids too" in caplog.text


def test_split():
    matrix = sparse.random_array((30, 20), density=0.3, rng=np.random.default_rng(0))
    train, test = random_train_test_split(matrix, 0.25, random_state=3)
    assert (train + test != matrix.tocsr()).nnz == 0 and test.nnz == matrix.nnz - train.nnz
    assert train.nnz == int(0.75 * matrix.nnz)
    again, _ = random_train_test_split(matrix, 0.25, np.random.RandomState(3))
    assert np.array_equal(train.row, again.row) and np.array_equal(train.data, again.data)
    with pytest.raises(ValueError, match=r"scipy\.sparse"):
        random_train_test_split(np.ones((2, 2)))


def test_in_positives():
    stored = _lightfm_fast.CSRMatrix(sparse.csr_matrix([[0, 1], [1, 0]]))
    test_in_positives = vars(_lightfm_fast)["__test_in_positives"]
    assert [test_in_positives(*at, stored) for at in ((0, 0), (0, 1), (1, 0), (1, 1))] == [
        False, True, True, False
    ]  # fmt: skip


FILES = {
    "ua.base": "1\t1\t5\t0\n1\t3\t2\t0\n2\t2\t4\t0\n",
    "ua.test": "2\t1\t3\t0\n",
    "u.genre": "unknown|0\nAction|1\n\n",
    "u.item": "1|Up (2009)|x||y|0|1\n2|Heat|x||y|1|0\n3|Q|x||y|0|0\n",
}


def test_movielens_of_a_file_at_hand(tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r"movielens\.zip"):
        datasets.fetch_movielens(tmp_path)
    path = tmp_path / "lightfm_data" / "movielens100k" / "movielens.zip"
    path.parent.mkdir(parents=True)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(f"ml-100k/{name}", text)
    path.write_bytes(whole.getvalue())
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    data = datasets.fetch_movielens()
    assert data["train"].toarray().tolist() == [[5, 0, 2], [0, 4, 0]]
    assert data["test"].format == "coo" and data["test"].dtype == np.int32
    assert data["item_labels"].tolist() == ["Up (2009)", "Heat", "Q"]
    assert data["item_feature_labels"] is data["item_labels"]
    both = datasets.fetch_movielens(genre_features=True, min_rating=4)
    assert both["train"].nnz == 2 and both["item_features"].shape == (3, 5)
    assert both["item_feature_labels"].tolist()[-2:] == ["genre:unknown", "genre:Action"]
    with pytest.raises(ValueError, match="At least one"):
        datasets.fetch_movielens(indicator_features=False)
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="is not LightFM's zip"):
        datasets.fetch_movielens()


def test_stackexchange_of_a_file_at_hand(tmp_path):
    path = tmp_path / "stackexchange" / "crossvalidated" / "data.npz"
    path.parent.mkdir(parents=True)
    users, questions = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 0, 3, 3])
    np.savez(
        path, interactions_row=users, interactions_col=questions, interactions_shape=[[3, 4]],
        interactions_data=np.arange(6.0), features_row=[0, 1], features_col=[0, 1],
        features_data=[1.0, 1.0], features_shape=[[4, 2]], labels=np.array(["r", "python"]),
    )  # fmt: skip
    data = datasets.fetch_stackexchange(
        "crossvalidated", 0.4, 0, tmp_path, indicator_features=True, tag_features=True
    )
    assert data["train"].nnz == 3 and data["test"].nnz == 3
    assert data["item_features"].shape == (4, 6) and data["item_feature_labels"][4] == "r"
    kept = datasets.fetch_stackexchange("crossvalidated", 0.4, 1, tmp_path)
    assert kept["train"].shape == (1, 4)
    for wrong in ({"dataset": "x"}, {"dataset": "stackoverflow", "test_set_fraction": 1}):
        with pytest.raises(ValueError):
            datasets.fetch_stackexchange(data_home=tmp_path, **wrong)


def test_keys_of_any_kind_are_found():
    """As a dict finds them: equal keys that are other objects, and of other types; more than fit
    into a batch, and into a table that is half full."""
    known = [*(f"item {n}" for n in range(300)), *range(300), 2**70, -1]
    keys = [f"item {n % 300}" for n in range(700)] + [np.int64(5), 7.0, True, 2**70, -1]
    numbers = {key: 3 * n for n, key in enumerate(known)}
    for odd in ((), [(1, 2)]):  # a tuple among the known keys: all are looked up in the dict
        numbers |= dict.fromkeys(odd, 9)
        table = kernels.key_table(numbers)
        assert (table is None) == bool(odd)
        asked = [*keys, *odd]
        out = np.full(len(asked), -1, np.int32)
        assert kernels.find_keys(asked, numbers, table, out) == len(asked)
        assert out.tolist() == [numbers[key] for key in asked]
        assert kernels.find_keys([*keys[:70], "item", 0], numbers, table, out) == 70
        assert kernels.find_keys([1.5], numbers, table, out) == 0
        with pytest.raises(TypeError, match="unhashable"):
            kernels.find_keys([[]], numbers, table, out)
    assert kernels.find_keys(["a"], {}, kernels.key_table({}), out) == 0


def test_events_of_any_kind_of_pair():
    dataset = Dataset()
    dataset.fit(["ann", "bob"], [1, 2, 3])
    events = [("ann", 1), ["bob", 2, 0.5], ("ann", 3), np.array(["bob", 3], object)]
    interactions, weights = dataset.build_interactions(iter(events * 2000))
    assert interactions.row[:4].tolist() == [0, 1, 0, 1] == interactions.row[4:8].tolist()
    assert weights.col[:4].tolist() == [0, 1, 2, 2]
    assert weights.data[:4].tolist() == [1, 0.5, 1, 1]


def test_arguments_that_would_be_nonsense():
    with pytest.raises(ValueError, match="between 0 and 1, got 20"):
        random_train_test_split(TEST, test_percentage=20)
    for metric in (evaluation.precision_at_k, evaluation.recall_at_k):
        with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
            metric(MODEL, TEST, k=0)
