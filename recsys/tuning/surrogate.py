"""What the values of the trials so far say of those that were not made: a Gaussian process.

Its mean is theirs, its kernel Matern 5/2 with one length for each coordinate, as in J. Snoek, H.
Larochelle, R. Adams, "Practical Bayesian Optimization of Machine Learning Algorithms", NIPS 2012,
sections 2 and 3.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import linalg, special

# Where every axis is of length 1. The lengths are few, and so is what is compared in `best_gain`,
# so that the last bits of a sum, which depend on the machine, do not decide on a trial.
LENGTHS = (0.15, 0.3, 0.6, 1.2, 2.4)
NOISES = (1e-4, 1e-3, 1e-2)  # shares of the variance
USUAL_LENGTH = 0.5  # before any value is known; so many times as much, or as little, is unlikely
SWEEPS = 3  # over the lengths
COMPARED = 100  # trials that lengths are chosen by, at most
DIGITS = 6  # of a gain that count


class Surrogate:
    """A Gaussian process through values at points.

    Parameters
    ----------
    points : ndarray, shape (n, d)
    values : ndarray, shape (n,)
        The higher, the better. Those further below their median than the best is above it are
        taken to be as far below it as that: how bad they are says nothing of what is good.
    """

    def __init__(self, points: np.ndarray, values: np.ndarray) -> None:
        above = values.max() - np.median(values)
        if above > 0:  # not where most are the best
            values = np.maximum(values, np.median(values) - above)
        self.middle, self.scale = values.mean(), values.std() or 1.0
        self.points, self.values = points, (values - self.middle) / self.scale
        order = np.argsort(-values, kind="stable")
        some = order[np.unique(np.linspace(0, len(order) - 1, COMPARED).round().astype(int))]
        self.lengths, self.noise = _chosen(points[some], self.values[some])
        self.root, self.weights, self.variance = self._solved()

    def _solved(self) -> tuple[np.ndarray, np.ndarray, float]:
        root = _root(self.points, self.lengths, self.noise)
        whitened = linalg.solve_triangular(root, self.values, lower=True)
        weights = linalg.solve_triangular(root, whitened, lower=True, trans="T")
        return root, weights, float(whitened @ whitened) / len(whitened)

    def with_points(self, points: np.ndarray) -> Surrogate:
        """The same, had there been what it expects at these points."""
        twin = object.__new__(Surrogate)
        twin.__dict__.update(self.__dict__)
        twin.points = np.concatenate([self.points, points])
        twin.values = np.concatenate([self.values, self._expected(points)[0]])
        twin.root, twin.weights, _ = twin._solved()
        return twin

    def _expected(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations."""
        near = _kernel(points, self.points, self.lengths)
        known = linalg.solve_triangular(self.root, near.T, lower=True)
        left = np.maximum(1 - np.sum(known**2, axis=0), 1e-9)
        return near @ self.weights, np.sqrt(self.variance * left) + 1e-12

    def expected(self, points: np.ndarray) -> np.ndarray:
        """The mean at each point, as `values` are."""
        return self.middle + self.scale * self._expected(points)[0]

    def best_gain(self, points: np.ndarray, known: np.ndarray) -> int:
        """At which of `points` most is to be gained over the best of those `known`: the expected
        improvement (Mockus, Tiesis, Zilinskas 1978); of equals the first."""
        means, deviations = self._expected(points)
        ahead = (means - self._expected(known)[0].max()) / deviations
        density = np.exp(-(ahead**2) / 2) / np.sqrt(2 * np.pi)
        gains = deviations * (ahead * special.ndtr(ahead) + density)
        return int(np.argmax(np.round(gains / max(gains.max(), 1e-300), DIGITS)))


def _kernel(left: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    apart = (left[:, None] - right) / lengths
    far = np.sqrt(5 * np.einsum("abc,abc->ab", apart, apart))
    return (1 + far + far**2 / 3) * np.exp(-far)


def _root(points: np.ndarray, lengths: np.ndarray, noise: float) -> np.ndarray:
    return np.linalg.cholesky(_kernel(points, points, lengths) + noise * np.eye(len(points)))


def _chosen(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Lengths and noise with which the values are most likely, one after the other."""
    lengths, noise = np.full(points.shape[1], LENGTHS[len(LENGTHS) // 2]), NOISES[1]
    best = _likelihood(points, values, lengths, noise)
    for _ in range(SWEEPS):
        before = best
        for axis, length in product(range(len(lengths)), LENGTHS):
            other = lengths.copy()
            other[axis] = length
            likelihood = _likelihood(points, values, other, noise)
            if likelihood > best + 1e-6:
                best, lengths = likelihood, other
        for other_noise in NOISES:
            likelihood = _likelihood(points, values, lengths, other_noise)
            if likelihood > best + 1e-6:
                best, noise = likelihood, other_noise
        if best == before:
            break
    return lengths, noise


def _likelihood(points: np.ndarray, values: np.ndarray, lengths: np.ndarray, noise: float) -> float:
    """The logarithm, but for a constant, of the best variance; times how likely the lengths are."""
    root = _root(points, lengths, noise)
    whitened = linalg.solve_triangular(root, values, lower=True)
    variance = max(float(whitened @ whitened) / len(values), 1e-12)
    usual = np.sum(np.log(lengths / USUAL_LENGTH) ** 2) / 2
    return -len(values) / 2 * np.log(variance) - np.log(np.diag(root)).sum() - usual
