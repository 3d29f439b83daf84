"""ALS row by row, by factors that are not negative."""

from __future__ import annotations

import numpy as np

from .als import _entries, _losses


def als_nonnegative_rows(
    indptr,
    indices,
    confidence,
    order,
    spans,
    fixed,
    solved,
    gram,
    regularization,
    unobserved_weight,
    tolerance,
    sweeps,
    failed,
    row_loss,
    offsets=None,
    common=None,
    ratings=False,
    unbounded=0,
    *,
    isa=None,
    num_threads=1,
):
    """Solve the rows ``order[spans[0]:spans[-1]]`` with `fixed`, of the Gramian `gram`, held.

    As `als_rows`, but in any axes, and over x whose elements are not negative, except for the last
    `unbounded`. Each row starts from `solved`, what is negative of it being 0, and minimizes
    x'Ax / 2 - b'x over one element after the other, exactly, until in a whole sweep the gradient
    g = Ax - b before each step was nowhere further off than `tolerance` times the largest |b_j|:
    by |g_j| where x_j may still fall, by -g_j where it is 0. `failed[u]` is set to 1 where that
    takes more than `sweeps`, and where x is not finite.
    """
    fixed = np.asarray(fixed[:, : solved.shape[1]], dtype=np.float64)
    offsets = np.zeros(len(fixed)) if offsets is None else np.asarray(offsets, dtype=np.float64)
    common = np.zeros((1, fixed.shape[1])) if common is None else common.astype(np.float64)
    common = np.broadcast_to(common, (len(indptr) - 1, fixed.shape[1]))
    least = np.zeros(solved.shape[1])
    least[len(least) - unbounded :] = -np.inf
    for u in order[spans[0] : spans[-1]]:
        entries = slice(indptr[u], indptr[u + 1])
        y = fixed[indices[entries]]
        c, target = _entries(confidence[entries], ratings)
        weight = c - unobserved_weight
        a = unobserved_weight * gram + (y.T * weight) @ y + regularization[u] * np.eye(len(least))
        b = common[u] + y.T @ (c * target - weight * offsets[indices[entries]])
        x, converged = _descend(a, b, solved[u], least, tolerance, sweeps)
        solved[u] = x
        failed[u] |= not (converged and np.all(np.isfinite(solved[u])))
    if row_loss is not None:
        _losses(indptr, indices, confidence, fixed, solved, unobserved_weight, row_loss, order,
                spans, offsets, ratings)  # fmt: skip


def _descend(a, b, start, least, tolerance, sweeps):
    """The minimum of x'ax / 2 - b'x over x >= `least`, and whether it was reached."""
    x = np.maximum(np.asarray(start, dtype=np.float64), least)
    x[np.diag(a) <= 0] = 0
    for _ in range(sweeps):
        worst = 0.0
        for j in np.flatnonzero(np.diag(a) > 0):
            gradient = a[j] @ x - b[j]
            worst = max(worst, abs(gradient) if x[j] > least[j] else -gradient)
            x[j] = max(least[j], x[j] - gradient / a[j, j])
        if worst <= tolerance * np.abs(b).max():
            return x, np.all(np.isfinite(b))
    return x, False
