"""Filtered, split, put together and aligned Interactions hold what a dict of events would."""

import datetime
import sys
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys import Interactions, evaluation
from recsys.interactions import Ids, encode
from recsys.interactions import events as event_columns
from recsys.interactions.rearrange import SPLITS


def as_dict(data):
    """{(user, item): (value, time)}, of the latest time."""
    matrix = data.user_items.tocoo()
    times = [None] * data.nnz if data.times is None else data.times.tolist()
    users, items = data.users.take(matrix.row), data.items.take(matrix.col)
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    return dict(zip(pairs, zip(matrix.data.tolist(), times, strict=True), strict=True))


def some(seed=0, count=300, prefix="u"):
    rng = np.random.default_rng(seed)
    users = [f"{prefix}{n}" for n in rng.integers(0, 30, count)]
    items, plays = rng.integers(0, 20, count), rng.integers(1, 9, count)
    return Interactions.from_arrays(users, items, plays, rng.integers(0, 50, count))


EVENT = st.tuples(
    st.sampled_from(["a", "b", "c", "dd", ""]),
    st.integers(0, 4),
    st.integers(0, 100),
    st.integers(0, 9),
)


@pytest.mark.parametrize("pyarrow", ["pyarrow", "no pyarrow"])
@pytest.mark.parametrize("aggregate", ["sum", "max", "mean", "last"])
@settings(max_examples=30, deadline=None)
@given(events=st.lists(EVENT, min_size=1, max_size=20))
def test_any_events(pyarrow, aggregate, events):
    hidden = {"pyarrow": None} if pyarrow == "no pyarrow" else {}
    with (
        mock.patch.dict(sys.modules, hidden),
        mock.patch.object(event_columns, "ROWS", 3),
        mock.patch.object(encode, "_MERGE", 2),
    ):
        columns = [list(column) for column in zip(*events, strict=True)]
        data = Interactions.from_arrays(*columns, aggregate, zeros="keep")
    assert list(data.users) == list(dict.fromkeys(columns[0]))
    assert list(data.items) == list(dict.fromkeys(columns[1]))
    expected = {}
    for user, item, value, time in events:
        expected.setdefault((user, item), []).append((time, value))
    way = {
        "sum": lambda of: sum(value for _, value in of),
        "max": lambda of: max(value for _, value in of),
        "mean": lambda of: np.float32(np.mean([value for _, value in of])),
        "last": lambda of: next(v for t, v in reversed(of) if t == max(of)[0]),
    }[aggregate]
    assert as_dict(data) == {pair: (way(of), max(of)[0]) for pair, of in expected.items()}
    assert data.user_items.has_sorted_indices and (np.diff(data.user_items.indptr) >= 0).all()


@pytest.mark.parametrize("how", SPLITS)
def test_splits(how):
    data = some()
    options = {"random_state": 0} if how != "time" else {}
    made = data.split(how, **options)
    made = next(made) if how == "user_folds" else made
    parts = {name: part for name, part in made._asdict().items() if name != "users"}
    assert all(part.users is data.users and part.items is data.items for part in parts.values())
    by_event = how in ("leave_last", "time")
    each = [part.to_frame("pandas", events=True) for part in parts.values()]
    if by_event:
        assert sum(map(len, each)) == len(data.to_frame("pandas", events=True)) > data.nnz
    else:
        assert sum(part.nnz for part in parts.values()) == data.nnz
    assert by_event or {**as_dict(made[0]), **as_dict(made[1]), **as_dict(made[-2])}.items() <= (
        as_dict(data).items()
    )
    function = getattr(evaluation, how if how == "user_folds" else f"{how}_split")
    whole, times = data.user_items, []
    if by_event:  # as a matrix that stores each event
        table = data.to_frame("pandas", events=True)
        places = data.users.rows(table["user"]), data.items.rows(table["item"])
        whole = sparse.coo_array((table.iloc[:, 2], places), shape=data.shape)
        times = [table["time"].to_numpy()]
    same = function(whole, *times, **options)
    same = next(same) if how == "user_folds" else same
    for name, part in parts.items():
        assert (part.user_items != getattr(same, name)).nnz == 0


@pytest.mark.parametrize(
    "at",
    [
        "2026-01-02",
        np.datetime64("2026-01-02"),
        datetime.date(2026, 1, 2),
        datetime.datetime(2026, 1, 2, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
    ],
)
def test_split_at_a_moment(at):
    days = np.array(["2026-01-01T23:59", "2026-01-02"], "datetime64[s]")
    parts = Interactions.from_arrays([*"ab"], [*"xy"], times=days).split("time", at=at)
    assert parts.train.times.tolist() == days[:1].tolist()
    assert list(as_dict(parts.test)) == [("b", "y")]


def test_filter_is_repeated():
    # Without x, b has too few; without b, y has
    data = Interactions.from_arrays([*"aaabbccc"], [*"yzwxyzwv"], times=range(8))
    left = data.filter(min_user=2, min_item=2)
    assert as_dict(left) == {
        ("a", "z"): (1, 1),
        ("a", "w"): (1, 2),
        ("c", "z"): (1, 5),
        ("c", "w"): (1, 6),
    }
    assert list(left.users) == ["a", "c"] and list(left.items) == ["z", "w"]
    train = data.split("leave_last").train
    assert len(train.filter().items) == len(set(train.user_items.indices))


def test_concat():
    first, second = some(0), some(1, prefix="v")
    both = first.concat(second)
    assert as_dict(both) == as_dict(first) | as_dict(second)
    assert list(both.users) == [*first.users, *second.users]
    twice = first.concat(first, aggregate="mean")
    assert as_dict(twice) == as_dict(first) and twice.users == first.users
    parts = first.split(random_state=0)
    assert as_dict(parts.train.concat(parts.test, aggregate="raise")) == as_dict(first)


def test_aligned():
    data = some()
    users = Ids.of(["nobody", *reversed(list(data.users))])
    items = data.items.subset(np.arange(10))
    moved = data.aligned(users, items, unknown="drop")
    assert moved.users is users and moved.items is items and moved.shape == (len(users), 10)
    known = set(items)
    assert as_dict(moved) == {pair: of for pair, of in as_dict(data).items() if pair[1] in known}
    assert as_dict(data.aligned(data.users, data.items)) == as_dict(data)
    # Those without entries need not be known
    alone = data.aligned(items=items, unknown="drop").aligned(items=items)
    assert alone.nnz == moved.nnz


def test_describe():
    data = some()
    summary = data.describe()
    counts = np.diff(data.user_items.indptr)
    assert summary.columns["entries of a user"]["median"] == np.median(counts)
    assert summary.columns["entries of an item"]["mean"] == data.nnz / data.shape[1]
    assert summary.columns["value"]["max"] == data.user_items.data.max()
    assert (summary.first_time, summary.last_time) == (data.times.min(), data.times.max())
    text, html = repr(summary), summary._repr_html_()
    assert text.startswith("30 users x 20 items") and "\nfrom 1 to 49" in text
    assert ">median</th>" in html and f">{np.median(counts):g}</td>" in html
    assert summary.to_dict()["nnz"] == data.nnz
    days = Interactions.from_arrays([1], [1], times=np.array(["2026-01-31"], "datetime64[D]"))
    assert days.describe().to_dict()["first_time"] == "2026-01-31"
    assert "first_time" not in Interactions.from_arrays([1], [1]).describe().to_dict()
