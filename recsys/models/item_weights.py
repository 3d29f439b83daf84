"""Models whose scores are sums over a user's history: what each item in it adds to each other."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.interactions.matching import in_rows
from recsys.models import growth, ids, similar, strangers
from recsys.models.ids import Lists, Vocabulary
from recsys.models.in_file import Saved
from recsys.models.meaning import check_not_full
from recsys.models.model import Model
from recsys.models.selection import Choice, list_length, one_history, scored_pairs
from recsys.models.training import NotFittedError, no_target

if TYPE_CHECKING:
    from scipy import sparse

_PAIRS = 1 << 14  # scored together
_ITEMS = 512  # whose similar ones are listed together


class ItemWeights(Model):
    """Base of models with scores ``s_ui = sum_j h_uj B_ji``, h_u being what a user has.

    B, `_votes`, is a CSR matrix or an array, items x items. What a model learns is this, and there
    are no factors: new users need no folding in, and nothing is drawn or repeated.
    """

    _missed_without_history = (
        "it is unknown what users have, of which scores are made (pass user_items=...)"
    )

    _votes: sparse.csr_array | np.ndarray | None = None
    _similarity: sparse.csr_array | None = None  # n_items x n_items: what similar_items lists
    _shape: tuple[int, int]

    # Written as a function of a model, which a class takes for its methods
    similar_items = similar.similar_items

    def fit(
        self,
        user_items: Any,
        y: None = None,
        *,
        show_progress: bool = True,
        item_features: None = None,
        user_features: None = None,
    ) -> Self:
        """Learn what items say about each other.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items, or Interactions
            Counts r_ui, one row a user. Never changed; the model keeps a copy. Fitted on
            Interactions, it speaks their ids.
        y : None
            There is no target: this is where scikit-learn's pipelines pass None.
        show_progress : bool, default True
            Show a progress bar where the output is a terminal or a notebook, of `EASE`; the others
            have nothing to show.
        item_features, user_features : None
            These models go by entries alone; models with factors take features.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            A parameter or the matrix is not as described, such as counts that are negative where
            `ItemNeighbors` weighs by "tfidf" or "bm25"; nothing has been changed.
        FloatingPointError
            The counts are too large for `dtype`, or the weights cannot be computed in it; nothing
            has been changed.
        MemoryError
            `EASE` would take more memory than there is; nothing has been changed.
        """
        no_target(y)
        self._check_no_features(item_features=item_features, user_features=user_features)
        dtype = self._check_parameters()
        vocabulary = Vocabulary.of(user_items)
        counts = csr.canonical(in_rows(user_items), dtype)
        check_not_full(counts)
        remembered = TrainingMatrix.of(counts).copied(dtype)
        self._learn(counts, remembered, vocabulary, show_progress)
        return self

    def partial_fit(self, events: Any, y: None = None, *, show_progress: bool = True) -> Self:
        """Learn from a day's events, of users and items that are known and of new ones.

        Adds the events to what is remembered and learns from all of it: what comes out is what
        `fit` on all events together gives. An entry more changes what is known of its item, and
        with it of nearly all others.

        Parameters
        ----------
        events : Interactions, or scipy sparse matrix or array
            New users and items come after those the model has. A matrix has the model's rows and
            columns, and new ones beyond them.
        y : None
        show_progress : bool, default True
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError, MemoryError
            As in `fit`; nothing is remembered; a matrix is smaller than the model. Nothing is
            changed then, nor by Ctrl-C.
        """
        no_target(y)
        dtype, shape = self._check_parameters(), self._known_shape()
        vocabulary, events = ids.with_newcomers(self._vocabulary(), events)
        events = csr.canonical(events, dtype, name="events")
        known = self._remembered().counts(dtype)
        counts = growth.with_events(known, events, shape, replaces=False)
        self._learn(counts, TrainingMatrix.of(counts), vocabulary, show_progress)
        return self

    def _check_no_features(self, **features: Any) -> None:
        for name, value in features.items():
            if value is not None:
                raise TypeError(
                    f"{type(self).__name__} takes no {name}, as it goes by entries alone: fit a "
                    "model with factors, such as ImplicitALS"
                )

    def _learn(
        self,
        counts: sparse.csr_array,
        remembered: TrainingMatrix,
        vocabulary: Vocabulary | None,
        show_progress: bool,
    ) -> None:
        self._log_start(counts)
        began = time.perf_counter()
        state, found = self._learned(counts, show_progress)
        self._publish(state | {"_training_matrix": remembered, "_ids": vocabulary})
        self._log("has found %s in %.3g s", found, time.perf_counter() - began)

    @abstractmethod
    def _learned(self, counts: sparse.csr_array, show_progress: bool) -> tuple[dict[str, Any], str]:
        """What follows from the counts in terms of attributes, and in words."""

    def score(self, users: Any, items: Any = None, *, unknown: str = "error") -> np.ndarray:
        """Scores of pairs of users and items, broadcast against each other.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`; ValueError also where the shapes do not broadcast.
        """
        vocabulary = self._vocabulary()
        if strangers.check(unknown):
            return strangers.scores(self, users, items, unknown)
        users = ids.to_rows(vocabulary, "users", users, "users")
        items = ids.to_rows(vocabulary, "items", items, "items")

        rows, columns = scored_pairs(users, items, self._known_shape())
        histories, votes = self._histories(None), self._votes
        by_item = votes if isinstance(votes, np.ndarray) else csr.transposed(votes)
        of_pairs = _dense_pairs if isinstance(votes, np.ndarray) else _sparse_pairs
        scores = np.empty(rows.size, votes.dtype)
        pairs = rows.reshape(-1), columns.reshape(-1)
        for at in kernels.query_blocks(len(scores), _PAIRS):
            own = csr.take_rows(histories, pairs[0][at])
            scores[at] = of_pairs(by_item, own, pairs[1][at])
        return scores.reshape(rows.shape)[()]

    def explain(
        self, user: int, item: int, N: int = 10, *, user_items: Any = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Which of a user's entries make the score of an item, and how much of it each makes.

        Parameters and return values are those of `ImplicitALS.explain`.
        """
        vocabulary = self._vocabulary()
        user, user_items = ids.with_history(vocabulary, user, user_items, newcomers=True)
        item = ids.to_rows(vocabulary, "items", item, "item")

        history = self._as_history(one_history(self, user, user_items))
        column = checks.one_row_number("item", item, self._known_shape()[1])
        checks.integer("N", N, 1)
        votes = self._votes[history.indices][:, [column]]
        votes = votes if isinstance(votes, np.ndarray) else votes.toarray()
        parts = history.data * votes.reshape(-1).astype(np.float64)
        best = np.argsort(-parts, kind="stable")[:N]
        best = best[parts[best] != 0]
        columns = ids.to_item_ids(vocabulary, history.indices[best])
        return float(parts.sum()), columns, parts[best]

    # ---- what a kind of model may have otherwise -------------------------------------------------

    def _as_history(self, counts: sparse.csr_array) -> sparse.csr_array:
        """What votes with which weight, in the structure of the counts."""
        return counts

    def _similar_rows(self, items: np.ndarray) -> sparse.csr_array | np.ndarray:
        """The similarities that the lists of these items go by, a row each."""
        return csr.take_rows(self._similarity, items)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        parts = ("indptr", "indices", "data")
        header = {"shape": self._known_shape()}
        return header, {f"similarity_{name}": getattr(self._similarity, name) for name in parts}

    def _from_file(self, saved: Saved) -> dict[str, Any]:
        shape = shape_in_file(saved.header, len(saved.arrays["similarity_indptr"]) - 1)
        similarity = csr.assemble(
            saved.arrays["similarity_data"],
            saved.arrays["similarity_indices"],
            saved.arrays["similarity_indptr"],
            (shape[1], shape[1]),
        )
        dtype = checks.floating_dtype(self.dtype)
        whole = csr.canonical(similarity, dtype, may_be_empty=True, name="similarity")
        return self._state(whole, shape)

    def _state(self, similarity: sparse.csr_array, shape: tuple[int, int]) -> dict[str, Any]:
        """What follows from the similarities, in terms of attributes."""
        votes = csr.transposed(similarity)
        return {"_similarity": similarity, "_votes": votes, "_shape": shape}

    # ---- what all of them do alike ---------------------------------------------------------------

    def _similar(self, noun: str, numbers: Any, N: int, among: Any, left_out: Any) -> Lists:
        n_items = self._known_shape()[1]
        rows = checks.row_numbers(noun, numbers, n_items)
        list_length(N, n_items)
        choice, items = Choice(among, left_out, n_items, among="among"), rows.reshape(-1)
        best = np.empty((len(items), N), np.int32)
        scores = np.empty((len(items), N), self._votes.dtype)
        for at in kernels.query_blocks(len(items), _ITEMS):
            votes = self._similar_rows(items[at])
            count = votes.shape[0]
            each = np.ones(count, votes.dtype), np.arange(count, dtype=np.int32)
            itself = csr.assemble(*each, np.arange(count + 1), (count, count))
            best[at], scores[at] = kernels.product_topk(
                itself, votes, N, banned=choice.all_banned(), num_threads=self.num_threads
            )
        return best.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)

    def _histories(self, counts: sparse.csr_array | None) -> sparse.csr_array:
        """Of `counts`, or of what is remembered."""
        if counts is not None:
            return self._as_history(counts)
        matrix, kept = self._remembered(), self._prepared.get("histories")
        if kept is None:
            kept = self._as_history(matrix.counts(self._votes.dtype))
            self._prepared["histories"] = kept
        return kept

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
        histories = self._histories(counts)
        return kernels.product_topk(
            histories,
            self._votes,
            N,
            rows=rows,
            skip=(histories.indptr, histories.indices) if filter_seen else None,
            banned=choice.all_banned(),
            num_threads=self.num_threads,
        )

    def _with_history(self, rows: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        if lengths is not None:
            return (rows >= 0) & (lengths > 0)
        return super()._with_history(rows, lengths)

    def _known_shape(self) -> tuple[int, int]:
        if self._votes is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no weights of items yet: call fit(user_items)"
            )
        return self._shape


def liked(counts: sparse.csr_array, weighted: bool) -> sparse.csr_array:
    """The counts, or 1 for each that is > 0 and 0 for the others, in the same structure."""
    if weighted:
        return counts
    ones = (counts.data > 0).astype(counts.dtype)
    return csr.assemble(ones, counts.indices, counts.indptr, counts.shape)


def check_liked(x: sparse.csr_array, counts: sparse.csr_array) -> None:
    """ValueError if nothing of the counts is left in x."""
    if not x.nnz:
        raise ValueError(
            f"user_items has {counts.nnz} stored entries, none of them positive, so nobody has "
            "anything; expected counts r_ui > 0 of what is liked, or weighted=True"
        )


def nonzero(counts: sparse.csr_array) -> sparse.csr_array:
    """Without stored zeros."""
    return csr.keep(counts, counts.data != 0)


def shape_in_file(header: dict[str, Any], n_items: int) -> tuple[int, int]:
    """Of users and items, as a model file says; ValueError unless it has as many items."""
    shape = tuple(header.get("shape") or header["seen_shape"])
    if shape[1] != n_items:
        raise ValueError(f"it says there are {shape[1]} items, and has {n_items}")
    return shape


def _sparse_pairs(
    by_item: sparse.csr_array, histories: sparse.csr_array, columns: np.ndarray
) -> np.ndarray:
    """The score of one column for each history, by the votes' transpose."""
    return histories.multiply(by_item[columns]).sum(axis=1)


def _dense_pairs(votes: np.ndarray, histories: sparse.csr_array, columns: np.ndarray) -> np.ndarray:
    of = csr.entry_rows(histories)
    parts = histories.data * votes[histories.indices, columns[of]]
    return np.bincount(of, parts, len(columns))
