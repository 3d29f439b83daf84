"""Lists of recommendations, written to Parquet as they come."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from recsys.interactions.ids import Ids
from recsys.whole_file import whole_file

_OTHERS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".feather", ".arrow")


def write_lists(
    path: str | os.PathLike,
    blocks: Iterable[tuple[int, np.ndarray, np.ndarray]],
    users: Ids | None = None,
    items: Ids | None = None,
) -> None:
    """Write blocks of (first user, rows of items, scores), one row group each, to a Parquet file.

    Columns: user int32, items list<int32>, scores list<float or double>; the places that stay
    empty in a list are left out. With the ids of `users` and `items` these are string or int64.
    The file appears as a whole or not at all.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    TypeError, ValueError
        Ids are neither strings nor integers; `path` is named as another kind of file.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            "writing Parquet needs pyarrow: pip install 'recsys-engine[arrow]'"
        ) from None
    if Path(path).suffix.lower() in _OTHERS:
        raise ValueError(f"lists are written as Parquet; got the name of another file, {path}")
    for ids in (users, items):
        if ids is not None:
            ids.arrays()  # what cannot be in a file is told of before there is one
    with whole_file(Path(path)) as temporary, ExitStack() as stack:
        writer = None
        for first, rows, scores in blocks:
            table = pyarrow.table(_columns(pyarrow, first, rows, scores, users, items))
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(temporary, table.schema))
            writer.write_table(table)


def _columns(
    pyarrow: Any,
    first: int,
    rows: np.ndarray,
    scores: np.ndarray,
    users: Ids | None,
    items: Ids | None,
) -> dict:
    filled = rows >= 0
    offsets = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    whose, listed = np.arange(first, first + len(rows), dtype=np.int32), rows[filled]
    return {
        "user": _column(pyarrow, users, whose),
        "items": pyarrow.ListArray.from_arrays(offsets, _column(pyarrow, items, listed)),
        "scores": pyarrow.ListArray.from_arrays(offsets, scores[filled]),
    }


def _column(pyarrow: Any, ids: Ids | None, rows: np.ndarray) -> Any:
    if ids is None:
        return pyarrow.array(rows)
    kind = pyarrow.string() if ids.kind == "string" else pyarrow.int64()
    return pyarrow.array(ids.take(rows), kind)  # there may be no rows to tell the type from
