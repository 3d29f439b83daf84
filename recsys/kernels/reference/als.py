"""Implicit ALS row by row (Hu, Koren and Volinsky, ICDM 2008, equations 3 to 5).

A stored entry's confidence c carries its preference p in the sign: a value v > 0 is p = 1, c = v;
v <= 0 is p = 0, c = -v. With `ratings` it is p itself, and c = 1. Every other cell has p = 0 and
weight w0.
"""

from __future__ import annotations

import numpy as np


def gramian(x, *, isa=None, num_threads=1):
    """x'x, (f, f) float64."""
    x = np.asarray(x, dtype=np.float64)
    return x.T @ x


def column_sums(x, weights, *, isa=None, num_threads=1):
    """weights' x, (f,) float64. weights (rows,)."""
    return np.asarray(weights, dtype=np.float64) @ np.asarray(x, dtype=np.float64)


def weighted_squares(x, weights, *, isa=None, num_threads=1):
    """sum_u weights_u |x_u|^2, float. weights (rows,) float64."""
    return float(weights @ (np.asarray(x, dtype=np.float64) ** 2).sum(axis=1))


def rotate(x, basis, out, place=None, *, last=None, out_last=None, isa=None, num_threads=1):
    """out[place] = x @ basis. x and out (rows, f), basis (f, f), place a permutation of the rows;
    without it rows keep their places, and out may be x.

    The last column of x, or of out, may be an array of its own, `last` or `out_last`: then x, or
    out, is (rows, f - 1). out may have more columns, which are left as they are.
    """
    rows = np.asarray(x, dtype=np.float64)
    if last is not None:
        rows = np.column_stack([rows, last])
    rotated = rows @ np.asarray(basis, dtype=np.float64)
    place = slice(None) if place is None else place
    if out_last is not None:
        out_last[place] = rotated[:, -1]
        rotated = rotated[:, :-1]
    out[place, : rotated.shape[1]] = rotated


def als_rows(
    indptr,
    indices,
    confidence,
    order,
    spans,
    fixed,
    solved,
    eigenvalues,
    regularization,
    unobserved_weight,
    floor,
    tolerance,
    cg_steps,
    failed,
    row_loss,
    offsets=None,
    common=None,
    ratings=False,
    *,
    isa=None,
    num_threads=1,
):
    """Solve the rows ``order[spans[0]:spans[-1]]`` with `fixed` held.

    `fixed` is in the eigenbasis of its Gramian, diag(`eigenvalues`). It may have more columns than
    `solved`, which do not count: rows that are whole vectors are faster. Row u becomes

        x = argmin  w0 sum_i (t_i + y_i.x)^2 + lambda_u |x|^2
                    + sum_k [c_k (p_k - t_k - y_k.x)^2 - w0 (t_k + y_k.x)^2]

    over the columns i and the row's entries k, where t is `offsets` (zeros by default). Their part
    in the right-hand side of every row's equations, -w0 sum_i t_i y_i, is given as the one row of
    `common`:

        (w0 diag(eigenvalues) + lambda_u I + sum_k (c_k - w0) y_k y_k') x
            = common_u + sum_k (c_k p_k - (c_k - w0) t_k) y_k

    With a row for each, to which lambda_u m_u may be added, the penalty is lambda_u |x - m_u|^2.

    exactly when `cg_steps` is 0, else after `cg_steps` steps of conjugate gradient from `solved`,
    preconditioned by B = w0 diag(eigenvalues) + lambda_u I (fewer when the residual, in the norm of
    B^-1, is under `tolerance` times the iterate in the norm of B). A compiled kernel may solve
    a row exactly where that costs no more than the steps.

    Directions whose eigenvalue is at most `floor` hold rounding noise: where lambda_u is 0 as well
    the solution has no part in them (minimum norm), and B is never taken below `floor`.

    `failed[u]` is set to 1 where x is not finite, and where an exact row's sum over entries is so
    large beside B that the dtype of `solved` cannot resolve both. `row_loss[u]`, if given, becomes
    the sum over stored entries of c (p - s)^2 - w0 s^2, s = t + x.y.
    """
    fixed = fixed[:, : solved.shape[1]]
    offsets = np.zeros(len(fixed)) if offsets is None else np.asarray(offsets, dtype=np.float64)
    common = np.zeros((1, fixed.shape[1])) if common is None else common.astype(np.float64)
    common = np.broadcast_to(common, (len(indptr) - 1, fixed.shape[1]))
    for u in order[spans[0] : spans[-1]]:
        entries = slice(indptr[u], indptr[u + 1])
        y = np.asarray(fixed[indices[entries]], dtype=np.float64)
        c, target = _entries(confidence[entries], ratings)
        weight = c - unobserved_weight
        pull = c * target - weight * offsets[indices[entries]]
        b = np.maximum(unobserved_weight * eigenvalues + regularization[u], floor)
        used = (eigenvalues > floor) | (regularization[u] > 0)

        scale = np.where(used, 1 / np.sqrt(np.where(used, b, 1)), 0)
        z = y * scale
        right = scale * common[u] + z.T @ pull
        if cg_steps == 0 or len(c) == 0:
            a = (z.T * weight) @ z
            failed[u] |= not np.trace(a) <= 0.125 / np.finfo(solved.dtype).eps
            x = np.linalg.solve(np.eye(len(scale)) + a, right)
        else:
            x = np.asarray(solved[u], dtype=np.float64) * np.where(used, np.sqrt(b), 0)
            x = _conjugate_gradient(z, weight, right, x, cg_steps, tolerance)
        solved[u] = x * scale
        failed[u] |= not np.all(np.isfinite(solved[u]))
    if row_loss is not None:
        _losses(indptr, indices, confidence, fixed, solved, unobserved_weight, row_loss, order,
                spans, offsets, ratings)  # fmt: skip


def als_equations(
    indptr,
    indices,
    confidence,
    order,
    fixed,
    equations,
    factors,
    unobserved_weight,
    offsets=None,
    ratings=False,
    *,
    isa=None,
    num_threads=1,
):
    """What the entries of the rows of `order` add to the equations that `als_rows` solves.

    `equations`, (rows, f (f + 3) / 2) for f `factors`, becomes for each the upper triangle, row by
    row, of sum_k (c_k - w0) y_k y_k', and behind it sum_k (c_k p_k - (c_k - w0) t_k) y_k. Columns
    of `fixed` beyond f do not count.
    """
    offsets = np.zeros(len(fixed)) if offsets is None else np.asarray(offsets, dtype=np.float64)
    upper = np.triu_indices(factors)
    for u in order:
        entries = slice(indptr[u], indptr[u + 1])
        y = np.asarray(fixed[indices[entries], :factors], dtype=np.float64)
        c, target = _entries(confidence[entries], ratings)
        weight = c - unobserved_weight
        pull = c * target - weight * offsets[indices[entries]]
        equations[u] = np.concatenate([((y.T * weight) @ y)[upper], y.T @ pull])


def als_summed_rows(
    equations,
    solved,
    eigenvalues,
    regularization,
    unobserved_weight,
    floor,
    failed,
    common=None,
    *,
    isa=None,
    num_threads=1,
):
    """Solve rows exactly from sums of what `als_equations` gives; the rest is as in `als_rows`."""
    rows, f = solved.shape
    common = np.zeros((1, f)) if common is None else np.asarray(common, dtype=np.float64)
    common = np.broadcast_to(common, (rows, f))
    upper = np.triu_indices(f)
    for u in range(rows):
        b = np.maximum(unobserved_weight * eigenvalues + regularization[u], floor)
        used = (eigenvalues > floor) | (regularization[u] > 0)
        scale = np.where(used, 1 / np.sqrt(np.where(used, b, 1)), 0)
        a = np.zeros((f, f))
        a[upper] = equations[u, :-f]
        a = (np.triu(a) + np.triu(a, 1).T) * np.outer(scale, scale)
        right = scale * (common[u] + equations[u, -f:])
        failed[u] |= not np.trace(a) <= 0.125 / np.finfo(solved.dtype).eps
        solved[u] = scale * np.linalg.solve(np.eye(f) + a, right)
        failed[u] |= not np.all(np.isfinite(solved[u]))


def _entries(values, ratings):
    """Confidences and targets."""
    values = np.asarray(values, dtype=np.float64)
    return (np.ones(len(values)), values) if ratings else (np.abs(values), values > 0)


def _conjugate_gradient(z, weight, b, x, steps, tolerance):
    """On (I + z' diag(weight) z) x = b."""

    def apply(v):
        return v + z.T @ (weight * (z @ v))

    r = b - apply(x)
    p = r.copy()
    rr = r @ r
    enough = tolerance**2 * (x @ x)
    for _ in range(steps):
        if rr <= enough:
            break
        ap = apply(p)
        curvature = p @ ap
        if not curvature > 0:
            break
        x = x + rr / curvature * p
        r = r - rr / curvature * ap
        rr, before = r @ r, rr
        p = r + rr / before * p
    return x


def als_loss(
    indptr,
    indices,
    confidence,
    fixed,
    solved,
    unobserved_weight,
    row_loss,
    ratings=False,
    offsets=None,
    biases=None,
    *,
    isa=None,
    num_threads=1,
):
    """row_loss[u] = sum over row u's stored entries of c (p - s)^2 - w0 s^2, where
    s = t + b_u + x_u . y with the columns' `offsets` t and the rows' `biases` b, 0 by default."""
    rows = np.arange(len(indptr) - 1)
    if biases is not None:
        fixed = np.column_stack([fixed, np.ones(len(fixed))])
        solved = np.column_stack([solved, biases])
    offsets = np.zeros(len(fixed)) if offsets is None else np.asarray(offsets, dtype=np.float64)
    _losses(indptr, indices, confidence, fixed, solved, unobserved_weight, row_loss, rows,
            [0, len(rows)], offsets, ratings)  # fmt: skip


def _losses(
    indptr, indices, confidence, fixed, solved, w0, row_loss, order, spans, offsets, ratings
):
    for u in order[spans[0] : spans[-1]]:
        entries = slice(indptr[u], indptr[u + 1])
        c, target = _entries(confidence[entries], ratings)
        y = np.asarray(fixed[indices[entries]], dtype=np.float64)
        s = offsets[indices[entries]] + y @ np.asarray(solved[u], dtype=np.float64)
        row_loss[u] = np.sum(c * (target - s) ** 2 - w0 * s**2)
