"""Lists in ids: what `recommend` and its like return where a model was fitted on Interactions."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from recsys.interactions.frames import to_frame
from recsys.tables import aligned, html_table

_SHOWN = 5  # lists, and places of each, that are printed


class IdLists(tuple[np.ndarray, np.ndarray]):
    """A pair of arrays, ``ids, scores = lists``, that knows whose lists they are.

    Attributes
    ----------
    ids : ndarray, shape (N,) for a single user or item, else (n, N)
        Best first. Strings and other objects in an array of objects, integers in one of int64.
        Places that stay empty, at the end, hold None, or -1 among integers.
    scores : ndarray of the model's dtype, same shape
        -inf in empty places.
    unknown : ndarray of bool, shape () or (n,), or None
        Whose lists are empty, or of what is popular, as the model knows nothing of them. None
        where that would have been an error.
    """

    unknown: np.ndarray | None = None
    _marked: bool = False
    _types: tuple[Any, Any] | None
    _whose: np.ndarray
    _names: tuple[str, str]
    _frame_kind: str | None

    def __new__(
        cls,
        ids: np.ndarray,
        scores: np.ndarray,
        whose: np.ndarray,
        names: tuple[str, str],
        frame_kind: str | None,
        unknown: np.ndarray | None = None,
        marked: bool = False,
        types: tuple[Any, Any] | None = None,
    ) -> IdLists:
        self = tuple.__new__(cls, (ids, scores))
        self._whose, self._names, self._frame_kind, self._types = whose, names, frame_kind, types
        if unknown is not None:
            self.unknown, self._marked = unknown, marked
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:  # for copies and pickles
        named = self._whose, self._names, self._frame_kind
        return *self, *named, self.unknown, self._marked, self._types

    def marking(self, unknown: np.ndarray, marked: bool) -> IdLists:
        """The same lists, of whom some are unknown; `marked`: `to_frame` says so."""
        named = self._whose, self._names, self._frame_kind, unknown, marked
        return IdLists(self.ids, self.scores, *named, types=self._types)

    @property
    def ids(self) -> np.ndarray:
        return self[0]

    @property
    def scores(self) -> np.ndarray:
        return self[1]

    def columns(self) -> dict[str, np.ndarray]:
        """What `to_frame` makes a table of, by name."""
        ids, scores = map(np.atleast_2d, self)
        filled = scores > -np.inf
        listing, place = np.nonzero(filled)
        values = [self._whose.reshape(-1)[listing], ids[filled], place + 1, scores[filled]]
        names = [*self._names, "rank", "score"]
        if self._marked and self.unknown is not None:
            names.append("unknown")
            values.append(self.unknown.reshape(-1)[listing])
        columns: dict[str, np.ndarray] = {}
        for name, column in zip(names, values, strict=True):
            while name in columns:
                name += "_"
            columns[name] = column
        return columns

    def to_frame(self, kind: str | None = None) -> Any:
        """A table with one row for each place that is not empty.

        Columns: whose list it is and what is listed, under the names of the caller's own columns
        (of `similar_items` the second is called ``"similar_"`` and that name), then "rank", counted
        from 1, and "score"; "unknown" too, where popular items are listed for unknown users. A name
        that is taken already gets a "_" behind it.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, optional
            By default what the model was fitted on, or else what is installed.

        Raises
        ------
        ImportError, ValueError
            That library is not installed; there is no such kind.
        """
        types = None
        if kind is None or kind == self._frame_kind:
            types = dict(zip(self.columns(), self._types or (), strict=False))
        return to_frame(self.columns(), kind or self._frame_kind, types)

    def __repr__(self) -> str:
        return "\n".join([aligned(self._cells()), *self._rest()])

    def _repr_html_(self) -> str:
        rest = (f"<p>{escape(line)}</p>" for line in self._rest())
        return html_table(self._cells(), numbers=False) + "".join(rest)

    def _cells(self) -> list[list[str]]:
        """A heading, and the beginning of the first lists."""
        ids, scores = (np.atleast_2d(each)[:_SHOWN, :_SHOWN] for each in self)
        head = [self._names[0], *map(str, range(1, ids.shape[1] + 1))]
        whose = map(str, self._whose.reshape(-1))
        return [head] + [
            [name, *(f"{i} {s:.4g}" if s > -np.inf else "" for i, s in zip(*both, strict=True))]
            for name, *both in zip(whose, ids, scores, strict=False)
        ]

    def _rest(self) -> list[str]:
        """What was left out of the cells."""
        count, length = np.atleast_2d(self[0]).shape
        if count <= _SHOWN and length <= _SHOWN:
            return []
        return [
            f"({count} {'list' if count == 1 else 'lists'} of {length}, {self._names[1]} and score)"
        ]
