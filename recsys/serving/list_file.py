"""Lists of recommendations, written to Parquet as they come."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from recsys.whole_file import whole_file


def write_lists(
    path: str | os.PathLike, blocks: Iterable[tuple[int, np.ndarray, np.ndarray]]
) -> None:
    """Write blocks of (first user, ids, scores), one row group each, to a Parquet file.

    Columns: user int32, items list<int32>, scores list<float or double>; the places that stay
    empty in a list are left out. The file appears as a whole or not at all.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            "writing Parquet needs pyarrow: pip install 'recsys-engine[arrow]'"
        ) from None
    with whole_file(Path(path)) as temporary, ExitStack() as stack:
        writer = None
        for first, ids, scores in blocks:
            table = pyarrow.table(_columns(pyarrow, first, ids, scores))
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(temporary, table.schema))
            writer.write_table(table)


def _columns(pyarrow, first: int, ids: np.ndarray, scores: np.ndarray) -> dict:
    filled = ids >= 0
    offsets = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    return {
        "user": np.arange(first, first + len(ids), dtype=np.int32),
        "items": pyarrow.ListArray.from_arrays(offsets, ids[filled]),
        "scores": pyarrow.ListArray.from_arrays(offsets, scores[filled]),
    }
