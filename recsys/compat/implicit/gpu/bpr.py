"""implicit.gpu.bpr"""

from __future__ import annotations

from typing import Any

import numpy as np

from .matrix_factorization_base import MatrixFactorizationBase


class BayesianPersonalizedRanking(MatrixFactorizationBase):
    """There is no GPU: raises ValueError."""

    def __init__(
        self,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        dtype: Any = np.float32,
        iterations: int = 100,
        verify_negative_samples: bool = True,
        random_state: Any = None,
    ) -> None:
        super().__init__()
