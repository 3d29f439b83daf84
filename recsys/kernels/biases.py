"""Half-sweeps of models with biases: s = mean + b_u + b_i + x.y.

A bias is one more factor, whose partner on the other side is 1: with Y held, [x, b_u] are solved
against [Y, 1], while mean + b_i is a given part of the scores of column i, in all cells.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from .als import Sweep, half_sweep, rotate_back
from .sides import Side


class Biased(NamedTuple):
    """One side of a model."""

    factors: np.ndarray  # (rows, f)
    biases: np.ndarray | None  # (rows,) of the same dtype; None in a model without


def with_ones(factors: np.ndarray) -> np.ndarray:
    """[Y, 1], (rows, f + 1)."""
    return np.column_stack([factors, np.ones(len(factors), factors.dtype)])


def biased_half_sweep(
    side: Side, fixed: Biased, start: Biased, out: Biased, mean: float, **options: Any
) -> Sweep:
    """Solve the factors and biases of every row of `side` with those of the columns held.

    Parameters
    ----------
    side : Side
        The data, rows x columns. A row's lambda_u is that of its bias too.
    fixed : Biased
        Factors and biases of the columns; not written to.
    start : Biased
        Where conjugate gradient starts; not used by "cholesky".
    out : Biased
        Becomes the solution, in the basis of `fixed`; may be `start` itself.
    mean : float
    options
        `solver`, `cg_steps`, `loss` and `num_threads` as in `half_sweep`. The loss is that of all
        factors and biases.

    Raises
    ------
    FloatingPointError, KeyboardInterrupt
        As in `half_sweep`.
    """
    held = with_ones(fixed.factors)
    scratch = None if side.places is None else np.empty_like(held)
    solved = np.column_stack(start)
    offsets = (fixed.biases + mean).astype(held.dtype)
    sweep = half_sweep(side, held, solved, solved, scratch=scratch, offsets=offsets, **options)
    rotate_back(solved, sweep.basis, options.get("num_threads", 0))
    out.factors[:], out.biases[:] = solved[:, :-1], solved[:, -1]
    if sweep.loss is None:
        return sweep
    # what is held had ones where its own biases are to be counted
    squares = fixed.biases.astype(np.float64) ** 2 - 1
    return dataclasses.replace(sweep, loss=sweep.loss + float(side.other_regularization @ squares))
