"""The compiled loop over queries; see reference/topk.py for what it computes and for shapes."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)

QUERIES: int
FEW_QUERIES: int

def topk(
    queries: NDArray[Real],
    items: NDArray[Real],
    item_scale: NDArray[Real] | None,
    order: NDArray[np.int32] | None,
    norms: NDArray[Real] | None,
    codes: NDArray[np.int8] | None,
    code_scale: NDArray[Real] | None,
    skip_indptr: NDArray[np.int64] | None,
    skip_indices: NDArray[np.int32] | None,
    banned: NDArray[np.uint8] | None,
    ids: NDArray[np.int32],
    scores: NDArray[Real],
    failed: NDArray[np.uint8],
    *,
    isa: str,
    num_threads: int,
) -> None: ...
