"""Implicit ALS cell by cell, and counts small enough for it."""

import numpy as np
from scipy import sparse


def plays(n_users=40, n_items=30, density=0.2, seed=0, negative=False, zeros=False):
    """Counts with a user and an item without entries and, where asked, dislikes and stored 0s."""
    matrix = sparse.random_array((n_users, n_items), density=density, rng=seed, format="csr")
    rng = np.random.default_rng(seed)
    matrix.data = np.ceil(rng.exponential(20, matrix.nnz))
    if negative:
        matrix.data[rng.random(matrix.nnz) < 0.2] *= -1
    if zeros:
        matrix.data[rng.random(matrix.nnz) < 0.1] = 0
    keep = np.ones(matrix.nnz, bool)
    keep[matrix.indptr[3] : matrix.indptr[4]] = False
    keep[matrix.indices == 7] = False
    rows = np.repeat(np.arange(n_users), np.diff(matrix.indptr))[keep]
    entries = (matrix.data[keep], (rows, matrix.indices[keep]))
    return sparse.csr_array(entries, shape=matrix.shape)


class Dense:
    """The objective and its exact alternating minimization, cell by cell, in float64."""

    def __init__(self, matrix, confidence, lam=2.0, nu=0.0, w0=1.0):
        shape = matrix.shape
        rows = np.repeat(np.arange(shape[0]), np.diff(matrix.indptr))
        self.weight = np.full(shape, float(w0))
        self.weight[rows, matrix.indices] = confidence
        self.preference = np.zeros(shape)
        self.preference[rows, matrix.indices] = matrix.data > 0
        stored = np.zeros(shape)
        stored[rows, matrix.indices] = 1
        self.lam_users = lam * (stored.sum(1) + w0 * shape[1]) ** nu
        self.lam_items = lam * (stored.sum(0) + w0 * shape[0]) ** nu

    def loss(self, x, y):
        x, y = x.astype(float), y.astype(float)
        cells = self.weight * (self.preference - x @ y.T) ** 2
        return cells.sum() + self.lam_users @ (x**2).sum(1) + self.lam_items @ (y**2).sum(1)

    def iterate(self, y):
        x = self._solve(self.weight, self.preference, self.lam_users, y.astype(float))
        return x, self._solve(self.weight.T, self.preference.T, self.lam_items, x)

    def _solve(self, weight, preference, lam, fixed):
        return np.array(
            [
                np.linalg.solve(
                    (fixed.T * w) @ fixed + r * np.eye(fixed.shape[1]), (fixed.T * w) @ p
                )
                for w, p, r in zip(weight, preference, lam, strict=True)
            ]
        )
