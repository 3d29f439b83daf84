"""implicit.bpr"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import gpu
from .cpu import bpr as cpu_bpr


def BayesianPersonalizedRanking(
    factors: int = 100,
    learning_rate: float = 0.01,
    regularization: float = 0.01,
    dtype: Any = np.float32,
    iterations: int = 100,
    use_gpu: bool = gpu.HAS_CUDA,
    num_threads: int = 0,
    verify_negative_samples: bool = True,
    random_state: Any = None,
) -> cpu_bpr.BayesianPersonalizedRanking:
    """A `cpu.bpr.BayesianPersonalizedRanking`; ValueError where a GPU is asked for."""
    if use_gpu:
        raise gpu.no_gpu()
    return cpu_bpr.BayesianPersonalizedRanking(
        factors=factors,
        learning_rate=learning_rate,
        regularization=regularization,
        dtype=dtype,
        iterations=iterations,
        num_threads=num_threads,
        verify_negative_samples=verify_negative_samples,
        random_state=random_state,
    )


BayesianPersonalizedRanking.load = (  # type: ignore[attr-defined]
    cpu_bpr.BayesianPersonalizedRanking.load
)
