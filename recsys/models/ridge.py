"""Ridge regression of factors on features.

With F the features of n rows and Y their factors, each less its mean over the rows, W minimizes::

    |Y - F W|^2 + kappa |W|^2            so that  (F'F + kappa I) W = F'Y

and a row of features f gets ``c + f W``, where c is what makes the means meet. kappa counts rows: a
feature that kappa rows have is believed by half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recsys import kernels

if TYPE_CHECKING:
    from scipy import sparse

_DENSE = 1024  # features up to which the normal equations are factored
_STEPS, _TOLERANCE = 300, 1e-4  # of conjugate gradients


class Ridge(NamedTuple):
    """What factors are expected to be, given features.

    Attributes
    ----------
    weights : ndarray, shape (p, k)
        W.
    constant : ndarray, shape (k,)
        c, of a row without features.
    strength : float
        kappa.
    """

    weights: np.ndarray
    constant: np.ndarray
    strength: float

    def mean(self, features: sparse.csr_array) -> np.ndarray:
        """c + F W, shape (n, k), of the weights' dtype."""
        return features.astype(self.weights.dtype, copy=False) @ self.weights + self.constant


@kernels.single_threaded_blas()
def fit(features: sparse.csr_array, targets: np.ndarray, strength: float) -> Ridge:
    """The ridge of targets on features.

    Parameters
    ----------
    features : csr_array, n x p
    targets : ndarray, shape (n, k)
    strength : float
        kappa; see `recsys.models.strength`.

    Returns
    -------
    Ridge
        In float64. The same bits for any number of threads.
    """
    equations = Equations(features, targets.astype(np.float64))
    weights = equations.solved(strength, np.zeros(equations.right.shape), _TOLERANCE)
    return Ridge(weights, equations.constant(weights), strength)


class Equations:
    """(F'F + kappa I) W = F'Y for any kappa, F and Y being taken less their means."""

    def __init__(self, features: sparse.csr_array, targets: np.ndarray) -> None:
        self.features = features.astype(np.float64)
        self.by_feature = kernels.transposed(self.features, 1)
        count = len(targets)
        self.mean = np.asarray(self.features.sum(axis=0)).reshape(-1) / count
        self.target_mean = targets.mean(axis=0)
        self.right = self.by_feature @ (targets - self.target_mean)
        self.dense: np.ndarray | None = None
        if features.shape[1] <= _DENSE:
            self.dense = (self.by_feature @ self.features).toarray()
            self.dense -= count * np.outer(self.mean, self.mean)
        squares = np.bincount(features.indices, self.features.data**2, features.shape[1])
        self.diagonal = squares - count * self.mean**2

    def constant(self, weights: np.ndarray) -> np.ndarray:
        """What a row without features gets."""
        return self.target_mean - self.mean @ weights

    def solved(self, strength: float, start: np.ndarray, tolerance: float) -> np.ndarray:
        """W for a kappa; conjugate gradients begin at `start`."""
        if self.dense is None:
            return self._descended(strength, start, tolerance)
        from scipy.linalg import solve

        whole = self.dense + strength * np.eye(len(self.dense))
        return solve(whole, self.right, assume_a="pos", overwrite_a=True)

    def _product(self, weights: np.ndarray, strength: float) -> np.ndarray:
        out = self.by_feature @ (self.features @ weights)
        out -= self.features.shape[0] * np.outer(self.mean, self.mean @ weights)
        return out + strength * weights

    def _descended(self, strength: float, start: np.ndarray, tolerance: float) -> np.ndarray:
        """Conjugate gradients, a column for each of the targets, preconditioned by the diagonal."""
        weights, residual = start, self.right - self._product(start, strength)
        scale = 1 / (self.diagonal + strength)[:, np.newaxis]
        step = scaled = scale * residual
        size = np.sum(residual * scaled, axis=0)
        enough = tolerance**2 * np.sum(scale * self.right**2, axis=0)
        for _ in range(_STEPS):
            if (size <= enough).all():
                break
            moved = self._product(step, strength)
            curvature = np.sum(step * moved, axis=0)
            length = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0)
            weights = weights + length * step
            residual -= length * moved
            scaled = scale * residual
            before, size = size, np.sum(residual * scaled, axis=0)
            step = (
                scaled + np.divide(size, before, out=np.zeros_like(size), where=before > 0) * step
            )
        return weights
