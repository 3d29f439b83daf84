"""What a model file has of what a model knows by features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsys import checks, csr
from recsys.interactions import feature_schema_file
from recsys.models.features import SIDES, SideFeatures
from recsys.models.ridge import Ridge

_PREFIX = "features_of_{}_"


def written(features: Mapping[str, SideFeatures]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """As JSON and in arrays; nothing of a model without features."""
    header: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for side, known in features.items():
        schema, parts = feature_schema_file.written(known.schema)
        header[side] = {
            "schema": schema,
            "shape": known.matrix.shape,
            "strength": known.ridge.strength,
            "joint": known.joint,
        }
        matrix = known.matrix
        parts = {f"schema_{name}": array for name, array in parts.items()} | {
            "indptr": matrix.indptr,
            "indices": matrix.indices,
            "data": matrix.data,
            "weights": known.ridge.weights,
            "constant": known.ridge.constant,
            "rows": known.rows,
        }
        arrays |= {_PREFIX.format(side) + name: array for name, array in parts.items()}
    return {"features": header} if header else {}, arrays


def read(
    header: dict[str, Any], arrays: dict[str, np.ndarray], shape: tuple[int, int], width: int
) -> dict[str, SideFeatures]:
    """What `written` gave, from a file of a model of so many users and items and so many factors.

    Raises
    ------
    ValueError, TypeError, KeyError
        It is not as it should be.
    """
    features = {}
    for side, described in header.get("features", {}).items():
        count = shape[SIDES.index(side)]
        features[side] = _side(side, described, _parts(arrays, side), count, width)
    return features


def _parts(arrays: dict[str, np.ndarray], side: str) -> dict[str, np.ndarray]:
    prefix = _PREFIX.format(side)
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _side(
    side: str, described: dict[str, Any], parts: dict[str, np.ndarray], count: int, width: int
) -> SideFeatures:
    words = {
        name.removeprefix("schema_"): array
        for name, array in parts.items()
        if name.startswith("schema_")
    }
    schema = feature_schema_file.read(described["schema"], words)
    shape = tuple(described["shape"])
    weights, constant, rows = parts["weights"], parts["constant"], parts["rows"]
    whole = csr.assemble(parts["data"], parts["indices"], parts["indptr"], shape)
    matrix = csr.canonical(whole, np.dtype(np.float32), may_be_empty=True, name="features")
    columns = len(schema.names)
    good = shape[0] <= count and shape[1] == columns and len(weights) == columns
    good = good and constant.shape == weights.shape[1:] and len(constant) in (width, width + 1)
    if not good or (len(rows) and not (rows[0] >= 0 and rows[-1] < count)):
        raise ValueError(f"the features of {side} are not in line with the model")
    checks.factor_matrix("weights of features", weights, weights.dtype)
    ridge = Ridge(weights, constant, checks.number("strength", described["strength"], above=0))
    return SideFeatures(schema, matrix, ridge, rows, bool(described.get("joint", False)))
