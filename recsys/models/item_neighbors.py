"""Item-item neighbours: an item is recommended for what is consumed by the same users."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys import checks, kernels
from recsys.models.base import Iteration, NotFittedError, Recommender
from recsys.models.candidates import ANYONE, Choice, Seen, rows_meant
from recsys.models.recommend_all import USERS, RecommendAll
from recsys.serving import write_model_file

if TYPE_CHECKING:
    from scipy import sparse

WEIGHTINGS = ("cosine", "tfidf", "bm25")
ORIENTATIONS = ("target", "history")


class ItemNeighbors(RecommendAll, Recommender):
    """Neighbourhoods of items by the inner products of their weighted columns.

    With V the weighted matrix, users x items, ``S = V'V``, and of each row of S the k largest
    entries are kept: the item's neighbours, as a rule itself among them. A score is the sum of
    similarities to what the user has, times the counts::

        "target":   s_ui = sum_j S_ij r_uj    i asks its own neighbours
        "history":  s_ui = sum_j S_ji r_uj    each j of the history speaks for its neighbours

    Items that no neighbour connects to the history have no score and are never recommended.

    Parameters
    ----------
    k : int, default 20
        Neighbours of an item, at least 1.
    weighting : {"cosine", "tfidf", "bm25"} or None, default "cosine"
        "cosine": columns of unit length. "tfidf": TF-IDF, users being the terms, then unit length.
        "bm25": BM25 (see `recsys.weighting`). None: the counts as they are.
    orientation : {"target", "history"}, default "target"
        See above. "history", with `normalize_rows` off, is what the package `implicit` does.
    normalize_rows : bool, default True
        Divide the similarities of each item's neighbours by their sum, so that items whose
        neighbours are all alike have no advantage.
    K1, B : float, default 1.2 and 0.75
        Of "bm25".
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
    >>> plays = scipy.sparse.csr_array([[5, 3, 0], [4, 2, 1], [0, 0, 2]])
    >>> model = ItemNeighbors(k=3).fit(plays)
    >>> model.recommend(2, N=2)[0]
    array([1, 0], dtype=int32)
    """

    iterations = 0
    _similarity: sparse.csr_array | None = None
    _votes: sparse.csr_array | None = None
    _seen: Seen | None = None

    def __init__(
        self,
        k: int = 20,
        *,
        weighting: str | None = "cosine",
        orientation: str = "target",
        normalize_rows: bool = True,
        K1: float = 1.2,
        B: float = 0.75,
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

        self._check_fitted()
        s = self._similarity  # rows in no order, index arrays of types that SciPy does not mix
        similarity = sparse.csr_array((s.data, s.indices, s.indptr), shape=s.shape, copy=True)
        similarity.sort_indices()
        return similarity

    def fit(self, user_items: Any, *, show_progress: bool = True) -> Self:
        """Find the neighbours of every item.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items
            Counts r_ui, one row a user; not negative for "tfidf" and "bm25". Never changed; the
            model keeps a copy.
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
        dtype = self._check_parameters()
        counts = checks.interactions(user_items, dtype)
        seen = Seen.of(counts)
        similarity = self._neighbors(counts)
        self._become(similarity, seen.copied(dtype))
        return self

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
            Row numbers of the training matrix.
        user_items : scipy sparse matrix or array, optional
            Histories to use instead of those of training: a matrix of the same shape, or one row
            for each of `users`.
        N : int, default 10
            Length of each list.
        filter_seen : bool, default True
            Leave out items of the history.
        filter_items, items : int or array of int, optional
            Items to leave out; the only items to choose from.
        fold_in : bool, default False
            The users need not be the model's: their numbers are those of rows of `user_items`, or
            anything where it has one row for each of them.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single user, else (n, N)
            Best first; of items with equal scores the one with the higher id first. -1 where no
            item with a score is left.
        scores : ndarray of the model's dtype, same shape
            -inf in empty places.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `ImplicitALS.recommend`.
        """
        known = self._check_fitted()
        rows = checks.row_numbers("users", users, ANYONE if fold_in else known.shape[0])
        checks.integer("N", N, 1)
        flat = rows.reshape(-1)
        if user_items is None:
            if fold_in:
                raise ValueError("fold_in=True takes histories from user_items: pass it")
            histories, own = known.counts(self._votes.dtype), flat
        else:
            histories = checks.interactions(user_items, self._votes.dtype, may_be_empty=True)
            own = rows_meant(histories.shape, flat, known.shape, fold_in)
        ids, scores = self._lists(histories, own, N, self._banned(items, filter_items), filter_seen)
        return ids.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)

    def similar_items(
        self, items: Any, N: int = 10, *, among: Any = None, filter_items: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first N of each item's neighbours, by similarity; as a rule the item itself first.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers of the training matrix.
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
        self._check_fitted()
        rows = checks.row_numbers("items", items, self._similarity.shape[0])
        checks.integer("N", N, 1)
        flat = rows.reshape(-1).astype(np.int32)
        chosen = checks.assemble(
            np.ones(len(flat), self._similarity.dtype),
            flat,
            np.arange(len(flat) + 1),
            (len(flat), self._similarity.shape[0]),
        )
        ids, scores = kernels.product_topk(
            chosen,
            self._similarity,
            N,
            banned=self._banned(among, filter_items),
            num_threads=self.num_threads,
        )
        return ids.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)

    def score(self, users: Any, items: Any) -> np.ndarray:
        """Scores of pairs of users and items, broadcast against each other.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`; ValueError also where the shapes do not broadcast.
        """
        known = self._check_fitted()
        rows, columns = checks.pairs(users, items, known.shape)
        own, of_row = np.unique(rows, return_inverse=True)
        chosen, of_column = np.unique(columns, return_inverse=True)
        counts = known.counts(self._votes.dtype)[own]
        table = (counts @ self._votes[:, chosen]).toarray()
        return table[of_row.reshape(rows.shape), of_column.reshape(rows.shape)][()]

    def explain(
        self, user: int, item: int, N: int = 10, *, user_items: Any = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Which of a user's entries make the score of an item, and how much of it each makes.

        Parameters and return values are those of `ImplicitALS.explain`.
        """
        known = self._check_fitted()
        counts = known.counts(self._votes.dtype)
        if user_items is not None:
            counts = checks.interactions(user_items, self._votes.dtype, may_be_empty=True)
        one = user_items is not None and counts.shape[0] == 1
        row = 0 if one else checks.one_row_number("user", user, counts.shape[0])
        column = checks.one_row_number("item", item, known.shape[1])
        checks.integer("N", N, 1)
        history = slice(counts.indptr[row], counts.indptr[row + 1])
        liked = counts.indices[history]
        votes = self._votes[liked][:, [column]].toarray().reshape(-1).astype(np.float64)
        parts = counts.data[history] * votes
        best = np.argsort(-parts, kind="stable")[:N]
        best = best[parts[best] != 0]
        return float(parts.sum()), liked[best], parts[best]

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to a file that `recsys.load` reads; see `ImplicitALS.save`."""
        known = self._check_fitted()
        header = {**self._header(), "seen_shape": known.shape}
        similarity = {
            f"similarity_{name}": getattr(self._similarity, name)
            for name in ("indptr", "indices", "data")
        }
        write_model_file(path, header, known.arrays() | similarity)

    def _restore(
        self, header: dict[str, Any], arrays: dict[str, np.ndarray], history: list[Iteration]
    ) -> None:
        seen = Seen.from_arrays(arrays, tuple(header["seen_shape"]))
        parts = (arrays[f"similarity_{name}"] for name in ("data", "indices", "indptr"))
        similarity = checks.assemble(*parts, (seen.shape[1], seen.shape[1]))
        dtype = checks.floating_dtype(self.dtype)
        self._become(
            checks.interactions(similarity, dtype, may_be_empty=True, name="similarity"), seen
        )

    def _become(self, similarity: sparse.csr_array, seen: Seen) -> None:
        votes = similarity
        if self.normalize_rows:
            rows = np.repeat(np.arange(votes.shape[0]), np.diff(votes.indptr))
            sums = np.bincount(rows, np.abs(votes.data), votes.shape[0])
            data = (votes.data / np.where(sums > 0, sums, 1)[rows]).astype(votes.dtype)
            votes = checks.assemble(data, votes.indices, votes.indptr, votes.shape)
        if self.orientation == "target":
            votes = kernels.transposed(votes)
        self._publish({"_similarity": similarity, "_votes": votes, "_seen": seen}, ())

    def _neighbors(self, counts: sparse.csr_array) -> sparse.csr_array:
        """The k largest entries of each row of V'V, in no order."""
        values = self._weighted(counts)
        items = kernels.transposed(
            checks.assemble(values, counts.indices, counts.indptr, counts.shape)
        )
        # by popularity, for the kernel's sums
        order = np.argsort(-np.diff(items.indptr), kind="stable").astype(np.int32)
        place = np.empty_like(order)
        place[order] = np.arange(len(order), dtype=np.int32)
        users = checks.assemble(values, place[counts.indices], counts.indptr, counts.shape)
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
        return checks.assemble(scores[kept], ids[kept], indptr, (len(order), len(order)))

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
        histories: sparse.csr_array,
        own: np.ndarray,
        N: int,
        banned: np.ndarray | None,
        filter_seen: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.full((len(own), N), kernels.NO_ID, np.int32)
        scores = np.full((len(own), N), -np.inf, self._votes.dtype)
        for begin in range(0, len(own), USERS):
            at = slice(begin, begin + USERS)
            rows = histories[own[at]]
            indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
            ids[at], scores[at] = kernels.product_topk(
                checks.assemble(rows.data, indices, indptr, rows.shape),
                self._votes,
                N,
                skip=(indptr, indices) if filter_seen else None,
                banned=banned,
                num_threads=self.num_threads,
            )
        return ids, scores

    def _banned(self, items: Any, filter_items: Any) -> np.ndarray | None:
        n_items = self._similarity.shape[0]
        choice = Choice(items, filter_items, np.empty((n_items, 0), np.float32))
        if choice.ids is None:
            return choice.banned
        banned = np.ones(n_items, np.uint8)
        banned[choice.ids] = 0
        return banned

    def _n_users(self) -> int:
        return self._check_fitted().shape[0]

    def _check_fitted(self) -> Seen:
        if self._similarity is None or self._seen is None:
            raise NotFittedError("this ItemNeighbors has no neighbors yet: call fit(user_items)")
        return self._seen

    def _check_parameters(self) -> np.dtype:
        checks.integer("k", self.k, 1)
        if self.weighting is not None:
            checks.choice("weighting", self.weighting, WEIGHTINGS, also="None")
        checks.choice("orientation", self.orientation, ORIENTATIONS)
        if not isinstance(self.normalize_rows, bool | np.bool_):
            raise TypeError(f"normalize_rows must be True or False; got {self.normalize_rows!r}")
        checks.number("K1", self.K1, above=0)
        checks.number("B", self.B, least=0)
        checks.integer("num_threads", self.num_threads, 0)
        return checks.floating_dtype(self.dtype)
