"""The compiled loops over rows of B'B; see reference/neighbors.py."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

def neighbors_pairs(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[_Real],
    ranks: NDArray[np.int32],
    spans: NDArray[np.int64],
    pairs: NDArray[np.uint8],
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def neighbors_transpose(
    b_indptr: NDArray[np.int64],
    b_pairs: NDArray[np.uint8],
    cuts: NDArray[np.int64],
    next_place: NDArray[np.int64],
    a_indices: NDArray[np.int32],
    a_data: NDArray[_Real],
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def neighbors_head(
    indptr: NDArray[np.int64],
    pairs: NDArray[np.uint8],
    sums: NDArray[_Real],
    cuts: NDArray[np.int64],
    *,
    first: int,
    last: int,
    isa: str,
    num_threads: int,
) -> None: ...
def neighbors_topk(
    a_indptr: NDArray[np.int64],
    a_indices: NDArray[np.int32],
    a_data: NDArray[_Real],
    b_indptr: NDArray[np.int64],
    b_pairs: NDArray[np.uint8],
    names: NDArray[np.int32],
    spans: NDArray[np.int64],
    ids: NDArray[np.int32],
    scores: NDArray[_Real],
    failed: NDArray[np.uint8],
    head_ids: NDArray[np.int32],
    head_scores: NDArray[_Real],
    head_kept: NDArray[np.int64],
    head_least: NDArray[_Real],
    *,
    without_itself: bool,
    isa: str,
    num_threads: int,
) -> None: ...
