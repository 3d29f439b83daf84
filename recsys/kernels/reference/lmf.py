"""Logistic matrix factorization a row at a time.

(Johnson, "Logistic Matrix Factorization for Implicit Feedback Data", NIPS 2014 workshop.)

A stored entry's confidence c carries its preference p in the sign: a value v > 0 is p = 1, c = v;
v <= 0 is p = 0, c = -v.
"""

from __future__ import annotations

import numpy as np

from .rng import below, draw
from .sigmoid import sigmoid, softplus

NO_SQUARE = 1e-6  # keeps a gradient of zero from being divided by zero


def lmf_rows(
    indptr,
    indices,
    confidence,
    order,
    spans,
    fixed,
    fixed_biases,
    solved,
    biases,
    squares,
    bias_squares,
    keys,
    row_loss,
    *,
    negatives,
    learning_rate,
    regularization,
    means,
    isa=None,
    num_threads=1,
):
    """A step of AdaGrad for each of the rows ``order[spans[0]:spans[-1]]``, `fixed` held.

    fixed (columns, at least f): factors of the columns in the first f; fixed_biases (columns,).
    solved (rows, f), biases (rows,): x and b, written to; squares and bias_squares: the sums of
    their squared gradients so far, written to. Of row u, with s_i = x . y_i + b + b_i,

        L = sum_{i stored} c_i (log(1 + e^s_i) - p_i s_i) + sum_i log(1 + e^s_i)

    and the step goes down the gradient of L + regularization / 2 |x - means[u]|^2, means (rows, f)
    being 0 if None. The sum over all columns is taken over m = min(columns, negatives * max(n, 1))
    of them for a row of n entries, each counted columns / m times: over all of them in turn if m is
    their number, else over those drawn, with replacement, from the sequence of ``keys[u]``.
    row_loss[u] becomes L before the step, or NaN where the step led to a number that is not finite.
    """
    columns, f = len(fixed), solved.shape[1]
    for u in order[spans[0] : spans[-1]]:
        entries = slice(indptr[u], indptr[u + 1])
        signed = np.asarray(confidence[entries], dtype=np.float64)
        m = min(columns, negatives * max(len(signed), 1))
        drawn = np.arange(m) if m == columns else below(draw(keys[u], np.arange(m)), columns)
        looked_at = np.concatenate([indices[entries], drawn]).astype(np.int64)
        gain = np.concatenate([np.maximum(signed, 0), np.zeros(m)])
        weight = np.concatenate([np.abs(signed), np.full(m, columns / m)])

        y = np.asarray(fixed[looked_at, :f], dtype=np.float64)
        x = np.asarray(solved[u], dtype=np.float64)
        s = y @ x + float(biases[u]) + np.asarray(fixed_biases[looked_at], dtype=np.float64)
        row_loss[u] = np.sum(weight * softplus(s) - gain * s)
        coefficients = gain - weight * sigmoid(s)
        mean = 0.0 if means is None else np.asarray(means[u], dtype=np.float64)
        gradient = y.T @ coefficients - regularization * (x - mean)
        bias_gradient = coefficients.sum()

        squares[u] += gradient**2
        bias_squares[u] += bias_gradient**2
        solved[u] += learning_rate * gradient / np.sqrt(squares[u] + NO_SQUARE)
        biases[u] += learning_rate * bias_gradient / np.sqrt(bias_squares[u] + NO_SQUARE)
        if not (np.isfinite(solved[u]).all() and np.isfinite(biases[u])):
            row_loss[u] = np.nan
