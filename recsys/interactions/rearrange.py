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
_BY_TIME = {"leave_last": splits.last_events, "time": splits.later_events}
_UNITED = ("sum", "max", "last")  # of parts as of all events at once


def with_ids(data: IdMatrix, users: Ids | None, items: Ids | None, unknown: str) -> IdMatrix:
    """The entries in the rows and columns of other ids; None: as they are."""
    checks.choice("unknown", unknown, ("raise", "drop"))
    events = data.listed()
    rows = _moved(events.rows, data.users, users, "users", unknown)
    columns = _moved(events.columns, data.items, items, "items", unknown)
    users = data.users if users is None else users
    items = data.items if items is None else items
    kept = (rows >= 0) & (columns >= 0)
    moved = events._replace(rows=rows, columns=columns).where(kept)
    return data._replace(users=users, items=items).of(moved)


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
    events = None if data.events is None else data.events.kept(kept)
    ids = data.users.subset(left[0]), data.items.subset(left[1])
    return IdMatrix(part, *ids, times, events, data.aggregate)


def split(data: IdMatrix, how: str, options: dict[str, Any]) -> Any:
    """The parts; see `splits`. Those by time are of events."""
    checks.choice("how", how, tuple(SPLITS))
    function: Any = SPLITS[how]
    if how == "user_folds":
        return (_parts(data, parts) for parts in function(data.user_items, **options))
    if how not in _BY_TIME:
        return _parts(data, function(data.user_items, **options))
    if data.times is None:
        raise ValueError(
            f"split({how!r}) needs times, and there are none; name their column: "
            "Interactions.from_frame(..., time='timestamp')"
        )
    events = data.listed()
    drops = splits.drops_repeats(options.pop("repeats", "keep"))
    shape = data.user_items.shape
    marked: Any = _BY_TIME[how]
    test, n_cut_ties = marked(events.rows, events.times, shape[0], **options)
    train, held_out = data.of(events.where(~test)), data.of(events.where(test))
    if drops:
        held_out = _without(held_out, train)
    return splits.Split.counted(train, held_out, n_cut_ties)


def _without(data: IdMatrix, other: IdMatrix) -> IdMatrix:
    """The entries whose pairs have none in the other."""
    every = slice(0, data.user_items.shape[0])
    keys = (csr.entry_keys(each.user_items, every) for each in (data, other))
    return _kept(data, ~csr.among(*keys))


def _parts(data: IdMatrix, parts: Any) -> Any:
    """A named tuple of matrices, with entries of `data`, as one of IdMatrix."""
    return parts._make(
        part if isinstance(part, np.ndarray) else _kept(data, _entries_of(data.user_items, part))
        for part in parts
    )


def _kept(data: IdMatrix, kept: np.ndarray) -> IdMatrix:
    times = None if data.times is None else data.times[kept]
    events = None if data.events is None else data.events.kept(kept)
    matrix = csr.keep(data.user_items, kept)
    return data._replace(user_items=matrix, times=times, events=events)


def _entries_of(whole: sparse.csr_matrix, part: sparse.csr_matrix) -> np.ndarray:
    """Which entries of a matrix are in one of its parts."""
    kept = np.empty(whole.nnz, bool)
    for rows, span in csr.row_blocks(whole.indptr):
        kept[span] = csr.among(csr.entry_keys(whole, rows), csr.entry_keys(part, rows))
    return kept


def united(parts: Sequence[IdMatrix], names: Names, aggregate: str | None) -> IdMatrix:
    """The entries of several, with the users and items of all; `names` are for errors."""
    if aggregate is not None:
        checks.choice("aggregate", aggregate, AGGREGATES)
    timed = [part.times is not None for part in parts]
    if any(timed) != all(timed):
        raise ValueError(
            f"the Interactions in places {_places(timed, True)} have times, those in "
            f"{_places(timed, False)} have none; expected times in all or in none"
        )
    rows, users = _joined_ids([part.users for part in parts], names.user)
    columns, items = _joined_ids([part.items for part in parts], names.item)
    same = all((part.aggregate or "sum") == (aggregate or "sum") for part in parts)
    by_event = same and (aggregate or "sum") in _UNITED
    each = [part.listed() if by_event else part._replace(events=None).listed() for part in parts]
    of_rows = [numbers[events.rows] for numbers, events in zip(rows, each, strict=True)]
    of_columns = [numbers[events.columns] for numbers, events in zip(columns, each, strict=True)]
    values = [np.ones(len(e.rows)) if e.values is None else e.values for e in each]
    times = np.concatenate([events.times for events in each]) if all(timed) else None
    both = np.concatenate(of_rows), np.concatenate(of_columns)
    return matrix_of(*both, np.concatenate(values), times, users, items, aggregate)


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
