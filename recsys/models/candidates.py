"""Who may be in a list: candidates, seen entries, and which rows of a matrix are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, csr, kernels

if TYPE_CHECKING:
    from scipy import sparse

LONGEST = 1000  # lists may always be this long, however few items there are

Entries = tuple[np.ndarray, np.ndarray]  # indptr int64, indices int32: some rows of a CSR matrix


class Seen(NamedTuple):
    """What a model was trained on: a canonical CSR matrix, without `data` its structure only."""

    indptr: np.ndarray
    indices: np.ndarray
    shape: tuple[int, int]
    data: np.ndarray | None = None

    @classmethod
    def of(cls, counts: sparse.csr_array) -> Seen:
        return cls(counts.indptr, counts.indices, counts.shape, counts.data)

    def counts(self, dtype: np.dtype) -> sparse.csr_array:
        """The matrix; its arrays are shared where they can be."""
        data = np.asarray(self.data, dtype)
        return csr.assemble(data, self.indices, self.indptr, self.shape)

    def arrays(self) -> dict[str, np.ndarray]:
        """For a model file."""
        parts = {"seen_indptr": self.indptr, "seen_indices": self.indices, "seen_data": self.data}
        return {name: part for name, part in parts.items() if part is not None}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, int]) -> Seen:
        """What `arrays` gave, from a file: checked, as native code will follow it."""
        indptr, indices = arrays["seen_indptr"], arrays["seen_indices"]
        data = arrays.get("seen_data")
        values = np.ones(len(indices), np.float32) if data is None else data
        matrix = csr.assemble(values, indices, indptr, shape)
        whole = csr.canonical(matrix, values.dtype, may_be_empty=True, name="what was seen")
        return cls(whole.indptr, whole.indices, shape, None if data is None else whole.data)

    def copied(self, dtype: np.dtype) -> Seen:
        """In arrays of its own, which nobody else can write to."""
        data = None if self.data is None else np.array(self.data, dtype)
        return Seen(self.indptr.copy(), self.indices.copy(), self.shape, data)


class Choice:
    """Which of `count` items lists are made of: `items` only, and not `left_out`."""

    def __init__(self, items: Any, left_out: Any, count: int, noun: str = "items") -> None:
        self.count = count
        self.ids: np.ndarray | None = None  # None: all
        self.banned: np.ndarray | None = None
        if left_out is not None:
            out = checks.row_numbers(f"filter_{noun}", left_out, count).reshape(-1)
        if items is not None:
            self.ids = np.unique(checks.row_numbers(noun, items, count))
            if left_out is not None:
                self.ids = np.setdiff1d(self.ids, out, assume_unique=False)
        elif left_out is not None:
            self.banned = np.zeros(count, np.uint8)
            self.banned[out] = 1

    def of(self, values: np.ndarray) -> np.ndarray:
        """What the chosen items have of `values`, one for each item."""
        return values if self.ids is None else np.ascontiguousarray(values[self.ids])

    def all_banned(self) -> np.ndarray | None:
        """1 for each item that is not chosen, uint8; None: there is no such item."""
        if self.ids is None:
            return self.banned
        banned = np.ones(self.count, np.uint8)
        banned[self.ids] = 0
        return banned

    def allows(self, rows: np.ndarray) -> np.ndarray:
        """Which of `rows` may be listed."""
        if self.ids is not None:
            return np.isin(rows, self.ids)
        return np.ones(rows.shape, bool) if self.banned is None else self.banned[rows] == 0

    def positions(self, entries: Entries) -> Entries:
        """`entries` in terms of the chosen items."""
        if self.ids is None:
            return entries
        place = np.full(self.count, -1, np.int32)
        place[self.ids] = np.arange(len(self.ids), dtype=np.int32)
        indptr, own = entries[0], place[entries[1]]
        kept = own >= 0
        return np.concatenate([[0], np.cumsum(kept)])[indptr], own[kept]

    def names(self, found: np.ndarray) -> np.ndarray:
        """Items for positions among the chosen ones."""
        if self.ids is None:
            return found
        names = np.append(self.ids, kernels.NO_ID).astype(np.int32)
        return names[found]  # -1 is the last


def pairs(users: Any, items: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers of a matrix of `shape`, broadcast against each other.

    Raises
    ------
    TypeError, IndexError
        As `checks.row_numbers`.
    ValueError
        The shapes do not broadcast.
    """
    shapes = np.shape(users), np.shape(items)
    row = checks.row_numbers("users", np.ravel(users), shape[0]).reshape(shapes[0])
    column = checks.row_numbers("items", np.ravel(items), shape[1]).reshape(shapes[1])
    try:
        rows, columns = np.broadcast_arrays(row, column)
    except ValueError:
        raise ValueError(
            f"users of shape {shapes[0]} and items of shape {shapes[1]} do not pair up: pass "
            "arrays of one length, or score(users[:, None], items) for all pairs"
        ) from None
    return rows, columns


def list_length(N: int, count: int) -> None:
    """Check the length N of lists made of `count` items at most."""
    most = max(count, LONGEST)
    if checks.integer("N", N, 1) > most:
        raise ValueError(
            f"N must be at most {most}; got {N}: there are {count} to choose from, and what a list "
            "has beyond those is -1"
        )


def entries_of(seen: Seen, rows: np.ndarray) -> Entries:
    """The entries of some rows, one row after the other."""
    begin = seen.indptr[rows].astype(np.int64)
    lengths = seen.indptr[rows + 1] - begin
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    at = np.repeat(begin - indptr[:-1], lengths) + np.arange(indptr[-1])
    return indptr, seen.indices[at]


def rows_meant(
    given: tuple[int, int], users: np.ndarray, known: tuple[int, int], fold_in: bool
) -> np.ndarray:
    """The rows of a matrix of shape `given` that are `users`: theirs by number, or one each."""
    listed = np.arange(len(users))
    by_number = len(users) and given[0] > users.max() if fold_in else given[0] == known[0]
    by_place = given[0] == len(users)
    if given[1] == known[1] and (by_number or by_place):
        if by_number and by_place and not np.array_equal(users, listed):
            raise ValueError(
                f"user_items has {given[0]} rows, which may be one for each user there is, or one "
                "for each of `users`, which are in another order: ask for users in ascending order"
            )
        return users if by_number else listed
    hint = ". It looks transposed: pass user_items.T" if given == known[::-1] else ""
    raise ValueError(
        f"user_items has shape {given}; expected {known} (every user of the model) or "
        f"{(len(users), known[1])} (one row for each of `users`){hint}"
    )
