"""Errors of predicted ratings."""

from __future__ import annotations

from typing import Any

import numpy as np


def rmse(predicted: Any, actual: Any) -> float:
    """Root of the mean squared error: ``sqrt(mean((predicted - actual)^2))``.

    Parameters
    ----------
    predicted, actual : arrays of float of one shape
        A rating each; ratings on a scale are best clipped to it first (`numpy.clip`).

    Raises
    ------
    TypeError
        They are not real numbers.
    ValueError
        They have different shapes, are empty, or hold NaN or infinite values.
    """
    return float(np.sqrt(np.mean(np.square(_errors(predicted, actual)))))


def mae(predicted: Any, actual: Any) -> float:
    """Mean absolute error: ``mean(|predicted - actual|)``; parameters and errors as of `rmse`."""
    return float(np.mean(np.abs(_errors(predicted, actual))))


def _errors(predicted: Any, actual: Any) -> np.ndarray:
    predicted, actual = np.asarray(predicted), np.asarray(actual)
    for name, values in (("predicted", predicted), ("actual", actual)):
        if values.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be an array of real numbers; got dtype {values.dtype}")
        wrong = np.flatnonzero(~np.isfinite(values.reshape(-1)))
        if len(wrong):
            raise ValueError(
                f"{name} holds {values.reshape(-1)[wrong[0]]} at position {wrong[0]}; expected "
                "finite numbers"
            )
    if predicted.shape != actual.shape or not predicted.size:
        raise ValueError(
            f"predicted has shape {predicted.shape}, actual has {actual.shape}; expected one "
            "rating of each for every pair of user and item, and at least one pair"
        )
    return predicted.astype(np.float64) - actual
