"""Rows whose penalty pulls them to a mean of their own instead of to zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .als import fixed_gramian
from .config import kernel_options
from .factors import Factors
from .sides import scaled_lambda
from .threads import single_threaded_blas

if TYPE_CHECKING:
    from scipy import sparse


@single_threaded_blas()
def pull(
    signed_confidence: sparse.csr_array,
    fixed: Factors,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    means: np.ndarray,
    num_threads: int = 0,
    *,
    ratings: bool = False,
) -> np.ndarray:
    """What `fold_in` gives less than it would with the penalty lambda_u |x_u - m_u|^2.

    A_u x_u = b_u + lambda_u m_u then, so that this is lambda_u A_u^-1 m_u. f^2 (n + f / 3) steps
    for a row of n entries, in double: for the few rows that are learned one by one.

    Parameters
    ----------
    signed_confidence, fixed, regularization, regularization_exponent, unobserved_weight
        As in `fold_in`.
    means : (rows, f) array
        m_u; with one more column where there are biases.
    ratings : bool, default False
        Whether all entries have the confidence 1.

    Returns
    -------
    (rows, f) array of float64, or one more column
        The same bits for any number of threads.
    """
    lambdas = scaled_lambda(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    y = fixed.factors.astype(np.float64)
    if fixed.biases is not None:
        y = np.column_stack([y, np.ones(len(y))])
    common = unobserved_weight * fixed_gramian(fixed, kernel_options(num_threads))
    gained = np.zeros(means.shape)
    for row in np.flatnonzero(lambdas > 0):
        at = slice(*signed_confidence.indptr[row : row + 2])
        values = signed_confidence.data[at].astype(np.float64)
        weights = (np.ones(len(values)) if ratings else np.abs(values)) - unobserved_weight
        met = y[signed_confidence.indices[at]]
        # A_u = w0 Y'Y + sum_k (c_k - w0) y_k y_k' + lambda_u I
        a = common + (met.T * weights) @ met + lambdas[row] * np.eye(len(common))
        gained[row] = np.linalg.solve(a, lambdas[row] * means[row])
    return gained
