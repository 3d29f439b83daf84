"""The compiled loops; arrays are C-contiguous, `real` is float32 or float64 throughout a call.

See reference/als.py for what each computes and for shapes.
"""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)
Int32s: TypeAlias = NDArray[np.int32]
Int64s: TypeAlias = NDArray[np.int64]
Doubles: TypeAlias = NDArray[np.float64]

OPENMP: int  # the version's date, 0 for a serial build
COMPILER: str
ISA_NAMES: tuple[str, ...]
AVAILABLE_ISAS: tuple[str, ...]  # worst first

def max_threads() -> int: ...
def als_rows(
    indptr: Int64s,
    indices: Int32s,
    confidence: NDArray[Real],
    order: Int32s,
    spans: Int64s,
    fixed: NDArray[Real],
    solved: NDArray[Real],
    eigenvalues: Doubles,
    regularization: Doubles,
    unobserved_weight: float,
    floor: float,
    tolerance: float,
    cg_steps: int,
    failed: NDArray[np.uint8],
    row_loss: Doubles | None,
    offsets: NDArray[Real] | None = None,
    common: NDArray[Real] | None = None,
    ratings: bool = False,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def als_loss(
    indptr: Int64s,
    indices: Int32s,
    confidence: NDArray[Real],
    fixed: NDArray[Real],
    solved: NDArray[Real],
    unobserved_weight: float,
    row_loss: Doubles,
    ratings: bool = False,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def gramian(x: NDArray[Real], *, isa: str, num_threads: int) -> Doubles: ...
def rotate(
    x: NDArray[Real],
    basis: NDArray[Real],
    out: NDArray[Real],
    place: Int32s | None = None,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
