"""implicit.lmf"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu import lmf as cpu_lmf


def LogisticMatrixFactorization(
    factors: int = 30,
    learning_rate: float = 1.00,
    regularization: float = 0.6,
    dtype: Any = np.float32,
    iterations: int = 30,
    neg_prop: int = 30,
    use_gpu: bool = False,
    num_threads: int = 0,
    random_state: Any = None,
) -> cpu_lmf.LogisticMatrixFactorization:
    """A `cpu.lmf.LogisticMatrixFactorization`; NotImplementedError where a GPU is asked for."""
    if use_gpu:
        raise NotImplementedError(
            "LogisticMatrixFactorization cannot be trained on a GPU: pass use_gpu=False"
        )
    return cpu_lmf.LogisticMatrixFactorization(
        factors=factors,
        learning_rate=learning_rate,
        regularization=regularization,
        dtype=dtype,
        iterations=iterations,
        neg_prop=neg_prop,
        num_threads=num_threads,
        random_state=random_state,
    )


LogisticMatrixFactorization.load = (  # type: ignore[attr-defined]
    cpu_lmf.LogisticMatrixFactorization.load
)
