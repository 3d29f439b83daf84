"""Half-sweeps of ALS: the Gramian's own basis, then every row.

Rotating both sides to the eigenbasis of the fixed side's Gramian leaves every score as it is and
makes the Gramian a diagonal, so that a row's system is a diagonal plus its own entries; see
csrc/kernels/als_row.h for what that buys. What is solved is rotated back: the axes of a model stay.

A bias is one more factor, whose partner on the other side is 1: with Y held, [x, b_u] are solved
against [Y, 1], while mean + b_i is a given part of the scores of column i, in all cells.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _als
from .config import kernel_options
from .factors import Factors, Workspace
from .objective import gramian_of, ones_like, penalty
from .prior import Drawn, Prior
from .sides import Side, count_long, make_side, scaled_lambda
from .solve import System, solve, spectrum
from .threads import single_threaded_blas

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class Sweep:
    """What a half-sweep tells besides its solution."""

    loss: float | None  # the objective over all cells, if asked for
    entries_loss: float | None  # its sum over stored entries of c (p - s)^2 - w0 s^2
    retried: int  # rows solved again in double precision
    jittered: int  # rows of those that needed more regularization
    axes: np.ndarray | None = None  # (f, f) float64: what turns the side that is left so


@single_threaded_blas()
def half_sweep(
    side: Side,
    fixed: Factors,
    start: Factors | None,
    out: Factors,
    *,
    mean: float = 0.0,
    prior: Drawn | None = None,
    workspace: Workspace | None = None,
    axes: np.ndarray | None = None,
    turned: Literal["out", "fixed"] | None = None,
    solver: str = "cholesky",
    cg_steps: int = 3,
    loss: bool = False,
    num_threads: int = 0,
) -> Sweep:
    """Solve every row of `side` with `fixed` held.

    Parameters
    ----------
    side : Side
        The data, rows x columns. A row's lambda_u is that of its bias too.
    fixed : Factors
        Of the columns; not written to, unless `workspace` has no block for them.
    start : Factors or None
        Where conjugate gradient starts; not used by "cholesky".
    out : Factors
        Becomes the solution, in the axes of `fixed`; may be `start` itself. Has biases if `fixed`
        has.
    mean : float
        What all scores have in common, where there are biases.
    prior : Prior or FeaturePrior, optional
        What rows are drawn to, in the axes that `out` comes out in; else all to zero.
    workspace : Workspace, optional
        Memory to work in, which is otherwise allocated anew.
    axes : (f, f) array, optional
        What `fixed` has been turned by, as `Sweep.axes` of the half-sweep before says: it is turned
        back at the end, and `out` comes out in the axes it had before.
    turned : "out" or "fixed", optional
        Which of both not to turn back; `Sweep.axes` then tells what it has been turned by. `out`
        for a half-sweep that follows with it as `fixed`, which saves turning it back and forth,
        and `fixed` there until somebody looks at it. Not with biases.
    solver : "cholesky" or "cg"
    cg_steps : int
    loss : bool
        Also compute the objective over all cells, of all factors and biases, with penalties as
        without priors, see `FeaturePrior.penalty`.
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
    options = kernel_options(num_threads)
    workspace = workspace or Workspace.for_one(fixed, out)
    system = _System.of(side, fixed, fixed, mean, workspace, options)
    basis = system.basis if axes is None else axes @ system.basis
    system = system.drawn_to(prior, basis, options)
    solved, sweep = _sweep(
        side, fixed, system, basis, start, out, workspace, solver, cg_steps, loss, options
    )
    if turned == "out":
        return dataclasses.replace(sweep, axes=basis)
    _turn_back(solved, basis, out, options)
    if system.rows.fixed is fixed.factors:  # rotated in place
        axes = basis
    if turned == "fixed":
        return dataclasses.replace(sweep, axes=axes)
    if axes is not None:
        _turn_back(fixed.factors, axes, fixed, options)
    return sweep


def _sweep(
    side: Side,
    fixed: Factors,
    system: _System,
    basis: np.ndarray,
    start: Factors | None,
    out: Factors,
    workspace: Workspace,
    solver: str,
    cg_steps: int,
    loss: bool,
    options: dict[str, Any],
) -> tuple[np.ndarray, Sweep]:
    """Solve the rows of a system, which `basis` turns `start` into the axes of; the solution is in
    these."""
    solved = out.factors
    if out.biases is not None:
        solved = workspace.solved(len(out.factors))
    if solver == "cg":
        into = basis.astype(solved.dtype)
        _als.rotate(start.factors, into, solved, last=start.biases, **options)
    row_loss = np.zeros(side.n_rows) if loss else None
    steps = {"cholesky": 0, "cg": cg_steps}[solver]  # the kernel's mode: 0 is exact
    retried, jittered = solve(side, system.rows, solved, steps, row_loss, options)
    total = entries = None
    if loss:
        entries = float(row_loss.sum())
        rows, gram = system.rows, _als.gramian(solved, **options)
        inner = float(rows.eigenvalues @ np.diag(gram))
        total = entries + other_cells(
            side, fixed, system.gram, solved, gram, inner, rows.offsets, rows.common, options
        )
    return solved, Sweep(total, entries, retried, jittered)


def _turn_back(rows: np.ndarray, basis: np.ndarray, out: Factors, options: dict[str, Any]) -> None:
    back = np.ascontiguousarray(basis.T, dtype=rows.dtype)
    _als.rotate(rows, back, out.factors, out_last=out.biases, **options)


@single_threaded_blas()
def fold_in(
    signed_confidence: sparse.csr_array,
    fixed: Factors,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
    *,
    mean: float = 0.0,
    ratings: bool = False,
    prior: Factors | None = None,
    start: Factors | None = None,
    cg_steps: int = 3,
) -> Factors:
    """Factors of rows that were not there in training, `fixed` held: exact, or from `start` by
    `cg_steps` steps of conjugate gradient.

    Parameters are those of `make_sides` and `half_sweep`, `prior` being what the rows are drawn to;
    what is returned has biases if `fixed` has.

    Raises
    ------
    FloatingPointError
        As in `half_sweep`.
    """
    lambdas = scaled_lambda(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    side = make_side(signed_confidence, lambdas, np.empty(0), unobserved_weight, ratings, None)
    factors = np.empty((side.n_rows, fixed.factors.shape[1]), fixed.factors.dtype)
    biases = None if fixed.biases is None else np.empty(side.n_rows, factors.dtype)
    out, options = Factors(factors, biases), kernel_options(num_threads)
    side, gathered = _only_gathered(side, fixed)
    workspace = Workspace.for_one(gathered, out)
    system = _System.of(side, fixed, gathered, mean, workspace, options)
    drawn_to = None if prior is None else Prior(prior, lambdas)
    system = system.drawn_to(drawn_to, system.basis, options)
    solver = "cholesky" if start is None else "cg"
    solved, _ = _sweep(
        side, fixed, system, system.basis, start, out, workspace, solver, cg_steps, False, options
    )
    _turn_back(solved, system.basis, out, options)
    return out


def _only_gathered(side: Side, fixed: Factors) -> tuple[Side, Factors]:
    """Only the columns that any row has, renumbered, where that saves rotating most of them.

    Never where a row is long: its columns would be cut into other blocks, and so have other bits.
    """
    if 2 * len(side.indices) > len(fixed.factors) or count_long(side, fixed.width, 0):
        return side, fixed
    used, indices = np.unique(side.indices, return_inverse=True)
    indices = indices.astype(np.int32)
    biases = None if fixed.biases is None else fixed.biases[used]
    gathered = Factors(fixed.factors[used], biases)
    return dataclasses.replace(side, indices=indices, placed_indices=indices), gathered


@single_threaded_blas()
def normal_matrix(
    signed_confidence: sparse.csr_array,
    fixed: Factors,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
) -> np.ndarray:
    """A of the one row of `signed_confidence`, float64, with y_k = [y_k, 1] where there are biases:

    w0 Y'Y + sum_k (c_k - w0) y_k y_k' + lambda I (Hu, Koren and Volinsky 2008, equation 4)
    """
    [lambda_] = scaled_lambda(
        signed_confidence, regularization, regularization_exponent, unobserved_weight
    )
    y = fixed.factors[signed_confidence.indices].astype(np.float64)
    if fixed.biases is not None:
        y = np.column_stack([y, np.ones(len(y))])
    weights = np.abs(signed_confidence.data.astype(np.float64)) - unobserved_weight
    gram = unobserved_weight * fixed_gramian(fixed, kernel_options(num_threads))
    return gram + (y.T * weights) @ y + lambda_ * np.eye(fixed.width)


# ---- what the rows of a half-sweep share -------------------------------------------------------


@dataclass(frozen=True)
class _System:
    """The fixed side's Gramian and its eigenbasis, and what rows need of both."""

    gram: np.ndarray  # (width, width) float64, not rotated
    basis: np.ndarray  # (width, width) float64: to the eigenbasis
    rows: System

    @classmethod
    def of(
        cls,
        side: Side,
        fixed: Factors,
        gathered: Factors,
        mean: float,
        workspace: Workspace,
        options: dict[str, Any],
    ) -> _System:
        """`gathered`: what entries meet of `fixed`, by the numbers that columns have in `side`."""
        dtype = fixed.factors.dtype
        gram = fixed_gramian(fixed, options)
        eigenvalues, basis = spectrum(gram)
        rotated = workspace.rotated(len(gathered.factors))
        places, indices = side.places, side.placed_indices
        if rotated is None:
            rotated, places, indices = fixed.factors, None, side.indices
        last = offsets = common = None
        if fixed.biases is not None:
            common = common_of(side, fixed, offsets_of(fixed, mean), options) @ basis
            last = ones_like(gathered)
            # beside the column's factors, as they are gathered together
            offsets = rotated[:, fixed.width]
            offsets[slice(None) if places is None else places] = offsets_of(gathered, mean)
        _als.rotate(gathered.factors, basis.astype(dtype), rotated, places, last=last, **options)
        return cls(gram, basis, System(eigenvalues, rotated, indices, offsets, common))

    def drawn_to(self, prior: Drawn | None, basis: np.ndarray, options: dict[str, Any]) -> _System:
        """With the means of a prior, which `basis` turns to the axes that rows are solved in."""
        if prior is None:
            return self
        by_row = prior.on_the_right(basis, self.rows.common, options)
        return dataclasses.replace(self, rows=dataclasses.replace(self.rows, by_row=by_row))


def fixed_gramian(fixed: Factors, options: dict[str, Any]) -> np.ndarray:
    """Of Y, or of [Y, 1] where there are biases."""
    columns = [] if fixed.biases is None else [ones_like(fixed)]
    gram = gramian_of(fixed.factors, columns, options)
    if np.all(np.isfinite(gram)) and (fixed.biases is None or np.all(np.isfinite(fixed.biases))):
        return gram
    finite = np.isfinite(fixed.factors).all(axis=1)
    if fixed.biases is not None:
        finite &= np.isfinite(fixed.biases)
    where = f"row {np.argmin(finite)} is not finite" if not finite.all() else "they are too large"
    rows, f = fixed.factors.shape
    raise FloatingPointError(
        f"the {rows} x {f} factors held fixed cannot be used: {where}. "
        "Check user_factors and item_factors if you set them; otherwise raise regularization"
    )


def offsets_of(fixed: Factors, mean: float) -> np.ndarray:
    """The given part of each column's scores."""
    return (fixed.biases + mean).astype(fixed.factors.dtype, copy=False)


def common_of(
    side: Side, fixed: Factors, offsets: np.ndarray, options: dict[str, Any]
) -> np.ndarray:
    """-w0 sum_i t_i [y_i, 1], (width,) float64: what offsets add to every right-hand side."""
    total = np.append(
        _als.column_sums(fixed.factors, offsets, **options), offsets.sum(dtype=np.float64)
    )
    return -side.unobserved_weight * total


def other_cells(
    side: Side,
    fixed: Factors,
    fixed_gram: np.ndarray,
    solved: np.ndarray,
    solved_gram: np.ndarray,
    inner: float,
    offsets: np.ndarray | None,
    common: np.ndarray | None,
    options: dict[str, Any],
) -> float:
    """What the objective has beside the stored entries' part: both regularization terms and

    w0 sum_ui (t_i + x_u.y_i)^2 = w0 (<X'X, Y'Y> + rows t't) - 2 (sum_u x_u).common

    with `inner` = <X'X, Y'Y>, in whatever axes `solved` and `common` are.
    """
    cells = side.unobserved_weight * inner
    if offsets is not None:
        t, rows = offsets.astype(np.float64), Factors(solved)
        cells += side.unobserved_weight * len(solved) * float(t @ t)
        cells -= 2 * float(_als.column_sums(solved, ones_like(rows), **options) @ common)
    return float(
        cells
        + penalty(side.regularization, Factors(solved), solved_gram, options)
        + penalty(side.other_regularization, fixed, fixed_gram, options)
    )
