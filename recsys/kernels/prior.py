"""Rows whose penalty draws them to means of their own instead of to zero: lambda_u |x_u - m_u|^2.

Nothing but the right-hand side of a row's equations changes, by lambda_u m_u.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _als
from .factors import Factors

_BLOCK = 1 << 12


class Prior(NamedTuple):
    """What rows are drawn to, and how strongly."""

    means: Factors  # (rows, f), of the factors' dtype, and biases where the rows have such
    weights: np.ndarray  # (rows,) float64: lambda_u; 0 where a row's penalty is that of zero

    def on_the_right(
        self, basis: np.ndarray, common: np.ndarray | None, options: dict[str, Any]
    ) -> np.ndarray:
        """(rows, width): lambda_u m_u in the axes of `basis`, and what all rows have."""
        means, biases = self.means
        weights = self.weights.astype(means.dtype)
        out = np.empty((len(means), len(basis)), means.dtype)
        last = None if biases is None else biases * weights
        scaled = out if last is None else np.empty_like(means)
        np.multiply(means, weights[:, np.newaxis], out=scaled)
        _als.rotate(scaled, basis.astype(means.dtype), out, last=last, **options)
        if common is not None:
            out += common.astype(means.dtype)
        return out

    def penalty(self, rows: Factors) -> float:
        """What the objective has more than with penalties lambda_u |x_u|^2."""
        total = 0.0
        for begin in range(0, len(self.weights), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            x, means = (each.factors[block].astype(np.float64) for each in (rows, self.means))
            more = np.einsum("uf,uf->u", means, means - 2 * x)
            if rows.biases is not None:
                bias, mean = rows.biases[block].astype(float), self.means.biases[block]
                more += mean * (mean - 2 * bias)
            total += float(self.weights[block] @ more)
        return total
