"""Half-sweeps of ALS: the Gramian's own basis, then every row.

Rotating both sides to the eigenbasis of the fixed side's Gramian leaves every score as it is and
makes the Gramian a diagonal, so that a row's system is a diagonal plus its own entries; see
csrc/kernels/als_row.h for what that buys.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _als
from .config import current_isa
from .sides import Side, make_side, scaled_lambda, spans_for
from .spans import slices
from .threads import resolve_num_threads

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

CG_TOLERANCE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}
RETRY_ENTRIES = 1 << 21  # entries of rows solved again in double at a time


@dataclass(frozen=True)
class Sweep:
    """What a half-sweep tells besides its solution."""

    basis: np.ndarray  # (f, f) float64: the rotation
    loss: float | None  # the objective over all cells, if asked for
    entries_loss: float | None  # its sum over stored entries of c (p - s)^2 - w0 s^2
    retried: int  # rows solved again in double precision
    jittered: int  # rows of those that needed more regularization


def half_sweep(
    side: Side,
    fixed: np.ndarray,
    start: np.ndarray | None,
    out: np.ndarray,
    *,
    scratch: np.ndarray | None = None,
    start_basis: np.ndarray | None = None,
    offsets: np.ndarray | None = None,
    solver: str = "cholesky",
    cg_steps: int = 3,
    loss: bool = False,
    num_threads: int = 0,
) -> Sweep:
    """Solve every row of `side` with `fixed` held.

    Parameters
    ----------
    side : Side
        The data, rows x columns.
    fixed : (columns, f) array
        The factors of the other side. Rotated in place to the eigenbasis of their Gramian, unless
        there is `scratch`.
    start : (rows, f) array or None
        Where conjugate gradient starts; not used by "cholesky".
    out : (rows, f) array
        Becomes the solution, in the rotated basis; may be `start` itself.
    scratch : (columns, f) array, optional
        Written instead of `fixed`, in an order that suits the gathers; of no use afterwards.
    start_basis : (f, f) array, optional
        What `start` is to be multiplied by to be in the basis of `fixed`; it is there by default.
    offsets : (columns,) array, optional
        What is added to all scores of a column, observed or not: s = t_i + x_u . y_i.
    solver : "cholesky" or "cg"
    cg_steps : int
    loss : bool
        Also compute the objective over all cells.
    num_threads : int
        0: all that are available.

    Raises
    ------
    FloatingPointError
        If `fixed` is not finite (the message names its first bad row), or if a row has no finite
        solution even in double precision.
    KeyboardInterrupt
        Within about 0.1 s of Ctrl-C; what is written to is then partly written.
    """
    how = _how(num_threads)
    eigenvalues, basis = _eigenbasis(fixed, how)
    common = None if offsets is None else _common(side, fixed, offsets) @ basis
    rotated = fixed if scratch is None else scratch
    places, indices = (
        (None, side.indices) if scratch is None else (side.places, side.placed_indices)
    )
    _als.rotate(fixed, basis.astype(fixed.dtype), rotated, places, **how)
    exact = solver == "cholesky"
    if not exact:
        to_basis = basis if start_basis is None else start_basis @ basis
        _als.rotate(start, to_basis.astype(fixed.dtype), out, **how)

    rows = side.n_rows
    failed = np.zeros(rows, dtype=np.uint8)
    row_loss = np.zeros(rows) if loss else None
    f = fixed.shape[1]
    noise = max(f * np.finfo(np.float64).eps, (f * float(np.finfo(fixed.dtype).eps)) ** 2)
    problem: dict[str, Any] = {
        "eigenvalues": eigenvalues,
        "unobserved_weight": side.unobserved_weight,
        "floor": noise * eigenvalues[0],
        "tolerance": CG_TOLERANCE[fixed.dtype],
        "cg_steps": 0 if exact else cg_steps,
        "row_loss": row_loss,
        "offsets": offsets if places is None or offsets is None else _placed(offsets, places),
        "common": None if offsets is None else common.astype(fixed.dtype),
        "ratings": side.ratings,
    }
    all_spans = spans_for(side, f, problem["cg_steps"], how["num_threads"])
    for spans in slices(all_spans, how["num_threads"]):
        _als.als_rows(
            side.indptr, indices, side.confidence, side.order, spans, rotated, out,
            regularization=side.regularization, failed=failed,
            **problem, **how,
        )  # fmt: skip
    bad = np.flatnonzero(failed)
    jittered = 0
    if len(bad):
        jittered = _solve_again(side, indices, bad, rotated, out, problem, how)
        logger.debug(
            "%d of %d rows solved again in double precision, %d of them with a larger diagonal",
            len(bad), rows, jittered,
        )  # fmt: skip
    total = entries = None
    if loss:
        entries = float(row_loss.sum())
        total = entries + _other_cells(side, eigenvalues, fixed, out, offsets, common, how)
    return Sweep(basis, total, entries, len(bad), jittered)


def fold_in(
    signed_confidence: sparse.csr_array,
    fixed: np.ndarray,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
    *,
    offsets: np.ndarray | None = None,
    ratings: bool = False,
    start: np.ndarray | None = None,
    cg_steps: int = 3,
) -> np.ndarray:
    """Factors of rows that were not there in training, `fixed` held (and not written to): exact,
    or from `start` by `cg_steps` steps of conjugate gradient.

    Parameters are those of `make_sides` and `half_sweep`; returns (rows, f), of fixed's dtype.

    Raises
    ------
    FloatingPointError
        As in `half_sweep`.
    """
    lambdas = scaled_lambda(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    side = make_side(signed_confidence, lambdas, np.empty(0), unobserved_weight, ratings, None)
    out = np.empty((side.n_rows, fixed.shape[1]), fixed.dtype)
    scratch = np.empty_like(fixed)
    solver = "cholesky" if start is None else "cg"
    basis = half_sweep(
        side, fixed, start, out, scratch=scratch, offsets=offsets, solver=solver,
        cg_steps=cg_steps, num_threads=num_threads,
    ).basis  # fmt: skip
    rotate_back(out, basis, num_threads)
    return out


def rotate_back(solved: np.ndarray, basis: np.ndarray, num_threads: int = 0) -> None:
    """From the `basis` of a half-sweep to that of the factors it was given, in place."""
    how = _how(num_threads)
    _als.rotate(solved, np.ascontiguousarray(basis.T, dtype=solved.dtype), solved, **how)


def normal_matrix(
    signed_confidence: sparse.csr_array,
    fixed: np.ndarray,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
) -> np.ndarray:
    """A of the one row of `signed_confidence`, (f, f) float64:

    w0 Y'Y + sum_k (c_k - w0) y_k y_k' + lambda I (Hu, Koren and Volinsky 2008, equation 4)
    """
    how = _how(num_threads)
    [lambda_] = scaled_lambda(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    own = fixed[signed_confidence.indices].astype(np.float64)
    weights = np.abs(signed_confidence.data.astype(np.float64)) - unobserved_weight
    gram = unobserved_weight * _als.gramian(fixed, **how)
    return gram + (own.T * weights) @ own + lambda_ * np.eye(fixed.shape[1])


def _how(num_threads: int) -> dict[str, Any]:
    """What every kernel is told."""
    return {"isa": current_isa(), "num_threads": resolve_num_threads(num_threads)}


def _eigenbasis(fixed: np.ndarray, how: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of fixed' fixed, largest first and not negative, and its eigenvectors."""
    gram = _als.gramian(fixed, **how)
    if not np.all(np.isfinite(gram)):
        finite = np.isfinite(fixed).all(axis=1)
        where = (
            f"row {np.argmin(finite)} is not finite" if not finite.all() else "they are too large"
        )
        raise FloatingPointError(
            f"the {len(fixed)} x {fixed.shape[1]} factors held fixed cannot be used: {where}. "
            "Check user_factors and item_factors if you set them; otherwise raise regularization"
        )
    eigenvalues, basis = np.linalg.eigh(gram)
    return np.maximum(eigenvalues[::-1], 0.0), np.ascontiguousarray(basis[:, ::-1])


def _common(side: Side, fixed: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """-w0 sum_i t_i y_i, (f,) float64: what offsets add to the right-hand side of every row."""
    total = np.zeros(fixed.shape[1])
    for begin in range(0, len(fixed), 1 << 14):
        block = slice(begin, begin + (1 << 14))
        total += offsets[block].astype(np.float64) @ fixed[block].astype(np.float64)
    return -side.unobserved_weight * total


def _placed(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    placed = np.empty_like(values)
    placed[places] = values
    return placed


def _solve_again(
    side: Side,
    indices: np.ndarray,
    rows: np.ndarray,
    fixed: np.ndarray,
    out: np.ndarray,
    problem: dict[str, Any],
    how: dict[str, Any],
) -> int:
    """Solve `rows` in double precision, then with more regularization; how many needed that."""
    jittered = 0
    lengths = np.diff(side.indptr)[rows]
    pieces = np.cumsum(lengths) // RETRY_ENTRIES
    for piece in np.split(rows, np.flatnonzero(np.diff(pieces)) + 1):
        lambdas = side.regularization[piece].copy()
        solved, failed, traces = _solve_in_double(
            side, indices, piece, lambdas, fixed, problem, how
        )
        if failed.any():
            # eps tr(A) / f, with the eps of the factors: what their own precision cannot resolve
            eps = float(np.finfo(fixed.dtype).eps)
            lambdas[failed] += eps * traces[failed] / fixed.shape[1]
            jittered += int(failed.sum())
            solved, failed, _ = _solve_in_double(side, indices, piece, lambdas, fixed, problem, how)
        out[piece] = solved
        bad = failed | ~np.isfinite(out[piece]).all(axis=1)
        if bad.any():
            raise FloatingPointError(
                f"row {piece[np.argmax(bad)]} has no finite solution, even in double precision: "
                "its confidences are out of scale. Raise regularization or lower alpha"
            )
    return jittered


def _solve_in_double(
    side: Side,
    indices: np.ndarray,
    rows: np.ndarray,
    lambdas: np.ndarray,
    fixed: np.ndarray,
    problem: dict[str, Any],
    how: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows' exact solutions in float64, which of them failed, and the traces of A."""
    lengths = np.diff(side.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    entries = np.repeat(side.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
    columns, own = np.unique(indices[entries], return_inverse=True)
    confidence = side.confidence[entries].astype(np.float64)
    y = fixed[columns].astype(np.float64)
    solved = np.zeros((len(rows), fixed.shape[1]))
    failed = np.zeros(len(rows), dtype=np.uint8)
    row_loss = None if problem["row_loss"] is None else np.zeros(len(rows))
    offsets, common = problem["offsets"], problem["common"]
    if offsets is not None:
        offsets, common = offsets[columns].astype(np.float64), common.astype(np.float64)
    own_problem = {"cg_steps": 0, "row_loss": row_loss, "offsets": offsets, "common": common}
    _als.als_rows(
        indptr, own.astype(np.int32), confidence, np.arange(len(rows), dtype=np.int32),
        np.arange(len(rows) + 1), y, solved, regularization=lambdas, failed=failed,
        **{**problem, **own_problem}, **how,
    )  # fmt: skip
    if row_loss is not None:
        problem["row_loss"][rows] = row_loss
    weights = side.weights(entries) * np.einsum("kf,kf->k", y, y)[own]
    traces = np.add.reduceat(weights, indptr[:-1])
    traces += side.unobserved_weight * problem["eigenvalues"].sum()
    return solved, failed.astype(bool), traces + fixed.shape[1] * lambdas


def _other_cells(
    side: Side,
    eigenvalues: np.ndarray,
    fixed: np.ndarray,
    solved: np.ndarray,
    offsets: np.ndarray | None,
    common: np.ndarray | None,
    how: dict[str, Any],
) -> float:
    """What the objective has beside the stored entries' part: both regularization terms and

    w0 sum_ui (t_i + x_u.y_i)^2 = w0 (<X'X, Y'Y> + rows t't) - 2 (sum_u x_u).common
    """
    gram = _als.gramian(solved, **how)
    cells = side.unobserved_weight * (eigenvalues @ np.diag(gram))
    if offsets is not None:
        t = offsets.astype(np.float64)
        cells += side.unobserved_weight * len(solved) * (t @ t)
        cells -= 2 * (solved.sum(axis=0, dtype=np.float64) @ common)
    return float(
        cells
        + _penalty(side.regularization, solved, gram)
        + _penalty(side.other_regularization, fixed, np.diag(eigenvalues))
    )


def _penalty(regularization: np.ndarray, x: np.ndarray, gram: np.ndarray) -> float:
    """sum_u lambda_u |x_u|^2"""
    if np.all(regularization == regularization[0]):
        return float(regularization[0] * np.trace(gram))
    total = 0.0
    for begin in range(0, len(x), 1 << 14):
        block = x[begin : begin + (1 << 14)].astype(np.float64)
        total += regularization[begin : begin + len(block)] @ np.einsum("uf,uf->u", block, block)
    return float(total)


def objective(
    users_side: Side,
    items_side: Side,
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    num_threads: int = 0,
    *,
    user_biases: np.ndarray | None = None,
    item_biases: np.ndarray | None = None,
    mean: float = 0.0,
) -> float:
    """The objective over all cells for any factors (Hu, Koren and Volinsky 2008, equation 3):

    sum_ui w_ui (p_ui - s_ui)^2 + sum_u lambda_u |x_u|^2 + sum_i lambda_i |y_i|^2

    with s_ui = x_u.y_i, or with biases s_ui = mean + b_u + b_i + x_u.y_i and b^2 beside each |.|^2.
    Sums run in float64, scores in the dtype of the factors.
    """
    how = _how(num_threads)
    penalty: Any = 0.0
    if user_biases is not None:
        penalty += users_side.regularization @ user_biases.astype(np.float64) ** 2
        penalty += items_side.regularization @ item_biases.astype(np.float64) ** 2
    x_gram, y_gram = _als.gramian(user_factors, **how), _als.gramian(item_factors, **how)
    penalty += _penalty(users_side.regularization, user_factors, x_gram)
    penalty += _penalty(items_side.regularization, item_factors, y_gram)
    if user_biases is not None:
        # [x, b_u + mean, 1].[y, 1, b_i]
        ones = np.ones_like(user_biases), np.ones_like(item_biases)
        user_factors = np.column_stack([user_factors, user_biases + mean, ones[0]])
        item_factors = np.column_stack([item_factors, ones[1], item_biases])
        x_gram, y_gram = _als.gramian(user_factors, **how), _als.gramian(item_factors, **how)
    row_loss = np.zeros(users_side.n_rows)
    _als.als_loss(
        users_side.indptr, users_side.indices, users_side.confidence, item_factors, user_factors,
        users_side.unobserved_weight, row_loss, users_side.ratings, **how,
    )  # fmt: skip
    cells = users_side.unobserved_weight * np.sum(x_gram * y_gram)
    return float(cells + row_loss.sum() + penalty)
