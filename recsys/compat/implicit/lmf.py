"""implicit.lmf"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu import lmf as cpu_lmf


class LogisticMatrixFactorization(cpu_lmf.LogisticMatrixFactorization):
    """Not there yet: see `implicit.cpu.lmf`."""

    def __init__(
        self,
        factors: int = 30,
        learning_rate: float = 1.00,
        regularization: float = 0.6,
        dtype: Any = np.float32,
        iterations: int = 30,
        neg_prop: int = 30,
        use_gpu: bool = False,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(factors)
