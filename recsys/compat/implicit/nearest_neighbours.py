"""implicit.nearest_neighbours"""

from __future__ import annotations

import operator
from typing import Any, Self

import numpy as np
from scipy import sparse

from recsys import ItemNeighbors, csr, kernels, weighting

from .cpu import npz
from .cpu.matrix_factorization_base import _check_rows, _length, as_wide_as
from .cpu.topk import item_numbers
from .recommender_base import RecommenderBase
from .utils import _padded, check_csr

_SIMILARITY = ("shape", "data", "indptr", "indices")
_SETTINGS = ("K", "K1", "B")
_EMPTY = -np.finfo(np.float32).max


def tfidf_weight(X: Any) -> sparse.coo_matrix:
    """`recsys.weighting.tfidf_weight`, negative weights and all."""
    return weighting.tfidf_weight(sparse.csr_matrix(X), negative_idf=True).tocoo()


def bm25_weight(X: Any, K1: float = 100, B: float = 0.8) -> sparse.coo_matrix:
    """`recsys.weighting.bm25_weight`, negative weights and all."""
    return weighting.bm25_weight(sparse.csr_matrix(X), K1, B, negative_idf=True).tocoo()


def normalize(X: Any) -> sparse.coo_matrix:
    """Rows of unit length."""
    return weighting.normalize(sparse.csr_matrix(X)).tocoo()


def all_pairs_knn(
    users: Any, K: int = 100, num_threads: int = 0, show_progress: bool = True
) -> sparse.coo_matrix:
    """The K largest entries of each row of X'X, X being `users`, users x items."""
    model = ItemNeighbors(K, weighting=None, dtype=np.float64, num_threads=num_threads)
    return sparse.csr_matrix(model.fit(check_csr(users)).similarity).tocoo()


class ItemItemRecommender(RecommenderBase):
    """Recommends by a matrix of similar items, found by `recsys.ItemNeighbors`.

    `similarity`, items x items in any sparse format, may be assigned: lists go by it from then on.
    What was changed in place is to be assigned again.
    """

    def __init__(self, K: int = 20, num_threads: int = 0) -> None:
        self.K = K
        self.num_threads = num_threads
        self._similarity: Any = None
        self._scorer: NearestNeighboursScorer | None = None

    @property
    def similarity(self) -> Any:
        """Each row: the neighbours of an item, by how similar they are. None before `fit`."""
        return self._similarity

    @similarity.setter
    def similarity(self, matrix: Any) -> None:
        self._similarity, self._scorer = matrix, None

    @property
    def scorer(self) -> NearestNeighboursScorer | None:
        """Makes lists by the present `similarity`; None where there is none."""
        if self._similarity is None:
            return None
        if self._scorer is None or not self._scorer.is_of(self._similarity):
            self._scorer = NearestNeighboursScorer(self._similarity)
        return self._scorer

    def fit(self, weighted: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Find the K most similar items of each, by the inner products of their columns."""
        if callback is not None:
            raise NotImplementedError("callback isn't support on ItemItemRecommender.fit")
        weighted = check_csr(weighted)
        self.similarity = all_pairs_knn(weighted, self.K, self.num_threads, show_progress).tocsr()

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items that the neighbours of the row of each user add up to most.

        For one user the list is as long as there are items with a score; for several, -1 fills
        what is left. With `items` those without a score follow, with the lowest there is.
        """
        self._check_fitted()
        N = _length(N)
        _check_rows(user_items, userid)
        n_items = self.similarity.shape[0]
        banned = np.zeros(n_items, np.uint8)
        if filter_items is not None:
            banned[item_numbers(filter_items, n_items)] = 1
        if items is not None:
            items = np.unique(item_numbers(items, n_items, "itemids in the items"))
            others = np.ones(n_items, np.uint8)
            others[items] = 0
            banned |= others
            N = min(N, len(items))
        rows = as_wide_as(user_items, n_items, "user_items")
        ids, scores = self.scorer.lists(
            rows,
            min(N, n_items),
            filter_already_liked_items,
            banned if banned.any() else None,
            self.num_threads,
        )
        if items is not None:
            ids, scores = _with_the_rest(ids.astype(np.int64), scores, items)
        return _trimmed(userid, ids, scores, N)

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first N neighbours of each item, the most similar first."""
        self._check_fitted()
        if recalculate_item:
            raise NotImplementedError("recalculate_item isn't supported by item-item recommenders")
        if items is not None:
            raise NotImplementedError(
                "items isn't supported by similar_items of item-item recommenders: use "
                "recsys.ItemNeighbors, whose similar_items has `among`"
            )
        n_items = self.similarity.shape[0]
        banned = None
        if filter_items is not None:
            banned = np.zeros(n_items, np.uint8)
            banned[item_numbers(filter_items, n_items)] = 1
        rows = item_numbers(itemid, n_items, "itemids")
        chosen = sparse.csr_matrix(
            (np.ones(len(rows)), rows, np.arange(len(rows) + 1)), (len(rows), n_items)
        )
        N = _length(N)
        found = self.scorer.lists(chosen, min(N, n_items), False, banned, self.num_threads)
        return _trimmed(itemid, *found, N)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError("similar_users isn't implemented for item-item recommenders")

    def save(self, fileobj_or_path: Any) -> None:
        """Write an .npz file that `load`, here and in implicit, reads."""
        content = {name: getattr(self, name) for name in _SETTINGS if hasattr(self, name)}
        if self.similarity is not None:
            matrix = sparse.csr_matrix(self.similarity)
            content |= {name: getattr(matrix, name) for name in _SIMILARITY}
        npz.save(fileobj_or_path, content)

    @classmethod
    def load(cls, fileobj_or_path: Any) -> Self:
        """Read a file that `save`, here or in implicit, wrote."""
        content = npz.load(fileobj_or_path, cls, _SETTINGS + _SIMILARITY)
        model = cls()
        for name in _SETTINGS:
            if name in content and hasattr(model, name):
                setattr(model, name, content[name])
        if "data" in content:
            parts = content["data"], content["indices"], content["indptr"]
            model.similarity = sparse.csr_matrix(parts, tuple(content["shape"]))
        return model

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_scorer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = state.copy()
        state.pop("scorer", None)
        similarity = state.pop("similarity", None)  # so called in implicit's pickles
        vars(self).update({"_similarity": similarity, "_scorer": None} | state)

    def _check_fitted(self) -> None:
        if self.similarity is None:
            raise ValueError(f"this {type(self).__name__} has no neighbours yet: call fit first")


class CosineRecommender(ItemItemRecommender):
    """Neighbours by the cosine of columns."""

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        counts = _in_rows(counts)
        super().fit(normalize(counts.T).T.tocsr(), show_progress, callback)


class TFIDFRecommender(ItemItemRecommender):
    """Neighbours by the cosine of TF-IDF weighted columns."""

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        weighted = normalize(tfidf_weight(_in_rows(counts).T)).T
        super().fit(weighted.tocsr(), show_progress, callback)


class BM25Recommender(ItemItemRecommender):
    """Neighbours by the inner product of BM25 weighted columns."""

    def __init__(self, K: int = 20, K1: float = 1.2, B: float = 0.75, num_threads: int = 0) -> None:
        super().__init__(K, num_threads)
        self.K1 = K1
        self.B = B

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        weighted = bm25_weight(_in_rows(counts).T, self.K1, self.B).T
        super().fit(weighted.tocsr(), show_progress, callback)


class NearestNeighboursScorer:
    """The best items by the rows of users times a matrix of similar items."""

    def __init__(self, similarity: Any) -> None:
        self._of = _parts(similarity)
        self.similarity = csr.canonical(
            similarity, np.dtype(np.float64), may_be_empty=True, name="similarity"
        )
        if self.similarity.shape[0] != self.similarity.shape[1]:
            raise ValueError(
                f"similarity must be of items and items; got shape {self.similarity.shape}"
            )

    def is_of(self, similarity: Any) -> bool:
        """Whether `similarity` still has the arrays that this was made of."""
        return all(map(operator.is_, _parts(similarity), self._of))

    def lists(
        self,
        rows: sparse.csr_matrix,
        N: int,
        remove_own_likes: bool,
        banned: np.ndarray | None,
        num_threads: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """ids (n, N), -1 where there is none, and scores (n, N)."""
        histories = csr.canonical(rows, np.dtype(np.float64), may_be_empty=True)
        skip = (histories.indptr, histories.indices) if remove_own_likes else None
        return kernels.product_topk(
            histories, self.similarity, N, skip=skip, banned=banned, num_threads=num_threads
        )

    def recommend(
        self,
        u: int,
        indptr: np.ndarray,
        indices: np.ndarray,
        data: np.ndarray,
        K: int = 10,
        remove_own_likes: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The K best items of row u of a CSR matrix given by its arrays."""
        entries = slice(indptr[u], indptr[u + 1])
        row = data[entries], indices[entries], np.array([0, indptr[u + 1] - indptr[u]])
        rows = sparse.csr_matrix(row, (1, self.similarity.shape[0]))
        return _trimmed(0, *self.lists(rows, K, remove_own_likes, None, 1), K)

    def __reduce__(self) -> tuple[Any, ...]:
        s = self.similarity
        return type(self), (sparse.csr_matrix((s.data, s.indices, s.indptr), s.shape),)


def _with_the_rest(
    ids: np.ndarray, scores: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lists that go on with those of `items` that have no score."""
    for row in np.flatnonzero(ids[:, -1] == kernels.NO_ID):
        at = int(np.argmax(ids[row] == kernels.NO_ID))
        rest = np.setdiff1d(items, ids[row, :at])[::-1][: ids.shape[1] - at]
        ids[row, at : at + len(rest)] = rest
        scores[row, at:] = -np.finfo(scores.dtype).max
    return ids, scores


def _trimmed(
    queries: Any, ids: np.ndarray, scores: np.ndarray, N: int
) -> tuple[np.ndarray, np.ndarray]:
    """One list without its empty places; several, of length N, with -1 and -FLT_MAX there."""
    if np.ndim(queries) == 0:
        there = ids[0] != kernels.NO_ID
        return ids[0][there], scores[0][there]
    scores[np.isneginf(scores)] = _EMPTY
    return _padded(ids, scores, N)


def _parts(matrix: Any) -> list[Any]:
    return [getattr(matrix, name, None) for name in ("data", "indices", "indptr")]


def _in_rows(counts: Any) -> Any:
    """Counts as CSR, with a warning where they were sparse, but not that."""
    return check_csr(counts) if sparse.issparse(counts) else np.asarray(counts)
