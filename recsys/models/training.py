"""What the `fit` of every factor model checks beyond its own parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recsys import checks
from recsys.models.factor_model import FactorModel


def check_callback(callback: Any) -> None:
    """TypeError unless it is None or can be called."""
    if callback is not None and not callable(callback):
        raise TypeError(
            "callback must be a function of (iteration, seconds, loss); got "
            f"{callback!r} ({type(callback).__name__})"
        )


def goes_on(
    model: FactorModel, warm_start: bool, shape: tuple[int, int], factors: int, dtype: np.dtype
) -> bool:
    """Whether training on a matrix of `shape` starts from the model's factors, which it can.

    Raises
    ------
    NotFittedError, ValueError
        It should, but one side has no factors, or some of another shape, or not finite.
    """
    if not warm_start or (model._user_factors is None and model._item_factors is None):
        return False
    pairs = (("user", model.user_factors, shape[0]), ("item", model.item_factors, shape[1]))
    for noun, present, count in pairs:
        if present.shape != (count, factors):
            raise ValueError(
                f"cannot continue from {noun}_factors of shape {present.shape}: expected "
                f"{(count, factors)}, for {count} {noun}s in user_items and "
                f"factors={factors}. Fit with warm_start=False to start fresh"
            )
        checks.factor_matrix(f"{noun}_factors", present, dtype)
    return True


def drawn_factors(
    random: np.random.Generator,
    shape: tuple[int, int],
    factors: int,
    init_scale: float,
    dtype: np.dtype,
) -> tuple[np.ndarray, np.ndarray]:
    """Initial factors of users and items: normal, of standard deviation init_scale / sqrt(f)."""
    scale = dtype.type(init_scale / math.sqrt(factors))
    items, users = (random.standard_normal((count, factors), dtype=dtype) for count in shape[::-1])
    for drawn in (users, items):
        drawn *= scale
    return users, items
