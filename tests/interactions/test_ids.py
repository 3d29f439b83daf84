"""Ids: rows for ids and ids for rows, of every kind, and what is said of those not there."""

import copy
import datetime
import pickle

import numpy as np
import pytest

from recsys.interactions import Ids, UnknownIdError

KINDS = {
    "string": ["ann", "Bob", "", "Zoë", "日本", "ann "],
    "integer": [7, -1, 0, 2**62, -(2**63), 2**63 - 1],
    "object": [("a", 1), ("b", 2), ("a", 2), ("c",), (), ("b",)],
}


@pytest.fixture(params=KINDS)
def values(request):
    return KINDS[request.param]


def test_there_and_back(values):
    ids = Ids.of(values)
    assert KINDS[ids.kind] == values == list(ids)
    assert len(ids) == 6
    assert [ids.rows(value)[()] for value in values] == [0, 1, 2, 3, 4, 5]
    assert [ids[row] for row in range(6)] == values
    assert ids[-1] == values[-1] and ids[1:3].tolist() == values[1:3]
    assert ids[np.array([2, -1])].tolist() == [values[2], values[-1]]
    assert ids.rows(values[::-1]).tolist() == [5, 4, 3, 2, 1, 0]
    assert ids.take([[3, 1], [0, 2]]).tolist() == [[values[3], values[1]], [values[0], values[2]]]
    assert ids.rows([]).shape == (0,) and ids.take([]).shape == (0,)
    assert all(value in ids for value in values) and "nobody" not in ids and 12 not in ids


def test_empty_places(values):
    ids = Ids.of(values)
    assert ids.take([1, -1]).tolist() == [values[1], -1 if ids.kind == "integer" else None]
    assert ids.find([values[4], "nobody"], any_kind=True).tolist() == [4, -1]


@pytest.mark.parametrize("row", [6, -2])
def test_a_string_that_is_not_there(row):
    ids = Ids.of(KINDS["string"])
    for _ in range(4):  # before and after texts are kept
        with pytest.raises(IndexError, match=f"row {row} of 6"):
            ids.take([0, row, 1])
        ids.take(np.arange(6))


def test_ids_are_the_same_however_often_they_are_taken(values):
    ids, lists = Ids.of(values), np.array([[4, 1, -1], [0, 4, 2]], np.int32)
    if ids.kind != "object":
        ids = Ids.from_arrays(ids.arrays())  # no text is made yet
    first = ids.take(lists)
    assert first.shape == (2, 3) and first[0, 0] == values[4]
    for _ in range(4):  # the texts of strings are made once and kept from some time on
        again = ids.take(lists)
        assert again.tolist() == first.tolist() and again.dtype == first.dtype
        assert ids.take(np.array(2)).shape == () and ids.take(np.array(2))[()] == values[2]
    assert copy.deepcopy(ids).take(lists).tolist() == first.tolist()


def test_subset_and_extended(values):
    ids = Ids.of(values)
    some = ids.subset([4, 1])
    assert list(some) == [values[4], values[1]] and some.kind == ids.kind
    assert some.extended(values[:1]) == Ids.of([values[4], values[1], values[0]])
    assert some != ids and ids != values
    assert ids.extended([]) == ids == Ids.of([]).extended(values)
    both = ids.extended([new := {"string": "new", "integer": 99, "object": ("n",)}[ids.kind]])
    assert list(both) == [*values, new] and both.find([new, values[2]]).tolist() == [6, 2]
    assert len(ids) == 6 and new not in ids
    with pytest.raises(ValueError, match="comes twice"):
        ids.extended([new, values[3]])
    with pytest.raises(TypeError, match="more than one kind"):
        ids.extended(["new"] if ids.kind != "string" else [5])


@pytest.mark.parametrize("kind", ["string", "integer"])
def test_files(kind):
    ids = Ids.of(KINDS[kind])
    arrays = {name: array.copy() for name, array in ids.arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    assert Ids.from_arrays(arrays) == ids == pickle.loads(pickle.dumps(ids))


def test_files_of_objects():
    with pytest.raises(TypeError, match=r"ids of type tuple cannot be written .*strings"):
        Ids.of(KINDS["object"]).arrays()


@pytest.mark.parametrize("offsets", [[], [1, 4], [0, 3], [0, 5], [0, 3, 2, 4]])
def test_damaged(offsets):
    with pytest.raises(ValueError, match="rise from 0"):
        Ids.from_arrays({"offsets": np.array(offsets), "letters": np.zeros(4, np.uint8)})


@pytest.mark.parametrize(
    "values, error, message",
    [
        (["a", None], TypeError, r"id 1 is None; expected every id"),
        ([1.0, 2.0], TypeError, r"a float; expected strings"),
        ([np.nan, "a"], TypeError, r"id 0 is nan; expected every id"),
        ([True, False], TypeError, r"a bool; expected strings"),
        ([["a"], ["b"]], TypeError, r"a list; expected strings"),
        (["a", 1], TypeError, r"more than one kind: 'a' \(string\), 1 \(integer\)"),
        (["a", "b", "a"], ValueError, r"'a' comes twice"),
        ([4, 5, 4], ValueError, r"4 comes twice"),
        ([(1,), (1,)], ValueError, r"\(1,\) comes twice"),
        ([1, 2**63], ValueError, r"9223372036854775808 does not fit"),
    ],
)
def test_bad_ids(values, error, message):
    with pytest.raises(error, match=message):
        Ids.of(values)


def test_unknown():
    ids = Ids.of([f"artist {n}" for n in range(500)] + ["Joy Division", "The Beatles"])
    with pytest.raises(KeyError, match=r"^items not known: 'joy divison'; .*'Joy Division'\?"):
        ids.rows("joy divison", "items")
    with pytest.raises(UnknownIdError, match=r"'x1', .*'x5', and 2 more; there are 502 string"):
        ids.rows([f"x{n}" for n in range(1, 8)])
    with pytest.raises(
        UnknownIdError,
        match=r"ids holds None \(NoneType\), of another kind than the 502 ids, which are strings",
    ):
        ids.rows([None, np.nan, "artist 3"])
    with pytest.raises(UnknownIdError, match=r"5 \(int\), of another kind.*; did you mean '5'\?"):
        Ids.of(["5", "6"]).rows(5)
    with pytest.raises(UnknownIdError, match=r"'5' \(str\), of another kind.*; did you mean 5\?"):
        Ids.of([5, 6]).rows(["5"])
    with pytest.raises(TypeError, match=r"users holds 6.0 \(float\), .*integers.*; did you mean 6"):
        Ids.of([5, 6]).find([5, 6.0], "users")
    assert Ids.of([5, 6]).rows([np.array(6), np.int64(5)]).tolist() == [1, 0]
    assert Ids.of(["a", "b"]).rows([np.array("b")]).tolist() == [1]
    with pytest.raises(UnknownIdError, match=r"7, 8; there are 2 integer ids, such as 5"):
        Ids.of([5, 6]).rows([7, 6, 8])
    with pytest.raises(UnknownIdError, match="there are 0 string ids"):
        Ids.of([]).rows("a")


@pytest.mark.parametrize("kind", [np.int32, np.uint64, object, np.dtypes.StringDType()])
def test_arrays(kind):
    ids = Ids.of(np.array([3, 1, 2]).astype(kind))
    assert ids.kind == ("string" if kind == np.dtypes.StringDType() else "integer")
    assert ids.rows(np.array([[2], [3]]).astype(kind)).tolist() == [[2], [0]]


def test_other_objects():
    days = [datetime.date(2026, 1, day) for day in (1, 2, 3)]
    ids = Ids.of(days)
    assert ids.rows(days[2])[()] == 2 and ids.rows(days[:2]).tolist() == [0, 1]
    assert ids.take(1)[()] == days[1]
    with pytest.raises(UnknownIdError, match="there are 3 object ids"):
        ids.rows([["not hashable"]])


def test_an_index_is_not_copied(values):
    ids = Ids.of(values)
    size = len(pickle.dumps(ids))
    assert ids.find(values).tolist() == [0, 1, 2, 3, 4, 5]
    again = pickle.loads(pickle.dumps(ids))
    assert len(pickle.dumps(ids)) == size and again == ids
    assert again.find(values).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_tuple_is_one_id():
    ids = Ids.of([("a", 1), ("b", 2)])
    assert ids.find(("c", 3)).shape == () and ids.find([("c", 3)]).tolist() == [-1]
    assert ids.find(("b", 2)) == 1
    assert Ids.of(["c", "d"]).find(("d", "c")).tolist() == [1, 0]


def test_more_rows_than_ids(values):
    ids = Ids.of(values)
    rows = np.array([[0, -1, 5], [4, 4, 3], [2, 1, 0]])
    empty = -1 if ids.kind == "integer" else None
    assert ids.take(rows).tolist() == [
        [empty if row < 0 else values[row] for row in line] for line in rows.tolist()
    ]


def test_a_single_integer_is_found_as_one_of_many_is():
    ids = Ids.of([30, -7, 2**40, 12])
    for row, value in enumerate([30, -7, 2**40, 12]):
        found = ids.rows(value)
        assert found.shape == () and found.dtype == np.int64 and found == row
    for missing in (31, -8, 2**41, 2**70, True):
        with pytest.raises(KeyError):
            ids.rows(missing)
    with pytest.raises(KeyError):
        Ids.of([]).rows(3)
