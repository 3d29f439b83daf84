"""implicit.cpu.lmf"""

from __future__ import annotations

from typing import Any

import numpy as np


class LogisticMatrixFactorization:
    """Not there yet: recsys has no logistic matrix factorization."""

    def __init__(
        self,
        factors: int = 30,
        learning_rate: float = 1.00,
        regularization: float = 0.6,
        dtype: Any = np.float32,
        iterations: int = 30,
        neg_prop: int = 30,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        raise NotImplementedError(
            "recsys has no logistic matrix factorization yet. implicit.als of this package trains "
            "on the same matrix; for LMF itself use the package implicit"
        )
