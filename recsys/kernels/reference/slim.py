"""Sparse linear regressions of items on items, by coordinate descent."""

from __future__ import annotations

import numpy as np


def slim_rows(
    indptr,
    indices,
    values,
    order,
    spans,
    candidates,
    products,
    weights,
    failed,
    *,
    users,
    longest,
    l1,
    l2,
    nonnegative,
    tolerance,
    sweeps,
    isa=None,
    num_threads=1,
):
    """Write the weights of the candidates of the items j in ``order[spans[0]:spans[-1]]``::

        argmin_w  |x_j - sum_c w_c x_c|^2 / 2 + l2 |w|^2 / 2 + l1 |w|_1

    with ``w >= 0`` if `nonnegative`. The matrix in CSR is items x users, its rows are the x; of
    `candidates` (items, m) and `weights` (items, m), which come as zeros, -1 fills up the former.
    Sweeps over the candidates end when none of them moved by more than `tolerance` times the
    largest weight; failed (items,) becomes 1 where there were too few, and 2 where a weight is not
    finite. `longest`, the most entries of an item and its candidates together, and `products`, of
    all columns with each other or of none, spare the kernel work and are not needed here.
    """
    for item in order[spans[0] : spans[-1]]:
        chosen = candidates[item][candidates[item] >= 0]
        x = np.zeros((len(chosen) + 1, users))
        for row, of in zip(x, (item, *chosen), strict=True):
            entries = slice(indptr[of], indptr[of + 1])
            row[indices[entries]] = values[entries]
        with np.errstate(over="ignore", invalid="ignore"):
            gram = x @ x.T
        if not np.isfinite(gram).all():
            failed[item] = 2
            continue
        w, settled = _descent(gram[1:, 1:], gram[0, 1:], l1, l2, nonnegative, tolerance, sweeps)
        weights[item, : len(chosen)] = w
        failed[item] = 2 if not np.isfinite(w).all() else int(not settled)


def _descent(gram, pull, l1, l2, nonnegative, tolerance, sweeps):
    """The weights, and whether they have settled."""
    w = np.zeros(len(pull))
    for _ in range(sweeps):
        before = w.copy()
        for c in range(len(w)):
            if gram[c, c] > 0:
                rest = pull[c] - gram[c] @ w + gram[c, c] * w[c]
                shrunk = max(abs(rest) - l1, 0)
                if nonnegative and rest < 0:
                    shrunk = 0
                w[c] = np.sign(rest) * shrunk / (gram[c, c] + l2)
        if np.abs(w - before).max(initial=0) <= tolerance * np.abs(w).max(initial=0):
            return w, True
    return w, len(w) == 0
