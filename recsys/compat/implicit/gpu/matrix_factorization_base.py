"""implicit.gpu.matrix_factorization_base"""

from __future__ import annotations

from typing import Any, NoReturn

from ..recommender_base import RecommenderBase


def no_gpu() -> ValueError:
    return ValueError(
        "No CUDA extension has been built, can't train on GPU: recsys runs on CPUs. "
        "Pass use_gpu=False"
    )


class MatrixFactorizationBase(RecommenderBase):
    """There is no GPU: making or loading one raises ValueError."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise no_gpu()

    @classmethod
    def load(cls, fileobj_or_path: Any) -> NoReturn:
        raise no_gpu()
