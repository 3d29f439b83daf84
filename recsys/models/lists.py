"""What is asked of any model that makes lists, checked in one place."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recsys import checks, csr, kernels
from recsys.models.base import NotFittedError
from recsys.models.candidates import Choice, Seen, list_length, rows_meant
from recsys.models.display import model_html
from recsys.models.vocabulary import SpeaksIds, Vocabulary, speaks_ids
from recsys.progress import progress_bar
from recsys.serving import write_lists, write_model_file

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

USERS = 1 << 13  # whose lists are made together


class ListMaker(SpeaksIds):
    """A model that recommends; a subclass has `_known_shape` and `_lists`."""

    dtype: Any
    num_threads: int
    _default_metric: ClassVar[str] = "ndcg@10"  # of what is held out for validation
    _seen: Seen | None = None

    @speaks_ids(Vocabulary.with_history, Vocabulary.lists_of_items)
    def recommend(
        self,
        users: Any,
        user_items: Any = None,
        N: int = 10,
        *,
        filter_seen: bool = True,
        filter_items: Any = None,
        items: Any = None,
        fold_in: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items with the highest scores for each user.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix; ids, one or several, of a model that was fitted on
            Interactions. This goes for users and items everywhere, also where ids are integers.
        user_items : scipy sparse matrix or array, or Interactions, optional
            What counts as seen instead of the training matrix, and to `ItemNeighbors` as the
            history: a matrix of the same shape, or one row for each of `users`. Of Interactions,
            for a model that speaks ids, entries of items it does not know are left out, and the
            log says how many.
        N : int, default 10
            Length of each list, at most the number of items or 1000.
        filter_seen : bool, default True
            Leave out items the user has a stored entry for in the training matrix, or in
            `user_items`.
        filter_items : int or array of int, optional
            Items to leave out of every list: column numbers, or ids.
        items : int or array of int, optional
            The only items to choose from; all by default.
        fold_in : bool, default False
            Take what is known of each user from the row of `user_items` (a factor model by its
            `fold_in`) instead of from training: for changed rows and for users unknown to the
            model, whose numbers then only have to be those of rows of `user_items`, or anything
            where it has one row for each of `users`. Of users in Interactions:
            ``recommend(newcomers.users, newcomers, fold_in=True)``.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single user, else (n, N)
            Best first; of items with equal scores the one with the higher id first. A user with
            fewer than N items left has -1 in the places that stay empty. `ItemNeighbors` has
            no score for an item without a neighbour in the history, and never lists it.
        scores : ndarray of the model's dtype, same shape
            -inf in empty places. The same for a user alone and among others.
            Of a model that speaks ids both are an `IdLists`, which has ``to_frame()`` besides: its
            ids are int64, or objects with None in empty places.

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
        """
        shape, dtype = self._known_shape(), checks.floating_dtype(self.dtype)
        rows = checks.row_numbers("users", users, checks.ANYONE if fold_in else shape[0])
        list_length(N, shape[1])
        choice = Choice(items, filter_items, shape[1])
        flat = rows.reshape(-1)
        given, own = None, flat
        if user_items is not None:
            given = csr.canonical(user_items, dtype, may_be_empty=True)
            own = rows_meant(given.shape, flat, shape, fold_in)
        elif fold_in:
            raise ValueError("fold_in=True takes users from user_items: pass it, one row a user")
        ids, scores = self._lists(
            flat, given, own, choice, N, filter_seen=filter_seen, fold_in=fold_in
        )
        return ids.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)

    def recommend_all(
        self,
        N: int = 10,
        *,
        path: str | os.PathLike | None = None,
        filter_seen: bool = True,
        filter_items: Any = None,
        items: Any = None,
        show_progress: bool = True,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The N items with the highest scores for every user of the model.

        Parameters
        ----------
        N, filter_seen, filter_items, items
            As in `recommend`.
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
        n_users, n_items = self._known_shape()
        list_length(N, n_items)
        options = {"filter_seen": filter_seen, "filter_items": filter_items, "items": items}
        ids, by_number = self._ids, self.without_ids()
        if ids is not None:
            options = self._spoken().rows(options)

        def blocks() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
            with progress_bar(show_progress, total=n_users, unit=" users") as bar:
                for begin in range(0, n_users, USERS):
                    users = np.arange(begin, min(begin + USERS, n_users))
                    yield begin, *by_number.recommend(users, N=N, **options)
                    bar.update(len(users))

        if path is not None:
            write_lists(path, blocks(), self.users, self.items)
            return None
        rows = np.empty((n_users, N), np.int32)
        scores = np.empty((n_users, N), checks.floating_dtype(self.dtype))
        for begin, found, own in blocks():
            rows[begin : begin + len(found)], scores[begin : begin + len(found)] = found, own
        return (rows, scores) if ids is None else ids.lists_of_all(rows, scores)

    def _repr_html_(self) -> str:
        return model_html(self)

    # ---- what a model of this kind provides ----------------------------------------------------

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to a file that `recsys.load` reads."""
        raise NotImplementedError

    def _lists(
        self,
        users: np.ndarray,
        given: sparse.csr_array | None,
        own: np.ndarray,
        choice: Choice,
        N: int,
        *,
        filter_seen: bool,
        fold_in: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lists of `users`, whose rows of `given`, or else of what is remembered, are `own`."""
        raise NotImplementedError

    # ---- helpers -------------------------------------------------------------------------------

    def _log_start(self, counts: sparse.csr_array, done: int = 0) -> None:
        """Tell what is going to be learned, from what and how; `done` iterations were made."""
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "%r learns from %s users x %s items, %s entries, %s; threads: %s; %s%s",
                self, *(f"{n:,}" for n in (*counts.shape, counts.nnz)), counts.dtype,
                kernels.threads_in_words(self.num_threads), kernels.current_isa(),
                f"; goes on after iteration {done}" if done else "",
            )  # fmt: skip

    def _write(
        self, path: str | os.PathLike, header: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> None:
        """A model file; the ids, if there are any, are added."""
        if self._ids is not None:
            ids = self._spoken()
            header, arrays = header | ids.header(), arrays | ids.arrays()
        write_model_file(path, header, arrays)

    def _one_history(self, user: Any, user_items: Any) -> sparse.csr_array:
        """The one row of `user`: of a matrix that has it, or only it, or of what is remembered."""
        shape, dtype = self._known_shape(), checks.floating_dtype(self.dtype)
        if user_items is None:
            counts = self._checked_seen().counts(dtype)
        else:
            counts = csr.canonical(user_items, dtype, may_be_empty=True)
            checks.columns("user_items", counts.shape, shape[1], "items")
            if counts.shape[0] == 1:
                return counts
        return counts[[checks.one_row_number("user", user, counts.shape[0])]]

    def _checked_seen(self) -> Seen:
        """The remembered entries, if they belong to what the model knows now."""
        if self._seen is None:
            raise NotFittedError(
                "no training matrix is remembered, so seen items are unknown: call "
                "fit(user_items) first or pass filter_seen=False"
            )
        trained, now = self._seen.shape, self._known_shape()
        if trained != now:
            raise ValueError(
                f"the model was trained on {trained[0]} users x {trained[1]} items, but its "
                f"factors are now for {now[0]} x {now[1]}: pass filter_seen=False or fit again"
            )
        return self._seen
