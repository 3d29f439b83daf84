"""The files of models: arrays and a JSON header in safetensors, none of which is executed when
read; and lists of recommendations in Parquet, written as they come."""

from __future__ import annotations

import errno
import hashlib
import io
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

from recsys import checks, csr
from recsys._version import __version__
from recsys.csr import TrainingMatrix
from recsys.interactions import Ids
from recsys.whole_file import whole_file

FORMAT = 3  # the newest; raise it when an older recsys could not make sense of a new file
WITHOUT_FEATURES = 2  # one that reads no more would list items by factors alone, and lose the rest
WITHOUT_IDS = 1  # a recsys that reads no more than this would take ids for row numbers
_KEY = "recsys"  # of the header in the file's metadata
_NOT_PARQUET = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".feather", ".arrow")


def write_model_file(target: Any, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write `arrays` and `header`, which JSON must be able to hold, to a path or a binary file.

    A file at a path appears as a whole or not at all; one that is there already is replaced.

    Raises
    ------
    OSError
        It cannot be written: no such folder, no space left.
    TypeError
        `target` is neither a path nor an object with ``write``.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save, save_file

    oldest = WITHOUT_FEATURES if "ids" in header else WITHOUT_IDS
    oldest = FORMAT if "features" in header else oldest
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    digests = {name: digest(array) for name, array in arrays.items()}
    header = {"format": oldest, "version": __version__, **header, "digests": digests}
    metadata = {_KEY: json.dumps(header)}
    if isinstance(target, io.TextIOBase):
        raise TypeError(
            f"got a {type(target).__name__}, a file of text; expected a path, or a file of bytes: "
            "open(path, 'wb') or io.BytesIO()"
        )
    if hasattr(target, "write"):
        target.write(save(arrays, metadata))
        return
    _check_path(target, "write")
    with whole_file(Path(target)) as temporary:
        try:
            save_file(arrays, temporary, metadata=metadata)
        except SafetensorError as error:  # which says "... (os error 28)" of a full disk
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code)) from error


def _check_path(target: Any, method: str) -> None:
    if not isinstance(target, str | os.PathLike):
        kinds = f"a path, or a binary file object with a method {method}"
        kinds += ", or bytes" if method == "read" else ""
        raise TypeError(f"expected {kinds}; got {target!r} ({type(target).__name__})")


def named(source: Any) -> str:
    """What errors call a path, a file or bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return f"what is in these {len(source)} bytes"
    if hasattr(source, "read"):
        return f"the file object {getattr(source, 'name', source)!r}"
    return repr(os.fspath(source))


def read_model_file(
    source: Any, verify: bool = False
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of what `write_model_file` wrote: a path, a file object or bytes.

    The arrays of a file at a path are mapped into memory, read-only: reading takes no time. They
    stay what they are when `write_model_file` puts another file in the place of this one. Others,
    and with `verify` all, are held to the digests in the header.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
    TypeError
        Neither a path, nor bytes, nor a binary file.
    ValueError
        The file is truncated, damaged, of another kind, or written by a newer recsys; it is to be
        verified, and has no digests.
    """
    checks.flag("verify", verify)
    whole = _whole(source)
    header = _header(whole, named(source))
    arrays = _arrays(whole)
    digests = header.get("digests")
    if verify and digests is None:
        raise ValueError(
            f"{named(source)} has no digests to verify it by, being written by recsys "
            f"{header.get('version')}: save the model again"
        )
    if digests is not None and (verify or not isinstance(whole, mmap.mmap)):
        damaged = [name for name, array in arrays.items() if digest(array) != digests.get(name)]
        if damaged or set(digests) != set(arrays):
            raise ValueError(
                f"{named(source)} is damaged: {', '.join(damaged) or 'what it holds'} is not what "
                "was saved. Save the model again, or copy the file anew"
            )
    return header, arrays


def _whole(source: Any) -> Any:
    """All bytes there are; mapped, where they are in a file at a path."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if hasattr(source, "read"):
        found = source.read()
        if not isinstance(found, bytes):
            raise TypeError(f"{named(source)} gives {type(found).__name__}: open it in mode 'rb'")
        return found
    _check_path(source, "read")
    path = Path(source)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; expected a file that `save` wrote")
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {str(path)!r}")
    if not path.stat().st_size:  # of which there is no map
        return b""
    with path.open("rb") as file:
        # No np.memmap: joblib would have its workers map whatever file has this name by then.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _header(whole: Any, name: str) -> dict[str, Any]:
    try:
        entries = _entries(whole)
        header = json.loads(entries.get("__metadata__", {}).get(_KEY, "null"))
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{name} is not a whole model file ({error}): truncated, or of another kind"
        ) from None
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise ValueError(f"{name} is a safetensors file, but no model saved by recsys")
    if header["format"] > FORMAT:
        raise ValueError(
            f"{name} was saved by recsys {header.get('version')} in format "
            f"{header['format']}; this is recsys {__version__}, which reads formats up to "
            f"{FORMAT}: upgrade recsys-engine"
        )
    return header


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


# The layout: 8 bytes of length, so much JSON, the arrays one after the other. safetensors' own
# reader would copy them.
_KINDS = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "u1"}


def _entries(whole: Any) -> dict[str, Any]:
    """The JSON of safetensors; ValueError unless the arrays it tells of are there, and no more."""
    length = int.from_bytes(whole[:8], "little")
    if len(whole) < 8 or length > len(whole) - 8:
        raise ValueError("it ends within its header")
    entries = json.loads(bytes(whole[8 : 8 + length]))
    end = 0
    spans = [each for name, each in entries.items() if name != "__metadata__"]
    for entry in sorted(spans, key=lambda each: each["data_offsets"]):
        begin, stop = entry["data_offsets"]
        size = math.prod(entry["shape"]) * np.dtype(_KINDS[entry["dtype"]]).itemsize
        if min(entry["shape"], default=0) < 0 or begin != end or stop - begin != size:
            raise ValueError("its header is not in line with itself")
        end = stop
    if end != len(whole) - 8 - length:
        raise ValueError(f"it has {len(whole) - 8 - length} bytes of arrays; expected {end}")
    return entries


def _arrays(whole: Any) -> dict[str, np.ndarray]:
    entries, begin = _entries(whole), 8 + int.from_bytes(whole[:8], "little")
    entries.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            whole,
            _KINDS[entry["dtype"]],
            math.prod(entry["shape"]),
            begin + entry["data_offsets"][0],
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
