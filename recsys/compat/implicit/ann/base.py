"""What the three modules of implicit.ann share."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys import ImplicitALS
from recsys.serving import AnnIndex

from ..cpu.matrix_factorization_base import MatrixFactorizationBase, _check_rows, as_wide_as
from ..recommender_base import RecommenderBase


class ApproximateModel(RecommenderBase):
    """A factor model whose lists come from an index, where they can; the others are the model's."""

    def __init__(
        self,
        model: MatrixFactorizationBase,
        approximate_similar_items: bool,
        approximate_recommend: bool,
        backend: str,
        **index_options: int,
    ) -> None:
        self.model = model
        self.approximate_similar_items = approximate_similar_items
        self.approximate_recommend = approximate_recommend
        self._backend, self._index_options = backend, index_options
        self._similar_index: AnnIndex | None = None
        self._recommend_index: AnnIndex | None = None
        self._scored: ImplicitALS | None = None
        self._users: np.ndarray | None = None
        if model.item_factors is not None:
            self._build()

    def fit(self, Cui: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Train the model, then build the indexes of its items."""
        self.model.fit(Cui, show_progress, callback)
        self._build()

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
        if self._is_exact("recommend", N) or items is not None or recalculate_user:
            return self.model.recommend(
                userid, user_items, N, filter_already_liked_items, filter_items, recalculate_user,
                items,
            )  # fmt: skip
        liked = None
        if filter_already_liked_items:
            _check_rows(user_items, userid)
            liked = as_wide_as(user_items, len(self.model.item_factors), "user_items")
        if self.model.user_factors is not self._users:
            self._users = self._scored.user_factors = self.model.user_factors
        if liked is None or not 1 < np.size(userid) == len(self._users):
            return self._listed(userid, liked, N, filter_items)
        # The index takes as many rows as it knows users for theirs, in order: one by itself, then.
        lists = (
            self._listed(userid[part], liked[part], N, filter_items)
            for part in (slice(1), slice(1, None))
        )
        ids, scores = (np.concatenate(part) for part in zip(*lists, strict=True))
        return ids, scores

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._is_exact("similar", N) or items is not None or recalculate_item:
            return self.model.similar_items(
                itemid, N, recalculate_item, item_users, filter_items, items
            )
        found = self._similar_index.similar_items(itemid, N, filter_items=filter_items)
        return _with_sentinels(*found)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.model.similar_users(userid, N, filter_users, users)

    def save(self, file: Any) -> None:
        raise NotImplementedError("save isn't implemented: save the .model, and build anew")

    @classmethod
    def load(cls, file: Any) -> ApproximateModel:
        raise NotImplementedError("load isn't implemented: load the model, and build anew")

    def _is_exact(self, kind: str, N: int) -> bool:
        """Whether lists are the model's: no index is wanted, or they are of more than there is."""
        index, wanted = getattr(self, f"_{kind}_index"), self.approximate_recommend
        if kind == "similar":
            wanted = self.approximate_similar_items
        return index is None or not wanted or N > len(self.model.item_factors)

    def _listed(
        self, userid: Any, liked: Any, N: int, filter_items: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        found = self._recommend_index.recommend(
            userid, liked, N, filter_seen=liked is not None, filter_items=filter_items
        )
        return _with_sentinels(*found)

    def _build(self) -> None:
        # Of any model: whatever columns its factors have, their products are the scores.
        users, items = self.model.user_factors, self.model.item_factors
        scored = ImplicitALS(items.shape[1], dtype=items.dtype, num_threads=self.model.num_threads)
        self._users = scored.user_factors = users
        scored.item_factors = items
        self._scored = scored
        for kind, wanted in (
            ("similar", self.approximate_similar_items),
            ("recommend", self.approximate_recommend),
        ):
            index = None
            if wanted:
                index = AnnIndex.build(scored, self._backend, kind, **self._index_options)
            setattr(self, f"_{kind}_index", index)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "model":
            raise AttributeError(name)
        return getattr(self.model, name)  # user_factors, factors, ...


def _with_sentinels(ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores[np.isneginf(scores)] = -np.finfo(scores.dtype).max
    return ids, scores
