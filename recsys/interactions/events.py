"""Events, a batch of rows at a time, and the one entry of a matrix that each pair comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks
from recsys.interactions.columns import Times, Values
from recsys.interactions.encode import Encoder
from recsys.interactions.ids import Ids

if TYPE_CHECKING:
    from scipy import sparse

AGGREGATES = ("sum", "max", "mean", "last", "raise")


class Names(NamedTuple):
    """What the columns of a table are called; of values and times, None where there are none."""

    user: str
    item: str
    value: str | None
    time: str | None

    @property
    def given(self) -> list[str]:
        return [name for name in self if name is not None]


class Entries(NamedTuple):
    """What events come to. `times` go with the values, as the latest of each pair's events."""

    user_items: sparse.csr_array
    users: Ids
    items: Ids
    times: np.ndarray | None


class Events:
    """Batches of events, and what is wrong with them.

    Parameters
    ----------
    names : Names
    aggregate : one of AGGREGATES
        What becomes of several events of one pair.
    allow_negative : bool
        Whether values may be negative.
    """

    def __init__(self, names: Names, aggregate: str, allow_negative: bool) -> None:
        checks.choice("aggregate", aggregate, AGGREGATES)
        checks.flag("allow_negative", allow_negative)
        if aggregate == "last" and names.time is None:
            raise ValueError("aggregate='last' needs the times of the events: pass time=")
        if aggregate in ("max", "mean", "last") and names.value is None:
            raise ValueError(f"aggregate={aggregate!r} needs the values of the events: pass value=")
        self._names, self._aggregate = names, aggregate
        self._users, self._items = Encoder(names.user), Encoder(names.item)
        self._values = Values(names.value, allow_negative) if names.value is not None else None
        self._times = Times(names.time) if names.time is not None else None

    def add(self, batch: Sequence[Any]) -> None:
        """Take in a narwhals Series or 1-D array a column, in the order of the names."""
        for column, part in zip(self._columns(), batch, strict=True):
            column.add(part)

    def finish(self, drop: str = "") -> Entries:
        """The entries; what was added is used up.

        Parameters
        ----------
        drop : str
            How the caller's library drops rows, with a ``{}`` for the name of the column.

        Raises
        ------
        ValueError
            No events; ids or values that are missing; values that are negative or not finite; a
            pair that comes twice where aggregate is "raise".
        """
        if not self._users.rows:
            raise ValueError(
                "there are no events, so there is nothing to learn from; expected at least one "
                "row. Look at the filter or join that produced the table"
            )
        for column in self._columns():
            column.check(drop)
        keys, users = self._users.finish()
        columns, items = self._items.finish()
        keys = keys.astype(np.int64)
        keys *= len(items)
        keys += columns
        del columns
        values = None if self._values is None else self._values.finish()
        times = None if self._times is None else self._times.finish()
        return entries(keys, values, times, users, items, self._aggregate)

    def _columns(self) -> list[Any]:
        own = (self._users, self._items, self._values, self._times)
        return [column for column in own if column is not None]


def entries(
    keys: np.ndarray,
    values: np.ndarray | None,
    times: np.ndarray | None,
    users: Ids,
    items: Ids,
    aggregate: str,
) -> Entries:
    """The entries of a matrix, from events in any order.

    Parameters
    ----------
    keys : ndarray of int64, shape (n_events,)
        ``row * len(items) + column`` of each.
    values, times : ndarray, shape (n_events,), or None
    users, items : Ids
    aggregate : one of AGGREGATES
    """
    by_time = aggregate == "last"
    order = np.lexsort((times, keys)) if by_time else np.argsort(keys, kind="stable")
    keys = keys[order]
    begin = np.flatnonzero(np.diff(keys, prepend=-1))  # of each pair
    if len(begin) == len(keys):
        values = np.ones(len(keys)) if values is None else values[order]
        times = None if times is None else times[order]
    elif aggregate == "raise":
        raise ValueError(_twice(keys, begin, users, items))
    else:
        values = _aggregated(None if values is None else values[order], begin, len(keys), aggregate)
        times = None if times is None else np.maximum.reduceat(times[order], begin)
    keys = keys[begin]
    del order, begin
    indices = (keys % len(items)).astype(np.int32)
    indptr = np.searchsorted(keys, np.arange(len(users) + 1) * np.int64(len(items)))
    matrix = checks.assemble(narrowed(values), indices, indptr, (len(users), len(items)))
    return Entries(matrix, users, items, times)


def narrowed(values: np.ndarray) -> np.ndarray:
    """As float32, unless that would round whole numbers or not hold large ones."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32, copy=False)
    off = np.flatnonzero(narrow != values)
    lost = (values[off] == np.rint(values[off])) | ~np.isfinite(narrow[off])
    return values if lost.any() else narrow


def _aggregated(
    values: np.ndarray | None, begin: np.ndarray, count: int, aggregate: str
) -> np.ndarray:
    """One value for each run of values that starts at `begin`; without values, their number."""
    lengths = np.diff(begin, append=count)
    if values is None:
        return lengths.astype(np.float64)
    if aggregate == "max":
        return np.maximum.reduceat(values, begin)
    if aggregate == "last":
        return values[begin + lengths - 1]
    total = np.add.reduceat(values.astype(np.float64, copy=False), begin)
    if not np.isfinite(total).all():
        raise ValueError("the values of a pair add up to more than float64 holds")
    return total / lengths if aggregate == "mean" else total


def _twice(keys: np.ndarray, begin: np.ndarray, users: Ids, items: Ids) -> str:
    again = np.ones(len(keys), bool)
    again[begin] = False
    row, column = divmod(int(keys[np.argmax(again)]), len(items))
    return (
        f"{again.sum()} events are of a pair that was there before, such as user {users[row]!r} "
        f"and item {items[column]!r}; expected each pair once. aggregate='sum', 'max', 'mean' or "
        "'last' makes one of them"
    )
