"""The files of models: arrays and a JSON header in safetensors, none of which is executed when
read; and lists of recommendations in Parquet, written as they come."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from recsys import csr
from recsys._version import __version__
from recsys.csr import TrainingMatrix
from recsys.interactions import Ids
from recsys.whole_file import whole_file

FORMAT = 2  # the newest; raise it when an older recsys could not make sense of a new file
WITHOUT_IDS = 1  # a recsys that reads no more than this would take ids for row numbers
_KEY = "recsys"  # of the header in the file's metadata
_NOT_PARQUET = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".feather", ".arrow")


def write_model_file(
    path: str | os.PathLike, header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write `arrays` and `header`, which JSON must be able to hold, to `path`.

    The file appears as a whole or not at all; one that is there already is replaced.

    Raises
    ------
    OSError
        It cannot be written: no such folder, no space left.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path = Path(path)
    newest = FORMAT if "ids" in header else WITHOUT_IDS
    header = {"format": newest, "version": __version__, **header}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with whole_file(path) as temporary:
        try:
            save_file(arrays, temporary, metadata={_KEY: json.dumps(header)})
        except SafetensorError as error:  # which says "... (os error 28)" of a full disk
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code)) from error


def read_model_file(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file that `write_model_file` wrote.

    The arrays are mapped into memory, read-only: reading takes no time. They stay what they are
    when `write_model_file` puts another file in the place of this one.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
    ValueError
        The file is truncated, of another kind, or written by a newer recsys.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; expected a file that `save` wrote")
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {str(path)!r}")
    try:
        with safe_open(path, framework="numpy") as file:  # checks sizes and offsets
            header = json.loads((file.metadata() or {}).get(_KEY, "null"))
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} is not a whole model file ({error}): truncated, or of another kind"
        ) from None
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ValueError(f"{str(path)!r} is a safetensors file, but no model saved by recsys")
    if header["format"] > FORMAT:
        raise ValueError(
            f"{str(path)!r} was saved by recsys {header.get('version')} in format "
            f"{header['format']}; this is recsys {__version__}, which reads formats up to "
            f"{FORMAT}: upgrade recsys-engine"
        )
    return header, _mapped(path)


def matrix_arrays(matrix: TrainingMatrix) -> dict[str, np.ndarray]:
    """A training matrix for a model file."""
    parts = {"seen_indptr": matrix.indptr, "seen_indices": matrix.indices, "seen_data": matrix.data}
    return {name: part for name, part in parts.items() if part is not None}


def matrix_from_arrays(arrays: dict[str, np.ndarray], shape: tuple[int, int]) -> TrainingMatrix:
    """What `matrix_arrays` gave, from a file: checked, as native code will follow it."""
    indptr, indices = arrays["seen_indptr"], arrays["seen_indices"]
    data = arrays.get("seen_data")
    values = np.ones(len(indices), np.float32) if data is None else data
    matrix = csr.assemble(values, indices, indptr, shape)
    whole = csr.canonical(matrix, values.dtype, may_be_empty=True, name="what was seen")
    return TrainingMatrix(whole.indptr, whole.indices, shape, None if data is None else whole.data)


def digest(array: np.ndarray) -> str:
    """Of shape, dtype and bytes."""
    of_bytes = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=16)
    of_bytes.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return of_bytes.hexdigest()


def _mapped(path: Path) -> dict[str, np.ndarray]:
    # safetensors' own reader copies. The layout: 8 bytes of length, so much JSON, the arrays.
    # No np.memmap: joblib would have its workers map whatever file has this name by then.
    kinds = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "u1"}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    entries.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            whole,
            kinds[entry["dtype"]],
            math.prod(entry["shape"]),
            8 + length + entry["data_offsets"][0],
        ).reshape(entry["shape"])
        for name, entry in entries.items()
    }


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
    if Path(path).suffix.lower() in _NOT_PARQUET:
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
