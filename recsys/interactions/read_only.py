"""Arrays of what never changes."""

from __future__ import annotations

from typing import Any

import numpy as np


def read_only(array: np.ndarray) -> np.ndarray:
    """A view of an array that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def arrays_of(matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Data, indices and indptr of a CSR matrix, as such views."""
    return read_only(matrix.data), read_only(matrix.indices), read_only(matrix.indptr)
