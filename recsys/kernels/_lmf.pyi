"""The compiled loop over rows of logistic matrix factorization; see reference/lmf.py."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

def lmf_rows(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    confidence: NDArray[_Real],
    order: NDArray[np.int32],
    spans: NDArray[np.int64],
    fixed: NDArray[_Real],
    fixed_biases: NDArray[_Real],
    solved: NDArray[_Real],
    biases: NDArray[_Real],
    squares: NDArray[_Real],
    bias_squares: NDArray[_Real],
    keys: NDArray[np.uint64],
    row_loss: NDArray[np.float64],
    *,
    negatives: int,
    learning_rate: float,
    regularization: float,
    means: NDArray[_Real] | None,
    isa: str,
    num_threads: int,
) -> None: ...
