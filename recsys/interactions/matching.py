"""Interactions, and Features, as matrices in the rows and columns of given ids."""

from __future__ import annotations

import logging
from typing import Any

from recsys import csr
from recsys.interactions.features import Features
from recsys.interactions.ids import Ids
from recsys.interactions.interactions import Interactions

logger = logging.getLogger("recsys")


def in_rows(
    data: Any, users: Ids | None = None, items: Ids | None = None, name: str = "user_items"
) -> Any:
    """The matrix of Interactions, as `known_entries`; whatever else is given stays what it is."""
    if not isinstance(data, Interactions):
        return data
    return known_entries(data, users, items, name).user_items


def known_entries(
    data: Interactions, users: Ids | None, items: Ids | None, name: str
) -> Interactions:
    """Interactions whose rows are `users` and columns `items`; None leaves their own.

    Entries of other ids are left out, and the log says how many.

    Raises
    ------
    UnknownIdError
        All entries are of other ids.
    """
    if (users is None or users is data.users) and (items is None or items is data.items):
        return data
    aligned = data.aligned(users, items, unknown="drop")
    lost = data.nnz - aligned.nnz
    if lost and not aligned.nnz:
        data.aligned(users, items, unknown="raise")
    if lost:
        logger.warning(
            "%s: %d of %d entries are of unknown users or items, and left out",
            name,
            lost,
            data.nnz,
        )
    return aligned


def pair_in_rows(
    train: Any,
    test: Any,
    names: tuple[str, str],
    users: Ids | None = None,
    items: Ids | None = None,
) -> tuple[Any, Any]:
    """As `in_rows`, of two that belong together: where no ids are given, those of `train` count.

    Raises
    ------
    TypeError
        `test` has ids, and there are none to go by.
    """
    if isinstance(train, Interactions):
        users = train.users if users is None else users
        items = train.items if items is None else items
    if isinstance(test, Interactions) and (users is None or items is None):
        raise TypeError(
            f"{names[1]} has ids, but {names[0]} is a matrix without: pass both as Interactions, "
            f"or {names[1]}.user_items, if its rows and columns are those of {names[0]}"
        )
    return in_rows(train, users, items, names[0]), in_rows(test, users, items, names[1])


def described(features: Any, ids: Ids | None, name: str) -> Any:
    """The matrix of Features, with a row for each of the items `ids`; any other matrix is as it is.

    Items that they know nothing of have an empty row.

    Raises
    ------
    TypeError, ValueError
        They have ids where the items have none, or ids of other items alone.
    """
    if not isinstance(features, Features):
        return features
    if features.ids is None:
        return features.matrix
    if ids is None:
        raise TypeError(f"{name} have ids, and the items have none: pass {name}.matrix")
    places = features.ids.find(ids, name)
    if not (places >= 0).any():
        raise ValueError(f"{name} know none of the {len(ids)} items; expected some of {ids!r}")
    return csr.take_rows(features.matrix, places)
