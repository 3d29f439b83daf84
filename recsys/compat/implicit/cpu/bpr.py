"""implicit.cpu.bpr"""

from __future__ import annotations

from typing import Any

import numpy as np


class BayesianPersonalizedRanking:
    """Not there yet: recsys has no BPR."""

    def __init__(
        self,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        dtype: Any = np.float32,
        iterations: int = 100,
        num_threads: int = 0,
        verify_negative_samples: bool = True,
        random_state: Any = None,
    ) -> None:
        raise NotImplementedError(
            "recsys has no Bayesian personalized ranking yet. implicit.als of this package trains "
            "on the same matrix; for BPR itself use the package implicit"
        )
