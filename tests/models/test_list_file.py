import sys

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS
from recsys.models.files import write_lists


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr("recsys.kernels.spans._QUERIES", 16)  # several blocks
    counts = sparse.random_array((50, 12), density=0.4, rng=0, format="csr")
    return ImplicitALS(4, iterations=1, random_state=0).fit(counts, show_progress=False)


def test_every_user(model):
    ids, scores = model.recommend_all(9, filter_items=[3], show_progress=False)
    want = model.recommend(np.arange(50), N=9, filter_items=[3])
    np.testing.assert_array_equal(ids, want[0])
    np.testing.assert_array_equal(scores, want[1])
    assert (ids == -1).any()


def test_parquet_holds_the_same_lists(model, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "lists.parquet"
    assert model.recommend_all(9, path=path, show_progress=False) is None
    ids, scores = model.recommend_all(9, show_progress=False)
    table = parquet.read_table(path).to_pydict()
    assert table["user"] == list(range(50))
    for user in range(50):
        filled = ids[user] >= 0
        assert table["items"][user] == ids[user][filled].tolist()
        assert table["scores"][user] == scores[user][filled].tolist()
    assert parquet.ParquetFile(path).num_row_groups == 4
    assert [file.name for file in tmp_path.iterdir()] == ["lists.parquet"]


def test_nothing_is_left_behind(model, tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(IndexError, match="filter_items not known"):
        model.recommend_all(path=tmp_path / "lists", filter_items=[99], show_progress=False)
    assert not list(tmp_path.iterdir())


def test_pyarrow_missing(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"needs pyarrow: pip install 'recsys-engine\[arrow\]'"):
        model.recommend_all(path=tmp_path / "lists")
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_kind_of_file(tmp_path):
    with pytest.raises(ValueError, match="written as Parquet; got the name of another file"):
        write_lists(tmp_path / "lists.csv", [])
    assert not list(tmp_path.iterdir())
