"""What is wrong with a table or an array: one error that says what, where, and the way out."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp

from recsys import ImplicitALS, Interactions, UnknownIdError

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

GOOD = {"user": ["a", "b", "c"], "item": [1, 2, 3], "plays": [1, 2, 3], "when": [1, 2, 3]}
MISSING = r"column 'user' is missing in 2 rows, first in row 1; drop such rows with "


@pytest.mark.parametrize(
    "table, fix",
    [
        (pd.DataFrame, r"frame.dropna\(subset=\['user'\]\)"),
        (pl.DataFrame, r"frame.drop_nulls\('user'\)"),
        (pa.table, r"table.filter\(pyarrow.compute.field\('user'\).is_valid\(\)\)"),
    ],
)
def test_missing_ids(table, fix, small_batches):
    with pytest.raises(ValueError, match=MISSING + fix):
        Interactions.from_frame(table({**GOOD, "user": ["a", None, None]}))
    with pytest.raises(ValueError, match="column 'item' is missing in 1 row, first in row 3"):
        Interactions.from_frame(table({"user": ["a"] * 4, "item": [*"xyz", None]}))


def test_missing_ids_of_arrays(reader):
    for missing in (None, np.nan):
        with pytest.raises(ValueError, match="'user' is missing in 1 row, first in row 1"):
            Interactions.from_arrays(["a", missing], [1, 2])


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"user": ["a", "b", 3]}, TypeError, r"'user': ids are of more than one kind: .*3 \(int"),
        ({"user": [1.0, 2.0, 3.0]}, TypeError, r"'user': id 0 is 1\.0, a float; .*astype"),
        ({"user": [True, False, True]}, TypeError, r"'user': .*a bool; expected strings"),
        ({"user": [{}, {}, {}]}, TypeError, r"'user': .*a dict; expected strings"),
        ({"item": [1, 2**63, 3]}, ValueError, r"9223372036854775808 does not fit into 64 bits"),
        ({"plays": [1, -2, -3]}, ValueError, r"'plays' is negative in 2 rows, first in row 1 \(-2"),
        ({"plays": [1, 2, np.inf]}, ValueError, r"is not finite in 1 row, first in row 2 \(inf\)"),
        ({"plays": [None, 2, 3]}, ValueError, r"'plays' is missing in 1 row.*dropna\(subset=\['pl"),
        ({"plays": ["1", "2", "3"]}, TypeError, r"'plays' is of type String, such as '1' in row 0"),
        ({"when": ["1", "2", "3"]}, TypeError, r"'when' is of type String.*pandas.to_datetime"),
        ({"when": [None, 1, 2]}, ValueError, r"'when' is missing in 1 row, first in row 0"),
        ({"when": [np.inf, 1, 2]}, ValueError, r"'when' is not finite in 1 row, first in row 0"),
        ({"user": [], "item": [], "plays": [], "when": []}, ValueError, r"there are no events"),
        ({"user": ["a"] * 3, "item": [1, 1, 2]}, ValueError, r"1 events .* user 'a' and item 1;"),
    ],
)
def test_bad_columns(change, error, message):
    with pytest.raises(error, match=message):
        Interactions.from_frame(
            pd.DataFrame(GOOD | change), value="plays", time="when", aggregate="raise"
        )


def test_kinds_that_change_between_batches(reader, small_batches):
    ids = np.array(["a", "b", "c", 4, 5, 6], object)
    with pytest.raises(TypeError, match=r"more than one kind: 'a' \(string\), 4 \(integer\)"):
        Interactions.from_arrays(ids, np.arange(6))


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"user": "usr"}, ValueError, r"no column 'usr'; it has 'user', 'item', .*mean 'user'\?"),
        ({"value": "rating"}, ValueError, r"no column 'rating'"),
        ({"user": 0}, TypeError, r"user is a column by its name; got 0 \(int\)"),
        ({"item": None}, TypeError, r"item is a column by its name; got None"),
        ({"item": "user"}, ValueError, r"'user' is named twice"),
        ({"aggregate": "total"}, ValueError, r"unknown aggregate 'total'; expected 'sum' or 'max'"),
        ({"zeros": "none"}, ValueError, r"unknown zeros 'none'; expected 'keep' or 'drop'"),
        ({"aggregate": "max"}, ValueError, r"needs the values .*pass value="),
        ({"allow_negative": 1}, TypeError, r"allow_negative must be True or False"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Interactions.from_frame(pl.DataFrame(GOOD), **arguments)


@pytest.mark.parametrize("thing", [GOOD, [("a", 1)], sp.eye(3), np.eye(3), pl.Series([1]), None])
def test_no_table(thing):
    with pytest.raises(TypeError, match=r"expected a pandas, polars.*; got \w+.*from_csr"):
        Interactions.from_frame(thing)


def test_missing_ids_in_a_dictionary():
    users = pa.DictionaryArray.from_arrays([0, 1], ["a", None])
    with pytest.raises(TypeError, match="'user': id 1 is None; expected every id to be there"):
        Interactions.from_frame(pa.table({"user": users, "item": [1, 2]}))


def test_duckdb_needs_pyarrow(monkeypatch):
    relation = pytest.importorskip("duckdb").sql("select 'a' as user, 1 as item")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"Relation needs pyarrow: .*\[arrow\]"):
        Interactions.from_frame(relation)


def test_a_stream_needs_pyarrow(monkeypatch):
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            raise AssertionError

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"Stream needs pyarrow: .*\[arrow\]"):
        Interactions.from_frame(Stream())


@pytest.mark.parametrize(
    "columns, error, message",
    [
        (([1, 2], [1]), ValueError, r"of one length; got \[2, 1\]"),
        (([1, 2], [1, 2], [1]), ValueError, r"of one length; got \[2, 2, 1\]"),
        ((np.eye(2, dtype=int), [1, 2]), ValueError, r"users must be 1-D.*shape \(2, 2\)"),
        (([1], [1], ["x"]), TypeError, r"'value' is of type <U1, such as .*'x'"),
        (([1], [1], [1], ["x"]), TypeError, r"'time' is of type <U1, such as .*'x'"),
        (([1], [1], [1], [np.datetime64("NaT")]), ValueError, r"'time' is missing in 1 row"),
        (([1, 1], [1, 1], [1e308, 1e308]), ValueError, r"add up to more than float64"),
        (([], []), ValueError, r"there are no events"),
        (("user", "item"), TypeError, r"users must be an array, list or series; got 'user'"),
    ],
)
def test_bad_arrays(columns, error, message):
    with pytest.raises(error, match=message):
        Interactions.from_arrays(*columns)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (([[1]],), TypeError, r"must be a SciPy sparse matrix"),
        ((sp.eye(2), ["a"]), ValueError, r"users has 1 ids, user_items has 2 rows"),
        ((sp.eye(2), None, ["a"]), ValueError, r"items has 1 ids, user_items has 2 columns"),
        ((sp.eye(2), ["a", "a"]), ValueError, r"'a' comes twice"),
        ((-sp.eye(2),), ValueError, r"2 negative values, the first at row 0, column 0 \(-1\)"),
        ((sp.eye(2) * np.nan,), ValueError, r"holds nan at row 0, column 0"),
    ],
)
def test_bad_matrices(arguments, error, message):
    with pytest.raises(error, match=message):
        Interactions.from_csr(*arguments)


def test_bad_rearrangements():
    data = Interactions.from_arrays(["a", "b"], [1, 2])
    with pytest.raises(ValueError, match=r"unknown how 'randm'; .*did you mean 'random'\?"):
        data.split("randm")
    with pytest.raises(ValueError, match=r"split\('time'\) needs times.*time='timestamp'"):
        data.split("time")
    with pytest.raises(ValueError, match="leave no entries of 2; expected lower numbers"):
        data.filter(min_user=2)
    with pytest.raises(ValueError, match="min_item must be at least 1; got 0"):
        data.filter(min_item=0)
    with pytest.raises(TypeError, match="expected Interactions to put together; got csr_matrix"):
        data.concat(data.user_items)
    with pytest.raises(TypeError, match=r"'user': ids are of more than one kind: 'a'.*1 \(integer"):
        data.concat(Interactions.from_arrays([1], [1]))
    with pytest.raises(ValueError, match=r"in places \[1\] have times, those in \[0\] have none"):
        data.concat(Interactions.from_arrays(["a"], [1], times=[1]))
    with pytest.raises(ValueError, match="2 events are of a pair"):
        data.concat(data, aggregate="raise")
    with pytest.raises(UnknownIdError, match="users not known: 'b'"):
        data.aligned(users=data.users.subset([0]))
    with pytest.raises(ValueError, match="unknown unknown 'ignore'"):
        data.aligned(unknown="ignore")


def test_a_table_where_a_matrix_is_expected():
    table = pd.DataFrame({"user": ["a"], "item": ["b"]})
    with pytest.raises(TypeError, match=r"Interactions\.from_frame takes tables"):
        ImplicitALS().fit(table)
