"""The compiled loops; arrays are C-contiguous, `real` is float32 or float64 throughout a call.

See reference/als.py for what each computes and for shapes.
"""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)
_Int32s: TypeAlias = NDArray[np.int32]
_Int64s: TypeAlias = NDArray[np.int64]
_Doubles: TypeAlias = NDArray[np.float64]

OPENMP: int  # the version's date, 0 for a serial build
COMPILER: str
ISA_NAMES: tuple[str, ...]
AVAILABLE_ISAS: tuple[str, ...]  # worst first

CACHE_LINE: int
MOST_LANES: int
BATCH_MOST: int
SPAN_CYCLES: int

def max_threads() -> int: ...
def gramian_groups(rows: int) -> int: ...
def row_path(n: int, factors: int, cg_steps: int, *, below: bool, itemsize: int) -> str: ...
def als_rows(
    indptr: _Int64s,
    indices: _Int32s,
    confidence: NDArray[_Real],
    order: _Int32s,
    spans: _Int64s,
    fixed: NDArray[_Real],
    solved: NDArray[_Real],
    eigenvalues: _Doubles,
    regularization: _Doubles,
    unobserved_weight: float,
    floor: float,
    tolerance: float,
    cg_steps: int,
    failed: NDArray[np.uint8],
    row_loss: _Doubles | None,
    offsets: NDArray[_Real] | None = None,
    common: NDArray[_Real] | None = None,
    ratings: bool = False,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def als_nonnegative_rows(
    indptr: _Int64s,
    indices: _Int32s,
    confidence: NDArray[_Real],
    order: _Int32s,
    spans: _Int64s,
    fixed: NDArray[_Real],
    solved: NDArray[_Real],
    gram: _Doubles,
    regularization: _Doubles,
    unobserved_weight: float,
    tolerance: float,
    sweeps: int,
    failed: NDArray[np.uint8],
    row_loss: _Doubles | None,
    offsets: NDArray[_Real] | None = None,
    common: NDArray[_Real] | None = None,
    ratings: bool = False,
    unbounded: int = 0,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def als_equations(
    indptr: _Int64s,
    indices: _Int32s,
    confidence: NDArray[_Real],
    order: _Int32s,
    fixed: NDArray[_Real],
    equations: _Doubles,
    factors: int,
    unobserved_weight: float,
    offsets: NDArray[_Real] | None = None,
    ratings: bool = False,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def als_summed_rows(
    equations: _Doubles,
    solved: NDArray[_Real],
    eigenvalues: _Doubles,
    regularization: _Doubles,
    unobserved_weight: float,
    floor: float,
    failed: NDArray[np.uint8],
    common: NDArray[_Real] | None = None,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def als_loss(
    indptr: _Int64s,
    indices: _Int32s,
    confidence: NDArray[_Real],
    fixed: NDArray[_Real],
    solved: NDArray[_Real],
    unobserved_weight: float,
    row_loss: _Doubles,
    ratings: bool = False,
    offsets: NDArray[_Real] | None = None,
    biases: NDArray[_Real] | None = None,
    *,
    isa: str,
    num_threads: int,
) -> None: ...
def gramian(x: NDArray[_Real], *, isa: str, num_threads: int) -> _Doubles: ...
def column_sums(
    x: NDArray[_Real], weights: NDArray[_Real], *, isa: str, num_threads: int
) -> _Doubles: ...
def weighted_squares(
    x: NDArray[_Real], weights: _Doubles, *, isa: str, num_threads: int
) -> float: ...
def rotate(
    x: NDArray[_Real],
    basis: NDArray[_Real],
    out: NDArray[_Real],
    place: _Int32s | None = None,
    *,
    last: NDArray[_Real] | None = None,
    out_last: NDArray[_Real] | None = None,
    isa: str,
    num_threads: int,
) -> None: ...
