"""Item-item neighbours: an item is recommended for what is consumed by the same users."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.models import item_weights
from recsys.models.in_file import Saved
from recsys.models.item_weights import ItemWeights
from recsys.models.model import Model

if TYPE_CHECKING:
    from scipy import sparse

WEIGHTINGS = ("cosine", "tfidf", "bm25")
ORIENTATIONS = ("target", "history")


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
        1. 1.2 and 0.75, usual for texts, are among the settings of docs/quality.md.
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

    # Written as functions of a model, which a class takes for its methods
    fit = item_weights.fit
    partial_fit = item_weights.partial_fit
    explain = item_weights.explain
    _known_shape = item_weights.known_shape
    _lists = item_weights.lists
    _pair_scores = item_weights.pair_scores
    _similar = item_weights.similar
    _with_history = item_weights.with_history
    _missed_without_history = item_weights.MISSED_WITHOUT_HISTORY
    _to_file = item_weights.sparse_file
    _item_weights: ItemWeights | None = None

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
        # rows in no order, index arrays of types that SciPy does not mix
        s = self._item_weights.similarity
        similarity = sparse.csr_array((s.data, s.indices, s.indptr), shape=s.shape, copy=True)
        similarity.sort_indices()
        return similarity

    def _learned(self, counts: sparse.csr_array, show_progress: bool) -> tuple[ItemWeights, str]:
        similarity = self._neighbors(counts)
        return self._by(similarity, counts.shape), f"{similarity.nnz:,} neighbours"

    def _by(self, similarity: sparse.csr_array, shape: tuple[int, int]) -> ItemWeights:
        """What follows from the similarities."""
        votes = similarity
        if self.normalize_rows:
            rows = csr.entry_rows(votes)
            sums = np.bincount(rows, np.abs(votes.data), votes.shape[0])
            data = (votes.data / np.where(sums > 0, sums, 1)[rows]).astype(votes.dtype)
            votes = csr.assemble(data, votes.indices, votes.indptr, votes.shape)
        if self.orientation == "target":
            votes = kernels.transposed(votes, self.num_threads)
        return ItemWeights(votes, shape, similarity)

    def _as_history(self, counts: sparse.csr_array) -> sparse.csr_array:
        return counts

    def _from_file(self, saved: Saved) -> dict[str, Any]:
        return {"_item_weights": self._by(*item_weights.similarity_in_file(self, saved))}

    def _neighbors(self, counts: sparse.csr_array) -> sparse.csr_array:
        """The k largest entries of each row of V'V, in no order."""
        values = self._weighted(counts)
        weighted = csr.assemble(values, counts.indices, counts.indptr, counts.shape)
        n_items = counts.shape[1]
        best, scores = kernels.neighbors_topk(
            weighted, min(self.k, n_items), num_threads=self.num_threads
        )
        lengths = np.count_nonzero(best != kernels.NO_ID, axis=1)  # the others come last
        return kernels.first_entries(best, scores, lengths, n_items, self.num_threads)

    def _weighted(self, counts: sparse.csr_array) -> np.ndarray:
        """V's values, in the order of those of `counts`; items are the documents."""
        from recsys import weighting

        if self.weighting is None:
            return counts.data
        shape = counts.shape[::-1]
        users = csr.entry_rows(counts, np.int32)
        values = counts.data
        if self.weighting != "cosine":
            weighting.not_negative(counts, "user_items")
        if self.weighting == "bm25":
            run = functools.partial(kernels.in_threads, num_threads=self.num_threads)
            how = {"K1": self.K1, "B": self.B, "dtype": counts.dtype, "run": run}
            values = weighting.bm25(values, counts.indices, users, shape, **how)
        else:
            if self.weighting == "tfidf":
                values = weighting.tfidf(values, counts.indices, users, shape)
            values = weighting.unit(values, counts.indices, shape[0])
        return values.astype(counts.dtype, copy=False)

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
