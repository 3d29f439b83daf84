"""Interactions: who had to do with what, how much and when, by the ids of the caller."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.interactions import files, rearrange
from recsys.interactions.columns import as_column
from recsys.interactions.events import (
    AGGREGATES,
    EventColumns,
    IdMatrix,
    Names,
    check_not_negative,
    checked_names,
    default_names,
    narrowed,
)
from recsys.interactions.frames import DROP, read_frame, to_frame
from recsys.interactions.ids import Ids, ids_of_rows
from recsys.interactions.read_only import arrays_of, read_only
from recsys.interactions.repeats import Events
from recsys.interactions.splits import Split
from recsys.interactions.summary import Summary

if TYPE_CHECKING:
    from scipy import sparse

NAMES = Names("user", "item", None, None)  # of what did not come from a table


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """A users x items matrix with the ids of its rows and columns. It never changes.

    Made by `from_frame`, `from_arrays` and `from_csr`.

    Attributes
    ----------
    user_items : scipy.sparse.csr_matrix, n_users x n_items
        Canonical, and read-only. float32; float64 where that would round whole numbers.
    users, items : Ids
        The ids of rows and columns, in order of first appearance.
    times : ndarray of numbers or datetime64, shape (nnz,), or None
        The latest time of each entry, in the order of ``user_items.data``. Times with a zone
        are in UTC.
    names : Names
        What the columns of the table were called: user, item, value, time.
    frame_kind : {"pandas", "polars", "pyarrow"} or None
        The caller's kind of table, which results take on.
    id_types : pair or None
        The types that the columns of ids had in that table, which results have as well.
    events : Events or None
        What the entries were made of, where a pair had several events: splits by time go by these.
    aggregate : str or None
        How; None where that was not said, so that models of ratings take the last of a pair.
    n_zeros : int
        Events of value 0 that were met.
    """

    user_items: sparse.csr_matrix
    users: Ids
    items: Ids
    times: np.ndarray | None = None
    names: Names = NAMES
    frame_kind: str | None = None
    id_types: tuple[Any, Any] | None = None
    events: Events | None = None
    aggregate: str | None = None
    n_zeros: int = 0

    def __post_init__(self) -> None:
        matrix = csr.scipy_matrix(self.user_items)  # an object of its own, which shares the arrays
        matrix.data, matrix.indices, matrix.indptr = arrays_of(matrix)
        object.__setattr__(self, "user_items", matrix)
        for name, axis, noun in (("users", 0, "rows"), ("items", 1, "columns")):
            ids = ids_of_rows(name, getattr(self, name), matrix.shape[axis], noun)
            object.__setattr__(self, name, ids)
        if self.times is not None:
            object.__setattr__(self, "times", read_only(self.times))

    # ---- from what there is ----------------------------------------------------------------------

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        user: str = "user",
        item: str = "item",
        value: str | None = None,
        time: str | None = None,
        aggregate: str | None = None,
        *,
        zeros: str | None = None,
        allow_negative: bool = False,
    ) -> Interactions:
        """From a table with a row an event.

        Parameters
        ----------
        frame : pandas, polars (also lazy), pyarrow, DuckDB or other table
            Whatever narwhals reads, or has ``__arrow_c_stream__``. It is not changed.
        user, item : str, default "user", "item"
            The columns of ids: strings, integers or other hashable objects, of one kind each;
            also as categories.
        value : str, optional
            The column of values (counts, ratings). None: each event is 1.
        time : str, optional
            The column of dates or numbers, for splits by time.
        aggregate : {"sum", "max", "mean", "last", "raise"}, optional
            The value of several events of one user and item. "last": of the latest, the one
            further down where times are equal or there are none. "raise": there must be none.
            None: the sum, of which models of ratings, when they are fitted, make the last.
        zeros : {"keep", "drop"}, optional
            Whether events of value 0 are entries: somebody met the item, and it counts nothing.
            None: they are kept, unless all other values are the same, as in a table that has a
            row for every pair: then they are dropped, and the log says so.
        allow_negative : bool, default False
            Whether values may be negative (the implicit models take them as dislikes).

        Raises
        ------
        TypeError
            No table; ids of more than one kind, floats or booleans; values that are no numbers,
            times that are neither numbers nor dates.
        ValueError
            No such column; no rows; missing ids, values or times; values that are negative or not
            finite.
        ImportError
            A table that only pyarrow can read, and there is none.
        """
        names = checked_names(user, item, value, time)
        events = EventColumns(names, aggregate, allow_negative, zeros)
        kind, types, batches = read_frame(frame, names.named)
        for batch in batches:
            events.add(batch)
        return cls._of(events, names, kind, types[:2])

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        values: Any = None,
        times: Any = None,
        aggregate: str | None = None,
        *,
        zeros: str | None = None,
        allow_negative: bool = False,
    ) -> Interactions:
        """From arrays, lists or series of one length, an element an event.

        Parameters
        ----------
        users, items : 1-D array, list or series of ids
        values : 1-D array, list or series of numbers, optional
        times : 1-D array, list or series of datetime64 or numbers, optional
        aggregate, zeros, allow_negative
            And what is raised: as in `from_frame`.
        """
        names = default_names((users, items, values, times))
        events = EventColumns(names, aggregate, allow_negative, zeros)
        columns = [as_column("users", users, ids=True), as_column("items", items, ids=True)]
        others = ("values", values), ("times", times)
        columns += [as_column(name, part) for name, part in others if part is not None]
        events.add_whole(columns)
        return cls._of(events, names)

    @classmethod
    def from_csr(
        cls,
        user_items: Any,
        users: Iterable[Hashable] | None = None,
        items: Iterable[Hashable] | None = None,
        *,
        allow_negative: bool = False,
    ) -> Interactions:
        """From a SciPy sparse matrix, users x items, of any format; duplicates are summed.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items
        users, items : Ids or iterable of ids, optional
            Of its rows and columns. None: their numbers 0, 1, 2, ...
        allow_negative : bool, default False
            Whether values may be negative.

        Raises
        ------
        TypeError, ValueError
            No sparse matrix of finite numbers, negative ones; as many ids as rows are expected,
            each once.
        """
        checks.flag("allow_negative", allow_negative)
        matrix = csr.canonical(user_items, may_be_empty=True, name="user_items")
        if not allow_negative:
            check_not_negative(matrix)
        matrix.data = narrowed(matrix.data)
        return cls(matrix, users, items)  # type: ignore[arg-type]  # it makes Ids of them

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike,
        user: str | int = "user",
        item: str | int = "item",
        value: str | int | None = None,
        time: str | int | None = None,
        aggregate: str | None = None,
        *,
        zeros: str | None = None,
        decimal: str = ".",
        time_format: str | None = None,
        separator: str | None = None,
        header: bool = True,
        quote: str | None = '"',
        encoding: str = "utf-8",
        allow_negative: bool = False,
    ) -> Interactions:
        """From a text file with a row an event, in blocks: it need not fit into memory.

        Ids are strings, whatever they look like; an empty one is missing. pyarrow, where that is
        installed, reads many times faster.

        Parameters
        ----------
        path : path
            Text, or text packed by gzip.
        user, item, value, time : str or int
            Columns, as in `from_frame`; without a header their numbers, counted from 0. Times
            are numbers, or dates as in ISO 8601.
        separator : str, optional
            None: tab, semicolon, comma or bar, whichever is most frequent in the first line.
        header : bool, default True
            Whether the first line names the columns.
        quote : str or None, default '"'
            What encloses fields that hold separators; None: nothing does.
        encoding : str, default "utf-8"
        decimal : {".", ","}, default "."
            What values have before their fractions.
        time_format : str, optional
            How dates are written, as in `datetime.strptime`: "%d.%m.%Y %H:%M". None: numbers, or
            dates as in ISO 8601.
        aggregate, zeros, allow_negative
            As in `from_frame`.

        Raises
        ------
        FileNotFoundError, IsADirectoryError, TypeError, ValueError
            As `from_frame`, with the path; rows are counted from 0, without the header.
        """
        path = files.existing(path)
        checks.flag("header", header)
        columns = checked_names(user, item, value, time, of=str if header else int)
        names = columns if header else default_names(columns)
        events = EventColumns(names, aggregate, allow_negative, zeros)
        kinds = "iivt" if value is not None else "iit"
        with files.naming(path):
            layout = files.csv_layout(path, separator, header, quote, encoding)
            places = files.csv_columns(layout, columns.named)
            writing = files.Writing(decimal, time_format)
            for batch in files.read_csv(path, layout, places, kinds[: len(places)], writing):
                events.add(batch)
            return cls._of(events, names)

    @classmethod
    def from_parquet(
        cls,
        path: str | os.PathLike,
        user: str = "user",
        item: str = "item",
        value: str | None = None,
        time: str | None = None,
        aggregate: str | None = None,
        *,
        zeros: str | None = None,
        allow_negative: bool = False,
    ) -> Interactions:
        """From a Parquet file with a row an event, as `from_frame`, of which only these columns are
        read, in batches.

        Raises
        ------
        FileNotFoundError, IsADirectoryError, TypeError, ValueError, ImportError
            As `from_csv`; no Parquet file; pyarrow is not installed.
        """
        path = files.existing(path)
        names = checked_names(user, item, value, time)
        events = EventColumns(names, aggregate, allow_negative, zeros)
        with files.naming(path):
            for batch in files.read_parquet(path, names.named):
                events.add(batch)
            return cls._of(events, names)

    # ---- what it is ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and of items."""
        return self.user_items.shape

    @property
    def nnz(self) -> int:
        """How many entries there are."""
        return self.user_items.nnz

    @property
    def density(self) -> float:
        """The share of all pairs of a user and an item that have an entry."""
        return self.nnz / (self.shape[0] * self.shape[1])

    def describe(self) -> Summary:
        """How many entries users and items have, what values, from when to when: printed, a table;
        ``.to_dict()`` has its numbers.
        """
        return Summary.of(self.user_items, self.times)

    # ---- other forms of it -----------------------------------------------------------------------

    def to_frame(self, kind: str | None = None, *, events: bool = False) -> Any:
        """A table with a row for each entry: user, item, value and, where there are any, times.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, optional
            Of the table. None: what this came from, or else the first of these installed.
        events : bool, default False
            A row for each event instead.

        Raises ImportError where that library is not installed, ValueError for an unknown kind.
        """
        checks.flag("events", events)
        listed = self._id_matrix._replace(**({} if events else {"events": None})).listed()
        n_users, n_items = self.shape
        values = np.ones(len(listed.rows)) if listed.values is None else listed.values
        columns = {
            self.names.user: self.users.take(np.arange(n_users))[listed.rows],
            self.names.item: self.items.take(np.arange(n_items))[listed.columns],
            self.names.value or "count": values,
        }
        if listed.times is not None:
            columns[self.names.time or "time"] = listed.times
        types = dict(zip(self.names[:2], self.id_types or (), strict=False))
        same = kind is None or kind == self.frame_kind
        return to_frame(columns, kind or self.frame_kind, types if same else None)

    def aggregated(self, aggregate: str) -> Interactions:
        """The same events, with the entries of pairs that had several made in another way.

        Parameters
        ----------
        aggregate : {"sum", "max", "mean", "last", "raise"}
            As in `from_frame`.

        """
        checks.choice("aggregate", aggregate, AGGREGATES)
        return self._made_of(self._id_matrix.by(aggregate))

    def aligned(
        self, users: Ids | None = None, items: Ids | None = None, unknown: str = "raise"
    ) -> Interactions:
        """The same entries in other rows and columns, such as those of a model.

        Parameters
        ----------
        users, items : Ids, optional
            Those of the result. None: as they are.
        unknown : {"raise", "drop"}, default "raise"
            What becomes of entries whose user or item is not among them.

        Raises
        ------
        UnknownIdError
            Entries of users or items that are not among `users` or `items`.
        """
        return self._made_of(rearrange.with_ids(self._id_matrix, users, items, unknown))

    def filter(self, *, min_user: int = 1, min_item: int = 1) -> Interactions:
        """Without users and items that have too few entries.

        Repeated until every user left has at least `min_user` entries and every item left
        `min_item` (the k-core of the graph).

        Parameters
        ----------
        min_user, min_item : int, default 1
            The least number of entries. 1 removes users and items without any.

        Raises
        ------
        TypeError, ValueError
            No such integers; nothing would be left.
        """
        return self._made_of(rearrange.core(self._id_matrix, min_user, min_item))

    def split(self, how: str = "random", **options: Any) -> Any:
        """Parts to train and to measure on, with the same users and items as the whole.

        Parameters
        ----------
        how : str, default "random"
            "random", "per_user", "leave_k_out", "leave_last", "time", "user" or "user_folds":
            what `recsys.evaluation` offers as ``random_split`` and so on. "leave_last" and
            "time" need `times`, and are of events: what somebody did before and after the cut is in
            both parts, or with ``repeats="drop"`` in train alone.
        **options
            Those of that function, such as ``test_share=0.2, random_state=0``.

        Returns
        -------
        Split, UserSplit or iterator of UserSplit
            As of that function, of Interactions in place of matrices.

        Raises
        ------
        TypeError, ValueError
            An unknown way to split, no times, options of that function out of range.
        """
        parts = rearrange.split(self._id_matrix, how, dict(options))
        return map(self._with_ids, parts) if how == "user_folds" else self._with_ids(parts)

    def concat(self, *others: Interactions, aggregate: str | None = None) -> Interactions:
        """These entries and those of others, with the users and items of all.

        Parameters
        ----------
        *others : Interactions
            With ids of the same kinds; all with times or all without. New users and items come
            after the old ones.
        aggregate : {"sum", "max", "mean", "last", "raise"}, optional
            The value of a pair that several have, as in `from_frame`.

        Raises
        ------
        TypeError, ValueError
            Other things than Interactions, other kinds of ids, times in some only.
        """
        for other in others:
            if not isinstance(other, Interactions):
                raise TypeError(
                    f"expected Interactions to put together; got {type(other).__qualname__}. "
                    "Interactions.from_frame makes them of a table, from_csr of a matrix"
                )
        parts = [part._id_matrix for part in (self, *others)]
        return self._made_of(rearrange.united(parts, self.names, aggregate))

    @classmethod
    def _of(
        cls,
        events: EventColumns,
        names: Names,
        frame_kind: str | None = None,
        id_types: Any = None,
    ) -> Interactions:
        """Made of all events that were read."""
        matrix = events.finish(DROP[frame_kind])
        table = {"names": names, "frame_kind": frame_kind, "id_types": id_types}
        return cls(**matrix._asdict(), **table, n_zeros=events.n_zeros)

    @property
    def _id_matrix(self) -> IdMatrix:
        return IdMatrix(*(getattr(self, name) for name in IdMatrix._fields))

    def _made_of(self, matrix: IdMatrix) -> Interactions:
        """Interactions that are called as these are."""
        table = {name: getattr(self, name) for name in ("names", "frame_kind", "id_types")}
        return Interactions(**matrix._asdict(), **table)

    def _with_ids(self, parts: Any) -> Any:
        """A named tuple of matrices as one of Interactions; arrays in it stay as they are."""
        named = parts._make(
            part if isinstance(part, np.ndarray) else self._made_of(part) for part in parts
        )
        if isinstance(parts, Split):
            named.n_cut_ties = parts.n_cut_ties
        return named

    def __repr__(self) -> str:
        times = ", with times" if self.times is not None else ""
        return (
            f"Interactions({self.shape[0]:,} users x {self.shape[1]:,} items, {self.nnz:,} "
            f"entries{times})"
        )
