"""Tables of every library and columns of every kind come to the same Interactions."""

import datetime
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from recsys import Interactions
from recsys.interactions import frames

duckdb = pytest.importorskip("duckdb")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

EVENTS = {
    "user": ["b", "a", "b", "c", "b"],
    "item": [7, 7, 8, 8, 7],
    "plays": [1, 2, 3, 4, 5],
    "when": [5, 1, 2, 3, 4],
}
CATEGORIES = {"user": "category", "item": "category"}

# What makes a table, and what kind results are of
TABLES = {
    "pandas": (pd.DataFrame, "pandas"),
    "pandas categories": (lambda events: pd.DataFrame(events).astype(CATEGORIES), "pandas"),
    "pandas objects": (lambda events: pd.DataFrame(events, dtype=object).infer_objects(), "pandas"),
    "pandas all objects": (
        lambda events: pd.DataFrame(events).astype({"user": object, "item": object}),
        "pandas",
    ),
    "pandas nullable": (lambda events: pd.DataFrame(events).convert_dtypes(), "pandas"),
    "polars": (pl.DataFrame, "polars"),
    "polars lazy": (pl.LazyFrame, "polars"),
    "polars categories": (
        lambda events: pl.DataFrame(events, schema_overrides={"user": pl.Categorical}),
        "polars",
    ),
    "polars enum": (
        lambda events: pl.DataFrame(events, schema_overrides={"user": pl.Enum("xcba")}),
        "polars",
    ),
    "pyarrow": (pa.table, "pyarrow"),
    "pyarrow views": (lambda events: _cast(events, pa.string_view()), "pyarrow"),
    "pyarrow dictionary": (
        lambda events: _cast(events, pa.dictionary(pa.int8(), pa.string())),
        "pyarrow",
    ),
    "pyarrow reader": (lambda events: pa.table(events).to_reader(), "pyarrow"),
    "pyarrow batch": (pa.record_batch, "pyarrow"),
    "duckdb": (lambda events: duckdb.from_arrow(pa.table(events)), "pyarrow"),
}


def _cast(events, kind):
    table = pa.table(events)
    return table.set_column(0, "user", table["user"].cast(kind))


@pytest.mark.parametrize("batches", ["one batch", "small batches"])
@pytest.mark.parametrize("table", TABLES)
def test_tables(table, batches, request):
    if batches == "small batches":
        request.getfixturevalue("small_batches")
    make, kind = TABLES[table]
    data = Interactions.from_frame(make(EVENTS), value="plays", time="when")
    assert list(data.users) == ["b", "a", "c"] and list(data.items) == [7, 8]
    assert data.user_items.toarray().tolist() == [[6, 3], [2, 0], [0, 4]]
    assert data.times.tolist() == [5, 2, 1, 3]
    assert data.names == ("user", "item", "plays", "when") and data.frame_kind == kind
    assert type(data.to_frame()).__module__.startswith(kind)


@pytest.mark.parametrize("table", [name for name, (_, kind) in TABLES.items() if kind != "pyarrow"])
def test_tables_without_pyarrow(table, monkeypatch):
    frame = TABLES[table][0](EVENTS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    data = Interactions.from_frame(frame, value="plays", time="when")
    assert list(data.users) == ["b", "a", "c"] and list(data.items) == [7, 8]
    assert data.user_items.toarray().tolist() == [[6, 3], [2, 0], [0, 4]]


def test_what_it_is():
    data = Interactions.from_frame(pd.DataFrame(EVENTS), value="plays")
    matrix = data.user_items
    assert isinstance(matrix, sp.csr_matrix) and matrix.has_canonical_format
    assert matrix.dtype == np.float32 and matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert data.shape == (3, 2) and data.nnz == 4 and data.density == 4 / 6 and data.times is None
    assert repr(data) == "Interactions(3 users x 2 items, 4 entries)"
    with pytest.raises(ValueError, match="read-only"):
        matrix.data[0] = 3
    with pytest.raises(AttributeError, match="user_items"):
        data.user_items = matrix


@pytest.mark.parametrize(
    "aggregate, first",
    [("sum", 6), ("max", 5), ("mean", 3), ("last", 1)],
)
def test_aggregates(aggregate, first):
    data = Interactions.from_frame(pl.DataFrame(EVENTS), "user", "item", "plays", "when", aggregate)
    assert data.user_items.toarray().tolist() == [[first, 3], [2, 0], [0, 4]]
    assert data.times.tolist() == [5, 2, 1, 3]


def test_the_last_of_equal_times_is_further_down():
    data = Interactions.from_arrays(["a"] * 4, ["x"] * 4, [1, 2, 3, 4], [5, 9, 9, 2], "last")
    assert data.user_items[0, 0] == 3 and data.times.tolist() == [9]


def test_events_without_values_are_counted():
    data = Interactions.from_frame(pa.table(EVENTS))
    assert data.user_items.toarray().tolist() == [[2, 1], [1, 0], [0, 1]]
    assert data.to_frame().column_names == ["user", "item", "count"]


@pytest.mark.parametrize("ids", [["b", "a", "b", "Zoë", ""], [3, -1, 3, 2**62, 0]])
@pytest.mark.parametrize("make", [list, np.array, pd.Series, pl.Series, tuple])
def test_arrays_with_and_without_pyarrow(ids, make, reader, small_batches):
    days = [datetime.date(2026, 1, n) for n in (1, 2, 2, 1, 1)]
    data = Interactions.from_arrays(make(ids), days)
    assert list(data.users) == list(dict.fromkeys(ids))
    assert data.users.kind == ("string" if "b" in ids else "integer")
    assert data.items.kind == "object" and data.items[1] == datetime.date(2026, 1, 2)
    assert data.user_items.toarray().tolist() == [[1, 1], [0, 1], [1, 0], [1, 0]]


def test_ids_of_other_kinds(reader):
    data = Interactions.from_arrays([(1, "a"), (1, "b"), (1, "a")], np.array([b"x", b"y", b"x"]))
    assert list(data.users) == [(1, "a"), (1, "b")] and list(data.items) == [b"x", b"y"]
    assert data.user_items.toarray().tolist() == [[2, 0], [0, 1]]


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.uint64, object])
def test_integer_ids(dtype, reader):
    data = Interactions.from_arrays(np.array([3, 1, 3], dtype), np.arange(3, dtype=dtype))
    assert data.users.kind == "integer" and list(data.users) == [3, 1]


MOMENTS = ["2026-01-31 18:00", "2026-02-01 00:00", "2026-01-01 00:00"]


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(pd.Series(MOMENTS)),
        pd.to_datetime(pd.Series(MOMENTS)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        pl.Series(MOMENTS).str.to_datetime(),
        pl.Series(MOMENTS).str.to_datetime().dt.replace_time_zone("UTC"),
        pa.chunked_array([pd.to_datetime(pd.Series(MOMENTS))]),
        np.array(MOMENTS, "datetime64[s]"),
        [datetime.datetime.fromisoformat(f"{moment}+00:00") for moment in MOMENTS],
    ],
    ids=["pandas", "pandas in Tokyo", "polars", "polars UTC", "pyarrow", "numpy", "Python"],
)
def test_times(times):
    data = Interactions.from_arrays([1, 2, 3], [1, 1, 1], times=times)
    assert data.times.dtype.kind == "M"
    assert (data.times == np.array(MOMENTS, "datetime64[s]")).all()


def test_days():
    days = pl.Series(MOMENTS).str.slice(0, 10).str.to_date()
    data = Interactions.from_arrays([1, 2, 3], [1, 1, 1], times=days)
    assert data.times[0] == np.datetime64("2026-01-31")


@pytest.mark.parametrize(
    "values, dtype",
    [
        ([1, 2**24], np.float32),
        ([1, 2**24 + 1], np.float64),
        ([0.1, 4.5], np.float32),
        ([1e39, 0.1], np.float64),
        (pl.Series(["0.5", "2"]).cast(pl.Decimal(4, 1)), np.float32),
        ([True, False], np.float32),
    ],
)
def test_width_of_values(values, dtype):
    data = Interactions.from_arrays([1, 2], [1, 1], values, zeros="keep")
    assert data.user_items.dtype == dtype and data.nnz == 2
    np.testing.assert_array_equal(data.user_items.data, np.array(list(values), dtype))


def test_sums_of_counts_are_exact():
    data = Interactions.from_arrays([1, 1], [1, 1], [2**24, 1])
    assert data.user_items[0, 0] == 2**24 + 1


def test_table_and_back():
    data = Interactions.from_frame(pl.DataFrame(EVENTS), value="plays", time="when")
    for kind in frames.KINDS:
        again = Interactions.from_frame(data.to_frame(kind), value="plays", time="when")
        assert list(again.users) == list(data.users) and again.frame_kind == kind
        assert (again.user_items != data.user_items).nnz == 0
        assert again.times.tolist() == data.times.tolist()


def test_the_first_library_that_is_installed(monkeypatch):
    own = frames.importlib.util.find_spec
    monkeypatch.setattr(
        frames.importlib.util, "find_spec", lambda name: None if name == "pandas" else own(name)
    )
    assert isinstance(frames.to_frame({"x": np.arange(2)}), pl.DataFrame)
    monkeypatch.setattr(frames.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pandas, polars or pyarrow, and none is installed"):
        frames.to_frame({"x": np.arange(2)})
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        frames.to_frame({"x": np.arange(2)}, "polars")
    with pytest.raises(ValueError, match=r"unknown kind 'polar'; .*did you mean 'polars'"):
        frames.to_frame({"x": np.arange(2)}, "polar")


def test_from_csr():
    matrix = sp.csc_matrix([[0, 2], [1, 0], [0, 0.5]])
    data = Interactions.from_csr(matrix, ["a", "b", "c"])
    assert Interactions(data.user_items, ["a", "b", "c"], data.items).users == data.users
    with pytest.raises(ValueError, match="users has 2 ids, user_items has 3 rows"):
        Interactions(data.user_items, ["a", "b"], data.items)
    assert list(data.users) == ["a", "b", "c"] and list(data.items) == [0, 1]
    assert data.items.kind == "integer"
    assert data.user_items.toarray().tolist() == matrix.toarray().tolist()
    shared = matrix.tocsr().astype(np.float32)
    assert np.shares_memory(Interactions.from_csr(shared).user_items.data, shared.data)
    assert shared.data.flags.writeable
    assert Interactions.from_csr(matrix, items=data.items).items is data.items
    assert Interactions.from_csr(-matrix, allow_negative=True).user_items[1, 0] == -1
