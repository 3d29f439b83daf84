"""Item-item neighbours: an item is recommended for what is consumed by the same users."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.interactions.matching import in_rows
from recsys.models.base import Iteration, NotFittedError
from recsys.models.candidates import Choice, Seen, list_length
from recsys.models.estimator import no_target, scored_pairs
from recsys.models.lists import USERS, ListMaker
from recsys.models.vocabulary import Vocabulary, speaks_ids

if TYPE_CHECKING:
    from scipy import sparse

WEIGHTINGS = ("cosine", "tfidf", "bm25")
ORIENTATIONS = ("target", "history")
_PAIRS = 1 << 14  # scored together


class ItemNeighbors(ListMaker):
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

    def fit(self, user_items: Any, y: None = None, *, show_progress: bool = True) -> Self:
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
        dtype = self._check_parameters()
        ids = Vocabulary.of(user_items)
        counts = csr.canonical(in_rows(user_items), dtype)
        seen = Seen.of(counts)
        self._log_start(counts)
        began = time.perf_counter()
        similarity = self._neighbors(counts)
        self._become(similarity, seen.copied(dtype), ids)
        seconds = time.perf_counter() - began
        self._log("has found %s neighbours in %.3g s", f"{similarity.nnz:,}", seconds)
        return self

    @speaks_ids(answer=Vocabulary.lists_of_items)
    def similar_items(
        self, items: Any, N: int = 10, *, among: Any = None, filter_items: Any = None
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

        Returns
        -------
        ids, scores : as in `recommend`

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`.
        """
        n_items = self._known_shape()[1]
        rows = checks.row_numbers("items", items, n_items)
        list_length(N, n_items)
        choice = Choice(among, filter_items, n_items)
        flat = rows.reshape(-1).astype(np.int32)
        chosen = csr.assemble(
            np.ones(len(flat), self._similarity.dtype),
            flat,
            np.arange(len(flat) + 1),
            (len(flat), n_items),
        )
        ids, scores = kernels.product_topk(
            chosen,
            self._similarity,
            N,
            banned=choice.all_banned(),
            num_threads=self.num_threads,
        )
        return ids.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)

    @speaks_ids()
    def score(self, users: Any, items: Any = None) -> np.ndarray:
        """Scores of pairs of users and items, broadcast against each other.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`; ValueError also where the shapes do not broadcast.
        """
        rows, columns = scored_pairs(users, items, self._known_shape())
        counts = self._seen.counts(self._votes.dtype)
        by_item = csr.transposed(self._votes)
        scores = np.empty(rows.size, counts.dtype)
        pairs = rows.reshape(-1), columns.reshape(-1)
        for begin in range(0, len(scores), _PAIRS):
            at = slice(begin, begin + _PAIRS)
            scores[at] = counts[pairs[0][at]].multiply(by_item[pairs[1][at]]).sum(axis=1)
        return scores.reshape(rows.shape)[()]

    @speaks_ids(Vocabulary.with_history, Vocabulary.parts)
    def explain(
        self, user: int, item: int, N: int = 10, *, user_items: Any = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Which of a user's entries make the score of an item, and how much of it each makes.

        Parameters and return values are those of `ImplicitALS.explain`.
        """
        history = self._one_history(user, user_items)
        column = checks.one_row_number("item", item, self._known_shape()[1])
        checks.integer("N", N, 1)
        votes = self._votes[history.indices][:, [column]].toarray().reshape(-1)
        parts = history.data * votes.astype(np.float64)
        best = np.argsort(-parts, kind="stable")[:N]
        best = best[parts[best] != 0]
        return float(parts.sum()), history.indices[best], parts[best]

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to a file that `recsys.load` reads; see `ImplicitALS.save`."""
        shape = self._known_shape()
        self._check_parameters()
        header = {**self._header(), "seen_shape": shape}
        similarity = {
            f"similarity_{name}": getattr(self._similarity, name)
            for name in ("indptr", "indices", "data")
        }
        self._write(path, header, self._seen.arrays() | similarity)

    def _restore(
        self, header: dict[str, Any], arrays: dict[str, np.ndarray], history: list[Iteration]
    ) -> None:
        seen = Seen.from_arrays(arrays, tuple(header["seen_shape"]))
        data, indices, indptr = (
            arrays[f"similarity_{name}"] for name in ("data", "indices", "indptr")
        )
        similarity = csr.assemble(data, indices, indptr, (seen.shape[1], seen.shape[1]))
        dtype = checks.floating_dtype(self.dtype)
        whole = csr.canonical(similarity, dtype, may_be_empty=True, name="similarity")
        self._become(whole, seen, None)

    def _become(self, similarity: sparse.csr_array, seen: Seen, ids: Vocabulary | None) -> None:
        votes = similarity
        if self.normalize_rows:
            rows = np.repeat(np.arange(votes.shape[0]), np.diff(votes.indptr))
            sums = np.bincount(rows, np.abs(votes.data), votes.shape[0])
            data = (votes.data / np.where(sums > 0, sums, 1)[rows]).astype(votes.dtype)
            votes = csr.assemble(data, votes.indices, votes.indptr, votes.shape)
        if self.orientation == "target":
            votes = csr.transposed(votes)
        state = {"_similarity": similarity, "_votes": votes, "_seen": seen, "_ids": ids}
        self._publish(state, ())

    def _neighbors(self, counts: sparse.csr_array) -> sparse.csr_array:
        """The k largest entries of each row of V'V, in no order."""
        values = self._weighted(counts)
        items = csr.transposed(csr.assemble(values, counts.indices, counts.indptr, counts.shape))
        # by popularity, for the kernel's sums
        order = np.argsort(-np.diff(items.indptr), kind="stable").astype(np.int32)
        place = np.empty_like(order)
        place[order] = np.arange(len(order), dtype=np.int32)
        users = csr.assemble(values, place[counts.indices], counts.indptr, counts.shape)
        ids, scores = kernels.product_topk(
            items,
            users,
            min(self.k, len(order)),
            names=order,
            unsorted=True,
            num_threads=self.num_threads,
        )
        kept = ids != kernels.NO_ID
        indptr = np.append(0, np.cumsum(np.count_nonzero(kept, axis=1)))
        return csr.assemble(scores[kept], ids[kept], indptr, (len(order), len(order)))

    def _weighted(self, counts: sparse.csr_array) -> np.ndarray:
        """V's values, in the order of those of `counts`; items are the documents."""
        from recsys import weighting

        if self.weighting is None:
            return counts.data
        shape = counts.shape[::-1]
        users = np.repeat(np.arange(counts.shape[0], dtype=np.int32), np.diff(counts.indptr))
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
        given: sparse.csr_array | None,
        own: np.ndarray,
        choice: Choice,
        N: int,
        *,
        filter_seen: bool,
        fold_in: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        histories = self._seen.counts(self._votes.dtype) if given is None else given
        ids = np.full((len(own), N), kernels.NO_ID, np.int32)
        scores = np.full((len(own), N), -np.inf, self._votes.dtype)
        for begin in range(0, len(own), USERS):
            at = slice(begin, begin + USERS)
            rows = histories[own[at]]
            indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
            ids[at], scores[at] = kernels.product_topk(
                csr.assemble(rows.data, indices, indptr, rows.shape),
                self._votes,
                N,
                skip=(indptr, indices) if filter_seen else None,
                banned=choice.all_banned(),
                num_threads=self.num_threads,
            )
        return ids, scores

    def _known_shape(self) -> tuple[int, int]:
        if self._similarity is None or self._seen is None:
            raise NotFittedError("this ItemNeighbors has no neighbors yet: call fit(user_items)")
        return self._seen.shape

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
