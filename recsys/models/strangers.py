"""What is answered about users and items that a model does not know."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.interactions import Interactions
from recsys.interactions.matching import in_rows
from recsys.models.ids import Lists, Vocabulary, named_lists
from recsys.models.in_file import users_of_items
from recsys.models.lists import IdLists
from recsys.models.selection import Choice, list_length, rows_meant

logger = logging.getLogger("recsys")

POLICIES = ("error", "skip", "popular")
LEAVING_OUT = ("error", "skip")


def check(unknown: Any, words: tuple[str, ...] = POLICIES) -> bool:
    """Whether what is unknown is no error; ValueError for a word that there is not."""
    checks.choice("word for unknown=", unknown, words)
    return unknown != "error"


def found(
    vocabulary: Vocabulary | None, side: str, values: Any, name: str, count: int
) -> np.ndarray:
    """Row numbers of "users" or "items", of which there are `count`; -1 where there is none."""
    if vocabulary is not None:
        return vocabulary.side(side).find(values, name)
    rows = checks.row_numbers(name, values, checks.ANYONE)
    return np.where(rows < count, rows, -1)


def known_only(
    vocabulary: Vocabulary | None, side: str, values: Any, name: str, count: int, unknown: str
) -> Any:
    """Ids, or row numbers, of "users" or "items" as row numbers, without unknown ones where these
    may be left out."""
    if values is None:
        return None
    if unknown == "error":
        return values if vocabulary is None else vocabulary.side(side).rows(values, name)
    rows = found(vocabulary, side, values, name, count).reshape(-1)
    return rows[rows >= 0]


def lists(
    model: Any,
    sides: tuple[str, str],
    owners: Any,
    known: np.ndarray,
    answered: Callable[[np.ndarray], Lists],
    popular: Callable[[np.ndarray], Lists] | None,
    N: int,
) -> IdLists:
    """Lists of `owners`, of whom the `known` ones are answered by the model, given their places;
    the others are popular ones, or empty.

    Parameters
    ----------
    sides : (str, str)
        Whose lists they are and of what: "users" or "items".
    owners : as the caller named them
    known : array of bool, with no dimension for a single one
    answered, popular : functions of places among the owners
        Rows and scores. None: what is unknown has an empty list.
    """
    vocabulary, flat = model._vocabulary(), known.reshape(-1)
    rows = np.full((flat.size, N), kernels.NO_ID, np.int32)
    scores = np.full((flat.size, N), -np.inf, checks.floating_dtype(model.dtype))
    for places, answer in ((np.flatnonzero(flat), answered), (np.flatnonzero(~flat), popular)):
        if len(places) and answer is not None:
            rows[places], scores[places] = answer(places)
    shape = (*known.shape, N)
    both = rows.reshape(shape), scores.reshape(shape)
    return named_lists(vocabulary, sides, both, owners, ~known, marked=popular is not None)


def popularity(model: Any) -> np.ndarray:
    """How many users have a positive entry of each item.

    Raises
    ------
    NotFittedError, ValueError
        No training matrix is remembered, nor how popular items were in it; or one of another shape
        than the model's.
    """
    counts = model._popularity
    if model._training_matrix is None and counts is not None:
        if len(counts) == model._known_shape()[1]:
            return counts
    return users_of_items(model._remembered())


def popular_lists(
    model: Any, choice: Choice, N: int, count: int, seen: csr.TrainingMatrix | Any = None
) -> Lists:
    """The most popular items for so many users, without what each has in `seen`."""
    users = popularity(model)
    dtype = checks.floating_dtype(model.dtype)
    return kernels.topk(
        np.ones((count, 1), dtype),
        users.astype(dtype)[:, np.newaxis],
        N,
        among=choice.among,
        banned=choice.banned,
        skip=None if seen is None else (seen.indptr, seen.indices),
        num_threads=model.num_threads,
    )


def recommend(
    model: Any,
    users: Any,
    user_items: Any,
    N: int,
    *,
    unknown: str,
    filter_seen: bool,
    filter_items: Any,
    items: Any,
    fold_in: bool,
) -> IdLists:
    """`Model.recommend` where unknown users and items are no error."""
    vocabulary, shape = model._vocabulary(), model._known_shape()
    list_length(N, shape[1])
    chosen = {
        name: known_only(vocabulary, "items", values, name, shape[1], unknown)
        for name, values in (("items", items), ("filter_items", filter_items))
    }
    choice = Choice(chosen["items"], chosen["filter_items"], shape[1])
    rows, entries = _with_entries(model, users, user_items, fold_in)
    known = rows >= 0
    flat = rows.reshape(-1)
    plain = model.without_ids()
    history = None if entries is None else csr.take_rows(entries[0], entries[1])

    def answered(places: np.ndarray) -> Lists:
        who = flat[places]
        seen = None if history is None else csr.take_rows(history, places)
        if fold_in:
            who = np.arange(len(places))
        options = {"filter_seen": filter_seen, "fold_in": fold_in, **chosen}
        if seen is not None and not fold_in and seen.shape[0] == shape[0]:
            who, seen = _one_more(who, seen)  # or one row for each might be one for every user
        best, scores = plain.recommend(who, seen, N, **options)
        return best[: len(places)], scores[: len(places)]

    def popular(places: np.ndarray) -> Lists:
        seen = csr.take_rows(history, places) if filter_seen and history is not None else None
        return popular_lists(model, choice, N, len(places), seen)

    who = (("users", "items"), users, known, answered)
    return lists(model, *who, popular if unknown == "popular" else None, N)


def warn_without_entries(counts: Any, rows: np.ndarray) -> None:
    """Say which of the users who are taken from these rows are nobody."""
    nobody = int(np.count_nonzero(_lengths(counts, rows) == 0))
    if nobody:
        logger.warning(
            "%d of %d users have no entries of items that the model knows, and their lists tell "
            "nothing of them: unknown='popular' takes what most users have instead, 'skip' leaves "
            "the lists empty", nobody, len(rows),
        )  # fmt: skip


def _one_more(who: np.ndarray, entries: Any) -> tuple[np.ndarray, Any]:
    return np.append(who, who[:1]), csr.take_rows(entries, np.append(np.arange(len(who)), 0))


def _with_entries(
    model: Any, users: Any, user_items: Any, fold_in: bool
) -> tuple[np.ndarray, tuple[Any, np.ndarray] | None]:
    """The model's row of each user, -1 for a stranger: one who is unknown, or of whom there are no
    entries to go by. And, where `user_items` are given, a matrix and each user's row of it, -1
    for none."""
    vocabulary, shape = model._vocabulary(), model._known_shape()
    entries = None
    if user_items is None and fold_in:
        raise ValueError("fold_in=True takes users from user_items: pass it, one row a user")
    if isinstance(user_items, Interactions) and vocabulary is not None:
        matrix = in_rows(user_items, None, vocabulary.items)
        places = user_items.users.find(users, "users")
        rows = vocabulary.users.find(users, "users", any_kind=fold_in)
        entries = _checked(model, matrix), places.reshape(-1)
    elif fold_in:
        rows = np.asarray(users)
        rows = np.arange(rows.size).reshape(rows.shape)
    else:
        rows = found(vocabulary, "users", users, "users", shape[0])
    if user_items is not None and entries is None:
        matrix = _checked(model, user_items)
        entries = matrix, _own_rows(matrix, rows, users, shape, vocabulary, fold_in)
    has = model._with_history(rows.reshape(-1), None if entries is None else _lengths(*entries))
    if fold_in:
        has = _lengths(*entries) > 0
        rows = np.maximum(rows, 0)
    return np.where(has.reshape(rows.shape), rows, -1), entries


def _checked(model: Any, matrix: Any) -> Any:
    dtype = checks.floating_dtype(model.dtype)
    counts = csr.canonical(matrix, dtype, may_be_empty=True)
    checks.columns("user_items", counts.shape, model._known_shape()[1], "items")
    return counts


def _lengths(matrix: Any, rows: np.ndarray) -> np.ndarray:
    """How many entries rows have; row -1 has none."""
    return np.where(rows < 0, 0, matrix.indptr[rows + 1] - matrix.indptr[rows])


def _own_rows(
    matrix: Any,
    rows: np.ndarray,
    users: Any,
    shape: tuple[int, int],
    vocabulary: Vocabulary | None,
    fold_in: bool,
) -> np.ndarray:
    """The row of `matrix` of each user: theirs by number, or one each."""
    flat = rows.reshape(-1)
    if fold_in and matrix.shape[0] == flat.size:
        return np.arange(flat.size)
    if fold_in and vocabulary is None:
        numbers = checks.row_numbers("users", users, checks.ANYONE).reshape(-1)
        return np.where(numbers < matrix.shape[0], numbers, -1)
    return rows_meant(matrix.shape, flat, shape, False)


# ---- similar ones and scores -------------------------------------------------------------------


def similar(
    model: Any, side: str, owners: Any, N: int, among: Any, left_out: Any, unknown: str
) -> IdLists:
    """`similar_items` and `similar_users` where what is unknown is no error."""
    vocabulary, count = model._vocabulary(), model._known_shape()[side == "items"]
    names = {"among": among, f"filter_{side}": left_out}
    chosen = {
        name: known_only(vocabulary, side, values, name, count, unknown)
        for name, values in names.items()
    }
    list_length(N, count)
    rows = found(vocabulary, side, owners, side, count)
    choice = Choice(chosen["among"], chosen[f"filter_{side}"], count, side, among="among")
    nearest = getattr(model.without_ids(), f"similar_{side}")

    def answered(places: np.ndarray) -> Lists:
        return nearest(rows.reshape(-1)[places], N, **chosen)

    def popular(places: np.ndarray) -> Lists:
        return popular_lists(model, choice, N, len(places))

    owned = ((side, side), owners, rows >= 0, answered)
    return lists(model, *owned, popular if unknown == "popular" else None, N)


def scores(model: Any, users: Any, items: Any, unknown: str) -> np.ndarray:
    """`score` where what is unknown is no error."""
    vocabulary, shape = model._vocabulary(), model._known_shape()
    if items is None:
        raise TypeError("score takes users and items; got no items")
    numbers = []
    for side, values, count in zip(("users", "items"), (users, items), shape, strict=True):
        given = np.asarray(values) if vocabulary is None else vocabulary.side(side).as_given(values)
        flat = found(vocabulary, side, given.reshape(-1), side, count)
        numbers.append(flat.reshape(given.shape))
    rows, columns = np.broadcast_arrays(*numbers)
    out = np.full(rows.shape, np.nan, checks.floating_dtype(model.dtype))
    known = (rows >= 0) & (columns >= 0)
    out[known] = model.without_ids().score(rows[known], columns[known])
    if unknown == "popular":
        strangers = (rows < 0) & (columns >= 0)
        out[strangers] = popularity(model)[columns[strangers]]
    return out[()]
