"""Models that speak ids: what is asked in ids becomes row numbers, and answers become ids.

The methods of models know row numbers only. `speaks_ids` puts a translation in front of those that
users call; a model fitted on a matrix passes it by.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self, TypeVar, cast

import numpy as np

from recsys.interactions import Ids, Interactions
from recsys.interactions.matching import in_rows
from recsys.models.estimator import Estimator
from recsys.models.id_lists import IdLists, narrowed
from recsys.serving import digest

# Which ids an argument holds; of `among` the method's first argument tells it.
_SIDES = {
    **dict.fromkeys(("user", "users", "filter_users"), "users"),
    **dict.fromkeys(("item", "items", "filter_items"), "items"),
}
Method = TypeVar("Method", bound=Callable[..., Any])
Asked = dict[str, Any]  # the arguments of a call by name, in the order of the signature


class Vocabulary(NamedTuple):
    """The ids a model was fitted with, what the caller's table calls them and what it is."""

    users: Ids
    items: Ids
    names: tuple[str, str]
    frame_kind: str | None

    @classmethod
    def of(cls, user_items: Any) -> Vocabulary | None:
        """The ids in what `fit` was given; None for a matrix."""
        if not isinstance(user_items, Interactions):
            return None
        names = user_items.names
        return cls(
            user_items.users, user_items.items, (names.user, names.item), user_items.frame_kind
        )

    # ---- arguments -----------------------------------------------------------------------------

    def rows(self, asked: Asked) -> Asked:
        """Ids among the arguments as row numbers; UnknownIdError where the model has none."""
        first = _SIDES.get(next(iter(asked), ""))
        rows = {}
        for name, value in asked.items():
            side = first if name == "among" else _SIDES.get(name)
            if value is not None and side is not None:
                value = getattr(self, side).rows(value, name)
            rows[name] = value
        return rows

    def with_history(self, asked: Asked) -> Asked:
        """As `rows`, for a method that may be given entries beside those of training."""
        given, who = asked.get("user_items"), next(iter(asked))
        if given is None:
            return self.rows(asked)
        if who == "user" or asked.get("fold_in"):  # who then need not be known
            rest = {name: value for name, value in asked.items() if name != who}
            users, given = self._history_of(asked[who], given)
            return {who: users, **self.rows(rest), "user_items": given}
        return {**self.rows(asked), "user_items": in_rows(given, self.users, self.items)}

    def of_newcomers(self, asked: Asked) -> Asked:
        """For a method of users, or of items, that the model need not know."""
        [(name, given)] = asked.items()
        return {name: self._entries("items" if name == "item_users" else "users", given)}

    def of_everyone(self, asked: Asked) -> Asked:
        """For a method of entries of the model's users and items."""
        return {**asked, "user_items": in_rows(asked["user_items"], self.users, self.items)}

    def known_or_not(self, asked: Asked) -> Asked:
        """As `rows`, with numbers beyond those of the model for ids it does not know."""
        rows = dict(asked)
        for name in ("users", "items"):
            if name in asked:
                found = getattr(self, name).find(asked[name])
                rows[name] = np.where(found < 0, len(getattr(self, name)), found)
        given = asked.get("user_items")
        if isinstance(given, Interactions):
            users, items = _joined(self.users, given.users), _joined(self.items, given.items)
            rows["user_items"] = in_rows(given, users, items)
        return rows

    def to_learn(self, asked: Asked) -> tuple[Asked, Vocabulary]:
        """For a method that learns users or items, known or new; and the ids there are then."""
        noun, entries, *_ = asked
        known, given = getattr(self, noun), asked[entries]
        ids = known.as_given(asked[noun]).reshape(-1)
        Ids.of(ids)  # each once, and such as can be ids
        rows = known.find(ids)
        new = rows < 0
        grown = known.extended(ids[new]) if new.any() else known
        rows[new] = len(known) + np.arange(new.sum())
        if isinstance(given, Interactions):
            own = getattr(given, noun).rows(ids, noun)
            given = self._entries(noun, given)[own]
        return {**asked, noun: rows, entries: given}, self._replace(**{noun: grown})

    def _entries(self, noun: str, given: Any) -> Any:
        """A matrix whose rows are the users, or the items, of `given`."""
        if noun == "users" or not isinstance(given, Interactions):
            return in_rows(given, None, self.items)
        return in_rows(given, self.users, None).T.tocsr()

    def _history_of(self, users: Any, given: Any) -> tuple[np.ndarray, Any]:
        """The rows of users in a matrix, and the matrix."""
        if isinstance(given, Interactions):
            rows = given.users.rows(users, "users")
            return _counted(rows.shape), self._entries("users", given)[rows.reshape(-1)]
        found, count = self.users.find(users), getattr(given, "shape", (0,))[0]
        by_number = count == len(self.users) and (found >= 0).all()
        if count == found.size and not by_number:
            return _counted(found.shape), given
        return self.users.rows(users, "users"), given

    # ---- answers -------------------------------------------------------------------------------

    def lists_of_items(self, asked: Asked, found: tuple[np.ndarray, np.ndarray]) -> IdLists:
        """Lists of items for the users, or the items, that were asked for."""
        return self._lists("items", asked, found)

    def lists_of_users(self, asked: Asked, found: tuple[np.ndarray, np.ndarray]) -> IdLists:
        """Lists of users for users."""
        return self._lists("users", asked, found)

    def parts(
        self, asked: Asked, found: tuple[float, np.ndarray, np.ndarray]
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """A score, and the items that make it."""
        score, items, parts = found
        return score, self.items.take(items), parts

    def lists_of_all(self, ids: np.ndarray, scores: np.ndarray) -> IdLists:
        """Lists of items for every user."""
        users = self.users.take(np.arange(len(self.users)))
        return IdLists(self.items.take(ids), scores, users, self.names, self.frame_kind)

    def _lists(self, listed: str, asked: Asked, found: tuple[np.ndarray, np.ndarray]) -> IdLists:
        called = dict(zip(("users", "items"), self.names, strict=True))
        who, ids = next(iter(asked.items()))
        of = called[listed] if who != listed else f"similar_{called[listed]}"
        return IdLists(
            getattr(self, listed).take(found[0]),
            found[1],
            narrowed(getattr(self, who).as_given(ids)),
            (called[who], of),
            self.frame_kind,
        )

    # ---- files ---------------------------------------------------------------------------------

    def header(self) -> dict[str, Any]:
        """For a model file; see `arrays`."""
        digests = {name: digest(array) for name, array in self.arrays().items()}
        return {"ids": {"names": self.names, "frame_kind": self.frame_kind, "digests": digests}}

    def arrays(self) -> dict[str, np.ndarray]:
        """For a model file; TypeError where ids are neither strings nor integers."""
        sides = ("users", self.users), ("items", self.items)
        return {
            f"{noun}_{name}": array for noun, ids in sides for name, array in ids.arrays().items()
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
        for name, made in header["ids"]["digests"].items():  # spares an index of all ids
            if digest(arrays[name]) != made:
                raise ValueError(f"{name} is not what was saved")
            noun, _, own = name.partition("_")
            sides[noun][own] = arrays[name]
        users, items = map(Ids.from_arrays, sides.values())
        if (len(users), len(items)) != shape:
            raise ValueError(f"there are ids of {len(users)} users and {len(items)} items")
        user, item = header["ids"]["names"]
        return cls(users, items, (user, item), header["ids"]["frame_kind"])


class SpeaksIds(Estimator):
    """A model that `fit` may give ids."""

    _ids: Vocabulary | None = None

    @property
    def users(self) -> Ids | None:
        """The ids of users, by row number. None: the model was fitted on a matrix."""
        return None if self._ids is None else self._ids.users

    @property
    def items(self) -> Ids | None:
        """The ids of items, by column number; see `users`."""
        return None if self._ids is None else self._ids.items

    def without_ids(self) -> Self:
        """The same model speaking row numbers, as if it had been fitted on a matrix.

        The two share what they have learned; what either learns later the other does not.
        """
        return self._twin(_ids=None)

    def _check_same_ids(self, ids: Vocabulary | None) -> None:
        """ValueError unless training can go on with `ids`: with those there are, if there are."""
        if self._ids is None or (ids is not None and self._ids[:2] == ids[:2]):
            return
        if ids is None:
            raise ValueError(
                "cannot continue a model that knows ids with a matrix: pass Interactions, or "
                "continue model.without_ids()"
            )
        raise ValueError(
            "cannot continue with Interactions of other users or items, or in another order: pass "
            "interactions.aligned(users=model.users, items=model.items), or fit with "
            "warm_start=False to start fresh"
        )

    def _spoken(self) -> Vocabulary:
        """The ids, which must be as many as the model's users and items."""
        ids, shape = self._ids, self._known_shape()
        if (len(ids.users), len(ids.items)) != shape:
            raise ValueError(
                f"the model was fitted with ids of {len(ids.users)} users and {len(ids.items)} "
                f"items, but its factors are now for {shape[0]} x {shape[1]}: ask "
                "model.without_ids() by row numbers, or fit again"
            )
        return ids


def speaks_ids(
    arguments: Callable[[Vocabulary, Asked], Asked] = Vocabulary.rows,
    answer: Callable[[Vocabulary, Asked, Any], Any] | None = None,
) -> Callable[[Method], Method]:
    """Make a method of row numbers one of ids, where the model has such.

    Parameters
    ----------
    arguments : method of Vocabulary
        Makes arguments of row numbers from those given.
    answer : method of Vocabulary, optional
        Makes what is returned from the arguments given and the method's own answer.
    """

    def speaking(method: Method) -> Method:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def ask(self: SpeaksIds, *args: Any, **kwargs: Any) -> Any:
            if self._ids is None:
                return method(self, *args, **kwargs)
            ids, asked = self._spoken(), _bound(signature, self, args, kwargs)
            found = method(self.without_ids(), **arguments(ids, asked))
            return found if answer is None else answer(ids, asked, found)

        return cast(Method, ask)

    return speaking


def learns_ids(method: Method) -> Method:
    """As `speaks_ids`, of a method that changes the model and may bring new ids."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def learn(self: SpeaksIds, *args: Any, **kwargs: Any) -> None:
        if self._ids is None:
            return method(self, *args, **kwargs)
        rows, ids = self._spoken().to_learn(_bound(signature, self, args, kwargs))
        twin = self.without_ids()
        method(twin, **rows)
        vars(self).update(vars(twin), _ids=ids)  # in one call, see `_publish`

    return cast(Method, learn)


def _bound(signature: inspect.Signature, *args: Any) -> Asked:
    own, args, kwargs = args
    _, *asked = signature.bind(own, *args, **kwargs).arguments.items()
    # What can be gone through once only is looked at twice: for rows, and for the answer
    return {name: list(own) if isinstance(own, Iterator) else own for name, own in asked}


def _joined(known: Ids, further: Ids) -> Ids:
    """`known`, and after them those of `further` that are not among them."""
    if further is known:
        return known
    ids = further.take(np.arange(len(further)))
    new = known.find(ids) < 0
    return known.extended(ids[new]) if new.any() else known


def _counted(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)
