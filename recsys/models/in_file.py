"""What a model file has of a model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from recsys.csr import TrainingMatrix
from recsys.models import just_added
from recsys.models.files import matrix_arrays


class Saved(NamedTuple):
    """What a model file holds."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]


def model_file(model: Any, history: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays, with or without the training matrix."""
    header, arrays = model._to_file()
    matrix = model._training_matrix
    if matrix is not None and history:
        header["seen_shape"] = matrix.shape
        last, entries = just_added.written(model)
        header |= last
        arrays |= matrix_arrays(matrix) | entries | model._to_learn_on()
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


def users_of_items(matrix: TrainingMatrix) -> np.ndarray:
    """How many users have a positive entry of each item, int64."""
    liked = matrix.indices if matrix.data is None else matrix.indices[matrix.data > 0]
    return np.bincount(liked, minlength=matrix.shape[1])
