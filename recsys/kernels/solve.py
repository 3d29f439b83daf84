"""The rows of a half-sweep, the other side being in its Gramian's eigenbasis.

Beside what `half_sweep` is made of there are here the pieces for a fit whose sides lie in several
processes: Gramians are summed over all of them, each rotates the rows it has (`rotate`), and solves
its own against those it was sent (`solve_rows`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import _als
from .config import kernel_options
from .sides import Side, spans_for
from .spans import slices
from .threads import single_threaded_blas

logger = logging.getLogger("recsys")

CG_TOLERANCE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}
RETRY_ENTRIES = 1 << 21  # entries of rows solved again in double at a time


@dataclass(frozen=True)
class System:
    """What all rows share: the fixed side, rotated to its Gramian's eigenbasis."""

    eigenvalues: np.ndarray  # (width,) float64, largest first
    fixed: np.ndarray  # (columns, width or more): [Y, 1] or Y, rotated, in the order of `indices`
    indices: np.ndarray  # (nnz,) int32
    offsets: np.ndarray | None = None  # (columns,): given parts of the scores, likewise in order
    common: np.ndarray | None = None  # (width,) float64: their part of every row's right-hand side
    by_row: np.ndarray | None = None  # (rows, width): it, and what else a row has there by a prior

    def on_the_right(self, dtype: np.dtype, rows: np.ndarray | None = None) -> np.ndarray | None:
        """What rows, or some of them, have beside their entries: one row for all, or one each."""
        if self.by_row is not None:
            return (self.by_row if rows is None else self.by_row[rows]).astype(dtype, copy=False)
        return None if self.common is None else self.common[np.newaxis].astype(dtype)

    @property
    def floor(self) -> float:
        """Eigenvalues at or below it are rounding noise."""
        width, eps = len(self.eigenvalues), float(np.finfo(self.fixed.dtype).eps)
        noise = max(width * float(np.finfo(np.float64).eps), (width * eps) ** 2)
        return noise * float(self.eigenvalues[0])


class Solved(NamedTuple):
    """What `solve_rows` tells."""

    entries_loss: float | None  # the sum over stored entries of c (p - s)^2 - w0 s^2, if asked for
    retried: int  # rows solved again in double precision
    jittered: int  # rows of those that needed more regularization


def gramian(x: np.ndarray, num_threads: int = 0) -> np.ndarray:
    """x'x, (f, f) float64: the same bits for any number of threads. x (rows, f); 0 of no rows."""
    f = x.shape[1]
    return _als.gramian(x, **kernel_options(num_threads)) if len(x) else np.zeros((f, f))


@single_threaded_blas()
def spectrum(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (f,), largest first and not negative, and eigenvectors (f, f) of a Gramian."""
    eigenvalues, basis = np.linalg.eigh(gram)
    return np.maximum(eigenvalues[::-1], 0.0), np.ascontiguousarray(basis[:, ::-1])


def column_sums(x: np.ndarray, weights: np.ndarray, num_threads: int = 0) -> np.ndarray:
    """weights'x, (f,) float64, likewise. x (rows, f), weights (rows,) of its dtype."""
    if not len(x):
        return np.zeros(x.shape[1])
    return _als.column_sums(x, weights, **kernel_options(num_threads))


def rotate(
    x: np.ndarray, basis: np.ndarray, num_threads: int = 0, out: np.ndarray | None = None
) -> None:
    """x @ basis in the place of x, or in the first columns of `out`. x (rows, f), basis (f, f)."""
    if len(x):
        turned = np.ascontiguousarray(basis, x.dtype)
        _als.rotate(x, turned, x if out is None else out, **kernel_options(num_threads))


def solve_rows(
    side: Side,
    fixed: np.ndarray,
    out: np.ndarray,
    eigenvalues: np.ndarray,
    *,
    offsets: np.ndarray | None = None,
    common: np.ndarray | None = None,
    cg_steps: int = 0,
    loss: bool = False,
    num_threads: int = 0,
) -> Solved:
    """Solve every row of `side`, a part of the data, in the eigenbasis.

    Parameters
    ----------
    side : Side
        Rows x the columns that any of them has; `placed_indices` are rows of `fixed`.
    fixed : (columns, f or more) array
        Of the columns, rotated to the eigenbasis of the Gramian of **all** that is held fixed.
    out : (rows, f) array of the same dtype
        Becomes the solution; where conjugate gradient starts.
    eigenvalues : (f,) float64
        Of that Gramian, largest first; see `spectrum`.
    offsets : (columns,) array of the same dtype, optional
        Given parts t_i of the columns' scores.
    common : (f,) float64, optional
        What they add to every right-hand side, in the eigenbasis: -w0 sum_i t_i y_i.
    cg_steps : int, default 0
        0: exact.
    loss : bool
    num_threads : int
        0: all that are available. The result is the same for any number.

    Raises
    ------
    FloatingPointError
        A row has no finite solution even in double precision.
    """
    if not side.n_rows:
        return Solved(0.0 if loss else None, 0, 0)
    system = System(eigenvalues, fixed, side.placed_indices, offsets, common)
    row_loss = np.zeros(side.n_rows) if loss else None
    told = solve(side, system, out, cg_steps, row_loss, kernel_options(num_threads))
    return Solved(float(row_loss.sum()) if loss else None, *told)


def solve(
    side: Side,
    system: System,
    solved: np.ndarray,
    cg_steps: int,
    row_loss: np.ndarray | None,
    options: dict[str, Any],
) -> tuple[int, int]:
    """Solve every row, in the eigenbasis; how many were solved again in double, and jittered."""
    failed = np.zeros(side.n_rows, dtype=np.uint8)
    with np.errstate(over="ignore"):  # rows that it makes infinite are solved in double
        common = system.on_the_right(solved.dtype)
    threads = options["num_threads"]
    all_spans = spans_for(side, solved.shape[1], cg_steps, threads)
    for spans in slices(all_spans, threads):
        _als.als_rows(
            side.indptr, system.indices, side.confidence, side.order, spans, system.fixed, solved,
            system.eigenvalues, side.regularization, side.unobserved_weight, system.floor,
            CG_TOLERANCE[solved.dtype], cg_steps, failed, row_loss, system.offsets, common,
            side.ratings, **options,
        )  # fmt: skip
    bad = np.flatnonzero(failed)
    if not len(bad):
        return 0, 0
    jittered = _solve_again(side, system, bad, solved, row_loss, options)
    logger.debug(
        "%d of %d rows solved again in double precision, %d of them with a larger diagonal",
        len(bad), side.n_rows, jittered,
    )  # fmt: skip
    return len(bad), jittered


def _solve_again(
    side: Side,
    system: System,
    rows: np.ndarray,
    solved: np.ndarray,
    row_loss: np.ndarray | None,
    options: dict[str, Any],
) -> int:
    """Solve `rows` in double precision, then with more regularization; how many needed that."""
    jittered = 0
    lengths = np.diff(side.indptr)[rows]
    pieces = np.cumsum(lengths) // RETRY_ENTRIES
    for piece in np.split(rows, np.flatnonzero(np.diff(pieces)) + 1):
        lambdas = side.regularization[piece].copy()
        in_double = side, system, piece, lambdas, row_loss, options
        exact, failed, traces = _solve_in_double(*in_double)
        if failed.any():
            # eps tr(A) / f, with the eps of the factors: what their own precision cannot resolve
            eps = float(np.finfo(solved.dtype).eps)
            lambdas[failed] += eps * traces[failed] / solved.shape[1]
            jittered += int(failed.sum())
            exact, failed, _ = _solve_in_double(*in_double)
        solved[piece] = exact
        bad = failed | ~np.isfinite(solved[piece]).all(axis=1)
        if bad.any():
            raise FloatingPointError(
                f"row {piece[np.argmax(bad)]} has no finite solution, even in double precision: "
                "its confidences are out of scale. Raise regularization or lower alpha"
            )
    return jittered


def _solve_in_double(
    side: Side,
    system: System,
    rows: np.ndarray,
    lambdas: np.ndarray,
    row_loss: np.ndarray | None,
    options: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows' exact solutions in float64, which of them failed, and the traces of A."""
    lengths = np.diff(side.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    entries = np.repeat(side.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
    columns, column_of = np.unique(system.indices[entries], return_inverse=True)
    y = system.fixed[columns].astype(np.float64)
    offsets = None if system.offsets is None else system.offsets[columns].astype(np.float64)
    width = len(system.eigenvalues)
    solved = np.zeros((len(rows), width))
    failed = np.zeros(len(rows), dtype=np.uint8)
    exact_loss = None if row_loss is None else np.zeros(len(rows))
    _als.als_rows(
        indptr, column_of.astype(np.int32), side.confidence[entries].astype(np.float64),
        np.arange(len(rows), dtype=np.int32), np.arange(len(rows) + 1), y, solved,
        system.eigenvalues, lambdas, side.unobserved_weight, system.floor,
        CG_TOLERANCE[solved.dtype], 0, failed, exact_loss, offsets,
        system.on_the_right(solved.dtype, rows), side.ratings, **options,
    )  # fmt: skip
    if row_loss is not None:
        row_loss[rows] = exact_loss
    y = y[:, :width]
    squares = side.weights(entries) * np.einsum("kf,kf->k", y, y)[column_of]
    row_of = np.repeat(np.arange(len(rows)), lengths)
    traces = np.bincount(row_of, weights=squares, minlength=len(rows))  # rows may be empty
    traces += side.unobserved_weight * system.eigenvalues.sum() + width * lambdas
    return solved, failed.astype(bool), traces
