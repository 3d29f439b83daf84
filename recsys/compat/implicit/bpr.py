"""implicit.bpr"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import gpu
from .cpu import bpr as cpu_bpr


class BayesianPersonalizedRanking(cpu_bpr.BayesianPersonalizedRanking):
    """Not there yet: see `implicit.cpu.bpr`."""

    def __init__(
        self,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        dtype: Any = np.float32,
        iterations: int = 100,
        use_gpu: bool = gpu.HAS_CUDA,
        num_threads: int = 0,
        verify_negative_samples: bool = True,
        random_state: Any = None,
    ) -> None:
        super().__init__(factors)
