"""Rows whose entries lie in several processes: equations that are summed, and solved elsewhere."""

from __future__ import annotations

import numpy as np

from . import _als
from .config import kernel_options
from .sides import Side


def equation_numbers(factors: int) -> int:
    """Of a row: the triangle of its matrix, and its right-hand side."""
    return factors * (factors + 3) // 2


def equations(
    side: Side,
    fixed: np.ndarray,
    factors: int,
    *,
    offsets: np.ndarray | None = None,
    num_threads: int = 0,
) -> np.ndarray:
    """What the entries of each row of `side` add to its equations; 0 of rows without.

    Sums over sides of other columns, in one order everywhere, are what `solve_summed` takes. The
    result is the same for any number of threads.

    Parameters
    ----------
    side : Side
        Its regularization does not count.
    fixed : (columns, f or more) array
        Of the columns, in whatever axes; `placed_indices` are its rows.
    factors : int
        f.
    offsets : (columns,) array of the same dtype, optional
        Given parts t_i of the columns' scores.
    num_threads : int
        0: all that are available.

    Returns
    -------
    (rows, f (f + 3) / 2) float64 array
        The upper triangle of sum_k (c_k - w0) y_k y_k', row by row, then
        sum_k (c_k p_k - (c_k - w0) t_k) y_k.
    """
    out = np.zeros((side.n_rows, equation_numbers(factors)))
    if side.n_rows and len(side.indices):
        _als.als_equations(
            side.indptr, side.placed_indices, side.confidence, side.order, fixed, out, factors,
            side.unobserved_weight, offsets, side.ratings, **kernel_options(num_threads),
        )  # fmt: skip
    return out


def solve_summed(
    sums: np.ndarray,
    eigenvalues: np.ndarray,
    regularization: np.ndarray,
    unobserved_weight: float,
    *,
    common: np.ndarray | None = None,
    num_threads: int = 0,
) -> np.ndarray:
    """Solve rows exactly from their summed equations, in the eigenbasis, as `solve_rows` does.

    Parameters
    ----------
    sums : (rows, f (f + 3) / 2) float64
        Of `equations`, in the eigenbasis of the Gramian of **all** that is held fixed.
    eigenvalues : (f,) float64
        Of that Gramian, largest first.
    regularization : (rows,) float64
        lambda of each row.
    unobserved_weight : float
        w0.
    common : (f,) float64, optional
        What offsets add to every right-hand side, in the eigenbasis.
    num_threads : int
        0: all that are available. The result is the same for any number.

    Returns
    -------
    (rows, f) float64 array

    Raises
    ------
    FloatingPointError
        A row has no finite solution.
    """
    rows, f = len(sums), len(eigenvalues)
    solved, failed = np.empty((rows, f)), np.zeros(rows, np.uint8)
    if not rows:
        return solved
    floor = f * float(np.finfo(np.float64).eps) * float(eigenvalues[0])
    _als.als_summed_rows(
        sums, solved, eigenvalues, regularization, unobserved_weight, floor, failed,
        None if common is None else common[np.newaxis], **kernel_options(num_threads),
    )  # fmt: skip
    if failed.any():
        raise FloatingPointError(
            f"row {int(np.argmax(failed))} of those with most entries has no finite solution, even "
            "in double precision: its confidences are out of scale. Raise regularization or lower "
            "alpha"
        )
    return solved
