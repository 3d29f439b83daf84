"""implicit.nearest_neighbours"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsys import ItemNeighbors, csr, kernels, weighting

from .cpu import npz
from .cpu.matrix_factorization_base import _check_rows, _length
from .cpu.topk import item_numbers
from .recommender_base import RecommenderBase
from .utils import check_csr

_SAVED = ("K", "shape", "data", "indptr", "indices")
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
    return sparse.csr_matrix(model.fit(users).similarity).tocoo()


class ItemItemRecommender(RecommenderBase):
    """Recommends by a matrix of similar items, found by `recsys.ItemNeighbors`."""

    def __init__(self, K: int = 20, num_threads: int = 0) -> None:
        self.similarity: sparse.csr_matrix | None = None
        self.K = K
        self.num_threads = num_threads
        self.scorer: NearestNeighboursScorer | None = None

    def fit(self, weighted: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Find the K most similar items of each, by the inner products of their columns."""
        if callback is not None:
            raise NotImplementedError("callback isn't support on ItemItemRecommender.fit")
        weighted = check_csr(weighted)
        found = all_pairs_knn(weighted, self.K, self.num_threads, show_progress)
        self._set_similarity(found.tocsr())

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
        if user_items.shape[1] > n_items:
            raise ValueError(
                f"user_items has {user_items.shape[1]} columns; expected at most {n_items}, one "
                "for each item of the model"
            )
        banned = np.zeros(n_items, np.uint8)
        if filter_items is not None:
            banned[item_numbers(filter_items, n_items)] = 1
        if items is not None:
            items = np.unique(item_numbers(items, n_items, "itemids in the items"))
            others = np.ones(n_items, np.uint8)
            others[items] = 0
            banned |= others
            N = min(N, len(items))
        rows = sparse.csr_matrix(user_items)
        ids, scores = self.scorer.lists(
            rows, N, filter_already_liked_items, banned if banned.any() else None, self.num_threads
        )
        if items is not None:
            ids, scores = _with_the_rest(ids.astype(np.int64), scores, items)
        return _trimmed(userid, ids, scores)

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
        found = self.scorer.lists(chosen, _length(N), False, banned, self.num_threads)
        return _trimmed(itemid, *found)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError("similar_users isn't implemented for item-item recommenders")

    def save(self, fileobj_or_path: Any) -> None:
        """Write an .npz file that `load`, here and in implicit, reads."""
        self._check_fitted()
        matrix = self.similarity
        content = {"K": self.K, "shape": matrix.shape, "data": matrix.data}
        content |= {"indptr": matrix.indptr, "indices": matrix.indices}
        npz.save(fileobj_or_path, content)

    @classmethod
    def load(cls, fileobj_or_path: Any) -> ItemItemRecommender:
        """Read a file that `save`, here or in implicit, wrote."""
        content = npz.load(fileobj_or_path, cls, _SAVED)
        model = cls(int(content["K"]))
        parts = content["data"], content["indices"], content["indptr"]
        model._set_similarity(sparse.csr_matrix(parts, tuple(content["shape"])))
        return model

    def _set_similarity(self, similarity: sparse.csr_matrix) -> None:
        self.similarity, self.scorer = similarity, NearestNeighboursScorer(similarity)

    def _check_fitted(self) -> None:
        if self.similarity is None:
            raise ValueError(f"this {type(self).__name__} has no neighbours yet: call fit first")


class CosineRecommender(ItemItemRecommender):
    """Neighbours by the cosine of columns."""

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        super().fit(normalize(counts.T).T.tocsr(), show_progress, callback)


class TFIDFRecommender(ItemItemRecommender):
    """Neighbours by the cosine of TF-IDF weighted columns."""

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        weighted = normalize(tfidf_weight(counts.T)).T
        super().fit(weighted.tocsr(), show_progress, callback)


class BM25Recommender(ItemItemRecommender):
    """Neighbours by the inner product of BM25 weighted columns."""

    def __init__(self, K: int = 20, K1: float = 1.2, B: float = 0.75, num_threads: int = 0) -> None:
        super().__init__(K, num_threads)
        self.K1 = K1
        self.B = B

    def fit(self, counts: Any, show_progress: bool = True, callback: Any = None) -> None:
        super().fit(bm25_weight(counts.T, self.K1, self.B).T.tocsr(), show_progress, callback)


class NearestNeighboursScorer:
    """The best items by the rows of users times a matrix of similar items."""

    def __init__(self, similarity: Any) -> None:
        self.similarity = csr.canonical(
            similarity, np.dtype(np.float64), may_be_empty=True, name="similarity"
        )

    def lists(
        self,
        rows: sparse.csr_matrix,
        N: int,
        remove_own_likes: bool,
        banned: np.ndarray | None,
        num_threads: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """ids (n, N), -1 where there is none, and scores (n, N)."""
        wide = sparse.csr_matrix(
            (rows.data, rows.indices, rows.indptr), (rows.shape[0], self.similarity.shape[0])
        )
        own = csr.canonical(wide, np.dtype(np.float64), may_be_empty=True)
        skip = (own.indptr, own.indices) if remove_own_likes else None
        return kernels.product_topk(
            own, self.similarity, N, skip=skip, banned=banned, num_threads=num_threads
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
        return _trimmed(0, *self.lists(rows, K, remove_own_likes, None, 1))

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


def _trimmed(asked: Any, ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One list without its empty places; several with -1 and -FLT_MAX there."""
    if np.ndim(asked) == 0:
        there = ids[0] != kernels.NO_ID
        return ids[0][there], scores[0][there]
    scores[np.isneginf(scores)] = _EMPTY
    return ids, scores
