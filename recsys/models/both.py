"""Factors of users and of items, as alternating least squares goes from one to the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys import kernels


class Both(NamedTuple):
    """All that is learned; biases are None in a model without."""

    users: kernels.Factors
    items: kernels.Factors
    user_axes: np.ndarray | None = None  # (f, f) float64: what users have been turned by, if at all

    def like(self) -> Both:
        """Arrays of the same shapes, not yet written."""
        return Both(like(self.users), like(self.items))

    def first(self, n_users: int, n_items: int) -> Both:
        """The memory of so many rows."""
        return Both(_first(self.users, n_users), _first(self.items, n_items))


def like(side: kernels.Factors) -> kernels.Factors:
    factors, biases = side
    return kernels.Factors(
        kernels.on_line(factors.shape, factors.dtype),
        None if biases is None else np.empty_like(biases),
    )


def _first(side: kernels.Factors, count: int) -> kernels.Factors:
    factors, biases = side
    return kernels.Factors(factors[:count], None if biases is None else biases[:count])


def take(side: kernels.Factors, rows: np.ndarray, out: kernels.Factors) -> None:
    """Write some rows of a side to `out`."""
    np.take(side.factors, rows, axis=0, out=out.factors, mode="clip")  # else it takes a copy first
    if out.biases is not None:
        np.take(side.biases, rows, out=out.biases, mode="clip")


def put(side: kernels.Factors, rows: np.ndarray, some: kernels.Factors) -> None:
    side.factors[rows] = some.factors
    if side.biases is not None:
        side.biases[rows] = some.biases


def clear(side: kernels.Factors) -> None:
    """Make all of it 0."""
    side.factors[...] = 0
    if side.biases is not None:
        side.biases[...] = 0


class Begun(NamedTuple):
    """Where an `Alternation` starts."""

    current: Both
    has_users: bool = True  # whether there is anything in users
    before: Both | None = None  # what there was an iteration earlier, of items; is written to
    made: int = 0  # iterations in that direction that momentum is to remember
