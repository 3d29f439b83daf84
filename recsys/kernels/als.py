"""Half-sweeps of implicit ALS: the Gramian's own basis, then every row.

Rotating both sides to the eigenbasis of the fixed side's Gramian leaves every score as it is and
makes the Gramian a diagonal, so that a row's system is a diagonal plus its own entries; see
csrc/kernels/als_row.h for what that buys.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from . import _als
from .config import current_isa
from .spans import most_work_first, slices
from .threads import resolve_num_threads

logger = logging.getLogger("recsys")

SPAN_COST = 500_000  # about that many clock cycles a span: 0.2 ms
LONG = 4096  # entries above which rows of a span share their gathers (csrc/kernels/als_primal.h)
CG_TOLERANCE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}
RETRY_ENTRIES = 1 << 21  # entries of rows solved again in double at a time
LANES = 16  # rows a batch solves at once at most; spans of short rows are whole batches


@dataclass(frozen=True)
class Side:
    """One orientation of the data, ready to be solved row by row.

    `confidence` carries the preference in its sign (> 0: liked). `order` holds the rows, longest
    first, the first `n_long` of them long; `spans` cuts it into pieces of similar cost, of either
    long rows or others. Neither depends on the number of threads.
    `places` ranks the columns by popularity: most gathers then come from a few neighbouring rows.
    """

    indptr: np.ndarray  # (rows + 1,) int64
    indices: np.ndarray  # (nnz,) int32, sorted within a row
    confidence: np.ndarray  # (nnz,) float32 or float64
    regularization: np.ndarray  # (rows,) float64
    other_regularization: np.ndarray  # (columns,) float64
    unobserved_weight: float
    places: np.ndarray | None  # (columns,) int32: a column's row in a scratch copy of the factors
    placed_indices: np.ndarray  # (nnz,) int32: places[indices], or indices
    order: np.ndarray  # (rows,) int32
    spans: np.ndarray  # int64, from 0 to rows
    n_long: int  # rows of more than LONG entries

    @property
    def n_rows(self) -> int:
        return len(self.regularization)


@dataclass(frozen=True)
class Sweep:
    """What a half-sweep tells besides its solution."""

    basis: np.ndarray  # (f, f) float64: the rotation
    loss: float | None  # the objective over all cells, if asked for
    retried: int  # rows solved again in double precision
    jittered: int  # rows of those that needed more regularization


def make_sides(
    signed_confidence,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
) -> tuple[Side, Side]:
    """Both orientations of the data.

    Parameters
    ----------
    signed_confidence : scipy.sparse CSR, users x items
        Canonical (sorted, no duplicates), float32 or float64, indices int32. Value v > 0:
        preference 1 with confidence v; v <= 0: preference 0 with confidence -v. Shared, never
        written.
    regularization, regularization_exponent, unobserved_weight : float
        lambda, nu and w0: row u of n_u entries gets lambda (n_u + w0 columns)^nu
        (Rendle, Krichene, Zhang, Koren, RecSys 2022, section 3).

    Returns
    -------
    (Side, Side)
        Users x items, and its transpose.
    """
    users = signed_confidence
    items = transposed(users)

    def lambdas(matrix):
        return _lambdas(matrix, regularization, regularization_exponent, unobserved_weight)

    # A popular item is gathered for most users, while no user is for most items.
    places = np.empty(users.shape[1], dtype=np.int32)
    places[np.argsort(-np.diff(items.indptr), kind="stable")] = np.arange(len(places))
    both = lambdas(users), lambdas(items)
    return tuple(
        _make_side(matrix, own, other, float(unobserved_weight), places)
        for matrix, own, other, places in ((users, *both, places), (items, *both[::-1], None))
    )


def _lambdas(matrix, regularization, regularization_exponent, unobserved_weight) -> np.ndarray:
    lengths = np.diff(matrix.indptr).astype(np.float64)
    with np.errstate(divide="ignore"):
        scale = (lengths + unobserved_weight * matrix.shape[1]) ** regularization_exponent
    # an empty row's factors are zero whatever its lambda
    return regularization * np.where(np.isfinite(scale), scale, 0.0)


def transposed(matrix):
    """CSR of the transpose; SciPy widens all indices to the width of indptr, so narrow that."""
    from scipy import sparse

    narrow = np.int32 if matrix.nnz < 2**31 else np.int64
    parts = (matrix.data, matrix.indices, matrix.indptr.astype(narrow))
    turned = sparse.csr_array(parts, matrix.shape, copy=False).T.tocsr()
    turned.indptr = turned.indptr.astype(np.int64, copy=False)
    return turned


def _make_side(matrix, regularization, other_regularization, unobserved_weight, places) -> Side:
    indptr = matrix.indptr.astype(np.int64, copy=False)
    lengths = np.diff(indptr)
    order = most_work_first(lengths)
    n_long = int(np.count_nonzero(lengths > LONG))
    indices = matrix.indices.astype(np.int32, copy=False)
    return Side(
        indptr=indptr,
        indices=indices,
        confidence=matrix.data,
        regularization=regularization,
        other_regularization=other_regularization,
        unobserved_weight=unobserved_weight,
        places=places,
        placed_indices=indices if places is None else places[indices],
        order=order,
        spans=_make_spans(lengths[order], n_long),
        n_long=n_long,
    )


def _make_spans(lengths: np.ndarray, n_long: int) -> np.ndarray:
    """Cut rows, longest first, where about SPAN_COST has come together (100 cycles an entry)."""
    cost = np.cumsum(100.0 * lengths + 100.0)
    cuts = np.searchsorted(cost, np.arange(SPAN_COST, cost[-1], SPAN_COST)) + 1
    short = lengths[np.minimum(cuts, len(lengths) - 1)] <= 64
    cuts = np.where(short, (cuts + LANES - 1) // LANES * LANES, cuts)
    return np.unique(np.concatenate([[0, n_long], np.minimum(cuts, len(lengths)), [len(lengths)]]))


def _spans_for(side: Side, num_threads: int) -> np.ndarray:
    """The side's spans, but of its long rows only a few for each thread: the more rows a span
    has, the more they share. A row's bits do not depend on its span."""
    fine = int(np.searchsorted(side.spans, side.n_long))
    pieces = min(fine, 4 * num_threads)
    work = np.cumsum(np.diff(side.indptr)[side.order[: side.n_long]])
    cuts = [np.searchsorted(work, work[-1] * k // pieces) for k in range(1, pieces)]
    return np.unique(np.concatenate([[0], cuts, side.spans[fine:]])).astype(np.int64)


def half_sweep(
    side: Side,
    fixed: np.ndarray,
    start: np.ndarray | None,
    out: np.ndarray,
    *,
    scratch: np.ndarray | None = None,
    start_basis: np.ndarray | None = None,
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
    how = {"isa": current_isa(), "num_threads": resolve_num_threads(num_threads)}
    eigenvalues, basis = _eigenbasis(fixed, how)
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
    problem = {
        "eigenvalues": eigenvalues,
        "unobserved_weight": side.unobserved_weight,
        "floor": noise * eigenvalues[0],
        "tolerance": CG_TOLERANCE[fixed.dtype],
        "cg_steps": 0 if exact else cg_steps,
        "row_loss": row_loss,
    }
    for spans in slices(_spans_for(side, how["num_threads"]), how["num_threads"]):
        _als.als_rows(
            side.indptr, indices, side.confidence, side.order, spans, rotated, out,
            regularization=side.regularization, failed=failed,
            **problem, **how,
        )  # fmt: skip
    bad = np.flatnonzero(failed)
    jittered = _solve_again(side, indices, bad, rotated, out, problem, how) if len(bad) else 0
    total = _objective(side, eigenvalues, fixed, out, row_loss, how) if loss else None
    return Sweep(basis, total, len(bad), jittered)


def fold_in(
    signed_confidence,
    fixed: np.ndarray,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
    *,
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
    lambdas = _lambdas(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    side = _make_side(signed_confidence, lambdas, np.empty(0), float(unobserved_weight), None)
    out = np.empty((side.n_rows, fixed.shape[1]), fixed.dtype)
    scratch = np.empty_like(fixed)
    solver = "cholesky" if start is None else "cg"
    basis = half_sweep(
        side, fixed, start, out, scratch=scratch, solver=solver, cg_steps=cg_steps,
        num_threads=num_threads,
    ).basis  # fmt: skip
    back = np.ascontiguousarray(basis.T, dtype=fixed.dtype)
    how = {"isa": current_isa(), "num_threads": resolve_num_threads(num_threads)}
    _als.rotate(out, back, out, None, **how)
    return out


def normal_matrix(
    signed_confidence,
    fixed: np.ndarray,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
) -> np.ndarray:
    """A of the one row of `signed_confidence`, (f, f) float64:

    w0 Y'Y + sum_k (c_k - w0) y_k y_k' + lambda I (Hu, Koren and Volinsky 2008, equation 4)
    """
    how = {"isa": current_isa(), "num_threads": resolve_num_threads(num_threads)}
    [lambda_] = _lambdas(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    own = fixed[signed_confidence.indices].astype(np.float64)
    weights = np.abs(signed_confidence.data.astype(np.float64)) - unobserved_weight
    gram = unobserved_weight * _als.gramian(fixed, **how)
    return gram + (own.T * weights) @ own + lambda_ * np.eye(fixed.shape[1])


def _eigenbasis(fixed: np.ndarray, how: dict) -> tuple[np.ndarray, np.ndarray]:
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


def _solve_again(side, indices, rows, fixed, out, problem, how) -> int:
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


def _solve_in_double(side, indices, rows, lambdas, fixed, problem, how):
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
    _als.als_rows(
        indptr, own.astype(np.int32), confidence, np.arange(len(rows), dtype=np.int32),
        np.arange(len(rows) + 1), y, solved, regularization=lambdas, failed=failed,
        **{**problem, "cg_steps": 0, "row_loss": row_loss}, **how,
    )  # fmt: skip
    if row_loss is not None:
        problem["row_loss"][rows] = row_loss
    w0 = side.unobserved_weight
    weights = (np.abs(confidence) - w0) * np.einsum("kf,kf->k", y, y)[own]
    traces = np.add.reduceat(weights, indptr[:-1]) + w0 * problem["eigenvalues"].sum()
    return solved, failed.astype(bool), traces + fixed.shape[1] * lambdas


def _objective(side, eigenvalues, fixed, solved, row_loss, how) -> float:
    """All cells: w0 <X'X, Y'Y> + the stored entries' part + both regularization terms."""
    gram = _als.gramian(solved, **how)
    return float(
        side.unobserved_weight * (eigenvalues @ np.diag(gram))
        + row_loss.sum()
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
) -> float:
    """The objective over all cells for any factors (Hu, Koren and Volinsky 2008, equation 3):

    sum_ui w_ui (p_ui - x_u.y_i)^2 + sum_u lambda_u |x_u|^2 + sum_i lambda_i |y_i|^2

    Sums run in float64, scores in the dtype of the factors.
    """
    how = {"isa": current_isa(), "num_threads": resolve_num_threads(num_threads)}
    row_loss = np.zeros(users_side.n_rows)
    _als.als_loss(
        users_side.indptr, users_side.indices, users_side.confidence, item_factors, user_factors,
        users_side.unobserved_weight, row_loss, **how,
    )  # fmt: skip
    x_gram, y_gram = _als.gramian(user_factors, **how), _als.gramian(item_factors, **how)
    return float(
        users_side.unobserved_weight * np.sum(x_gram * y_gram)
        + row_loss.sum()
        + _penalty(users_side.regularization, user_factors, x_gram)
        + _penalty(items_side.regularization, item_factors, y_gram)
    )
