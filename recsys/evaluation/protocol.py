"""Rank all items for the users of a test matrix, and measure the lists."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from recsys import checks, csr
from recsys.interactions.ids import Ids
from recsys.interactions.interactions import Interactions
from recsys.interactions.matching import described, pair_in_rows
from recsys.kernels import query_blocks
from recsys.progress import progress_bar

from . import unknown as unknown_users
from .lists import Judged, judge, same_shape, self_information, unit_vectors
from .metrics import OVERALL_METRICS, USER_METRICS, Totals, totals_of
from .results import Evaluation
from .ties import broken, hashes, mixed

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

Keys = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of users (n,) and their items (n, m)
NAMES = ("train", "test")  # what errors call the matrices
_OF_ITEMS = ("items", "among", "filter_items")  # options of `recommend`
_USERS = 1 << 12  # whose lists are made together,
_PLACES = 1 << 22  # if they have no more places than this
# What implicit gives items that are filtered; nothing that is scored gets that low.
_LEAST = -float(np.finfo(np.float32).max)


class Recommends(Protocol):
    """All that is asked of a model: ids, best first, and their scores, both (n, N)."""

    def recommend(self, users: Any, user_items: Any, /, N: int) -> tuple[Any, Any]: ...


def evaluate(
    model: Recommends,
    train: Any,
    test: Any,
    metrics: str | Iterable[str] = ("precision", "recall", "map", "ndcg"),
    k: int | Iterable[int] = (10, 20, 100),
    *,
    allow_overlap: bool = False,
    ties: str = "hash",
    unknown: str | None = None,
    item_features: Any = None,
    random_state: Any = 0,
    options: Mapping[str, Any] | None = None,
    show_progress: bool = True,
) -> Evaluation:
    """Measure a model's lists against held-out interactions.

    For each user with test items, all items but those of the user's row of `train` are ranked, by
    one call of ``model.recommend(users, rows of train, N=longest k)`` for a block of users. Users
    without test items are left out and counted.

    Parameters
    ----------
    model : object with ``recommend(users, user_items, N=...)``
        Any model of recsys or of implicit, or your own: users is an array of row numbers,
        user_items a csr_matrix with one row for each of them; returns item ids and scores, both of
        shape (len(users), N), best first. A place is empty where the id is -1 or the score is not
        above the lowest float32 (as implicit marks filtered items). A model that speaks ids is
        asked ``without_ids()``.
    train : scipy sparse matrix, n_users x n_items, or Interactions
        Entries are seen: what the model was trained on, or the fold-in part of held-out users.
    test : scipy sparse matrix of the same shape, or Interactions
        Entries greater than zero are relevant. Items nobody has in `train` stay relevant, and are
        counted. Of Interactions, entries of ids that the model (or `train`, where the model has
        none) does not know are left out, and the log says how many: split one Interactions to
        keep them.
    metrics : str or iterable of str
        Names of `USER_METRICS` and `OVERALL_METRICS`.
    k : int or iterable of int, default (10, 20, 100)
        Where lists are cut. May be larger than the catalogue: the places after it are empty.
    allow_overlap : bool, default False
        Accept entries that are in both matrices. A model that masks `train` cannot list them.
    ties : {"hash", "random", "model"}, default "hash"
        Items with equal scores are put in the order of a fixed hash of the item (of its id, where
        there are such) and the user, or in random order, so that numbers, which tend to follow
        time or popularity, do not decide; or they stay as the model had them. Where a tie goes
        across the longest cut, the model is asked for all who tie; `n_cut_ties` counts such users.
    unknown : {"error", "skip", "popular"}, optional
        What becomes of users who have no entry in `train`: an error, they are left out and
        counted, or their lists are of the items that most users have in `train`. Of Interactions
        these may be users whom only `test` knows, with row numbers after those of the others.
        None: the model is asked, whatever it says.
    item_features : Features, array or scipy sparse matrix, shape (n_items, d), optional
        What "diversity" goes by, a row an item of the model, or of `train` if the model has no
        ids; Features that have ids are matched by them. None: the model's `item_factors`.
    random_state : default 0
        Seed of random `ties`, as elsewhere in recsys.
    options : mapping, optional
        Further arguments of ``model.recommend``, such as ``{"fold_in": True}``. Items in them are
        ids where those of the model or of `train` are.
    show_progress : bool, default True
        Show a progress bar where the output is a terminal or a notebook.

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError
        `train` or `test` is not a sparse matrix; `model` has no `recommend` or returns something
        else than ids and scores.
    ValueError
        Shapes differ; entries in both matrices; no user has test items; unknown metric; k < 1; the
        model gives a NaN score, an unknown item or an item twice.
    """
    _check_model(model)
    folds_in = bool(options and options.get("fold_in"))
    users, items = _ids_of(model)
    if items is None and isinstance(train, Interactions):
        items = train.items
    users = None if folds_in else users
    if unknown is not None:
        users = unknown_users.with_strangers(train, test, users)
    train, test = pair_in_rows(train, test, NAMES, users, items)
    if items is not None and options:
        options = _in_columns(options, items)
    held_out = HeldOut(train, test, metrics, k, allow_overlap=allow_overlap, items=items)
    held_out.item_features = item_features
    return held_out.evaluate(
        model,
        ties=ties,
        unknown=unknown,
        random_state=random_state,
        options=options,
        show_progress=show_progress,
    )


def _in_columns(options: Mapping[str, Any], items: Ids) -> dict[str, Any]:
    """The options of `recommend` with the numbers of items in place of their ids."""
    named = {name: value for name, value in options.items() if name in _OF_ITEMS}
    rows = {name: items.rows(value, name) for name, value in named.items() if value is not None}
    return {**options, **rows}


class HeldOut:
    """What `evaluate` compares a model's lists with, made ready once for many models.

    Parameters and errors are those of `evaluate`.

    Parameters
    ----------
    train, test, metrics, k, allow_overlap
    most_users : int, optional
        Of more users with test items than this, so many are drawn, with a fixed seed; by default
        all are measured.
    names : (str, str), default ("train", "test")
        What errors call the matrices.
    items : Ids, optional
        Those of the columns: ties go by them, and not by the numbers of columns.
    """

    item_features: Any = None

    def __init__(
        self,
        train: Any,
        test: Any,
        metrics: str | Iterable[str],
        k: int | Iterable[int],
        *,
        allow_overlap: bool = False,
        most_users: int | None = None,
        names: tuple[str, str] = NAMES,
        items: Ids | None = None,
    ) -> None:
        self._metrics, self._cuts, self._allow_overlap = (
            checked_metrics(metrics),
            checked_cuts(k),
            allow_overlap,
        )
        train, test = pair_in_rows(train, test, names)
        train, test = _matrices(train, test, allow_overlap, names)
        self._users = np.flatnonzero(np.diff(test.indptr))
        self._n_without_test = test.shape[0] - len(self._users)
        if most_users is not None and most_users < len(self._users):
            drawn = np.random.default_rng(0).choice(len(self._users), most_users, replace=False)
            self._users = self._users[np.sort(drawn)]
        self._train, self._test, self._items = train[self._users], test[self._users], items
        self._popularity = np.bincount(train.indices[train.data > 0], minlength=train.shape[1])
        self._n_unseen_items = _unseen(train, test)
        self._information = self_information(train) if "novelty" in self._metrics else None

    def evaluate(
        self,
        model: Any,
        *,
        ties: str = "hash",
        unknown: str | None = None,
        random_state: Any = 0,
        options: Mapping[str, Any] | None = None,
        show_progress: bool = True,
    ) -> Evaluation:
        """What `evaluate` returns for this model."""
        _check_model(model)
        if _ids_of(model) != (None, None):
            model = model.without_ids()
        checks.choice("ties", ties, ("hash", "random", "model"))
        checks.random_state(random_state)
        measured, n_without_history = unknown_users.measured(self._train, unknown)
        users, train, test = (part[measured] for part in (self._users, self._train, self._test))
        longest = max(self._cuts)
        tally = Tally(self._metrics, self._cuts, len(users), test.shape[1])
        lister = _Asked(model, options or {}, self._popularity if unknown == "popular" else None)
        keys = self._keys(ties, random_state)
        vectors = self._vectors(model)
        # One place more than is cut shows whether the cut goes through a tie.
        length = min(longest + (keys is not None), test.shape[1])
        for at in _blocks(len(users), length, show_progress):
            rows = csr.scipy_matrix(train[at])
            items, scores = lister.lists(users[at], rows, length)
            if keys is not None:
                part = _Part(users[at], rows, lister, keys)
                lists = items, scores
                items, n_cut = broken(lists, longest, part.keys, part.lists, test.shape[1])
                tally.n_cut_ties += n_cut
            seen = rows if "auc" in self._metrics else None  # nothing else goes by it
            more = {"information": self._information, "vectors": vectors}
            judged = judge(items, test[at], seen=seen, **more)
            tally.add(at, judged, _seen_listed(judged, rows))
        if tally.n_seen_listed and not self._allow_overlap:
            logger.warning(
                "the lists of %d users name items of their rows of train, which count as misses: "
                "see whether the model's recommend leaves out the entries of user_items",
                tally.n_seen_listed,
            )
        return Evaluation(
            users=users,
            per_user=tally.per_user,
            overall=tally.overall(),
            n_without_test=self._n_without_test,
            n_unseen_items=self._n_unseen_items,
            n_cut_ties=None if keys is None else tally.n_cut_ties,
            n_without_history=n_without_history,
        )

    def _vectors(self, model: Any) -> Any:
        """What diversity goes by."""
        if "diversity" not in self._metrics:
            return None
        features, name = self.item_features, "item_features"
        if features is None:
            features, name = getattr(model, "item_factors", None), "item_factors"
        if features is None:
            raise ValueError(
                f"diversity goes by item_features=..., as {type(model).__name__} has no "
                "item_factors"
            )
        matrix = described(features, self._items, name)
        return unit_vectors(matrix, self._test.shape[1], name)

    def _keys(self, ties: str, random_state: Any) -> Keys | None:
        """What orders items of one score, of users; None: the model does."""
        if ties == "model":
            return None
        if ties == "random":
            rng = checks.random_generator(random_state)
            return lambda users, items: rng.random(items.shape)
        of_items = functools.cache(lambda: hashes(self._test.shape[1], self._items))
        return lambda users, items: mixed(users, of_items().take(items, mode="clip"))


def _check_model(model: Any) -> None:
    if isinstance(model, type):
        raise TypeError(f"model must be a fitted model, not its class {model.__name__}")
    if not callable(getattr(model, "recommend", None)):
        raise TypeError(
            f"model must have a method recommend(users, user_items, N=...); got {model!r}"
        )


def _ids_of(model: Any) -> tuple[Ids | None, Ids | None]:
    """The ids of users and items that a model of recsys speaks."""
    if not hasattr(model, "without_ids"):
        return None, None
    return model.users, model.items


class Tally:
    """The values of the users so far, and the totals of their lists."""

    def __init__(self, names: list[str], cuts: list[int], n_users: int, n_items: int) -> None:
        self.names, self.cuts = names, cuts
        by_user = [(name, cut) for name in names if name in USER_METRICS for cut in cuts]
        self.per_user = {f"{name}@{cut}": np.empty(n_users) for name, cut in by_user}
        self.totals = {cut: Totals(np.zeros(n_items, np.int64), 0, 0) for cut in cuts}
        self.n_cut_ties = self.n_seen_listed = 0

    def add(self, at: slice, judged: Judged, n_seen_listed: int = 0) -> None:
        """Those of some users."""
        self.n_seen_listed += n_seen_listed
        for cut in self.cuts:
            for name in self.names:
                if name in USER_METRICS:
                    self.per_user[f"{name}@{cut}"][at] = USER_METRICS[name](judged, cut)
            self.totals[cut] = self.totals[cut].plus(totals_of(judged, cut))

    def overall(self) -> dict[str, float]:
        """Metrics of all lists together."""
        named = [name for name in self.names if name in OVERALL_METRICS]
        return {
            f"{name}@{cut}": OVERALL_METRICS[name](self.totals[cut])
            for name in named
            for cut in self.cuts
        }


# ---- what was asked for ------------------------------------------------------------------------


def checked_metrics(metrics: str | Iterable[str]) -> list[str]:
    """Each once; ValueError for an unknown one."""
    if not isinstance(metrics, Iterable):
        raise TypeError(
            f"metrics must be a name or several, such as 'ndcg'; got {metrics!r}. Where lists are "
            "cut is k="
        )
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        checks.choice("metric", name, (*USER_METRICS, *OVERALL_METRICS))
    if not names:
        raise ValueError("metrics is empty; expected at least one, such as 'ndcg'")
    return list(dict.fromkeys(names))


def checked_cuts(k: int | Iterable[int]) -> list[int]:
    """Ascending, each once."""
    cuts = list(k) if isinstance(k, Iterable) else [k]
    if not cuts:
        raise ValueError("k is empty; expected at least one length of the lists, such as 10")
    return sorted({checks.integer("k", cut, 1) for cut in cuts})


def _matrices(
    train: Any, test: Any, allow_overlap: bool, names: tuple[str, str]
) -> tuple[sparse.csr_array, sparse.csr_array]:
    train, test = (
        csr.canonical(train, may_be_empty=True, name=names[0]),
        csr.canonical(test, may_be_empty=True, name=names[1]),
    )
    same_shape(names[1], test.shape, names[0], train.shape)
    test = csr.keep(test, test.data > 0)
    if not test.nnz:
        raise ValueError(
            f"{names[1]} has no entry greater than zero, so nobody has a relevant item; expected "
            "at least one. Look at the split that produced it"
        )
    if not allow_overlap:
        advice = ", or pass allow_overlap=True to count them as relevant" if names == NAMES else ""
        csr.check_apart(train, test, names, advice)
    return train, test


def _unseen(train: sparse.csr_array, test: sparse.csr_array) -> int:
    known = np.zeros(train.shape[1], bool)
    known[train.indices] = True
    return len(np.unique(test.indices[~known[test.indices]]))


# ---- the lists ---------------------------------------------------------------------------------


def _blocks(n_users: int, length: int, show_progress: bool) -> Iterator[slice]:
    step = max(1, min(_USERS, _PLACES // length))
    with progress_bar(show_progress, total=n_users, unit=" users") as bar:
        for at in query_blocks(n_users, step):
            yield at
            bar.update(at.stop - at.start)


class _Asked:
    """A model, and how it is asked; with `popularity`, users whose row is empty get what is
    popular."""

    def __init__(
        self, model: Recommends, options: Mapping[str, Any], popularity: np.ndarray | None
    ) -> None:
        self._options = options
        self._recommend: Any = model.recommend
        if popularity is not None:
            self._recommend = unknown_users.with_popular(model.recommend, popularity)

    def lists(
        self, users: np.ndarray, rows: sparse.csr_matrix, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lists and scores, with -1 and -inf in all places that are empty."""
        answer = self._recommend(users, rows, N=length, **self._options)
        return _checked_lists(answer, users, length)


class _Part(NamedTuple):
    """Some users, whose ties are broken."""

    users: np.ndarray
    rows: sparse.csr_matrix
    asked: _Asked
    of_items: Keys

    def keys(self, some: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.of_items(self.users[some], items)

    def lists(self, some: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        return self.asked.lists(self.users[some], self.rows[some], length)


def _checked_lists(answer: Any, users: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise TypeError(
            "model.recommend must return two arrays, item ids and scores; got "
            f"{type(answer).__name__}"
        )
    items, scores = np.asarray(answer[0]), np.asarray(answer[1])
    fits = items.ndim == 2 and len(items) == len(users) and items.shape[1] <= length
    if not fits or items.shape != scores.shape:
        raise ValueError(
            f"model.recommend returned ids of shape {items.shape} and scores of shape "
            f"{scores.shape} for {len(users)} users and N={length}; expected ({len(users)}, "
            f"{length}) for both"
        )
    if scores.dtype.kind not in "iuf":
        raise TypeError(f"the model's scores must be real numbers; got dtype {scores.dtype}")
    if items.dtype.kind not in "iu":
        raise TypeError(f"the model's ids must be integers; got dtype {items.dtype}")
    wrong = np.isnan(scores)
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise ValueError(
            f"the model gives user {users[row]} a list with the score NaN (place {place + 1}); "
            "expected numbers. Its factors are probably not finite: train it with more "
            "regularization or a smaller learning rate"
        )
    # Whatever id is there, a score this low is not one.
    items = np.where(scores > _LEAST, items, -1)
    return items, np.where(items >= 0, scores, -np.inf)


def _seen_listed(judged: Judged, rows: sparse.csr_matrix) -> int:
    """How many lists name items of their user's row."""
    wanted = judged.items + np.arange(len(judged.items))[:, None] * np.int64(rows.shape[1])
    listed = csr.among(wanted, csr.entry_keys(rows, slice(0, len(judged.items)))) & (
        judged.items >= 0
    )
    return int(listed.any(axis=1).sum())
