"""implicit.recommender_base"""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from typing import Any

import numpy as np


class ModelFitError(Exception):
    """Training gave, or was given, numbers that are not finite."""


class RecommenderBase(metaclass=ABCMeta):
    """What every model offers."""

    @abstractmethod
    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Train on a CSR matrix of users and items."""

    @abstractmethod
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
        """The best N items of one user, or of each of several."""

    @abstractmethod
    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N most similar users."""

    @abstractmethod
    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N most similar items."""

    @abstractmethod
    def save(self, file: Any) -> None:
        """Write the model to an .npz file."""

    @classmethod
    @abstractmethod
    def load(cls, fileobj_or_path: Any) -> RecommenderBase:
        """Read what `save` wrote."""

    def rank_items(
        self, userid: Any, user_items: Any, selected_items: Any, recalculate_user: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Deprecated: `recommend` with `items`."""
        warnings.warn(
            "rank_items is deprecated. Use recommend with the 'items' parameter instead",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.recommend(
            userid,
            user_items,
            recalculate_user=recalculate_user,
            items=selected_items,
            filter_already_liked_items=False,
        )

    def recommend_all(
        self,
        user_items: Any,
        N: int = 10,
        recalculate_user: bool = False,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        users_items_offset: int = 0,
    ) -> np.ndarray:
        """Deprecated: `recommend` for many users; item numbers only."""
        warnings.warn(
            "recommend_all is deprecated. Use recommend with an array of userids instead",
            DeprecationWarning,
            stacklevel=2,
        )
        users = np.arange(user_items.shape[0]) + users_items_offset
        return self.recommend(
            users,
            user_items,
            N=N,
            recalculate_user=recalculate_user,
            filter_already_liked_items=filter_already_liked_items,
            filter_items=filter_items,
        )[0]

    @staticmethod
    def _check_factors(user_factors: np.ndarray, item_factors: np.ndarray) -> None:
        if np.isnan(user_factors).any() or np.isnan(item_factors).any():
            raise ModelFitError("NaN encountered in factors")
