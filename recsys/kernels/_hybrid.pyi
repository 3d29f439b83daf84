"""The compiled loop over batches of steps; see reference/hybrid.py."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

LOSSES: dict[str, int]

def hybrid_steps(
    user_values: NDArray[_Real],
    user_squares: NDArray[_Real],
    user_momentum: NDArray[_Real] | None,
    user_indptr: NDArray[np.int64] | None,
    user_indices: NDArray[np.int32] | None,
    user_weights: NDArray[_Real] | None,
    item_values: NDArray[_Real],
    item_squares: NDArray[_Real],
    item_momentum: NDArray[_Real] | None,
    item_indptr: NDArray[np.int64] | None,
    item_indices: NDArray[np.int32] | None,
    item_weights: NDArray[_Real] | None,
    screen: NDArray[_Real] | None,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    weights: NDArray[_Real] | None,
    liked: NDArray[np.uint8] | None,
    stored_indptr: NDArray[np.int64] | None,
    stored_indices: NDArray[np.int32] | None,
    pool: NDArray[np.int32] | None,
    rank_weights: NDArray[np.float64] | None,
    scales: NDArray[np.float64],
    *,
    factors: int,
    loss: int,
    rate: float,
    key: int,
    begin: int,
    end: int,
    batch: int,
    k: int,
    n: int,
    rho: float,
    epsilon: float,
    user_alpha: float,
    item_alpha: float,
    hogwild: bool,
    isa: str,
    num_threads: int,
) -> int: ...
