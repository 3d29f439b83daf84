"""Arrays and a JSON header in one safetensors file: nothing in it is executed when it is read."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from recsys._version import __version__
from recsys.whole_file import whole_file

FORMAT = 2  # the newest; raise it when an older recsys could not make sense of a new file
WITHOUT_IDS = 1  # a recsys that reads no more than this would take ids for row numbers
_KEY = "recsys"  # of the header in the file's metadata


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
    own = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with whole_file(path) as temporary:
        try:
            save_file(own, temporary, metadata={_KEY: json.dumps(header)})
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


def digest(array: np.ndarray) -> str:
    """Of shape, dtype and bytes."""
    found = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=16)
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


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
