"""Tables of every library, with ids of every kind, come to the same Interactions."""

import datetime
import sys

import numpy as np
import pytest

from recsys import Interactions

EVENTS = {
    "user": ["b", "a", "b", "c", "b"],
    "item": [7, 7, 8, 8, 7],
    "plays": [1, 2, 3, 4, 5],
    "when": [5, 1, 2, 3, 4],
}


@pytest.fixture(params=["pyarrow", "without pyarrow"])
def with_and_without_pyarrow(request, monkeypatch):
    if request.param != "pyarrow":
        monkeypatch.setitem(sys.modules, "pyarrow", None)


def _lazy(events):
    return pytest.importorskip("polars").LazyFrame(events)


def _table(events):
    return pytest.importorskip("pyarrow").table(events)


def _duckdb(events):
    return pytest.importorskip("duckdb").from_arrow(_table(events))


def _pandas(events):
    return pytest.importorskip("pandas").DataFrame(events)


def _polars(events):
    return pytest.importorskip("polars").DataFrame(events)


def _categories(events):
    return _pandas(events).astype({"user": "category", "item": "category"})


def _objects(events):
    return _pandas(events).astype({"user": object, "item": object})


def _polars_categories(events):
    import polars

    return _polars(events).cast({"user": polars.Categorical})


def _dictionary(events):
    table = _table(events)
    return table.set_column(0, "user", table["user"].dictionary_encode())


TABLES = {
    "pandas": (_pandas, "pandas"),
    "pandas categories": (_categories, "pandas"),
    "pandas objects": (_objects, "pandas"),
    "polars": (_polars, "polars"),
    "polars lazy": (_lazy, "polars"),
    "polars categories": (_polars_categories, "polars"),
    "pyarrow": (_table, "pyarrow"),
    "pyarrow dictionary": (_dictionary, "pyarrow"),
    "pyarrow reader": (lambda events: _table(events).to_reader(), "pyarrow"),
    "duckdb": (_duckdb, "pyarrow"),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables(table):
    make, kind = TABLES[table]
    data = Interactions.from_frame(make(EVENTS), value="plays", time="when")
    assert list(data.users) == ["b", "a", "c"] and list(data.items) == [7, 8]
    assert data.user_items.toarray().tolist() == [[6, 3], [2, 0], [0, 4]]
    assert data.times.tolist() == [5, 2, 1, 3]
    assert data.frame_kind == kind and data.user_items.dtype == np.float32
    assert data.shape == (3, 2) and data.nnz == 4 and data.density == 4 / 6
    assert repr(data) == "Interactions(3 users x 2 items, 4 entries, with times)"
    assert (
        type(data.to_frame()) is type(make(EVENTS))
        or table in ("polars lazy", "duckdb")
        or (table == "pyarrow reader")
    )


@pytest.mark.parametrize("ids", [["b", "a", "b", "Zoë", ""], [3, -1, 3, 2**62, 0]])
@pytest.mark.parametrize("make", [list, np.array, _pandas, _polars])
def test_with_and_without_pyarrow(ids, make, with_and_without_pyarrow):
    users = make({"x": ids})["x"] if make in (_pandas, _polars) else make(ids)
    data = Interactions.from_arrays(users, [datetime.date(2026, 1, n) for n in (1, 2, 2, 1, 1)])
    assert list(data.users) == list(dict.fromkeys(ids))
    assert data.users.kind == ("string" if "b" in ids else "integer")
    assert data.items[1] == datetime.date(2026, 1, 2)
    assert data.user_items.toarray().tolist() == [[1, 1], [0, 1], [1, 0], [1, 0]]
