"""implicit.gpu.als"""

from __future__ import annotations

from typing import Any

import numpy as np

from .matrix_factorization_base import MatrixFactorizationBase


class AlternatingLeastSquares(MatrixFactorizationBase):
    """There is no GPU: raises ValueError."""

    def __init__(
        self,
        factors: int = 64,
        regularization: float = 0.01,
        alpha: float = 1.0,
        dtype: Any = np.float32,
        iterations: int = 15,
        calculate_training_loss: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__()
