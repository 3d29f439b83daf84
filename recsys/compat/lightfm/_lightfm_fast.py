"""lightfm._lightfm_fast: what programs were seen to use of it."""

from __future__ import annotations

from typing import Any

import numpy as np


class CSRMatrix:
    """The arrays of a CSR matrix of float32.

    Parameters
    ----------
    csr_matrix : sparse matrix in CSR form
        Its indices ascend in each row.
    """

    def __init__(self, csr_matrix: Any) -> None:
        self.indices = np.asarray(csr_matrix.indices)
        self.indptr = np.asarray(csr_matrix.indptr)
        self.data = np.asarray(csr_matrix.data, np.float32)
        self.rows, self.cols = csr_matrix.shape
        self.nnz = len(self.data)


def __test_in_positives(row: int, col: int, mat: CSRMatrix) -> bool:
    """Whether the entry is stored."""
    stored = mat.indices[mat.indptr[row] : mat.indptr[row + 1]]
    at = int(np.searchsorted(stored, col))
    return at < len(stored) and int(stored[at]) == col
