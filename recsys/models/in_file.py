"""What a model file has of a model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from recsys import checks
from recsys.csr import TrainingMatrix
from recsys.models.files import matrix_arrays


def model_file(model: Any, history: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays, with or without the training matrix."""
    header, arrays = model._to_file()
    matrix = model._training_matrix
    if matrix is not None and history:
        header["seen_shape"] = matrix.shape
        arrays |= matrix_arrays(matrix)
    elif matrix is not None:
        arrays["popularity"] = users_of_items(matrix)
    elif model._popularity is not None:
        arrays["popularity"] = model._popularity
    vocabulary = model._vocabulary()
    if vocabulary is not None:
        header |= vocabulary.header()
        arrays |= vocabulary.arrays()
    described = {
        "class": type(model).__name__,
        "parameters": model._json_parameters(),
        "history": [asdict(entry) for entry in model._history],
        "best_iteration": model._best_iteration,
        "validation_metric": model.validation_metric,
    }
    return described | header, arrays


_FACTORS, _BIASES = ("user_factors", "item_factors"), ("user_biases", "item_biases")


def factors_in_file(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a FactorModel has learned, as JSON and in arrays."""
    learned = {name: getattr(model, f"_{name}") for name in (*_FACTORS, *_BIASES)}
    header = {"mean": model._mean, "shape": model._known_shape()}
    return header, {name: array for name, array in learned.items() if array is not None}


def factors_from_file(
    header: dict[str, Any], arrays: dict[str, np.ndarray], dtype: np.dtype
) -> dict[str, Any]:
    """What `factors_in_file` gave, checked, in terms of attributes."""
    state = {f"_{name}": checks.factor_matrix(name, arrays[name], dtype) for name in _FACTORS}
    for name, factors in zip(_BIASES, _FACTORS, strict=True):
        if name in arrays:
            column = checks.factor_matrix(name, arrays[name][:, np.newaxis], dtype)
            check_length(name, column, len(state[f"_{factors}"]))
            state[f"_{name}"] = column[:, 0]
    shape = [len(state[f"_{name}"]) for name in _FACTORS]
    if list(header.get("shape", shape)) != shape:
        raise ValueError(f"it says there are factors for {header['shape']}, and has {shape}")
    return state | {"_mean": checks.number("mean", header.get("mean", 0.0))}


def check_length(name: str, rows: np.ndarray, count: int) -> None:
    """ValueError unless there are as many rows as biases."""
    if len(rows) != count:
        raise ValueError(f"{name} has {len(rows)} rows; expected {count}, as many as biases")


def users_of_items(matrix: TrainingMatrix) -> np.ndarray:
    """How many users have a positive entry of each item, int64."""
    liked = matrix.indices if matrix.data is None else matrix.indices[matrix.data > 0]
    return np.bincount(liked, minlength=matrix.shape[1])
