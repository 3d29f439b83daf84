"""Splits of a user-item matrix, all reproducible from `random_state`.

What goes in is a SciPy sparse matrix, users x items, in any format; entries stored more than once
are summed first, so that no interaction is in both parts, but for splits by time, which are of
events: what somebody did before and after is in both. What comes out are canonical csr_matrices
of the same shape, float64 where float32 could not hold every value of the type that went in.

`random_state` is None (a new split every time), an int, a numpy.random.Generator or a RandomState.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, csr
from recsys.interactions.columns import moment as in_utc
from recsys.interactions.repeats import Listed

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")


class _Two(NamedTuple):
    train: Any
    test: Any


class Split(_Two):
    """Two matrices that add up to the whole.

    Attributes
    ----------
    train, test : csr_matrix
    n_cut_ties : int
        Of splits by time: events beyond the share asked for that are in test as they have the
        time of the cut; of the last ones of each user, users of whom the cut is among events of one
        time, which are in random order.
    """

    n_cut_ties = 0

    @classmethod
    def counted(cls, train: Any, test: Any, n_cut_ties: int) -> Split:
        """With that many ties."""
        split = cls(train, test)
        split.n_cut_ties = n_cut_ties
        return split


class UserSplit(NamedTuple):
    """Strong generalisation: some users are not trained on. The matrices add up to the whole.

    Evaluate by ``evaluate(model.fit(train), fold_in, test, options={"fold_in": True})``.

    Attributes
    ----------
    train : csr_matrix
        The rows of all other users.
    fold_in : csr_matrix
        Of the held-out users, what the model is shown.
    test : csr_matrix
        Of the held-out users, what it should name.
    users : ndarray of int64
        The held-out users, ascending.
    """

    train: sparse.csr_matrix
    fold_in: sparse.csr_matrix
    test: sparse.csr_matrix
    users: np.ndarray


# ---- by interaction ----------------------------------------------------------------------------


def random_split(user_items: Any, test_share: float = 0.2, *, random_state: Any = None) -> Split:
    """Each interaction goes to test with probability `test_share`, whoever's it is.

    Raises
    ------
    TypeError, ValueError
        As all splits: `user_items` is no sparse matrix of finite numbers; a parameter is out of
        range.
    """
    share = checks.number("test_share", test_share, above=0, below=1)
    user_items = csr.canonical(user_items, may_be_empty=True, name="user_items")
    draws = checks.random_generator(random_state).random(user_items.nnz)
    return _split(user_items, draws >= 1 - share)


def per_user_split(user_items: Any, test_share: float = 0.2, *, random_state: Any = None) -> Split:
    """Of each user's n interactions, floor(test_share n) random ones go to test.

    Users with fewer than 1 / test_share interactions keep all of them in train.
    """
    share = checks.number("test_share", test_share, above=0, below=1)
    user_items = csr.canonical(user_items, may_be_empty=True, name="user_items")
    rng = checks.random_generator(random_state)
    n_test = _parts(np.diff(user_items.indptr), share)
    return _split(user_items, _last(user_items, n_test, rng))


def leave_k_out_split(
    user_items: Any,
    k: int = 1,
    *,
    min_train: int = 1,
    train_only_share: float = 0.0,
    random_state: Any = None,
) -> Split:
    """Exactly `k` random interactions of each user go to test.

    Parameters
    ----------
    user_items : scipy sparse matrix, n_users x n_items
    k : int, default 1
        How many.
    min_train : int, default 1
        Users with fewer than ``k + min_train`` interactions keep all of them in train.
    train_only_share : float, default 0.0
        So many of the users who have interactions, chosen at random and rounded down, keep all of
        theirs in train as well.
    random_state : default None
    """
    share = checks.number("train_only_share", train_only_share, least=0, below=1)
    user_items, n_test = _k_a_user(user_items, k, min_train)
    rng = checks.random_generator(random_state)
    active = np.flatnonzero(np.diff(user_items.indptr))
    n_test[rng.choice(active, int(_parts(np.array(len(active)), share)), replace=False)] = 0
    return _split(user_items, _last(user_items, n_test, rng))


# ---- by time -----------------------------------------------------------------------------------


def leave_last_split(
    user_items: Any,
    times: Any,
    k: int = 1,
    *,
    min_train: int = 1,
    repeats: str = "keep",
    random_state: Any = None,
) -> Split:
    """The `k` latest events of each user go to test.

    Equal times are ordered at random: by column, the item's number would decide.

    Parameters
    ----------
    user_items : scipy sparse matrix in CSR, CSC or COO format
        Each stored entry is an event: those of one place may go to different parts, and are summed
        there.
    times : array of real numbers or datetime64
        When, an element for each stored entry, in the order of ``user_items.data``.
    k : int, default 1
        How many.
    min_train : int, default 1
        Users with fewer than ``k + min_train`` events keep all of them in train.
    repeats : {"keep", "drop"}, default "keep"
        Whether what is in train as well stays in test: `evaluate` takes no such entries, unless
        with ``allow_overlap=True``.
    random_state : default None
    """
    events, shape = _events(user_items, times)
    test, n_ties = last_events(
        events.rows, events.times, shape[0], k, min_train=min_train, random_state=random_state
    )
    return _of_events(events, shape, test, n_ties, drops_repeats(repeats))


def time_split(
    user_items: Any,
    times: Any,
    test_share: float = 0.2,
    *,
    at: Any = None,
    repeats: str = "keep",
) -> Split:
    """All events from one moment on go to test: no model sees the future of anybody.

    Parameters
    ----------
    user_items, times, repeats
        As in `leave_last_split`.
    test_share : float, default 0.2
        Choose the moment so that at least this share of the events goes to test; more where
        several have its time.
    at : number, datetime64, date, datetime or str, optional
        The moment itself.
    """
    events, shape = _events(user_items, times)
    test, n_ties = later_events(events.rows, events.times, shape[0], test_share, at=at)
    return _of_events(events, shape, test, n_ties, drops_repeats(repeats))


def drops_repeats(repeats: Any) -> bool:
    """Whether test is to be without what is in train."""
    checks.choice("repeats", repeats, ("keep", "drop"))
    return repeats == "drop"


def last_events(
    rows: np.ndarray,
    times: np.ndarray,
    n_rows: int,
    k: int = 1,
    *,
    min_train: int = 1,
    random_state: Any = None,
) -> tuple[np.ndarray, int]:
    """Which events are the `k` latest of their row, and of how many rows times tie at the cut."""
    checks.integer("k", k, 1)
    checks.integer("min_train", min_train, 0)
    rng = checks.random_generator(random_state)
    lengths = np.bincount(rows, minlength=n_rows)
    n_test = np.where(lengths >= k + min_train, k, 0)
    order = np.lexsort((rng.random(len(rows)), times, rows))
    ends = np.cumsum(lengths)
    test = np.zeros(len(rows), bool)
    test[order] = np.arange(len(rows)) >= np.repeat(ends - n_test, lengths)
    cut = (ends - n_test)[(n_test > 0) & (lengths > n_test)]
    return test, _said(int((times[order[cut - 1]] == times[order[cut]]).sum()), "users")


def later_events(
    rows: np.ndarray, times: np.ndarray, n_rows: int, test_share: float = 0.2, *, at: Any = None
) -> tuple[np.ndarray, int]:
    """Which events are from one moment on, and how many more than the share, being of its time."""
    share = checks.number("test_share", test_share, above=0, below=1)
    if not len(times):
        return np.zeros(0, bool), 0
    if at is not None:
        return times >= _moment(at, times.dtype), 0
    n_train = len(times) - int(np.ceil(share * len(times) - 1e-9))
    test = times >= np.partition(times, n_train)[n_train]
    return test, _said(int(test.sum()) - (len(times) - n_train), "events")


def _said(n_ties: int, noun: str) -> int:
    if n_ties:
        logger.info("the cut by time goes through equal times of %d %s", n_ties, noun)
    return n_ties


# ---- by user -----------------------------------------------------------------------------------


def user_split(
    user_items: Any,
    held_out: int | float = 0.1,
    *,
    test_share: float = 0.2,
    random_state: Any = None,
) -> UserSplit:
    """Hold out users: a model trained on the others meets their fold-in part and names the rest.

    The protocol of Liang et al. (WWW 2018) with ``test_share=0.2``.

    Parameters
    ----------
    user_items : scipy sparse matrix, n_users x n_items
    held_out : int or float, default 0.1
        How many users, or which share of those with at least two interactions (one to fold in and
        one to name); nobody else is held out.
    test_share : float, default 0.2
        Of n interactions of a held-out user, floor(test_share n) random ones, and at least one,
        are to be named.
    random_state : default None
    """
    share = checks.number("test_share", test_share, above=0, below=1)
    user_items = csr.canonical(user_items, may_be_empty=True, name="user_items")
    able = able_users(user_items)
    if isinstance(held_out, float | np.floating):
        held = checks.number("held_out", held_out, above=0, below=1)
        count = int(_parts(np.array(len(able)), held))
    else:
        count = checks.integer("held_out", held_out, 1)
    if not 0 < count <= len(able):
        raise ValueError(
            f"held_out={held_out!r} comes to {count} users; {len(able)} have the two interactions "
            f"it takes, expected 1 to {len(able)}"
        )
    rng = checks.random_generator(random_state)
    users = np.sort(rng.choice(able, count, replace=False))
    return _users_out(user_items, users, share, rng)


def user_folds(
    user_items: Any, n_folds: int = 5, *, test_share: float = 0.2, random_state: Any = None
) -> Iterator[UserSplit]:
    """Hold out each user with at least two interactions once: `n_folds` of `user_split`.

    The folds are random and differ by at most one user in size.
    """
    share = checks.number("test_share", test_share, above=0, below=1)
    user_items = csr.canonical(user_items, may_be_empty=True, name="user_items")
    rng = checks.random_generator(random_state)
    folds = users_of_folds(user_items, "n_folds", n_folds, rng)
    return (_users_out(user_items, users, share, rng) for users in folds)


def users_of_folds(
    user_items: sparse.csr_array, name: str, n_folds: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The users of each fold, ascending; `name` is what errors call `n_folds`."""
    able = able_users(user_items)
    checks.integer(name, n_folds, 2)
    if n_folds > len(able):
        raise ValueError(
            f"{name} must be at most the number of users with two interactions, {len(able)}; got "
            f"{n_folds}"
        )
    return [np.sort(users) for users in np.array_split(rng.permutation(able), n_folds)]


def able_users(user_items: sparse.csr_array) -> np.ndarray:
    """Those who can be held out; ValueError if there are none."""
    able = np.flatnonzero(np.diff(user_items.indptr) >= 2)
    if not len(able):
        raise ValueError(
            "no user has two interactions, one to fold in and one to name; expected some. Look at "
            "the filter that produced user_items"
        )
    return able


# ---- shared ------------------------------------------------------------------------------------


def _parts(counts: np.ndarray, share: float) -> np.ndarray:
    # Without the surplus 0.29 of 100 would be 28.
    return np.floor(counts * share + 1e-9).astype(np.int64)


def _split(matrix: sparse.csr_array, test: np.ndarray) -> Split:
    return Split(
        csr.scipy_matrix(csr.keep(matrix, ~test)), csr.scipy_matrix(csr.keep(matrix, test))
    )


def _last(
    matrix: sparse.csr_array,
    n_last: np.ndarray,
    rng: np.random.Generator,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """Marks the last `n_last` entries of each row by time, random ones where times are equal."""
    row, draws = csr.entry_rows(matrix), rng.random(matrix.nnz)
    order = np.lexsort((draws, row) if times is None else (draws, times, row))
    first = matrix.indptr[1:] - n_last
    marked = np.zeros(matrix.nnz, bool)
    marked[order] = np.arange(matrix.nnz) >= first[row]  # order keeps the rows where they are
    return marked


def _k_a_user(user_items: Any, k: int, min_train: int) -> tuple[sparse.csr_array, np.ndarray]:
    """The matrix, and how many entries of each row go to test: k or none."""
    checks.integer("k", k, 1)
    checks.integer("min_train", min_train, 0)
    user_items = csr.canonical(user_items, may_be_empty=True, name="user_items")
    enough = np.diff(user_items.indptr) >= k + min_train
    return user_items, np.where(enough, k, 0)


def _users_out(
    user_items: sparse.csr_array, users: np.ndarray, share: float, rng: np.random.Generator
) -> UserSplit:
    n_test = np.zeros(user_items.shape[0], np.int64)
    n_test[users] = np.maximum(_parts(np.diff(user_items.indptr)[users], share), 1)
    test = _last(user_items, n_test, rng)
    held = (n_test > 0)[csr.entry_rows(user_items)]
    train, fold_in, named = (
        csr.scipy_matrix(csr.keep(user_items, kept)) for kept in (~held, held & ~test, test)
    )
    return UserSplit(train, fold_in, named, users)


def _moment(at: Any, dtype: np.dtype) -> np.ndarray:
    """`at` as an array of no dimension that can be compared with times of `dtype`."""
    if dtype.kind == "M" and isinstance(at, date):
        at = in_utc(at)
    moment = np.asarray(at)
    if dtype.kind == "M" and isinstance(at, str):
        try:
            moment = np.asarray(np.datetime64(at))
        except ValueError:
            raise ValueError(
                f"at is no date: {at!r}; expected one as in ISO 8601, such as '2026-01-31' or "
                "'2026-01-31T18:00', or a datetime"
            ) from None
    kinds = "M" if dtype.kind == "M" else "iuf"
    if moment.ndim or moment.dtype.kind not in kinds or not np.isfinite(moment):
        raise TypeError(f"at must be a moment like those of times, which are {dtype}; got {at!r}")
    return moment


def _events(user_items: Any, times: Any) -> tuple[Listed, tuple[int, int]]:
    """Each stored entry and its time, by row, by column and by time; and the shape."""
    matrix = csr.canonical(user_items, may_be_empty=True, name="user_items")
    times = np.asarray(times)
    if times.dtype.kind not in "iufM":
        raise TypeError(
            f"times must be an array of real numbers or datetime64; got dtype {times.dtype}"
        )
    if user_items.format not in ("csr", "csc", "coo"):
        raise TypeError(
            f"user_items is in {user_items.format.upper()} format, whose entries have no order "
            "that times could follow; expected CSR, CSC or COO"
        )
    if times.shape != user_items.data.shape:
        raise ValueError(
            f"times has shape {times.shape}, user_items has {len(user_items.data)} stored entries; "
            "expected a time for each, in the order of user_items.data"
        )
    if not np.isfinite(times).all():
        at = int(np.argmin(np.isfinite(times)))
        raise ValueError(f"times[{at}] is {times[at]}; expected a moment for each stored entry")
    if user_items.format == "coo":
        row, column = user_items.row, user_items.col
    elif user_items.format == "csr":
        row, column = csr.entry_rows(user_items), user_items.indices
    else:
        row, column = user_items.indices, csr.entry_rows(user_items.T)
    order = np.lexsort((times, column, row))
    events = Listed(row, column, user_items.data.astype(matrix.dtype), times)
    return events.where(order), matrix.shape


def _of_events(
    events: Listed, shape: tuple[int, int], test: np.ndarray, n_ties: int, drops: bool
) -> Split:
    """The two matrices that events come to, summed in each."""
    train, held_out = (
        csr.from_triples(part.values, part.rows, part.columns, shape)
        for part in (events.where(~test), events.where(test))
    )
    if drops:
        held_out = csr.without(held_out, train)
    return Split.counted(csr.scipy_matrix(train), csr.scipy_matrix(held_out), n_ties)
