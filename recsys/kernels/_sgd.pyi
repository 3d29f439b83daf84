"""The compiled loops over the cells of a grid; see reference/bpr.py and reference/ratings.py."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

WHOLE_SHARE: int

def bpr_cells(
    x: NDArray[_Real],
    y: NDArray[_Real],
    b: NDArray[_Real] | None,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    weights: NDArray[_Real] | None,
    cells: NDArray[np.void],
    sums: NDArray[np.float64],
    *,
    factors: int,
    rate: float,
    reg_user: float,
    reg_positive: float,
    reg_negative: float,
    key: int,
    negatives: int = 1,
    candidates: int = 1,
    rank_weights: NDArray[np.float64] | None = None,
    margin: float = 1,
    alias_keep: NDArray[np.uint32] | None = None,
    alias: NDArray[np.int32] | None = None,
    ranking: NDArray[np.int32] | None = None,
    spread: NDArray[_Real] | None = None,
    adaptive_share: float = 0,
    frozen: bool = False,
    x_mean: NDArray[_Real] | None = None,
    y_mean: NDArray[_Real] | None = None,
    b_mean: NDArray[_Real] | None = None,
    isa: str,
    num_threads: int,
) -> None: ...
def ratings_cells(
    x: NDArray[_Real],
    y: NDArray[_Real],
    user_biases: NDArray[_Real] | None,
    item_biases: NDArray[_Real] | None,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    ratings: NDArray[_Real],
    cells: NDArray[np.void],
    losses: NDArray[np.float64],
    *,
    rate: float,
    regularization: float,
    isa: str,
    num_threads: int,
) -> None: ...
