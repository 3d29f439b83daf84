"""implicit.ann.nmslib"""

from __future__ import annotations

from typing import Any

from .base import ApproximateModel


class NMSLibModel(ApproximateModel):
    """Lists from a graph of near neighbours (by usearch).

    Of `index_params` M and efConstruction count, of `query_params` ef.
    """

    def __init__(
        self,
        model: Any,
        approximate_similar_items: bool = True,
        approximate_recommend: bool = True,
        method: str = "hnsw",
        index_params: dict[str, Any] | None = None,
        query_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        index_params = {"M": 16, "post": 0, "efConstruction": 400} | (index_params or {})
        query_params = {"ef": 90} | (query_params or {})
        self.method, self.index_params, self.query_params = method, index_params, query_params
        super().__init__(
            model,
            approximate_similar_items,
            approximate_recommend,
            "usearch",
            connectivity=index_params["M"],
            expansion_build=index_params["efConstruction"],
            expansion_search=query_params["ef"],
        )
