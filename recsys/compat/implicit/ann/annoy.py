"""implicit.ann.annoy"""

from __future__ import annotations

from typing import Any

from .base import ApproximateModel


class AnnoyModel(ApproximateModel):
    """Lists from a graph of near neighbours (by usearch), which has no trees: `n_trees` and
    `search_k` make no difference."""

    def __init__(
        self,
        model: Any,
        approximate_similar_items: bool = True,
        approximate_recommend: bool = True,
        n_trees: int = 50,
        search_k: int = -1,
    ) -> None:
        self.n_trees, self.search_k = n_trees, search_k
        super().__init__(model, approximate_similar_items, approximate_recommend, "usearch")
