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
    Events,
    IdMatrix,
    Names,
    checked_names,
    default_names,
    narrowed,
)
from recsys.interactions.frames import ROWS, read_frame, to_frame
from recsys.interactions.ids import Ids, IntegerIds
from recsys.interactions.summary import Summary

if TYPE_CHECKING:
    from scipy import sparse

NAMES = Names("user", "item", None, None)  # of what did not come from a table
# How the libraries of tables drop rows of which a column is missing
_DROP = {
    "pandas": "drop such rows with frame.dropna(subset=[{!r}])",
    "polars": "drop such rows with frame.drop_nulls({!r})",
    "pyarrow": "drop such rows with table.filter(pyarrow.compute.field({!r}).is_valid())",
}
_DROP_ANY = "expected none: drop such rows"


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
    """

    user_items: sparse.csr_matrix
    users: Ids
    items: Ids
    times: np.ndarray | None = None
    names: Names = NAMES
    frame_kind: str | None = None

    def __post_init__(self) -> None:
        matrix = csr.scipy_matrix(self.user_items)  # an object of its own, which shares the arrays
        matrix.data, matrix.indices, matrix.indptr = map(
            _read_only, (matrix.data, matrix.indices, matrix.indptr)
        )
        object.__setattr__(self, "user_items", matrix)
        if self.times is not None:
            object.__setattr__(self, "times", _read_only(self.times))

    # ---- from what there is ----------------------------------------------------------------------

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        user: str = "user",
        item: str = "item",
        value: str | None = None,
        time: str | None = None,
        aggregate: str = "sum",
        *,
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
            The column of values (counts, ratings). None: each event is 1. Zeros are kept as
            entries: somebody met the item, and it counts nothing.
        time : str, optional
            The column of dates or numbers, for splits by time.
        aggregate : {"sum", "max", "mean", "last", "raise"}, default "sum"
            The value of several events of one user and item. "last": of the latest, the one
            further down where times are equal. "raise": there must be none.
        allow_negative : bool, default False
            Whether values may be negative (the implicit models take them as dislikes).

        Raises
        ------
        TypeError
            No table; ids of more than one kind, floats or booleans; values that are no numbers,
            times that are neither numbers nor dates.
        ValueError
            A column that is not there; no rows; missing ids, values or times; values that are
            negative or not finite.
        ImportError
            A table that only pyarrow can read, and there is none.
        """
        names = checked_names(user, item, value, time)
        events = Events(names, aggregate, allow_negative)
        kind, batches = read_frame(frame, names.named)
        for batch in batches:
            events.add(batch)
        return cls(*events.finish(_DROP.get(kind, _DROP_ANY)), names, kind)

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        values: Any = None,
        times: Any = None,
        aggregate: str = "sum",
        *,
        allow_negative: bool = False,
    ) -> Interactions:
        """From arrays, lists or series of one length, an element an event.

        Parameters
        ----------
        users, items : 1-D array, list or series of ids
        values : 1-D array, list or series of numbers, optional
        times : 1-D array, list or series of datetime64 or numbers, optional
        aggregate, allow_negative
            And what is raised: as in `from_frame`.
        """
        names = default_names((users, items, values, times))
        events = Events(names, aggregate, allow_negative)
        columns = [as_column("users", users, ids=True), as_column("items", items, ids=True)]
        columns += [
            as_column(name, part)
            for name, part in (("values", values), ("times", times))
            if part is not None
        ]
        lengths = list(map(len, columns))
        if len(set(lengths)) > 1:
            raise ValueError(f"users, items, values and times must be of one length; got {lengths}")
        for begin in range(0, lengths[0], ROWS):
            events.add([column[begin : begin + ROWS] for column in columns])
        return cls(*events.finish(_DROP_ANY), names)

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
        if not allow_negative and matrix.nnz and matrix.data.min() < 0:
            bad = matrix.data < 0
            at = int(np.argmax(bad))
            raise ValueError(
                f"user_items holds {bad.sum()} negative values, the first at "
                f"{csr.entry_name(at, matrix.indptr, matrix.indices)} ({matrix.data[at]:g}); "
                "expected none: allow_negative=True takes them, as dislikes"
            )
        matrix.data = narrowed(matrix.data)
        users = _ids_of_rows("users", users, matrix.shape[0], "rows")
        items = _ids_of_rows("items", items, matrix.shape[1], "columns")
        return cls(matrix, users, items)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike,
        user: str | int = "user",
        item: str | int = "item",
        value: str | int | None = None,
        time: str | int | None = None,
        aggregate: str = "sum",
        *,
        separator: str | None = None,
        header: bool = True,
        quote: str | None = '"',
        encoding: str = "utf-8",
        allow_negative: bool = False,
    ) -> Interactions:
        """From a text file with a row an event, in blocks: it need not fit into memory.

        Ids are strings, whatever they look like; an empty one is missing. Read by pyarrow where
        that is installed, many times faster, else by Python's csv.

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
            What encloses fields that hold separators. None: nothing does, as in many files
            separated by tabs.
        encoding : str, default "utf-8"
        aggregate, allow_negative
            As in `from_frame`.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
        TypeError, ValueError
            As `from_frame`, with the path; no such text file. Rows are counted from 0, without
            the header.
        """
        path = files.existing(path)
        checks.flag("header", header)
        columns = checked_names(user, item, value, time, of=str if header else int)
        names = columns if header else default_names(columns)
        events = Events(names, aggregate, allow_negative)
        kinds = "iivt" if value is not None else "iit"
        with files.naming(path):
            layout = files.csv_layout(path, separator, header, quote, encoding)
            places = files.csv_columns(layout, columns.named)
            for batch in files.read_csv(path, layout, places, kinds[: len(places)]):
                events.add(batch)
            return cls(*events.finish(_DROP_ANY), names)

    @classmethod
    def from_parquet(
        cls,
        path: str | os.PathLike,
        user: str = "user",
        item: str = "item",
        value: str | None = None,
        time: str | None = None,
        aggregate: str = "sum",
        *,
        allow_negative: bool = False,
    ) -> Interactions:
        """From a Parquet file with a row an event, in batches: it need not fit into memory.

        Only the columns named are read. Parameters as in `from_frame`.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
        TypeError, ValueError
            As `from_frame`, with the path; no Parquet file.
        ImportError
            pyarrow is not installed.
        """
        path = files.existing(path)
        names = checked_names(user, item, value, time)
        events = Events(names, aggregate, allow_negative)
        with files.naming(path):
            for batch in files.read_parquet(path, names.named):
                events.add(batch)
            return cls(*events.finish(_DROP_ANY), names)

    # ---- what it is ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and of items."""
        return self.user_items.shape

    @property
    def nnz(self) -> int:
        """The number of entries."""
        return self.user_items.nnz

    @property
    def density(self) -> float:
        """The share of all pairs of a user and an item that have an entry."""
        return self.nnz / (self.shape[0] * self.shape[1])

    def describe(self) -> Summary:
        """How many entries users and items have, what values, from when to when.

        Returns
        -------
        Summary
            Printed, a table; ``.to_dict()`` has its numbers.
        """
        return Summary.of(self.user_items, self.times)

    # ---- other forms of it -----------------------------------------------------------------------

    def to_frame(self, kind: str | None = None) -> Any:
        """A table with a row for each entry: user, item, value and, where there are any, times.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, optional
            Of the table. None: what this came from, or else the first of these installed.

        Raises
        ------
        ImportError, ValueError
            That library is not installed; an unknown kind.
        """
        rows = csr.entry_rows(self.user_items)
        n_users, n_items = self.shape
        columns = {
            self.names.user: self.users.take(np.arange(n_users))[rows],
            self.names.item: self.items.take(np.arange(n_items))[self.user_items.indices],
            self.names.value or "count": self.user_items.data,
        }
        if self.times is not None:
            columns[self.names.time or "time"] = self.times
        return to_frame(columns, kind or self.frame_kind)

    def aligned(
        self, users: Ids | None = None, items: Ids | None = None, unknown: str = "raise"
    ) -> Interactions:
        """The same entries in other rows and columns, such as those of a model.

        Parameters
        ----------
        users, items : Ids, optional
            Those of the rows and columns of the result. None: as they are.
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

        Those that go take entries of the others with them: it is repeated until every user left
        has at least `min_user` entries and every item left `min_item` (the k-core of the graph).

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
            "time" need `times`.
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
        parts = rearrange.split(self._id_matrix, how, options)
        if how == "user_folds":
            return map(self._with_ids, parts)
        return self._with_ids(parts)

    def concat(self, *others: Interactions, aggregate: str = "sum") -> Interactions:
        """These entries and those of others, with the users and items of all.

        Parameters
        ----------
        *others : Interactions
            With ids of the same kinds; all with times or all without. New users and items come
            after the old ones.
        aggregate : {"sum", "max", "mean", "last", "raise"}, default "sum"
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

    @property
    def _id_matrix(self) -> IdMatrix:
        return IdMatrix(self.user_items, self.users, self.items, self.times)

    def _made_of(self, matrix: IdMatrix) -> Interactions:
        """Interactions that are called as these are."""
        return Interactions(*matrix, self.names, self.frame_kind)

    def _with_ids(self, parts: Any) -> Any:
        """A named tuple of matrices as one of Interactions; arrays in it stay as they are."""
        whole = self._id_matrix
        return parts._make(
            part
            if isinstance(part, np.ndarray)
            else self._made_of(
                whole._replace(user_items=part, times=rearrange.times_of(part, whole))
            )
            for part in parts
        )

    def __repr__(self) -> str:
        times = ", with times" if self.times is not None else ""
        return (
            f"Interactions({self.shape[0]:,} users x {self.shape[1]:,} items, {self.nnz:,} "
            f"entries{times})"
        )


# ---- arguments -----------------------------------------------------------------------------------


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _ids_of_rows(name: str, ids: Iterable[Hashable] | None, count: int, noun: str) -> Ids:
    if ids is None:
        return IntegerIds(np.arange(count))
    labels = ids if isinstance(ids, Ids) else Ids.of(ids)
    if len(labels) != count:
        raise ValueError(f"{name} has {len(labels)} ids, user_items has {count} {noun}")
    return labels
