"""Half-sweeps whose solutions may not be negative: each row by coordinate descent.

As in als.py, but in the factors' own axes, in which alone a sign means anything. Biases may have
either sign.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _als
from .als import Sweep, common_of, fixed_gramian, offsets_of, other_cells
from .config import kernel_options
from .factors import Factors, Workspace
from .rows import whole_lines
from .sides import Side, make_side, scaled_lambda
from .solve import Solved
from .spans import slices
from .threads import single_threaded_blas

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

TOLERANCE = 1e-5  # of the gradient where it should vanish, beside the largest |b_j|
SWEEPS = 3000  # rows that need more are solved by an active set


class _System(NamedTuple):
    """What all rows share."""

    gram: np.ndarray  # (width, width) float64
    fixed: np.ndarray  # (columns, width or more): [Y, 1, offsets] or Y
    offsets: np.ndarray | None  # (columns,): given parts of the scores
    common: np.ndarray | None  # (width,) float64: their part of every row's right-hand side
    unbounded: int  # 1 where there are biases


@single_threaded_blas()
def nonnegative_half_sweep(
    side: Side,
    fixed: Factors,
    start: Factors | None,
    out: Factors,
    *,
    mean: float = 0.0,
    prior: None = None,
    workspace: Workspace | None = None,
    axes: np.ndarray | None = None,
    turned: str | None = None,
    cg_steps: int = 3,
    loss: bool = False,
    num_threads: int = 0,
) -> Sweep:
    """Solve every row of `side` with `fixed` held, by factors that are not negative.

    Parameters
    ----------
    side, fixed, out, mean, loss, num_threads
        As in `half_sweep`. `out.biases` may be negative.
    start : Factors or None
        Where coordinate descent starts; at zero where there is none. The solution is the same, but
        for the tolerance.
    prior : None
        What features say may be negative.
    workspace, axes, turned, cg_steps
        Not used: nothing is rotated here.

    Returns
    -------
    Sweep
        `retried` and `jittered` are 0.

    Raises
    ------
    FloatingPointError, KeyboardInterrupt
        As in `half_sweep`.
    """
    options = kernel_options(num_threads)
    system = _system(side, fixed, mean, options)
    solved = _started(start, out, system.unbounded)
    row_loss = np.zeros(side.n_rows) if loss else None
    _solve(side, system, solved, row_loss, options)
    total = entries = None
    if loss:
        entries, gram = float(row_loss.sum()), _als.gramian(solved, **options)
        inner = float(np.sum(gram * system.gram))
        total = entries + other_cells(
            side, fixed, system.gram, solved, gram, inner, system.offsets, system.common, options
        )
    if out.biases is not None:
        out.factors[...], out.biases[...] = solved[:, :-1], solved[:, -1]
    return Sweep(total, entries, 0, 0)


@single_threaded_blas()
def nonnegative_fold_in(
    signed_confidence: sparse.csr_array,
    fixed: Factors,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
    *,
    mean: float = 0.0,
    ratings: bool = False,
) -> Factors:
    """As `fold_in`, exact, with factors that are not negative."""
    lambdas = scaled_lambda(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    side = make_side(signed_confidence, lambdas, np.empty(0), unobserved_weight, ratings, None)
    options, dtype = kernel_options(num_threads), fixed.factors.dtype
    system = _system(side, fixed, mean, options)
    solved = np.zeros((side.n_rows, fixed.width), dtype)
    _solve(side, system, solved, None, options)
    if not system.unbounded:
        return Factors(solved)
    return Factors(np.ascontiguousarray(solved[:, :-1]), np.ascontiguousarray(solved[:, -1]))


def nonnegative_rows(
    side: Side,
    fixed: np.ndarray,
    out: np.ndarray,
    gram: np.ndarray,
    *,
    offsets: np.ndarray | None = None,
    common: np.ndarray | None = None,
    loss: bool = False,
    num_threads: int = 0,
) -> Solved:
    """Solve every row of `side`, a part of the data, as `solve_rows` does.

    Parameters
    ----------
    side, loss, num_threads
        As in `solve_rows`.
    fixed : (columns, f or more) array
        Of the columns; with `offsets` [y_i, 1, t_i] or more.
    out : (rows, f) array of the same dtype
        Where coordinate descent starts; becomes the solution. With `offsets` its last column is a
        bias, which may be negative.
    gram : (f, f) float64
        The Gramian of **all** that is held fixed.
    offsets, common
        As in `solve_rows`, but for the axes, which are the factors' own.

    Raises
    ------
    FloatingPointError
        As in `solve_rows`.
    """
    if not side.n_rows:
        return Solved(0.0 if loss else None, 0, 0)
    system = _System(gram, fixed, offsets, common, int(offsets is not None))
    row_loss = np.zeros(side.n_rows) if loss else None
    _solve(side, system, out, row_loss, kernel_options(num_threads))
    return Solved(float(row_loss.sum()) if loss else None, 0, 0)


def _system(side: Side, fixed: Factors, mean: float, options: dict[str, Any]) -> _System:
    gram = fixed_gramian(fixed, options)
    if fixed.biases is None:
        return _System(gram, fixed.factors, None, None, 0)
    f, offsets = fixed.factors.shape[1], offsets_of(fixed, mean)
    rows = whole_lines(len(offsets), f + 2, offsets.dtype)
    rows[:, :f], rows[:, f], rows[:, f + 1] = fixed.factors, 1, offsets
    common = common_of(side, fixed, offsets, options)
    return _System(gram, rows, rows[:, f + 1], common, 1)


def _started(start: Factors | None, out: Factors, unbounded: int) -> np.ndarray:
    """Where the rows start, in the memory they are solved in."""
    rows, f = out.factors.shape
    solved = np.empty((rows, f + 1), out.factors.dtype) if unbounded else out.factors
    if start is None:
        solved[...] = 0
    else:
        solved[:, :f] = start.factors
        if unbounded:
            solved[:, f] = start.biases
    return solved


def _solve(
    side: Side,
    system: _System,
    solved: np.ndarray,
    row_loss: np.ndarray | None,
    options: dict[str, Any],
) -> None:
    """Solve every row."""
    failed = np.zeros(side.n_rows, np.uint8)
    common = None if system.common is None else system.common[np.newaxis].astype(solved.dtype)
    for spans in slices(side.spans, options["num_threads"]):
        _als.als_nonnegative_rows(
            side.indptr, side.indices, side.confidence, side.order, spans, system.fixed, solved,
            system.gram, side.regularization, side.unobserved_weight, TOLERANCE, SWEEPS, failed,
            row_loss, system.offsets, common, side.ratings, system.unbounded, **options,
        )  # fmt: skip
    bad = np.flatnonzero(failed)
    if not len(bad):
        return
    logger.debug("%d of %d rows solved by an active set", len(bad), side.n_rows)
    for row in bad.tolist():
        with np.errstate(over="ignore", invalid="ignore"):  # looked at right away
            solved[row] = _by_active_set(side, system, row)
        if not np.isfinite(solved[row]).all():
            raise FloatingPointError(
                f"row {row} has no finite solution, even in double precision: its confidences are "
                "out of scale. Raise regularization or lower alpha"
            )
    if row_loss is not None:
        again = np.zeros(side.n_rows)
        _als.als_loss(
            side.indptr, side.indices, side.confidence, system.fixed, solved,
            side.unobserved_weight, again, side.ratings, offsets=system.offsets, **options,
        )  # fmt: skip
        row_loss[bad] = again[bad]


def _by_active_set(side: Side, system: _System, row: int) -> np.ndarray:
    """One row in float64, (width,), by Lawson and Hanson's method on the Cholesky factor of A."""
    from scipy import linalg, optimize  # take longer to import than most models to fit

    entries = slice(side.indptr[row], side.indptr[row + 1])
    columns, width = side.indices[entries], len(system.gram)
    y = system.fixed[columns, :width].astype(np.float64)
    values, weights = side.confidence[entries].astype(np.float64), side.weights(entries)
    pull = values if side.ratings else np.maximum(values, 0)
    if system.offsets is not None:
        pull = pull - weights * system.offsets[columns]
    b = y.T @ pull + (0 if system.common is None else system.common)
    a = side.unobserved_weight * system.gram + (y.T * weights) @ y
    a += (side.regularization[row] + np.finfo(np.float64).eps * np.trace(a)) * np.eye(width)
    if system.unbounded:  # the bias, as a difference
        turn = np.column_stack([np.eye(width), -np.eye(width)[:, -1]])
        a, b = turn.T @ a @ turn, turn.T @ b
        a += np.finfo(np.float64).eps * np.trace(a) * np.eye(width + 1)
    try:
        lower = np.linalg.cholesky(a)
        x = optimize.nnls(lower.T, linalg.solve_triangular(lower, b, lower=True))[0]
    except (np.linalg.LinAlgError, RuntimeError, ValueError):  # not definite, too slow, not finite
        return np.full(width, np.nan)
    return np.append(x[: width - 1], x[width - 1] - x[width]) if system.unbounded else x
