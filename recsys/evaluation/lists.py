"""Ranked lists beside what they should have named: the one input of every metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys import checks, csr


@dataclass(frozen=True, eq=False)
class Judged:
    """Lists of n users and which of their places are hits; made by `judge`.

    Attributes
    ----------
    items : ndarray of int, shape (n, length)
        Best first; -1 in places that are empty.
    hits : ndarray of bool, shape (n, length)
        Whether the item in this place is relevant. Never in an empty place.
    n_relevant : ndarray of int64, shape (n,)
        ``|T|``, the relevant items of each user, listed or not; at least 1.
    n_candidates : ndarray of int64, shape (n,)
        The items that could have been listed: relevant, or not seen.
    n_items : int
        The whole catalogue.
    information : ndarray of float64, shape (n_items,), or None
        Self-information of each item, for `novelty`.
    grades : csr_array, n x n_items, or None
        The relevant items with their values, for graded metrics.
    vectors : ndarray or csr_array, shape (n_items, d), or None
        Of length 1, or 0, a row an item, for `diversity`.
    """

    items: np.ndarray
    hits: np.ndarray
    n_relevant: np.ndarray
    n_candidates: np.ndarray
    n_items: int
    information: np.ndarray | None = None
    grades: Any = None
    vectors: Any = None


def judge(
    items: Any,
    relevant: Any,
    *,
    seen: Any = None,
    information: np.ndarray | None = None,
    vectors: Any = None,
) -> Judged:
    """Compare ranked lists, whatever made them, with the relevant items of their users.

    Parameters
    ----------
    items : array of int, shape (n, length)
        A list a user, best first; -1 in empty places.
    relevant : scipy sparse matrix, n x n_items
        One row a list: the entries greater than zero are its relevant items.
    seen : scipy sparse matrix, n x n_items, optional
        One row a list: entries are items that could not be listed, such as those trained on.
        They only matter for `auc`.
    information : ndarray of float64, shape (n_items,), optional
        From `self_information`; only `novelty` needs it.
    vectors : ndarray or csr_array, shape (n_items, d), optional
        From `unit_vectors`; only `diversity` needs them.

    Returns
    -------
    Judged

    Raises
    ------
    TypeError
        `items` are not integers, or a matrix is not sparse.
    ValueError
        Shapes do not go together; an item is outside -1 to n_items - 1, or twice in a list (it
        would be counted as two hits); a row of `relevant` has no relevant item.
    """
    relevant = csr.canonical(relevant, may_be_empty=True, name="relevant")
    relevant = csr.keep(relevant, relevant.data > 0)
    items = _checked(items, relevant.shape)
    n_relevant = np.diff(relevant.indptr)
    if not n_relevant.all():
        raise ValueError(
            f"row {int(np.argmin(n_relevant))} of relevant has no entry greater than zero; no "
            "metric is defined there. Leave such users out, of items as well"
        )
    n_candidates = np.full(len(items), relevant.shape[1], np.int64)
    if seen is not None:
        seen = csr.canonical(seen, may_be_empty=True, name="seen")
        same_shape("seen", seen.shape, "relevant", relevant.shape)
        n_candidates += csr.shared_entries(seen, relevant)[0] - np.diff(seen.indptr)
    keys = csr.entry_keys(relevant, slice(0, len(items)))
    wanted = items + np.arange(len(items))[:, None] * np.int64(relevant.shape[1])
    # An empty place of one row has the key of the last item of the row before.
    hits = csr.among(wanted, keys) & (items >= 0)
    shape = n_relevant, n_candidates, relevant.shape[1]
    return Judged(items, hits, *shape, information, relevant, vectors)


def unit_vectors(features: Any, n_items: int, name: str = "item_features") -> Any:
    """Features of items, or their factors, each row divided by its length; zeros stay zeros.

    Parameters
    ----------
    features : array or scipy sparse matrix, shape (n_items, d)
    n_items : int
    name : str
        What errors call them.

    Returns
    -------
    ndarray or csr_array of float64

    Raises
    ------
    TypeError, ValueError
        No such matrix of finite numbers.
    """
    from scipy import sparse

    if sparse.issparse(features):
        matrix = csr.canonical(features, np.dtype(np.float64), may_be_empty=True, name=name)
        squares = np.bincount(csr.entry_rows(matrix), matrix.data**2, matrix.shape[0])
    else:
        matrix = checks.factor_matrix(name, features, np.dtype(np.float64))
        squares = np.einsum("ij,ij->i", matrix, matrix)
    if matrix.shape[0] != n_items:
        raise ValueError(f"{name} has {matrix.shape[0]} rows; expected {n_items}, one an item")
    scale = 1 / np.sqrt(np.where(squares > 0, squares, 1))
    if sparse.issparse(features):
        data = matrix.data * scale[csr.entry_rows(matrix)]
        return csr.assemble(data, matrix.indices, matrix.indptr, matrix.shape)
    return matrix * scale[:, np.newaxis]


def self_information(train: Any) -> np.ndarray:
    """-log2 of the share of users who have an item: high for items hardly anybody knows.

    An item without users counts as if it had one, so that it stays finite.

    Parameters
    ----------
    train : scipy sparse matrix, n_users x n_items
        Stored entries count, whatever their value.

    Returns
    -------
    ndarray of float64, shape (n_items,)
    """
    train = csr.canonical(train, may_be_empty=True, name="train")
    users = np.bincount(train.indices, minlength=train.shape[1])
    return np.log2(train.shape[0]) - np.log2(np.maximum(users, 1))


def same_shape(name: str, shape: tuple, other: str, expected: tuple) -> None:
    """ValueError unless two matrices have one shape."""
    if shape != expected:
        hint = " It looks transposed." if shape == expected[::-1] else ""
        raise ValueError(
            f"{name} has shape {shape}, {other} has {expected}; expected one shape, a row for each "
            f"user and a column for each item: pass shape=... where they are built.{hint}"
        )


def _checked(items: Any, shape: tuple[int, int]) -> np.ndarray:
    items = np.asarray(items)
    if items.dtype.kind not in "iu":
        raise TypeError(f"items must hold column numbers (integers); got dtype {items.dtype}")
    if items.ndim != 2 or len(items) != shape[0]:
        raise ValueError(
            f"items has shape {items.shape}; expected ({shape[0]}, length), a list for each row of "
            "relevant"
        )
    items = items.astype(np.int64, copy=False)
    wrong = (items < -1) | (items >= shape[1])
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise ValueError(
            f"list {row} names item {items[row, place]}; expected 0 to {shape[1] - 1}, or -1 in an "
            "empty place"
        )
    ordered = np.sort(items, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, place = np.argwhere(twice)[0]
        raise ValueError(
            f"list {row} names item {ordered[row, place]} more than once; expected each item at "
            "most once, and -1 in empty places"
        )
    return items
