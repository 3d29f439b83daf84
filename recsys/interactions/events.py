"""Events, a batch of rows at a time, and the one entry of a matrix that each pair comes to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, csr
from recsys.interactions import repeats
from recsys.interactions.columns import Times, Values
from recsys.interactions.encode import Encoder
from recsys.interactions.frames import ROWS
from recsys.interactions.ids import Ids

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

ZEROS = ("keep", "drop")
AGGREGATES = ("sum", "max", "mean", "last", "raise")


class Names(NamedTuple):
    """What the columns of a table are called; of values and times, None where there are none."""

    user: str
    item: str
    value: str | None
    time: str | None

    @property
    def named(self) -> list[str]:
        return [name for name in self if name is not None]


def checked_names(user: Any, item: Any, value: Any, time: Any, of: type = str) -> Names:
    """The names of columns, or their numbers."""
    names = Names(user, item, value, time)
    for what, name in zip(Names._fields, names, strict=True):
        if not isinstance(name, of) and (name is not None or what in ("user", "item")):
            expected = "name" if of is str else "number, counted from 0, for there is no header"
            raise TypeError(
                f"{what} is a column by its {expected}; got {name!r} ({type(name).__name__})"
            )
    twice = [name for name in names.named if names.named.count(name) > 1]
    if twice:
        raise ValueError(f"the column {twice[0]!r} is named twice; expected another one for each")
    return names


def default_names(columns: Sequence[Any]) -> Names:
    """Of users, items, values and times that have none; None for those not given."""
    return Names(
        *(None if each is None else name for name, each in zip(Names._fields, columns, strict=True))
    )


class IdMatrix(NamedTuple):
    """A matrix with the ids of its rows and columns. `times` go with the values, as the latest of
    each pair's events; `events` are those, where a pair had several, `aggregate` made entries of
    them."""

    user_items: sparse.csr_array
    users: Ids
    items: Ids
    times: np.ndarray | None
    events: repeats.Events | None = None
    aggregate: str | None = None

    def listed(self) -> repeats.Listed:
        """The events one by one."""
        return repeats.listed(self.user_items, self.times, self.events)

    def of(self, some: repeats.Listed) -> IdMatrix:
        """Entries made of some events in the same way, in the same rows and columns."""
        return matrix_of(*some, self.users, self.items, self.aggregate)

    def by(self, aggregate: str) -> IdMatrix:
        """The same events, made entries of in another way."""
        if self.events is None:
            return self._replace(aggregate=aggregate)
        return matrix_of(*self.listed(), self.users, self.items, aggregate)


class EventColumns:
    """Batches of events, and what is wrong with them.

    Parameters
    ----------
    names : Names
    aggregate : one of AGGREGATES, or None
        What becomes of several events of one pair. None: their sum, for now.
    allow_negative : bool
        Whether values may be negative.
    zeros : one of ZEROS, or None
        What becomes of events of value 0. None: they are dropped where all other values are the
        same, as in a table that says of each pair whether there is anything.
    """

    def __init__(
        self, names: Names, aggregate: str | None, allow_negative: bool, zeros: str | None = None
    ) -> None:
        if aggregate is not None:
            checks.choice("aggregate", aggregate, AGGREGATES)
        if zeros is not None:
            checks.choice("zeros", zeros, ZEROS)
        checks.flag("allow_negative", allow_negative)
        if aggregate in ("max", "mean", "last") and names.value is None:
            raise ValueError(f"aggregate={aggregate!r} needs the values of the events: pass value=")
        self._names, self._aggregate, self._zeros = names, aggregate, zeros
        self.n_zeros = 0  # that were met
        self._users, self._items = Encoder(names.user), Encoder(names.item)
        self._values = Values(names.value, allow_negative) if names.value is not None else None
        self._times = Times(names.time) if names.time is not None else None

    def add_whole(self, columns: Sequence[Any]) -> None:
        """Take in all there is: arrays or narwhals Series, which must be of one length."""
        lengths = list(map(len, columns))
        if len(set(lengths)) > 1:
            raise ValueError(f"users, items, values and times must be of one length; got {lengths}")
        for begin in range(0, lengths[0], ROWS):
            self.add([column[begin : begin + ROWS] for column in columns])

    def add(self, batch: Sequence[Any]) -> None:
        """Take in a narwhals Series or 1-D array a column, in the order of the names."""
        columns = self._columns()
        with ThreadPoolExecutor(len(columns)) as pool:  # Arrow and NumPy let go of the GIL
            for _ in pool.map(_add, columns, batch):
                pass

    def finish(self, drop: str = "") -> IdMatrix:
        """The matrix; what was added is used up.

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
        rows, users = self._users.finish()
        columns, items = self._items.finish()
        values = None if self._values is None else self._values.finish()
        times = None if self._times is None else self._times.finish()
        events = repeats.Listed(rows, columns, values, times)
        if values is not None:
            events = self._without_zeros(events)
        return matrix_of(*events, users, items, self._aggregate)

    def _without_zeros(self, events: repeats.Listed) -> repeats.Listed:
        """What is left when zeros are dropped, if they are."""
        values, name = events.values, self._names.value
        there = values != 0
        self.n_zeros = len(values) - int(there.sum())
        if not self.n_zeros or self._zeros == "keep":
            return events
        others = values[there]
        if self._zeros is None:
            if not len(others) or (others != others[0]).any():
                logger.info("column %r holds %d zeros, which are kept", name, self.n_zeros)
                return events
            logger.warning(
                "column %r holds %d zeros, and %g in all other rows: the zeros are taken for pairs "
                "that have nothing to do with each other, and dropped. zeros='keep' keeps them as "
                "entries, zeros='drop' says the same without this warning",
                *(name, self.n_zeros, others[0]),
            )
        if not len(others):
            raise ValueError(
                f"column {name!r} holds nothing but zeros, so there is nothing to learn from; "
                "expected other values, or zeros='keep'"
            )
        return events.where(there)

    def _columns(self) -> list[Any]:
        columns = (self._users, self._items, self._values, self._times)
        return [column for column in columns if column is not None]


def check_not_negative(matrix: sparse.csr_array) -> None:
    """ValueError where a matrix holds a negative value."""
    if matrix.nnz and matrix.data.min() < 0:
        bad = matrix.data < 0
        at = int(np.argmax(bad))
        raise ValueError(
            f"user_items holds {bad.sum()} negative values, the first at "
            f"{csr.entry_name(at, matrix.indptr, matrix.indices)} ({matrix.data[at]:g}); "
            "expected none: allow_negative=True takes them, as dislikes"
        )


def _add(column: Any, part: Any) -> None:
    column.add(part)


def matrix_of(
    rows: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray | None,
    times: np.ndarray | None,
    users: Ids,
    items: Ids,
    aggregate: str | None,
) -> IdMatrix:
    """A matrix with an entry for each pair, from events in any order.

    Parameters
    ----------
    rows, columns : ndarray of int32, shape (n_events,)
    values, times : ndarray, shape (n_events,), or None
    users, items : Ids
    aggregate : one of AGGREGATES, or None for "sum"
    """
    shape, count = (len(users), len(items)), len(rows)
    order, indices, indptr = _in_order(rows, columns, shape, None)
    begin = _pairs(indices, indptr)
    if len(begin) == count:
        values = np.ones(count, np.float32) if values is None else values[order]
        times = None if times is None else times[order]
        matrix = csr.assemble(narrowed(values), indices, indptr, shape)
        return IdMatrix(matrix, users, items, times, None, aggregate)
    if aggregate == "raise":
        raise ValueError(_twice(begin, indices, indptr, users, items))
    if times is not None:
        order, indices, indptr = _in_order(rows, columns, shape, np.argsort(times, kind="stable"))
    of_events = tuple(None if part is None else part[order] for part in (values, times))
    values_of, times_of = of_events
    events = repeats.Events(begin, values_of, times_of, count)
    entries = _aggregated(events.values, begin, count, aggregate)
    times = None if times is None else np.maximum.reduceat(events.times, begin)
    indices, indptr = indices[begin], np.searchsorted(begin, indptr)
    matrix = csr.assemble(narrowed(entries), indices, indptr, shape)
    if values is None and times is None:
        return IdMatrix(matrix, users, items, None, None, aggregate)  # counts say all there is
    return IdMatrix(matrix, users, items, times, events, aggregate)


def _in_order(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], first: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events by row, then by column, then in the order `first` (None: as they come).

    Returns
    -------
    order : ndarray
        Which event is where.
    indices, indptr : ndarray
        Of the CSR matrix with an entry for each event.
    """
    from scipy import sparse

    places = np.arange(len(rows), dtype=np.int32 if len(rows) < 2**31 else np.int64)
    if first is not None:
        places, rows, columns = places[first], rows[first], columns[first]
    # SciPy's conversions are counting sorts, which keep the order of equals: a radix sort in two
    events = sparse.coo_array((places, (rows, columns)), shape)
    events.has_canonical_format = True  # or it would add up the places
    by_row = events.tocsc().tocsr()
    return by_row.data, by_row.indices, by_row.indptr


def _pairs(indices: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Where the events of each pair begin."""
    new = np.empty(len(indices), bool)
    new[:1] = True
    np.not_equal(indices[1:], indices[:-1], out=new[1:])
    new[indptr[:-1][indptr[:-1] < indptr[1:]]] = True
    return np.flatnonzero(new)


def narrowed(values: np.ndarray) -> np.ndarray:
    """As float32, unless that would round whole numbers or not hold large ones."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32, copy=False)
    off = np.flatnonzero(narrow != values)
    lost = (values[off] == np.rint(values[off])) | ~np.isfinite(narrow[off])
    return values if lost.any() else narrow


def _aggregated(
    values: np.ndarray | None, begin: np.ndarray, count: int, aggregate: str | None
) -> np.ndarray:
    """One value for each run of values that starts at `begin`; without values, their number."""
    lengths = np.diff(begin, append=count)
    if values is None:
        return lengths.astype(np.float64)
    if aggregate == "max":
        return np.maximum.reduceat(values, begin)
    if aggregate == "last":
        return values[begin + lengths - 1]
    with np.errstate(over="ignore"):
        total = np.add.reduceat(values.astype(np.float64, copy=False), begin)
    if not np.isfinite(total).all():
        raise ValueError("the values of a pair add up to more than float64 holds")
    return total / lengths if aggregate == "mean" else total


def _twice(
    begin: np.ndarray, indices: np.ndarray, indptr: np.ndarray, users: Ids, items: Ids
) -> str:
    at = int(np.argmax(np.diff(begin, append=len(indices)) > 1))
    row = int(np.searchsorted(indptr, begin[at], side="right")) - 1
    return (
        f"{len(indices) - len(begin)} events are of a pair that was there before, such as user "
        f"{users[row]!r} and item {items[int(indices[begin[at]])]!r}; expected each pair once. "
        "aggregate='sum', 'max', 'mean' or 'last' makes one entry of them"
    )
