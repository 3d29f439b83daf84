"""What rows are expected to be by their features, learned together with the rows.

Rows x_u ~ N(c + W'f_u, I / lambda_u) and W ~ N(0, I / mu), c without a prior, add to the objective

    sum_u lambda_u |x_u - c - W'f_u|^2 + mu |W|^2,    mu = kappa mean_u lambda_u

in place of sum_u lambda_u |x_u|^2 (FactorModel's features; irspack and, as sums of embeddings,
Kula 2015 have the same model). With the rows held it is a ridge regression, weighted by r_u =
lambda_u / mean lambda:

    (F'RF - s f f' + kappa I) W = F'RX - s f x',    c = x - W'f

s being the sum of r, f and x the means of features and rows by r. It is solved exactly where
features are few beside the entries of F, and else by two steps of conjugate gradient a column, from
the last W and preconditioned by the diagonal: 4 FLOP a step, entry of F and factor.

Rows without entries are left out: with lambda_u = 0 nothing draws them, and they tell nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import csr

from . import _als
from ._product import spmm
from .config import kernel_options
from .entries import transposed
from .factors import Factors
from .sides import make_spans
from .spans import most_work_first, slices
from .threads import single_threaded_blas

if TYPE_CHECKING:
    from scipy import sparse

_FEW = 1024  # features, whose matrix may be factored
_STEPS = 2  # of conjugate gradient, in an iteration
_FIRST_STEPS, _TOLERANCE = 60, 1e-3  # and where W begins at zero


class Weights(NamedTuple):
    """W and c, and what they come to in the equations."""

    weights: np.ndarray  # (p, width)
    constant: np.ndarray  # (width,)
    image: np.ndarray  # (p, width): the left-hand side's matrix times W


class FeaturePrior:
    """The prior of one side's rows in a fit.

    Parameters
    ----------
    features : csr_array, rows x p
    regularization : (rows,) float64
        lambda_u; 0 for rows that are not drawn anywhere.
    strength : float
        kappa.
    dtype : of the factors
    num_threads : int
        0: all that are available. The same bits for any number.
    """

    def __init__(
        self,
        features: sparse.csr_array,
        regularization: np.ndarray,
        strength: float,
        dtype: np.dtype,
        num_threads: int = 0,
    ) -> None:
        self.strength, self._dtype, self._threads = float(strength), np.dtype(dtype), num_threads
        drawn = np.flatnonzero(regularization)
        self._scale = float(regularization[drawn].mean())
        self._rates = (regularization / self._scale).astype(dtype)
        by_row = csr.keep(features, regularization[csr.entry_rows(features)] > 0).astype(dtype)
        by_feature = transposed(by_row, num_threads)
        self._total = float(self._rates.sum(dtype=np.float64))
        weighted = by_feature.data * self._rates[by_feature.indices]
        self._mean = _sums(by_feature.indptr, weighted) / self._total
        squares = _sums(by_feature.indptr, weighted * by_feature.data)
        diagonal = squares - self._total * self._mean**2 + self.strength
        self._inverse = (1 / diagonal).astype(dtype)[:, np.newaxis]
        self._by_feature = _Rows(by_feature, by_feature.data, num_threads)
        self._weighted = self._by_feature.with_values(weighted)
        self._by_row = _Rows(*_with_constant(by_row, self._rates), num_threads)
        self._factored = self._factor(by_feature, weighted)
        self._now: Weights | None = None
        self._before: Weights | None = None
        self._has_biases = False
        self._right: np.ndarray | None = None
        self._rows_mean: np.ndarray | None = None

    # ---- what half-sweeps ask for ----------------------------------------------------------------

    def on_the_right(
        self, basis: np.ndarray, common: np.ndarray | None, options: dict[str, Any]
    ) -> np.ndarray:
        """As `Prior.on_the_right`."""
        known = self._now
        turned = np.vstack([known.weights, known.constant])
        _als.rotate(turned, (self._scale * basis).astype(self._dtype), turned, **options)
        out = self._by_row.times(turned)
        if common is not None:
            out += common.astype(self._dtype)
        return out

    def means(self) -> Factors:
        """What rows are drawn to, where all are alike strongly; zeros for those that are not."""
        out = self._by_row.times(np.vstack([self._now.weights, self._now.constant]))
        if not self._has_biases:
            return Factors(out)
        return Factors(np.ascontiguousarray(out[:, :-1]), np.ascontiguousarray(out[:, -1]))

    # ---- learning --------------------------------------------------------------------------------

    @property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """W and c as they are."""
        return self._now.weights, self._now.constant

    @single_threaded_blas()
    def start(self, rows: Factors, weights: np.ndarray | None = None) -> None:
        """Begin at W, and otherwise at the ridge of the rows."""
        width, self._has_biases = rows.width, rows.biases is not None
        shape = len(self._mean), width
        if weights is not None:
            weights = np.ascontiguousarray(weights, self._dtype)
            self._now = self._weights(weights, self._applied(weights), np.zeros(width))
        else:
            zeros = np.zeros(shape, self._dtype)
            self._now = Weights(zeros, np.zeros(width, self._dtype), zeros)
        self._learn(rows, 0 if weights is not None else _FIRST_STEPS)

    def go_back(self) -> None:
        """Undo what was learned last."""
        self._now = self._before

    @single_threaded_blas()
    def learn(self, rows: Factors) -> None:
        """Take W nearer to the ridge of the rows."""
        self._learn(rows, _STEPS)

    def penalty(self) -> float:
        """What the objective has more than with penalties lambda_u |x_u|^2, for the rows that W was
        learned from last."""
        known = self._now
        fit = np.einsum("pk,pk->", known.weights, known.image - 2 * self._right, dtype=np.float64)
        return self._scale * float(fit - self._total * (self._rows_mean @ self._rows_mean))

    def _learn(self, rows: Factors, steps: int) -> None:
        options = kernel_options(self._threads)
        sums = _als.column_sums(rows.factors, self._rates, **options)
        right = self._weighted.times(rows.factors)
        if rows.biases is not None:
            sums = np.append(sums, float(self._rates.astype(float) @ rows.biases))
            biases = self._weighted.times(np.ascontiguousarray(rows.biases[:, np.newaxis]))
            right = np.hstack([right, biases])
        self._rows_mean = sums / self._total
        right -= np.outer(self._mean, sums).astype(self._dtype)
        self._right, began = right, self._now
        if self._factored is not None:
            from scipy.linalg import cho_solve

            solved = cho_solve(self._factored, right.astype(np.float64))
            weights = np.ascontiguousarray(solved, self._dtype)
            learned = weights, right
        else:
            learned = self._descended(began.weights, began.image, right, steps)
        self._before = self._now
        self._now = self._weights(*learned, self._rows_mean)

    def _weights(self, weights: np.ndarray, image: np.ndarray, rows_mean: np.ndarray) -> Weights:
        constant = rows_mean - self._mean @ weights
        return Weights(weights, constant.astype(self._dtype), image)

    def _descended(
        self, weights: np.ndarray, image: np.ndarray, right: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """W and its image after so many steps, each column by itself."""
        residual = right - image
        step = self._inverse * residual
        size = _inner(residual, step)
        enough = _TOLERANCE**2 * _inner(right, self._inverse * right) if steps > _STEPS else 0
        for _ in range(steps):
            if np.all(size <= enough):
                break
            moved = self._applied(step)
            curvature = _inner(step, moved)
            length = _ratio(size, curvature).astype(self._dtype)
            weights = weights + length * step
            image = image + length * moved
            residual -= np.multiply(moved, length, out=moved)
            scaled = self._inverse * residual
            before, size = size, _inner(residual, scaled)
            step *= _ratio(size, before).astype(self._dtype)
            step += scaled
        return weights, image

    def _applied(self, weights: np.ndarray) -> np.ndarray:
        """(F'RF - s f f' + kappa I) W"""
        constant = -(self._mean @ weights).astype(self._dtype)
        centred = self._by_row.times(np.vstack([weights, constant]))
        out = self._by_feature.times(centred)
        out += self._dtype.type(self.strength) * weights
        return out

    def _factor(self, by_feature: sparse.csr_array, weighted: np.ndarray) -> Any:
        """The matrix's Cholesky factor, where solving by it takes no more than the steps."""
        p = by_feature.shape[0]
        if p > _FEW or p * p > 8 * _STEPS * by_feature.nnz:
            return None
        from scipy.linalg import cho_factor

        right = csr.assemble(weighted, by_feature.indices, by_feature.indptr, by_feature.shape)
        matrix = (right.astype(np.float64) @ by_feature.T).toarray()
        matrix -= self._total * np.outer(self._mean, self._mean)
        return cho_factor(matrix + self.strength * np.eye(p))


class _Rows:
    """A sparse matrix to multiply dense ones by."""

    def __init__(self, matrix: sparse.csr_array, values: np.ndarray, num_threads: int) -> None:
        self._indptr = matrix.indptr.astype(np.int64, copy=False)
        self._indices = matrix.indices.astype(np.int32, copy=False)
        self._values, self._threads = values, num_threads
        lengths = np.diff(self._indptr)
        self._order = most_work_first(lengths)
        self._spans = make_spans(lengths[self._order])

    def with_values(self, values: np.ndarray) -> _Rows:
        """With others in the same places."""
        other = object.__new__(_Rows)
        other.__dict__.update(self.__dict__, _values=values)
        return other

    def times(self, dense: np.ndarray) -> np.ndarray:
        """The product."""
        out = np.empty((len(self._order), dense.shape[1]), dense.dtype)
        options = kernel_options(self._threads)
        for spans in slices(self._spans, options["num_threads"]):
            spmm(
                self._indptr, self._indices, self._values, self._order, spans, dense, out,
                likes=False, mean=0.0, **options,
            )  # fmt: skip
        return out


def _with_constant(
    features: sparse.csr_array, rates: np.ndarray
) -> tuple[sparse.csr_array, np.ndarray]:
    """R [F, 1], rows that nothing draws being empty; and its values."""
    rows, count = np.flatnonzero(rates), features.shape[1]
    places = np.append(csr.entry_rows(features), rows)
    columns = np.append(features.indices, np.full(len(rows), count))
    values = np.append(features.data, np.ones(len(rows), rates.dtype)) * rates[places]
    whole = csr.from_triples(values, places, columns, (len(rates), count + 1))
    return whole, whole.data


def _sums(indptr: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of each row's values, float64."""
    running = np.append(0.0, np.cumsum(values, dtype=np.float64))
    return running[indptr[1:]] - running[indptr[:-1]]


def _inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Column by column, float64."""
    return np.einsum("pk,pk->k", a, b).astype(np.float64)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
