"""What every model is: parameters, ids in and out, and the questions that anybody may ask."""

from __future__ import annotations

import inspect
import logging
import os
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.interactions import Ids
from recsys.interactions.read_only import read_only
from recsys.models import boost, estimator, family, ids, scoring, similar, strangers
from recsys.models.all_lists import blocks, together
from recsys.models.display import as_json, model_html, parameters
from recsys.models.features import SideFeatures
from recsys.models.files import write_lists, write_model_file
from recsys.models.ids import Lists, Vocabulary
from recsys.models.in_file import Saved, model_file
from recsys.models.selection import Choice, chosen_items, list_length, rows_meant
from recsys.models.strangers import LEAVING_OUT, known_only
from recsys.models.training import Iteration, NotFittedError

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")


class Model(metaclass=ABCMeta):
    """Base of all models.

    A model's `__init__` only stores its keyword arguments, under their own names and as given;
    `fit` checks them. So `get_params`, `set_params` and scikit-learn's `clone` work on any model.
    What else a model has it gets from `_publish`.
    """

    dtype: Any
    num_threads: int

    _entry: ClassVar[type[Iteration]] = Iteration  # what `history` is made of
    _default_metric: ClassVar[str] = "ndcg@10"  # of what is held out for validation
    _history: tuple[Iteration, ...] = ()
    _best_iteration: int | None = None
    _validation_metric: str | None = None
    _ids: Vocabulary | None = None
    _training_matrix: TrainingMatrix | None = None
    _features: Mapping[str, SideFeatures] = MappingProxyType({})  # of "users", of "items"
    _ridges: Mapping[str, Any] = MappingProxyType({})  # of a training; None: they come after it
    _missed_without_history: ClassVar[str] = (
        "seen items are unknown (pass user_items=..., or filter_seen=False where lists are wanted)"
    )
    _boost: float = 1.0  # of what items add to scores that only features tell of
    _popularity: np.ndarray | None = None  # from a file without a training matrix
    _prepared: dict[str, Any]  # what a model keeps of its present state to answer faster

    # ---- parameters ----------------------------------------------------------------------------

    if not TYPE_CHECKING:  # for which the parameters are those of __init__

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            # Python's own error for an unknown keyword does not know the nearest spelling.
            cls._check_names(kwargs, TypeError)
            return super().__new__(cls)

        __getattr__ = family.missing

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(inspect.signature(cls.__init__).parameters)[1:]

    @classmethod
    def _check_names(cls, names: Iterable[str], error: type[Exception]) -> None:
        known = cls._parameter_names()
        for name in names:
            if name not in known:
                hint = checks.nearest(name, known) or f"; expected one of {', '.join(known)}"
                raise error(f"{cls.__name__} has no parameter {name!r}{hint}")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters as they were given, by name (`deep` is there for scikit-learn)."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Replace parameters by name; they are checked at the next `fit`. What is minimized, as by
        `regularization` and `alpha`, is until then that of the last one, by `fold_in` and all.

        Raises
        ------
        ValueError
            There is no such parameter; none has been changed then.
        """
        self._check_names(params, ValueError)
        vars(self).update(params)
        return self

    def _in_effect(self, name: str) -> Any:
        """A parameter, or what it comes to where it is None: in the last fit."""
        return getattr(self, name)

    def _chosen_on(self, counts: sparse.csr_array) -> Mapping[str, Any]:
        """The parameters that a fit would choose by what it learns from."""
        return {}

    @abstractmethod
    def _check_parameters(self) -> np.dtype:
        """Check every parameter; returns the dtype."""

    def __repr__(self) -> str:
        changed, _ = parameters(self)
        described = ", ".join(f"{name}={value}" for name, value in changed.items())
        return f"{type(self).__name__}({described})"

    def _repr_html_(self) -> str:
        return model_html(self)

    # ---- what training leaves ------------------------------------------------------------------

    @abstractmethod
    def fit(self, user_items: Any, y: None = None, *, show_progress: bool = True) -> Self:
        """Learn from a matrix of users x items, or from Interactions."""

    @abstractmethod
    def partial_fit(self, events: Any, y: None = None) -> Self:
        """Learn from a day's events beside what was learned before."""

    @property
    def history(self) -> list[Iteration]:
        """One entry for each iteration since training started fresh; empty before `fit`."""
        return list(self._history)

    @property
    def best_iteration(self) -> int | None:
        """The iteration that the model is of, if `patience` chose it; None: the last one."""
        return self._best_iteration

    @property
    def validation_metric(self) -> str | None:
        """What `validation` in the history is, such as "ndcg@10"; None where nothing was
        measured."""
        measured = any(entry.validation is not None for entry in self._history)
        return self._validation_metric if measured else None

    @property
    def training_matrix(self) -> sparse.csr_array | None:
        """What the model remembers of the matrix it was trained on, and of what it learned later:
        users x items in canonical form, read-only. None: there is no such matrix."""
        if self._training_matrix is None:
            return None
        matrix = self._training_matrix.counts(checks.floating_dtype(self.dtype))
        index = np.int32 if matrix.nnz < 2**31 else np.int64  # SciPy wants one type of both
        indices, indptr = (x.astype(index, copy=False) for x in (matrix.indices, matrix.indptr))
        data, indices, indptr = map(read_only, (matrix.data, indices, indptr))
        return csr.assemble(data, indices, indptr, matrix.shape)

    @property
    def n_features_in_(self) -> int:
        """Items of the model, by the name that scikit-learn has for columns."""
        return self._known_shape()[1]

    __sklearn_is_fitted__ = estimator.is_fitted
    __sklearn_tags__ = estimator.tags

    def __getstate__(self) -> dict[str, Any]:
        # What is prepared can be prepared again: copies and workers are spared it.
        return {**vars(self), "_prepared": {}}

    # ---- ids -----------------------------------------------------------------------------------

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

    def _vocabulary(self, shape: tuple[int, int] | None = None) -> Vocabulary | None:
        """The ids, which must be as many as the model's users and items, whose `shape` a caller may
        know; None: there are none."""
        vocabulary = self._ids
        if vocabulary is None:
            return None
        shape = shape or self._known_shape()
        if (len(vocabulary.users), len(vocabulary.items)) != shape:
            raise ValueError(
                f"the model was fitted with ids of {len(vocabulary.users)} users and "
                f"{len(vocabulary.items)} items, but its factors are now for {shape[0]} x "
                f"{shape[1]}: ask model.without_ids() by row numbers, or fit again"
            )
        return vocabulary

    # ---- questions -----------------------------------------------------------------------------

    # Written as functions of a model, which a class takes for its methods
    score = scoring.score
    similar_items = similar.similar_items

    def recommend(
        self,
        users: Any,
        user_items: Any = None,
        N: int = 10,
        *,
        filter_seen: bool = True,
        filter_items: Any = None,
        items: Any = None,
        among: Any = None,
        fold_in: bool = False,
        unknown: str = "error",
        new_item_boost: float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items with the highest scores for each user.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix; ids, one or several, of a model that was fitted on
            Interactions. This goes for users and items everywhere, also where ids are integers.
        user_items : scipy sparse matrix or array, or Interactions, optional
            What counts as seen instead of the training matrix, and to `ItemNeighbors`, `EASE` and
            `SLIM` as the history: a matrix of the same shape, or one row for each of `users`. Of
            Interactions, for a model that speaks ids, entries of items it does not know are left
            out, and the log says how many.
        N : int, default 10
            Length of each list, at most the number of items or 1000.
        filter_seen : bool, default True
            Leave out items the user has a stored entry for in the training matrix, or in
            `user_items`.
        filter_items : int or array of int, optional
            Items to leave out of every list: column numbers, or ids.
        items, among : int or array of int, optional
            The only items to choose from, by either name; all by default.
        fold_in : bool, default False
            Take what is known of each user from the row of `user_items` (a factor model by its
            `fold_in`) instead of from training: for changed rows and for users unknown to the
            model, whose numbers then only have to be those of rows of `user_items`, or anything
            where it has one row for each of `users`. Of users in Interactions:
            ``recommend(newcomers.users, newcomers, fold_in=True)``.
        unknown : {"error", "skip", "popular"}, default "error"
            What becomes of users that the model does not know, or of whom it has no entries to go
            by: their lists stay empty ("skip"), or are those of the items that most users have,
            the number of these being the score ("popular"). Unknown ones among `items` and
            `filter_items` are left out by both. An id of another kind than the model's is an
            error in any case.
        new_item_boost : float, default 1.0
            What ``x_u . y_i + b_i``, the part of a score that is an item's, is multiplied by if
            only features tell of it, as expected scores are low; more than 1 if it is positive.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single user, else (n, N)
            Best first; of items with equal scores the one with the higher id first. A user with
            fewer than N items left has -1 in the places that stay empty. `ItemNeighbors`, `EASE`
            and `SLIM` never list an item that nothing in the history has a weight for.
        scores : ndarray of the model's dtype, same shape
            -inf in empty places. The same for a user alone and among others.
            Of a model that speaks ids both are an `IdLists`, which has ``to_frame()`` besides: its
            ids are int64, or objects with None in empty places. So they are where `unknown` is
            not "error": the `IdLists` then says of whom in ``unknown``.

        Raises
        ------
        NotFittedError
            Neither `fit` nor an assignment has provided what is needed.
        IndexError
            Unknown users or items; of a model that speaks ids UnknownIdError, a KeyError, which
            names what is spelled like them.
        TypeError, ValueError
            `users` are not row numbers; N is out of range; `user_items` has another shape; factors
            that do not go together.
        FloatingPointError
            Factors are not finite, or so large that scores may not be.
        """
        shape = self._known_shape()
        vocabulary, users = self._vocabulary(shape), ids.listed(users)
        lister, items = boost.boosting(self, new_item_boost), chosen_items(items, among)
        if strangers.check(unknown):
            return strangers.recommend(
                lister, users, user_items, N, unknown=unknown, filter_seen=filter_seen,
                filter_items=filter_items, items=items, fold_in=fold_in,
            )  # fmt: skip
        numbers, user_items = ids.with_history(vocabulary, users, user_items, newcomers=fold_in)
        items = ids.to_rows(vocabulary, "items", items, "items")
        filter_items = ids.to_rows(vocabulary, "items", filter_items, "filter_items")

        rows = checks.row_numbers("users", numbers, checks.ANYONE if fold_in else shape[0])
        list_length(N, shape[1])
        choice = Choice(items, filter_items, shape[1])
        flat = rows.reshape(-1)
        counts, rows_of_counts = None, flat
        if user_items is not None:
            dtype = checks.floating_dtype(self.dtype)
            counts = csr.canonical(user_items, dtype, may_be_empty=True)
            rows_of_counts = rows_meant(counts.shape, flat, shape, fold_in)
            if fold_in:
                strangers.warn_without_entries(counts, rows_of_counts)
        elif fold_in:
            raise ValueError("fold_in=True takes users from user_items: pass it, one row a user")
        options = {"filter_seen": filter_seen, "fold_in": fold_in}
        best, scores = lister._lists(flat, counts, rows_of_counts, choice, N, **options)
        lists = best.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)

        return ids.to_ids(vocabulary, "items", lists, "users", users)

    def recommend_all(
        self,
        N: int = 10,
        *,
        path: str | os.PathLike | None = None,
        filter_seen: bool = True,
        filter_items: Any = None,
        items: Any = None,
        among: Any = None,
        unknown: str = "error",
        new_item_boost: float = 1.0,
        show_progress: bool = True,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The N items with the highest scores for every user of the model.

        Parameters
        ----------
        N, filter_seen, filter_items, items, among, new_item_boost
            As in `recommend`.
        unknown : {"error", "skip"}, default "error"
            Whether unknown ones among `items` and `filter_items` are left out.
        path : str or path, optional
            Write the lists to this Parquet file, some users at a time, and return None: memory
            then does not grow with the number of users. Columns: user, items and scores (lists,
            without empty places); users and items are ids where the model speaks them, strings
            or integers. Needs pyarrow.
        show_progress : bool, default True
            Show a progress bar where the output is a terminal or a notebook.

        Returns
        -------
        ids, scores : ndarrays, shape (n_users, N), or None
            As in `recommend`.

        Raises
        ------
        ImportError
            `path` is given and pyarrow is not installed.
        NotFittedError, IndexError, TypeError, ValueError, OSError
            As in `recommend` and `save`.
        """
        vocabulary, lister = self._vocabulary(), boost.boosting(self, new_item_boost)
        strangers.check(unknown, LEAVING_OUT)
        n_items = self._known_shape()[1]
        items, filter_items = (
            known_only(vocabulary, "items", values, name, n_items, unknown)
            for values, name in (
                (chosen_items(items, among), "items"), (filter_items, "filter_items")
            )
        )  # fmt: skip

        list_length(N, n_items)
        choice = Choice(items, filter_items, n_items)
        options = {"filter_seen": filter_seen, "show_progress": show_progress}
        if path is not None:
            write_lists(path, blocks(lister, choice, N, **options), self.users, self.items)
            return None
        return ids.lists_of_all_users(vocabulary, together(lister, choice, N, **options))

    def save(self, target: Any, *, history: bool = True) -> None:
        """Write the model to a file that `recsys.load` reads.

        The file is a safetensors file (arrays and a JSON header, nothing that is executed) with
        parameters, factors, history, the matrix trained on, ids, and a digest of each array. One at
        a path appears as a whole or not at all. A random_state other than an integer is saved as
        None.

        Parameters
        ----------
        target : path, or binary file object such as io.BytesIO
        history : bool, default True
            Whether the matrix trained on, everybody's history, goes into the file. A model
            loaded without it recommends by ``user_items=...`` or ``filter_seen=False``; how
            many users have each item is kept, for strangers.

        Raises
        ------
        NotFittedError
            There are no factors yet.
        TypeError, ValueError
            A parameter is a function: give it again after loading. Or it is out of range. Or ids
            are neither strings nor integers.
        OSError
            The file cannot be written.
        """
        self._known_shape()
        self._check_parameters()
        checks.flag("history", history)
        write_model_file(target, *model_file(self, history))

    # ---- what a kind of model provides ---------------------------------------------------------

    @abstractmethod
    def _known_shape(self) -> tuple[int, int]:
        """Users and items of the model; NotFittedError where there are none yet."""

    @abstractmethod
    def _lists(
        self,
        users: np.ndarray,
        counts: sparse.csr_array | None,
        rows: np.ndarray,
        choice: Choice,
        N: int,
        *,
        filter_seen: bool,
        fold_in: bool,
    ) -> Lists:
        """Lists of `users`, whose rows of `counts`, or else of what is remembered, are `rows`."""

    _pair_scores: Callable[[np.ndarray, np.ndarray], np.ndarray]  # of users and items, by row
    _similar: Callable[[str, Any, int, Any, Any], Lists]  # "users" or "items" like some of them

    @abstractmethod
    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What is learned, for a model file: as JSON, and in arrays."""

    @abstractmethod
    def _from_file(self, saved: Saved) -> dict[str, Any]:
        """What `_to_file` gave, checked, in terms of the model's attributes."""

    def _to_learn_on(self) -> dict[str, np.ndarray]:
        """What only those need who go on learning, for a model file with everybody's history."""
        return {}

    def _with_history(self, rows: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """Of which users there is something to go by: their rows, -1 for unknown ones, and how
        many entries each is asked about with, if any."""
        matrix, known = self._training_matrix, rows >= 0
        if matrix is not None and matrix.shape[0] > rows.max(initial=-1):
            told = self._features["users"].rows if "users" in self._features else ()
            known[known] = (np.diff(matrix.indptr)[rows[known]] > 0) | np.isin(rows[known], told)
        return known

    # ---- helpers -------------------------------------------------------------------------------

    def _publish(self, state: dict[str, Any]) -> None:
        """Become what training or a file has made of the model."""
        # One call, not several assignments: Ctrl-C cannot come in between.
        vars(self).update(state, _prepared={})

    def _twin(self, **changed: Any) -> Self:
        """The same model, some of its attributes changed."""
        twin = object.__new__(type(self))  # copy.copy would look at the parameters: 0.15 ms a list
        vars(twin).update(vars(self), **changed)
        return twin

    def _json_parameters(self) -> dict[str, Any]:
        """The parameters as JSON can hold them."""
        return {name: as_json(name, value) for name, value in self.get_params().items()}

    def _log(self, message: str, *details: Any) -> None:
        logger.info(f"%s {message}", type(self).__name__, *details)

    def _log_start(self, counts: sparse.csr_array, done: int = 0) -> None:
        """Tell what is going to be learned, from what and how; `done` iterations were made."""
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "%r learns from %s users x %s items, %s entries, %s; threads: %s; %s%s",
                self, *(f"{n:,}" for n in (*counts.shape, counts.nnz)), counts.dtype,
                kernels.threads_in_words(self.num_threads), kernels.current_isa(),
                f"; goes on after iteration {done}" if done else "",
            )  # fmt: skip

    def _remembered(self) -> TrainingMatrix:
        """The training matrix, if it belongs to what the model knows now."""
        if self._training_matrix is None:
            raise NotFittedError(
                "no training matrix is remembered, as of a model made from factors (assigned, or "
                f"from Spark) or saved with history=False: {self._missed_without_history}, and "
                "there is nothing to add events to (call fit(user_items) first)"
            )
        trained, now = self._training_matrix.shape, self._known_shape()
        if trained != now:
            raise ValueError(
                f"the model was trained on {trained[0]} users x {trained[1]} items, but its "
                f"factors are now for {now[0]} x {now[1]}: pass filter_seen=False or fit again"
            )
        return self._training_matrix
