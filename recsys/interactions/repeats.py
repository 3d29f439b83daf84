"""The events of pairs of a user and an item that had several."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from recsys import csr


class Events(NamedTuple):
    """The events behind the entries of a matrix, by entry, and in each in the order of time.

    Attributes
    ----------
    begin : ndarray of int64, shape (nnz,)
        Where the events of each entry begin.
    values : ndarray, shape (n_events,), or None
        None: each is 1.
    times : ndarray, shape (n_events,), or None
    n : int
        How many events there are.
    """

    begin: np.ndarray
    values: np.ndarray | None
    times: np.ndarray | None
    n: int

    def entries(self) -> np.ndarray:
        """The entry of each event."""
        return np.repeat(np.arange(len(self.begin)), np.diff(self.begin, append=self.n))

    def kept(self, entries: np.ndarray) -> Events | None:
        """Those of some entries, given as one bool each; None where these had one event each."""
        lengths = np.diff(self.begin, append=self.n)[entries]
        if (lengths == 1).all():
            return None
        at = entries[self.entries()]
        begin = np.append(0, np.cumsum(lengths))[:-1]
        values, times = (part if part is None else part[at] for part in (self.values, self.times))
        return Events(begin, values, times, int(lengths.sum()))


class Listed(NamedTuple):
    """Events one by one: row, column, value and time of each."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray | None
    times: np.ndarray | None

    def where(self, chosen: np.ndarray) -> Listed:
        """Some of them."""
        return Listed(*(part if part is None else part[chosen] for part in self))


def listed(matrix: Any, times: np.ndarray | None, events: Events | None) -> Listed:
    """The events of a canonical matrix, or its entries where these had one event each."""
    rows, columns = csr.entry_rows(matrix), matrix.indices
    if events is None:
        return Listed(rows, columns, matrix.data, times)
    of = events.entries()
    return Listed(rows[of], columns[of], events.values, events.times)
