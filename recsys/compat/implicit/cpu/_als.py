"""implicit.cpu._als: single half-sweeps on confidences, with implicit's arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsys import csr, kernels

from .matrix_factorization_base import check_width


def least_squares(
    Cui: Any, X: np.ndarray, Y: np.ndarray, regularization: float, num_threads: int = 0
) -> None:
    """Solve every row of X, in place, with Y held.

    Parameters
    ----------
    Cui : sparse, len(X) x len(Y)
        Confidences: c > 0 of preference 1, c < 0 of preference 0 with -c. Cells without an entry
        have preference 0 with confidence 1.
    X, Y : arrays of one floating dtype, n x f
    regularization : float
    num_threads : int
        0: all.
    """
    _solve(Cui, X, Y, regularization, num_threads)


def _least_squares(
    YtY: Any,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    X: np.ndarray,
    Y: np.ndarray,
    regularization: float,
    num_threads: int = 0,
) -> None:
    """`least_squares` on the arrays of a CSR matrix; YtY is not needed."""
    matrix = sparse.csr_array((data, indices, indptr), shape=(len(X), len(Y)))
    _solve(matrix, X, Y, regularization, num_threads)


def least_squares_cg(
    Cui: Any,
    X: np.ndarray,
    Y: np.ndarray,
    regularization: float,
    num_threads: int = 0,
    cg_steps: int = 3,
) -> None:
    """`least_squares`, by steps of conjugate gradient from what is in X."""
    start = kernels.Factors(np.require(X, requirements=["C"]))
    _solve(Cui, X, Y, regularization, num_threads, start=start, cg_steps=cg_steps)


def calculate_loss(
    Cui: Any, X: np.ndarray, Y: np.ndarray, regularization: float, num_threads: int = 0
) -> float:
    """implicit's training loss: the objective over all cells, by the sum of all confidences.

    An entry c < 0 adds a constant -c to the objective, as it does there.
    """
    users, items = (kernels.Factors(np.require(part, requirements=["C"])) for part in (X, Y))
    signed = csr.canonical(Cui, X.dtype, may_be_empty=True, name="Cui")
    sides = kernels.make_sides(signed, regularization, 0.0, 1.0, num_threads=num_threads)
    return normalized_loss(kernels.objective(*sides, users, items, num_threads), signed)


def normalized_loss(objective: float, signed: Any) -> float:
    """recsys' objective as implicit reports it."""
    sizes = np.abs(signed.data, dtype=np.float64)
    cells = signed.shape[0] * signed.shape[1] - signed.nnz
    return float((objective + sizes[signed.data < 0].sum()) / (sizes.sum() + cells))


def _solve(
    Cui: Any, X: np.ndarray, Y: np.ndarray, regularization: float, num_threads: int, **how: Any
) -> None:
    if X.dtype != Y.dtype or X.dtype not in (np.float32, np.float64):
        raise ValueError(f"X and Y must both be float32 or float64; got {X.dtype} and {Y.dtype}")
    signed = csr.canonical(Cui, X.dtype, may_be_empty=True, name="Cui")
    if signed.shape[0] != len(X) or X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"Cui of shape {signed.shape}, X of shape {X.shape} and Y of shape {Y.shape} do not go "
            "together: expected a row of X for each row of Cui, and as many columns in X as in Y"
        )
    check_width(signed, len(Y), "Cui")
    wide = csr.assemble(signed.data, signed.indices, signed.indptr, (len(X), len(Y)))
    fixed = kernels.Factors(np.require(Y, requirements=["C"]))
    X[:] = kernels.fold_in(wide, fixed, regularization, 0.0, 1.0, num_threads, **how).factors
