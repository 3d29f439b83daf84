"""Rows whose penalty draws them to means of their own instead of to zero: lambda_u |x_u - m_u|^2.

Nothing but the right-hand side of a row's equations changes, by lambda_u m_u.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from . import _als
from .factors import Factors


class Drawn(Protocol):
    """What rows are drawn to."""

    def on_the_right(
        self, basis: np.ndarray, common: np.ndarray | None, options: dict[str, Any]
    ) -> np.ndarray:
        """(rows, width): lambda_u m_u in the axes of `basis`, and what all rows have."""


class Prior(NamedTuple):
    """Means that are known, and how strongly rows are drawn to them."""

    means: Factors  # (rows, f), of the factors' dtype, and biases where the rows have such
    weights: np.ndarray  # (rows,) float64: lambda_u; 0 where a row's penalty is that of zero

    def on_the_right(
        self, basis: np.ndarray, common: np.ndarray | None, options: dict[str, Any]
    ) -> np.ndarray:
        """See `Drawn`."""
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
