"""Ids in, ids out: what is asked in ids becomes row numbers, and answers become ids.

Methods of models know row numbers only. Each public one begins with the lines that make row
numbers of its arguments and ends with the one that makes ids of its answer. All functions take
the model's `Vocabulary`, or None of a model fitted on a matrix, which is asked in row numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from recsys.interactions import Ids, Interactions
from recsys.interactions.matching import in_rows
from recsys.models.files import digest
from recsys.models.lists import IdLists

Lists = tuple[np.ndarray, np.ndarray]  # who is listed, best first, and their scores


class Vocabulary(NamedTuple):
    """The ids a model was fitted with, what the caller's table calls them and what it is."""

    users: Ids
    items: Ids
    names: tuple[str, str]
    frame_kind: str | None
    types: tuple[Any, Any] | None = None  # of the columns of ids in such a table
    value: str | None = None  # what it calls how much an event counts

    @classmethod
    def of(cls, user_items: Any) -> Vocabulary | None:
        """The ids in what `fit` was given; None for a matrix."""
        if not isinstance(user_items, Interactions):
            return None
        names = (user_items.names.user, user_items.names.item)
        table = user_items.frame_kind, user_items.id_types
        return cls(user_items.users, user_items.items, names, *table, user_items.names.value)

    def header(self) -> dict[str, Any]:
        """For a model file; see `arrays`."""
        digests = {name: digest(array) for name, array in self.arrays().items()}
        table = {"frame_kind": self.frame_kind, "types": self.types and list(map(str, self.types))}
        return {"ids": {"names": self.names, "value": self.value, **table, "digests": digests}}

    def arrays(self) -> dict[str, np.ndarray]:
        """For a model file; TypeError where ids are neither strings nor integers."""
        sides = ("users", self.users), ("items", self.items)
        return {
            f"{side}_{name}": array for side, ids in sides for name, array in ids.arrays().items()
        }

    @classmethod
    def from_file(
        cls, header: dict[str, Any], arrays: dict[str, np.ndarray], shape: tuple[int, int]
    ) -> Vocabulary | None:
        """The ids that a model file has of so many users and items, or None.

        Raises
        ------
        ValueError, TypeError, KeyError
            They are not as they should be.
        """
        if "ids" not in header:
            return None
        sides: dict[str, dict[str, np.ndarray]] = {"users": {}, "items": {}}
        for name, saved in header["ids"]["digests"].items():  # spares an index of all ids
            if digest(arrays[name]) != saved:
                raise ValueError(f"{name} is not what was saved")
            side, _, part = name.partition("_")
            sides[side][part] = arrays[name]
        users, items = map(Ids.from_arrays, sides.values())
        if (len(users), len(items)) != shape:
            raise ValueError(f"there are ids of {len(users)} users and {len(items)} items")
        user, item = header["ids"]["names"]
        types = header["ids"].get("types")
        table = header["ids"]["frame_kind"], types and (str(types[0]), str(types[1]))
        return cls(users, items, (user, item), *table, header["ids"].get("value"))

    def side(self, side: str) -> Ids:
        """The ids of "users" or of "items"."""
        return self.users if side == "users" else self.items


# ---- in ----------------------------------------------------------------------------------------


def listed(values: Any) -> Any:
    """What can be gone through once only as a list: it is looked at for rows, and for the
    answer."""
    return list(values) if hasattr(values, "__next__") else values


def to_rows(vocabulary: Vocabulary | None, side: str, values: Any, name: str) -> Any:
    """Ids of "users" or "items" as row numbers; `name` is what an error calls them.

    Row numbers of a model without ids stay as they are, and so does None.

    Raises
    ------
    UnknownIdError
        The model has no such ids.
    """
    if vocabulary is None or values is None:
        return values
    return vocabulary.side(side).rows(values, name)


def to_rows_or_beyond(vocabulary: Vocabulary | None, side: str, values: Any) -> Any:
    """As `to_rows`, with a number beyond the model's for an id it does not know."""
    if vocabulary is None:
        return values
    ids = vocabulary.side(side)
    rows = ids.find(values, side)
    return np.where(rows < 0, len(ids), rows)


def with_history(
    vocabulary: Vocabulary | None, users: Any, user_items: Any, *, newcomers: bool
) -> tuple[Any, Any]:
    """Row numbers of users, and a matrix of entries beside those of training.

    Parameters
    ----------
    users, user_items
        As `recommend` was given them; `user_items` may be None.
    newcomers : bool
        The users need not be the model's: they may be those of `user_items`.
    """
    if vocabulary is None:
        return users, user_items
    if user_items is None or not newcomers:
        rows = vocabulary.users.rows(users, "users")
        return rows, known_entries(vocabulary, user_items)
    if isinstance(user_items, Interactions):
        rows = user_items.users.rows(users, "users")
        entries = newcomers_entries(vocabulary, "users", user_items)
        return _positions(rows.shape), entries[rows.reshape(-1)]
    rows, count = vocabulary.users.find(users, any_kind=True), getattr(user_items, "shape", (0,))[0]
    by_number = count == len(vocabulary.users) and (rows >= 0).all()
    if count == rows.size and not by_number:
        return _positions(rows.shape), user_items
    return vocabulary.users.rows(users, "users"), user_items


def newcomers_entries(vocabulary: Vocabulary | None, side: str, entries: Any) -> Any:
    """A matrix whose rows are those "users", or those "items", that `entries` have, and whose
    columns are the model's."""
    if vocabulary is None:
        return entries
    if side == "users" or not isinstance(entries, Interactions):
        return in_rows(entries, None, vocabulary.items)
    return in_rows(entries, vocabulary.users, None).T.tocsr()


def known_entries(vocabulary: Vocabulary | None, user_items: Any) -> Any:
    """A matrix of entries of the model's users and items; None stays None."""
    if vocabulary is None or user_items is None:
        return user_items
    return in_rows(user_items, vocabulary.users, vocabulary.items)


def all_entries(vocabulary: Vocabulary | None, user_items: Any) -> Any:
    """A matrix of entries of the model's users and items, and of others beyond them."""
    if vocabulary is None or not isinstance(user_items, Interactions):
        return user_items
    users = joined(vocabulary.users, user_items.users, "users")
    return in_rows(user_items, users, joined(vocabulary.items, user_items.items, "items"))


def with_newcomers(vocabulary: Vocabulary | None, events: Any) -> tuple[Vocabulary | None, Any]:
    """The ids there are with those of a day's events after them, and the events as a matrix of
    these users and items."""
    if vocabulary is None:
        return None, events
    if not isinstance(events, Interactions):
        shape = len(vocabulary.users), len(vocabulary.items)
        if getattr(events, "shape", None) != shape:
            found = f"of shape {events.shape}" if hasattr(events, "shape") else repr(events)[:40]
            raise ValueError(
                f"the events are a {type(events).__name__} {found}, and the model speaks ids of "
                f"{shape[0]} users and {shape[1]} items: pass Interactions, of a table "
                "Interactions.from_frame(table, user=..., item=...)"
            )
        return vocabulary, events
    _check_not_swapped(vocabulary, events)
    users = joined(vocabulary.users, events.users, "users")
    items = joined(vocabulary.items, events.items, "items")
    return vocabulary._replace(users=users, items=items), in_rows(events, users, items)


def _check_not_swapped(vocabulary: Vocabulary, events: Interactions) -> None:
    """ValueError where the events' users are the model's items rather than its users, and the items
    its users: learned, they would all be newcomers."""

    def known(sides: tuple[Ids, Ids]) -> list[float]:
        pairs = zip((events.users, events.items), sides, strict=True)
        found = [known.find(of.take(np.arange(len(of))), any_kind=True) for of, known in pairs]
        return [float(np.mean(rows >= 0)) for rows in found]

    named = known((vocabulary.users, vocabulary.items))
    if min(named) >= 0.5:
        return
    swapped = known((vocabulary.items, vocabulary.users))
    if all(other > 2 * own for own, other in zip(named, swapped, strict=True)):
        user, item = events.names.user, events.names.item
        raise ValueError(
            f"{swapped[0]:.0%} of the users, of column {user!r}, are items of the model, and "
            f"{swapped[1]:.0%} of the items, of column {item!r}, are its users: the two look "
            f"swapped. Read the events with user={item!r}, item={user!r}"
        )


def to_learn(
    vocabulary: Vocabulary | None, side: str, values: Any, entries: Any
) -> tuple[Vocabulary | None, Any, Any]:
    """For a method that learns "users" or "items", known or new: the ids there are afterwards, the
    rows of those to be learned, and a matrix with a row for each."""
    if vocabulary is None:
        return None, values, entries
    ids = vocabulary.side(side)
    wanted = ids.as_given(values).reshape(-1)
    Ids.of(wanted)  # each once, and such as can be ids
    rows = ids.find(wanted, side)
    new = rows < 0
    grown = ids.extended(wanted[new]) if new.any() else ids
    rows[new] = len(ids) + np.arange(new.sum())
    if isinstance(entries, Interactions):
        at = entries.users if side == "users" else entries.items
        entries = newcomers_entries(vocabulary, side, entries)[at.rows(wanted, side)]
    if side == "users":
        return vocabulary._replace(users=grown), rows, entries
    return vocabulary._replace(items=grown), rows, entries


def joined(ids: Ids, others: Ids, name: str = "ids") -> Ids:
    """`ids`, and after them those of `others` that are not among them."""
    if others is ids:
        return ids
    values = others.take(np.arange(len(others)))
    new = ids.find(values, name) < 0
    return ids.extended(values[new]) if new.any() else ids


def _positions(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)


# ---- out ---------------------------------------------------------------------------------------


def to_ids(
    vocabulary: Vocabulary | None, side: str, lists: Lists, of_side: str, owners: Any
) -> Any:
    """Lists of "users" or of "items" with ids; `owners` are those whose lists they are, as the
    caller named them, on `of_side`."""
    if vocabulary is None:
        return lists
    return _named(vocabulary, side, lists, of_side, vocabulary.side(of_side).labels(owners))


def named_lists(
    vocabulary: Vocabulary | None,
    sides: tuple[str, str],
    lists: Lists,
    owners: Any,
    unknown: np.ndarray,
    *,
    marked: bool,
) -> IdLists:
    """Lists of ``sides[1]`` for `owners` on ``sides[0]``, some of whom the model does not know;
    `marked`: to be seen in tables."""
    if vocabulary is None:
        names = sides[0][:-1], ("similar_" if sides[0] == sides[1] else "") + sides[1][:-1]
        whose = np.asarray(owners)
        return IdLists(*lists, whose, names, None, unknown=unknown, marked=marked)
    named = to_ids(vocabulary, sides[1], lists, sides[0], owners)
    return named.marking(unknown, marked)


def lists_of_all_users(vocabulary: Vocabulary | None, lists: Lists) -> Lists:
    """Lists of items for every user, in order."""
    if vocabulary is None:
        return lists
    users = vocabulary.users.take(np.arange(len(vocabulary.users)))
    return _named(vocabulary, "items", lists, "users", users)


def to_item_ids(vocabulary: Vocabulary | None, rows: np.ndarray) -> np.ndarray:
    """The ids of items."""
    return rows if vocabulary is None else vocabulary.items.take(rows)


def _named(
    vocabulary: Vocabulary, side: str, lists: Lists, of_side: str, whose: np.ndarray
) -> IdLists:
    names, types = vocabulary.names, vocabulary.types
    if side == of_side:
        at = side == "items"
        names, types = (names[at], f"similar_{names[at]}"), types and (types[at], types[at])
    elif side == "users":
        names, types = names[::-1], types and types[::-1]
    ids = vocabulary.side(side).take(lists[0])
    return IdLists(ids, lists[1], whose, names, vocabulary.frame_kind, types=types)
