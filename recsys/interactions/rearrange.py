"""The entries of Interactions in other rows and columns: aligned, filtered, split, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.interactions import splits
from recsys.interactions.encode import Encoder
from recsys.interactions.events import AGGREGATES, IdMatrix, Names, matrix_of
from recsys.interactions.ids import Ids

if TYPE_CHECKING:
    from scipy import sparse

SPLITS = {
    "random": splits.random_split,
    "per_user": splits.per_user_split,
    "leave_k_out": splits.leave_k_out_split,
    "leave_last": splits.leave_last_split,
    "time": splits.time_split,
    "user": splits.user_split,
    "user_folds": splits.user_folds,
}
_BY_TIME = ("leave_last", "time")


def with_ids(data: IdMatrix, users: Ids | None, items: Ids | None, unknown: str) -> IdMatrix:
    """The entries in the rows and columns of other ids; None: as they are."""
    checks.choice("unknown", unknown, ("raise", "drop"))
    rows, columns = csr.entry_rows(data.user_items), data.user_items.indices
    rows = _moved(rows, data.users, users, "users", unknown)
    columns = _moved(columns, data.items, items, "items", unknown)
    users = data.users if users is None else users
    items = data.items if items is None else items
    kept = (rows >= 0) & (columns >= 0)
    values = data.user_items.data[kept]
    times = None if data.times is None else data.times[kept]
    return matrix_of(rows[kept], columns[kept], values, times, users, items, "raise")


def _moved(places: np.ndarray, ids: Ids, other: Ids | None, name: str, unknown: str) -> np.ndarray:
    """The rows among `other` of entries in rows `places` of `own`; -1 where there is none."""
    if other is None or other is ids:
        return places
    used = np.flatnonzero(np.bincount(places, minlength=len(ids)))
    wanted = ids.take(used)
    moved = np.full(len(ids), -1, np.int64)
    moved[used] = other.find(wanted, name) if unknown == "drop" else other.rows(wanted, name)
    return moved[places]


def core(data: IdMatrix, min_user: int, min_item: int) -> IdMatrix:
    """What is left when users and items with too few entries are removed until there are none."""
    least = checks.integer("min_user", min_user, 1), checks.integer("min_item", min_item, 1)
    matrix = data.user_items
    places = csr.entry_rows(matrix), matrix.indices
    kept = np.ones(matrix.nnz, bool)
    while True:
        enough = [
            np.bincount(at[kept], minlength=size) >= few
            for at, size, few in zip(places, matrix.shape, least, strict=True)
        ]
        still = kept & enough[0][places[0]] & enough[1][places[1]]
        if still.sum() == kept.sum():
            break
        kept = still
    if not kept.any():
        raise ValueError(
            f"min_user={min_user} and min_item={min_item} leave no entries of {matrix.nnz}; "
            "expected lower numbers: those that go take entries of the others with them"
        )
    left = [np.flatnonzero(each) for each in enough]
    part = csr.keep(matrix, kept)[left[0]][:, left[1]]
    times = None if data.times is None else data.times[kept]
    return IdMatrix(part, data.users.subset(left[0]), data.items.subset(left[1]), times)


def split(data: IdMatrix, how: str, options: dict[str, Any]) -> Any:
    """The parts of the matrix; see `splits`."""
    checks.choice("how", how, tuple(SPLITS))
    function: Any = SPLITS[how]
    if how not in _BY_TIME:
        return function(data.user_items, **options)
    if data.times is None:
        raise ValueError(
            f"split({how!r}) needs times, and there are none; name their column: "
            "Interactions.from_frame(..., time='timestamp')"
        )
    return function(data.user_items, data.times, **options)


def times_of(part: sparse.csr_matrix, data: IdMatrix) -> np.ndarray | None:
    """The times of entries that are some of those of `data`, in the same rows and columns."""
    if data.times is None:
        return None
    times = np.empty(part.nnz, data.times.dtype)
    for rows, span in csr.row_blocks(part.indptr):
        first, last = (data.user_items.indptr[at] for at in (rows.start, rows.stop))
        at = np.searchsorted(csr.entry_keys(data.user_items, rows), csr.entry_keys(part, rows))
        times[span] = data.times[first:last][at]
    return times


def united(parts: Sequence[IdMatrix], names: Names, aggregate: str) -> IdMatrix:
    """The entries of several, with the users and items of all; `names` are for errors."""
    checks.choice("aggregate", aggregate, AGGREGATES)
    timed = [part.times is not None for part in parts]
    if any(timed) != all(timed):
        raise ValueError(
            f"the Interactions in places {_places(timed, True)} have times, those in "
            f"{_places(timed, False)} have none; expected times in all or in none"
        )
    if aggregate == "last" and not all(timed):
        raise ValueError("aggregate='last' needs times, and there are none")
    rows, users = _joined_ids([part.users for part in parts], names.user)
    columns, items = _joined_ids([part.items for part in parts], names.item)
    matrices = [part.user_items for part in parts]
    of_rows = [numbers[csr.entry_rows(each)] for numbers, each in zip(rows, matrices, strict=True)]
    of_columns = [numbers[each.indices] for numbers, each in zip(columns, matrices, strict=True)]
    values = np.concatenate([each.data for each in matrices])
    times = np.concatenate([part.times for part in parts]) if all(timed) else None
    both = np.concatenate(of_rows), np.concatenate(of_columns)
    return matrix_of(*both, values, times, users, items, aggregate)


def _joined_ids(parts: Sequence[Ids], name: str) -> tuple[list[np.ndarray], Ids]:
    """The rows of each part's ids among those of all, and these."""
    encoder = Encoder(name)
    for ids in parts:
        encoder.add(ids.take(np.arange(len(ids))))
    rows, ids = encoder.finish()
    ends = np.cumsum([len(part) for part in parts])
    return np.split(rows, ends[:-1]), ids


def _places(flags: Sequence[bool], which: bool) -> list[int]:
    return [place for place, flag in enumerate(flags) if flag == which]
