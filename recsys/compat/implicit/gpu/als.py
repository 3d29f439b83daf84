"""implicit.gpu.als"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import no_gpu


class AlternatingLeastSquares:
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
        raise no_gpu()
