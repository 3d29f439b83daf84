"""The columns of features for a file: as JSON, and in arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.interactions.feature_columns import (
    KINDS,
    FeatureColumn,
    NumberColumn,
    WordColumn,
)
from recsys.interactions.features import UNKNOWN, MatrixSchema, TableSchema
from recsys.interactions.ids import StringIds

_WORDS = KINDS[1:]
Arrays = dict[str, np.ndarray]


def written(schema: TableSchema | MatrixSchema) -> tuple[dict[str, Any], Arrays]:
    """What `read` makes the schema of again."""
    arrays: Arrays = {}
    if isinstance(schema, MatrixSchema):
        names = StringIds.of_objects(np.array(schema.names, object))
        _add(arrays, "names", names, schema.weights)
        return {"normalize": schema.normalize}, arrays
    columns = []
    for number, column in enumerate(schema.columns):
        if isinstance(column, NumberColumn):
            columns.append({"kind": "numbers", **vars(column)})
        else:
            described = {"kind": column.kind, "name": column.name, "separator": column.separator}
            columns.append(described)
            _add(arrays, str(number), column.words, column.weights)
    header = {"id": schema.id, "normalize": schema.normalize, "unknown": schema.unknown}
    return {**header, "columns": columns}, arrays


def read(header: dict[str, Any], arrays: Arrays) -> TableSchema | MatrixSchema:
    """The schema that `written` gave, from a file.

    Raises
    ------
    ValueError, TypeError, KeyError
        It is not as it should be.
    """
    normalize = bool(header["normalize"])
    if "columns" not in header:
        names, weights = _taken(arrays, "names")
        return MatrixSchema([str(name) for name in names], weights, normalize)
    if header["unknown"] not in UNKNOWN:
        raise ValueError(f"unknown words are {header['unknown']!r}; expected one of {UNKNOWN}")
    columns: list[FeatureColumn] = []
    for number, described in enumerate(header["columns"]):
        kind, name = described["kind"], described["name"]
        if kind == "numbers":
            mean, deviation = float(described["mean"]), float(described["deviation"])
            columns.append(NumberColumn(name, mean, deviation, bool(described["missing"])))
            continue
        if kind not in _WORDS:
            raise ValueError(f"column {name!r} is of kind {kind!r}; expected one of {KINDS}")
        words, weights = _taken(arrays, str(number))
        columns.append(WordColumn(name, kind, described["separator"], words, weights))
    return TableSchema(header["id"], tuple(columns), normalize, header["unknown"])


def _add(arrays: Arrays, prefix: str, words: StringIds, weights: np.ndarray | None) -> None:
    arrays |= {f"{prefix}_{name}": array for name, array in words.arrays().items()}
    if weights is not None:
        arrays[f"{prefix}_weights"] = weights


def _taken(arrays: Arrays, prefix: str) -> tuple[StringIds, np.ndarray | None]:
    words = StringIds(arrays[f"{prefix}_offsets"], arrays[f"{prefix}_letters"])
    weights = arrays.get(f"{prefix}_weights")
    if weights is not None and weights.shape != (len(words),):
        raise ValueError(f"there are {len(words)} features and weights of {weights.shape}")
    return words, weights
