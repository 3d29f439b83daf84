"""Who may be in a list, and which rows of a matrix are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr

if TYPE_CHECKING:
    from scipy import sparse

LONGEST = 1000  # lists may always be this long, however few items there are


class Choice:
    """Which of `count` items lists are made of: `items` only, and not `left_out`; `among` is what
    errors call the former."""

    def __init__(
        self, items: Any, left_out: Any, count: int, noun: str = "items", among: str = "items"
    ) -> None:
        self.count = count
        self.among: np.ndarray | None = None  # ascending; None: all
        self.banned: np.ndarray | None = None
        if left_out is not None:
            out = checks.row_numbers(f"filter_{noun}", left_out, count).reshape(-1)
        if items is not None:
            self.among = np.unique(checks.row_numbers(among, items, count))
            if left_out is not None:
                self.among = np.setdiff1d(self.among, out, assume_unique=False)
        elif left_out is not None:
            self.banned = np.zeros(count, np.uint8)
            self.banned[out] = 1

    def all_banned(self) -> np.ndarray | None:
        """1 for each item that is not chosen, uint8; None: there is no such item."""
        if self.among is None:
            return self.banned
        banned = np.ones(self.count, np.uint8)
        banned[self.among] = 0
        return banned

    def allows(self, rows: np.ndarray) -> np.ndarray:
        """Which of `rows` may be listed."""
        if self.among is not None:
            return np.isin(rows, self.among)
        return np.ones(rows.shape, bool) if self.banned is None else self.banned[rows] == 0


def chosen_items(items: Any, among: Any) -> Any:
    """The only items to choose from, which have two names."""
    if items is not None and among is not None:
        raise TypeError("items= and among= are two names of the same: pass one of them")
    return items if among is None else among


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


def scored_pairs(users: Any, items: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`pairs`, where nothing but a matrix means that scikit-learn wants to be given one
    number."""
    if items is None:
        raise TypeError(
            f"score takes users and items; got only {type(users).__name__}. It is no default for "
            "scikit-learn to choose models by: pass scoring=recsys.evaluation.FoldInScorer() to "
            "GridSearchCV, cross_val_score and the like"
        )
    return pairs(users, items, shape)


def list_length(N: int, count: int) -> None:
    """Check the length N of lists made of `count` items at most."""
    most = max(count, LONGEST)
    if checks.integer("N", N, 1) > most:
        raise ValueError(
            f"N must be at most {most}; got {N}: there are {count} to choose from, and what a list "
            "has beyond those is -1"
        )


def one_history(model: Any, user: Any, user_items: Any) -> sparse.csr_array:
    """The one row of `user`: of a matrix that has it, or only it, or of what is remembered."""
    shape, dtype = model._known_shape(), checks.floating_dtype(model.dtype)
    if user_items is None:
        counts = model._remembered().counts(dtype)
    else:
        counts = csr.canonical(user_items, dtype, may_be_empty=True)
        checks.columns("user_items", counts.shape, shape[1], "items")
        if counts.shape[0] == 1:
            return counts
    return counts[[checks.one_row_number("user", user, counts.shape[0])]]


def rows_meant(
    shape: tuple[int, int], users: np.ndarray, known: tuple[int, int], fold_in: bool
) -> np.ndarray:
    """The rows of a matrix of `shape` that are `users`, of a model of shape `known`: theirs by
    number, or one each."""
    listed = np.arange(len(users))
    if not len(users) and shape[1] == known[1]:
        return listed
    by_number = len(users) and shape[0] > users.max() if fold_in else shape[0] == known[0]
    by_place = shape[0] == len(users)
    if shape[1] == known[1] and (by_number or by_place):
        if by_number and by_place and not np.array_equal(users, listed):
            raise ValueError(
                f"user_items has {shape[0]} rows, which may be one for each user there is, or one "
                "for each of `users`, which are in another order: ask for users in ascending order"
            )
        return users if by_number else listed
    hint = ""
    if shape == known[::-1]:
        hint = ". It looks transposed: pass user_items.T"
    elif shape[1] < known[1]:
        hint = (
            f". If features have given the model more items, user_items.resize({shape[0]}, "
            f"{known[1]}) adds their columns"
        )
    raise ValueError(
        f"user_items has shape {shape}; expected {known} (every user of the model) or "
        f"{(len(users), known[1])} (one row for each of `users`){hint}"
    )
