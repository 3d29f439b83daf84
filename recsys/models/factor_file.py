"""What a model file has of factors and biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys import checks
from recsys.models import feature_file

_FACTORS, _BIASES = ("user_factors", "item_factors"), ("user_biases", "item_biases")


def written(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`Model._to_file` of a FactorModel."""
    learned = {name: getattr(model, f"_{name}") for name in (*_FACTORS, *_BIASES)}
    header, arrays = feature_file.written(model._features)
    header |= {"mean": model._mean, "shape": model._known_shape()}
    return header, arrays | {name: array for name, array in learned.items() if array is not None}


def read(header: dict[str, Any], arrays: dict[str, np.ndarray], dtype: np.dtype) -> dict[str, Any]:
    """`Model._from_file` of a FactorModel."""
    state = {f"_{name}": checks.factor_matrix(name, arrays[name], dtype) for name in _FACTORS}
    for name, factors in zip(_BIASES, _FACTORS, strict=True):
        if name in arrays:
            column = checks.factor_matrix(name, arrays[name][:, np.newaxis], dtype)
            check_length(name, column, len(state[f"_{factors}"]))
            state[f"_{name}"] = column[:, 0]
    shape = [len(state[f"_{name}"]) for name in _FACTORS]
    if list(header.get("shape", shape)) != shape:
        raise ValueError(f"it says there are factors for {header['shape']}, and has {shape}")
    features = feature_file.read(
        header, arrays, (shape[0], shape[1]), state["_item_factors"].shape[1]
    )
    return state | {"_features": features, "_mean": checks.number("mean", header.get("mean", 0.0))}


def check_length(name: str, rows: np.ndarray, count: int) -> None:
    """ValueError unless there are as many rows as biases."""
    if len(rows) != count:
        raise ValueError(f"{name} has {len(rows)} rows; expected {count}, as many as biases")
