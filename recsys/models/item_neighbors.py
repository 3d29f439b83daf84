"""Item-item neighbours: an item is recommended for what is consumed by the same users."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.interactions.matching import in_rows
from recsys.models import growth, ids, strangers
from recsys.models.ids import Vocabulary
from recsys.models.meaning import check_not_full
from recsys.models.model import Lists, Model
from recsys.models.selection import Choice, list_length, one_history, scored_pairs
from recsys.models.training import NotFittedError, no_target

if TYPE_CHECKING:
    from scipy import sparse

WEIGHTINGS = ("cosine", "tfidf", "bm25")
ORIENTATIONS = ("target", "history")
_PAIRS = 1 << 14  # scored together


class ItemNeighbors(Model):
    """Neighbourhoods of items by the inner products of their weighted columns.

    With V the weighted matrix, users x items, ``S = V'V``, and of each row of S the k largest
    entries are kept: the item's neighbours, as a rule itself among them. A score is the sum of
    similarities to what the user has, times the counts::

        "target":   s_ui = sum_j S_ij r_uj    i asks its own neighbours
        "history":  s_ui = sum_j S_ji r_uj    each j of the history speaks for its neighbours

    Items that no neighbour connects to the history have no score and are never recommended.

    Parameters
    ----------
    k : int, default 100
        Neighbours of an item, at least 1.
    weighting : {"cosine", "tfidf", "bm25"} or None, default "bm25"
        "cosine": columns of unit length. "tfidf": TF-IDF, users being the terms, then unit length.
        "bm25": BM25. None: the counts as they are. A user who has nearly all items says nothing in
        "tfidf" and "bm25" (see `recsys.weighting`).
    orientation : {"target", "history"}, default "target"
        See above. "history", with `normalize_rows` off, is what the package `implicit` does.
    normalize_rows : bool, default False
        Divide the similarities of each item's neighbours by their sum, so that items whose
        neighbours are all alike have no advantage; with "cosine" and "tfidf", where every item has
        enough users. Items of one or two users come first otherwise.
    K1, B : float, default 100.0 and 0.2
        Of "bm25": how late large counts stop to matter, and how much items of many users lose, 0 to
        1. 1.2 and 0.75, which are usual for texts, were worse in docs/defaults.md.
    dtype : np.float32 or np.float64, default np.float32
        Type of similarities and scores.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit.

    References
    ----------
    M. Deshpande, G. Karypis, "Item-based top-N recommendation algorithms", ACM TOIS 22(1), 2004.
    F. Aiolli, "Efficient top-N recommendation for very large scale binary rated datasets",
    RecSys 2013.

    Examples
    --------
    >>> import scipy.sparse
    >>> plays = scipy.sparse.csr_array([[5, 3, 0, 0], [4, 0, 0, 0], [0, 0, 2, 9]])
    >>> model = ItemNeighbors(k=3).fit(plays)
    >>> model.recommend(1, N=1)[0]
    array([1], dtype=int32)
    """

    _similarity: sparse.csr_array | None = None
    _votes: sparse.csr_array | None = None
    _shape: tuple[int, int]

    def __init__(
        self,
        k: int = 100,
        *,
        weighting: str | None = "bm25",
        orientation: str = "target",
        normalize_rows: bool = False,
        K1: float = 100.0,
        B: float = 0.2,
        dtype: Any = np.float32,
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.weighting = weighting
        self.orientation = orientation
        self.normalize_rows = normalize_rows
        self.K1 = K1
        self.B = B
        self.dtype = dtype
        self.num_threads = num_threads

    @property
    def similarity(self) -> sparse.csr_array:
        """S, n_items x n_items: the k largest entries of each row, before `normalize_rows`."""
        from scipy import sparse

        self._known_shape()
        s = self._similarity  # rows in no order, index arrays of types that SciPy does not mix
        similarity = sparse.csr_array((s.data, s.indices, s.indptr), shape=s.shape, copy=True)
        similarity.sort_indices()
        return similarity

    def fit(
        self,
        user_items: Any,
        y: None = None,
        *,
        show_progress: bool = True,
        item_features: None = None,
        user_features: None = None,
    ) -> Self:
        """Find the neighbours of every item.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items, or Interactions
            Counts r_ui, one row a user; not negative for "tfidf" and "bm25". Never changed; the
            model keeps a copy. Fitted on Interactions, it speaks their ids.
        y : None
            There is no target: this is where scikit-learn's pipelines pass None.
        show_progress : bool, default True
            As in other models; there is nothing to show here.
        item_features, user_features : None
            Neighbours go by entries alone; models with factors take features.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            A parameter or the matrix is not as described; nothing has been changed.
        FloatingPointError
            The counts are too large for `dtype`; nothing has been changed.
        """
        no_target(y)
        for name, features in (("item_features", item_features), ("user_features", user_features)):
            if features is not None:
                raise TypeError(
                    f"ItemNeighbors takes no {name}, as neighbours go by entries alone: fit a "
                    "model with factors, such as ImplicitALS"
                )
        dtype = self._check_parameters()
        vocabulary = Vocabulary.of(user_items)
        counts = csr.canonical(in_rows(user_items), dtype)
        check_not_full(counts)
        self._learn(counts, TrainingMatrix.of(counts).copied(dtype), vocabulary)
        return self

    def partial_fit(self, events: Any, y: None = None) -> Self:
        """Learn from a day's events, of users and items that are known and of new ones.

        Adds the events to what is remembered and finds all neighbours again: what comes out is
        what `fit` on all events together gives. An entry more changes the weights of its item and,
        but for "cosine", of all others, and with them nearly every list of neighbours.

        Parameters
        ----------
        events : Interactions, or scipy sparse matrix or array
            New users and items come after those the model has. A matrix has the model's rows and
            columns, and new ones beyond them.
        y : None

        Returns
        -------
        self

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fit`; nothing is remembered; a matrix is smaller than the model. Nothing is
            changed then, nor by Ctrl-C.
        """
        no_target(y)
        dtype, shape = self._check_parameters(), self._known_shape()
        vocabulary, events = ids.with_newcomers(self._vocabulary(), events)
        events = csr.canonical(events, dtype, name="events")
        known = self._remembered().counts(dtype)
        counts = growth.with_events(known, events, shape, replaces=False)
        self._learn(counts, TrainingMatrix.of(counts), vocabulary)
        return self

    def _learn(
        self, counts: sparse.csr_array, remembered: TrainingMatrix, vocabulary: Vocabulary | None
    ) -> None:
        self._log_start(counts)
        began = time.perf_counter()
        similarity = self._neighbors(counts)
        self._publish(
            self._state(similarity, counts.shape)
            | {"_training_matrix": remembered, "_ids": vocabulary}
        )
        seconds = time.perf_counter() - began
        self._log("has found %s neighbours in %.3g s", f"{similarity.nnz:,}", seconds)

    def similar_items(
        self,
        items: Any,
        N: int = 10,
        *,
        among: Any = None,
        filter_items: Any = None,
        unknown: str = "error",
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first N of each item's neighbours, by similarity; as a rule the item itself first.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers of the training matrix; ids, where the model speaks them.
        N : int, default 10
            Length of each list; beyond `k` neighbours it stays empty.
        among, filter_items : int or array of int, optional
            The only items to choose from; items to leave out.
        unknown : {"error", "skip", "popular"}, default "error"
            As in `recommend`: of an unknown item the list is empty, or of popular items.

        Returns
        -------
        ids, scores : as in `recommend`

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`.
        """
        vocabulary, items = self._vocabulary(), ids.listed(items)
        if strangers.check(unknown):
            return strangers.similar(self, "items", items, N, among, filter_items, unknown)
        numbers = ids.to_rows(vocabulary, "items", items, "items")
        among = ids.to_rows(vocabulary, "items", among, "among")
        filter_items = ids.to_rows(vocabulary, "items", filter_items, "filter_items")

        n_items = self._known_shape()[1]
        rows = checks.row_numbers("items", numbers, n_items)
        list_length(N, n_items)
        choice = Choice(among, filter_items, n_items, among="among")
        flat = rows.reshape(-1).astype(np.int32)
        chosen = csr.assemble(
            np.ones(len(flat), self._similarity.dtype),
            flat,
            np.arange(len(flat) + 1),
            (len(flat), n_items),
        )
        best, scores = kernels.product_topk(
            chosen,
            self._similarity,
            N,
            banned=choice.all_banned(),
            num_threads=self.num_threads,
        )
        lists = best.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)
        return ids.to_ids(vocabulary, "items", lists, "items", items)

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
        counts = self._remembered().counts(self._votes.dtype)
        by_item = csr.transposed(self._votes)
        scores = np.empty(rows.size, counts.dtype)
        pairs = rows.reshape(-1), columns.reshape(-1)
        for begin in range(0, len(scores), _PAIRS):
            at = slice(begin, begin + _PAIRS)
            scores[at] = counts[pairs[0][at]].multiply(by_item[pairs[1][at]]).sum(axis=1)
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

        history = one_history(self, user, user_items)
        column = checks.one_row_number("item", item, self._known_shape()[1])
        checks.integer("N", N, 1)
        votes = self._votes[history.indices][:, [column]].toarray().reshape(-1)
        parts = history.data * votes.astype(np.float64)
        best = np.argsort(-parts, kind="stable")[:N]
        best = best[parts[best] != 0]
        columns = ids.to_item_ids(vocabulary, history.indices[best])
        return float(parts.sum()), columns, parts[best]

    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        parts = ("indptr", "indices", "data")
        header = {"shape": self._known_shape()}
        return header, {f"similarity_{name}": getattr(self._similarity, name) for name in parts}

    def _from_file(
        self,
        header: dict[str, Any],
        arrays: dict[str, np.ndarray],
        training_matrix: TrainingMatrix | None,
    ) -> dict[str, Any]:
        shape = tuple(header.get("shape") or header["seen_shape"])
        n_items = len(arrays["similarity_indptr"]) - 1
        if shape[1] != n_items:
            raise ValueError(f"it says there are {shape[1]} items, and has {n_items}")
        similarity = csr.assemble(
            arrays["similarity_data"],
            arrays["similarity_indices"],
            arrays["similarity_indptr"],
            (n_items, n_items),
        )
        dtype = checks.floating_dtype(self.dtype)
        whole = csr.canonical(similarity, dtype, may_be_empty=True, name="similarity")
        return self._state(whole, shape)

    def _state(self, similarity: sparse.csr_array, shape: tuple[int, int]) -> dict[str, Any]:
        """What follows from the similarities, in terms of attributes."""
        votes = similarity
        if self.normalize_rows:
            rows = csr.entry_rows(votes)
            sums = np.bincount(rows, np.abs(votes.data), votes.shape[0])
            data = (votes.data / np.where(sums > 0, sums, 1)[rows]).astype(votes.dtype)
            votes = csr.assemble(data, votes.indices, votes.indptr, votes.shape)
        if self.orientation == "target":
            votes = csr.transposed(votes)
        return {"_similarity": similarity, "_votes": votes, "_shape": shape}

    def _neighbors(self, counts: sparse.csr_array) -> sparse.csr_array:
        """The k largest entries of each row of V'V, in no order."""
        values = self._weighted(counts)
        items = csr.transposed(csr.assemble(values, counts.indices, counts.indptr, counts.shape))
        # by popularity, for the kernel's sums
        order = np.argsort(-np.diff(items.indptr), kind="stable").astype(np.int32)
        place = np.empty_like(order)
        place[order] = np.arange(len(order), dtype=np.int32)
        users = csr.assemble(values, place[counts.indices], counts.indptr, counts.shape)
        best, scores = kernels.product_topk(
            items,
            users,
            min(self.k, len(order)),
            names=order,
            unsorted=True,
            num_threads=self.num_threads,
        )
        kept = best != kernels.NO_ID
        indptr = np.append(0, np.cumsum(np.count_nonzero(kept, axis=1)))
        return csr.assemble(scores[kept], best[kept], indptr, (len(order), len(order)))

    def _weighted(self, counts: sparse.csr_array) -> np.ndarray:
        """V's values, in the order of those of `counts`; items are the documents."""
        from recsys import weighting

        if self.weighting is None:
            return counts.data
        shape = counts.shape[::-1]
        users = csr.entry_rows(counts).astype(np.int32)
        values = counts.data
        if self.weighting != "cosine":
            weighting.not_negative(counts, "user_items")
        if self.weighting == "bm25":
            values = weighting.bm25(values, counts.indices, users, shape, K1=self.K1, B=self.B)
        else:
            if self.weighting == "tfidf":
                values = weighting.tfidf(values, counts.indices, users, shape)
            values = weighting.unit(values, counts.indices, shape[0])
        return values.astype(counts.dtype)

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
        if counts is None:
            counts = self._remembered().counts(self._votes.dtype)
        return kernels.product_topk(
            counts,
            self._votes,
            N,
            rows=rows,
            skip=(counts.indptr, counts.indices) if filter_seen else None,
            banned=choice.all_banned(),
            num_threads=self.num_threads,
        )

    def _with_history(self, rows: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        if lengths is not None:
            return (rows >= 0) & (lengths > 0)
        return super()._with_history(rows, lengths)

    def _known_shape(self) -> tuple[int, int]:
        if self._similarity is None:
            raise NotFittedError("this ItemNeighbors has no neighbors yet: call fit(user_items)")
        return self._shape

    def _check_parameters(self) -> np.dtype:
        checks.integer("k", self.k, 1)
        if self.weighting is not None:
            checks.choice("weighting", self.weighting, WEIGHTINGS, also="None")
        checks.choice("orientation", self.orientation, ORIENTATIONS)
        checks.flag("normalize_rows", self.normalize_rows)
        checks.number("K1", self.K1, above=0)
        checks.number("B", self.B, least=0)
        checks.integer("num_threads", self.num_threads, 0)
        return checks.floating_dtype(self.dtype)
