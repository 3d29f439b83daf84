"""Users and items that are like others, of any model."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.models import ids, strangers


def similar_items(
    model: Any,
    items: Any,
    N: int = 10,
    *,
    among: Any = None,
    filter_items: Any = None,
    unknown: str = "error",
) -> tuple[np.ndarray, np.ndarray]:
    """The N items that are most like each item.

    Of a model with factors these are the items whose factors have the highest cosine with its own,
    itself first. Of `ItemNeighbors` they are the first of the `k` nearest, as a rule the item
    itself first. Of `EASE` and `SLIM` they are the items that add most to its score, by their
    weights; it has none for itself.

    Parameters
    ----------
    items : int or array of int, shape (n,)
        Column numbers of the training matrix; ids, where the model speaks them.
    N : int, default 10
        Length of each list; beyond the neighbours there are it stays empty.
    among : int or array of int, optional
        The only items to choose from; all by default.
    filter_items : int or array of int, optional
        Those to leave out.
    unknown : {"error", "skip", "popular"}, default "error"
        As in `recommend`: of an unknown item the list is empty, or of popular items.

    Returns
    -------
    ids : ndarray of int32, shape (N,) for a single item, else (n, N)
        Best first; ties and empty places as in `recommend`.
    scores : ndarray of the model's dtype, same shape
        Of factors their cosines, -1 to 1; 0 where one of the two has zero factors, or such as the
        dtype holds no more digits of.

    Raises
    ------
    NotFittedError, IndexError, TypeError, ValueError
        As in `recommend`.
    """
    return _similar(
        model, "items", items, N, among, filter_items, strangers.check(unknown), unknown
    )


def similar_users(
    model: Any,
    users: Any,
    N: int = 10,
    *,
    among: Any = None,
    filter_users: Any = None,
    unknown: str = "error",
) -> tuple[np.ndarray, np.ndarray]:
    """The N users whose factors have the highest cosine with each user's; see `similar_items`.

    Parameters
    ----------
    users, N, among, filter_users
        As there, of users.
    unknown : {"error", "skip"}, default "error"
        Of an unknown user the list is empty.
    """
    lenient = strangers.check(unknown, strangers.LEAVING_OUT)
    return _similar(model, "users", users, N, among, filter_users, lenient, unknown)


def _similar(
    model: Any,
    side: str,
    owners: Any,
    N: int,
    among: Any,
    left_out: Any,
    lenient: bool,
    unknown: str,
) -> tuple[np.ndarray, np.ndarray]:
    vocabulary, owners = model._vocabulary(), ids.listed(owners)
    if lenient:
        return strangers.similar(model, side, owners, N, among, left_out, unknown)
    numbers = ids.to_rows(vocabulary, side, owners, side)
    among = ids.to_rows(vocabulary, side, among, "among")
    left_out = ids.to_rows(vocabulary, side, left_out, f"filter_{side}")
    lists = model._similar(side, numbers, N, among, left_out)
    return ids.to_ids(vocabulary, side, lists, side, owners)
