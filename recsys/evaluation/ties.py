"""Lists in which items of one score come in an order that does not follow their numbers.

Numbers follow time or popularity as a rule, and so would whoever is listed first among equals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from recsys import kernels
from recsys.interactions.ids import Ids

Lists = tuple[np.ndarray, np.ndarray]  # items and scores
_PLACES = 1 << 22  # of lists that are looked at together


def hashes(n_items: int, ids: Ids | None = None) -> np.ndarray:
    """A fixed hash of each item, uint64: of its id, or else of its number."""
    if ids is None:
        return kernels.row_keys(0, 0, n_items)
    texts = (repr(each).encode() for each in ids)
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8")


def mixed(users: np.ndarray, of_items: np.ndarray) -> np.ndarray:
    """Keys of the items of each user, (n, m): for each another order, so that no item is ahead of
    others of its score for everybody."""
    of_users = kernels.row_keys(1, 0, int(users.max(initial=-1)) + 1)[users]
    x = (of_items ^ of_users[:, np.newaxis]) * np.uint64(0xBF58476D1CE4E5B9)
    return (x ^ (x >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)


def broken(
    lists: Lists,
    length: int,
    keys: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ask: Callable[[np.ndarray, int], Lists],
    most: int,
) -> tuple[np.ndarray, int]:
    """The first `length` items of lists, those of one score by ascending key.

    Parameters
    ----------
    lists : (items, scores)
        Best first, and one place longer than `length` where there are so many items.
    length : int
    keys : function of list numbers (n,) and their items (n, m)
        A key of each item.
    ask : function of list numbers (n,) and a length m
        Their lists, longer ones: of those where a tie goes across the cut all that tie are asked
        for.
    most : int
        How long lists can be.

    Returns
    -------
    items : ndarray, shape (n, length)
    n_cut : int
        How many lists had a tie across the cut.
    """
    items, scores = lists
    everybody = np.arange(len(items))
    out = _by_key(items, scores, keys(everybody, items))[:, :length]
    cut = everybody[_goes_on(items, scores, length)]
    pending, wide = cut, items.shape[1]
    while len(pending) and wide < most:
        wide = min(4 * wide, most)
        step, left = max(1, _PLACES // wide), []
        for begin in range(0, len(pending), step):
            some = pending[begin : begin + step]
            more, their = ask(some, wide)
            out[some] = _by_key(more, their, keys(some, more))[:, :length]
            on = _goes_on(more, their, more.shape[1] - 1) & (their[:, length] == their[:, -1])
            left.append(some[on])
        pending = np.concatenate(left)
    return out, len(cut)


def _goes_on(items: np.ndarray, scores: np.ndarray, length: int) -> np.ndarray:
    """Which lists have the same score before and after a cut."""
    if items.shape[1] <= length:
        return np.zeros(len(items), bool)
    return (scores[:, length - 1] == scores[:, length]) & (items[:, length] >= 0)


def _by_key(items: np.ndarray, scores: np.ndarray, keys: np.ndarray) -> np.ndarray:
    same = scores[:, 1:] == scores[:, :-1]
    rows = np.flatnonzero(same.any(axis=1))
    run = np.zeros((len(rows), items.shape[1]), np.int64)
    np.cumsum(~same[rows], axis=1, out=run[:, 1:])
    order = np.lexsort((keys[rows], run), axis=1)
    items = items.copy()
    items[rows] = np.take_along_axis(items[rows], order, axis=1)
    return items
