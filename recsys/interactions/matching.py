"""Matrices in the rows and columns of given ids."""

from __future__ import annotations

import logging
from typing import Any

from recsys.interactions.ids import Ids
from recsys.interactions.interactions import Interactions

logger = logging.getLogger("recsys")


def in_rows(given: Any, users: Ids | None, items: Ids | None, name: str = "user_items") -> Any:
    """The matrix of `Interactions`; whatever else is given stays what it is.

    Its rows are `users` and its columns `items`; None leaves its own. Entries of other ids are
    left out, and the log says how many.
    """
    if not isinstance(given, Interactions):
        return given
    same = users in (None, given.users) and items in (None, given.items)
    if same:
        return given.user_items
    matrix = given.aligned(users=users, items=items, unknown="drop").user_items
    lost = given.user_items.nnz - matrix.nnz
    if lost:
        logger.warning(
            "%s: %d of %d entries are of unknown users or items, and left out",
            name,
            lost,
            given.user_items.nnz,
        )
    return matrix
