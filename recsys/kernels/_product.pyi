"""The compiled loops over rows of a sparse product; see reference/product.py."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

def product_topk(
    a_indptr: NDArray[np.int64],
    a_indices: NDArray[np.int32],
    a_data: NDArray[_Real],
    b_indptr: NDArray[np.int64] | None,
    b_indices: NDArray[np.int32] | None,
    b_data: NDArray[_Real],
    names: NDArray[np.int32] | None,
    skip_indptr: NDArray[np.int64] | None,
    skip_indices: NDArray[np.int32] | None,
    banned: NDArray[np.uint8] | None,
    order: NDArray[np.int32],
    spans: NDArray[np.int64],
    ids: NDArray[np.int32],
    scores: NDArray[_Real],
    failed: NDArray[np.uint8],
    *,
    columns: int,
    unsorted: bool,
    isa: str,
    num_threads: int,
) -> None: ...
def slim_rows(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[_Real],
    order: NDArray[np.int32],
    spans: NDArray[np.int64],
    candidates: NDArray[np.int32],
    products: NDArray[np.float64],
    weights: NDArray[_Real],
    failed: NDArray[np.uint8],
    *,
    users: int,
    longest: int,
    l1: float,
    l2: float,
    nonnegative: bool,
    tolerance: float,
    sweeps: int,
    isa: str,
    num_threads: int,
) -> None: ...
def spmm(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[_Real],
    order: NDArray[np.int32],
    spans: NDArray[np.int64],
    dense: NDArray[_Real],
    out: NDArray[_Real],
    *,
    likes: bool,
    mean: float,
    isa: str,
    num_threads: int,
) -> None: ...
