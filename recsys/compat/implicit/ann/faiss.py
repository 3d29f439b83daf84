"""implicit.ann.faiss"""

from __future__ import annotations

from typing import Any

from .. import gpu
from .base import ApproximateModel


class FaissModel(ApproximateModel):
    """Lists from a graph of near neighbours (by faiss), which has no cells: `nlist` and `nprobe`
    make no difference."""

    def __init__(
        self,
        model: Any,
        approximate_similar_items: bool = True,
        approximate_recommend: bool = True,
        nlist: int = 400,
        nprobe: int = 20,
        use_gpu: bool = gpu.HAS_CUDA,
    ) -> None:
        if use_gpu:
            raise gpu.no_gpu()
        self.nlist, self.nprobe, self.use_gpu = nlist, nprobe, use_gpu
        super().__init__(model, approximate_similar_items, approximate_recommend, "faiss")
