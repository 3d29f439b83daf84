"""implicit.approximate_als: ALS with approximate lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import gpu
from .als import AlternatingLeastSquares

if TYPE_CHECKING:
    from .ann.base import ApproximateModel


def NMSLibAlternatingLeastSquares(
    *args: Any,
    approximate_similar_items: bool = True,
    approximate_recommend: bool = True,
    method: str = "hnsw",
    index_params: dict[str, Any] | None = None,
    query_params: dict[str, Any] | None = None,
    use_gpu: bool = gpu.HAS_CUDA,
    **kwargs: Any,
) -> ApproximateModel:
    """`ann.nmslib.NMSLibModel` of an ALS model made with the other arguments."""
    from .ann.nmslib import NMSLibModel

    return NMSLibModel(
        AlternatingLeastSquares(*args, use_gpu=use_gpu, **kwargs),
        approximate_similar_items=approximate_similar_items,
        approximate_recommend=approximate_recommend,
        method=method,
        index_params=index_params,
        query_params=query_params,
    )


def AnnoyAlternatingLeastSquares(
    *args: Any,
    approximate_similar_items: bool = True,
    approximate_recommend: bool = True,
    n_trees: int = 50,
    search_k: int = -1,
    use_gpu: bool = gpu.HAS_CUDA,
    **kwargs: Any,
) -> ApproximateModel:
    """`ann.annoy.AnnoyModel` of an ALS model made with the other arguments."""
    from .ann.annoy import AnnoyModel

    return AnnoyModel(
        AlternatingLeastSquares(*args, use_gpu=use_gpu, **kwargs),
        approximate_similar_items=approximate_similar_items,
        approximate_recommend=approximate_recommend,
        n_trees=n_trees,
        search_k=search_k,
    )


def FaissAlternatingLeastSquares(
    *args: Any,
    approximate_similar_items: bool = True,
    approximate_recommend: bool = True,
    nlist: int = 400,
    nprobe: int = 20,
    use_gpu: bool = gpu.HAS_CUDA,
    **kwargs: Any,
) -> ApproximateModel:
    """`ann.faiss.FaissModel` of an ALS model made with the other arguments."""
    from .ann.faiss import FaissModel

    return FaissModel(
        AlternatingLeastSquares(*args, use_gpu=use_gpu, **kwargs),
        approximate_similar_items=approximate_similar_items,
        approximate_recommend=approximate_recommend,
        nlist=nlist,
        nprobe=nprobe,
        use_gpu=use_gpu,
    )
