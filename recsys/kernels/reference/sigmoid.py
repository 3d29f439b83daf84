"""The logistic function and its integral."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    """1 / (1 + e^-x)"""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x):
    """log(1 + e^x)"""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
