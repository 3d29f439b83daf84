"""The compiled loop over queries; see reference/topk.py for what it computes and for shapes."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

QUERIES: int
RUN: int
CODE_BLOCK: int
CODE_BOUNDS: int
NO_ID: int
VANISHED: float

def topk(
    queries: NDArray[_Real],
    items: NDArray[_Real],
    item_scale: NDArray[_Real] | None,
    order: NDArray[np.int32] | None,
    norms: NDArray[_Real] | None,
    codes: NDArray[np.uint8] | None,
    code_bounds: NDArray[np.float64] | None,
    skip_indptr: NDArray[np.int64] | None,
    skip_indices: NDArray[np.int32] | None,
    banned: NDArray[np.uint8] | None,
    ids: NDArray[np.int32],
    scores: NDArray[_Real],
    failed: NDArray[np.uint8],
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def code_runs(
    items: NDArray[_Real],
    item_scale: NDArray[_Real] | None,
    order: NDArray[np.int32] | None,
    codes: NDArray[np.uint8],
    bounds: NDArray[np.float64],
    failed: NDArray[np.uint8],
    *,
    isa: str,
    num_threads: int,
) -> None: ...
