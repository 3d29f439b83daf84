"""implicit.als"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import gpu
from .cpu import als as cpu_als


def AlternatingLeastSquares(
    factors: int = 100,
    regularization: float = 0.01,
    alpha: float = 1.0,
    dtype: Any = np.float32,
    use_native: bool = True,
    use_cg: bool = True,
    use_gpu: bool = gpu.HAS_CUDA,
    iterations: int = 15,
    calculate_training_loss: bool = False,
    num_threads: int = 0,
    random_state: Any = None,
) -> cpu_als.AlternatingLeastSquares:
    """A `cpu.als.AlternatingLeastSquares`; ValueError where a GPU is asked for."""
    if use_gpu:
        raise gpu.no_gpu()
    return cpu_als.AlternatingLeastSquares(
        factors=factors,
        regularization=regularization,
        alpha=alpha,
        dtype=dtype,
        use_native=use_native,
        use_cg=use_cg,
        iterations=iterations,
        calculate_training_loss=calculate_training_loss,
        num_threads=num_threads,
        random_state=random_state,
    )


AlternatingLeastSquares.load = cpu_als.AlternatingLeastSquares.load  # type: ignore[attr-defined]
