"""The .npz files of implicit: arrays and settings by name, nothing that is executed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from recsys.whole_file import whole_file


def attributes(model: Any, names: Sequence[str]) -> dict[str, Any]:
    """What a file holds of a model; what is None, or only pickle could hold, stays out."""
    values = {}
    for name in names:
        value = getattr(model, name)
        value = value.name if isinstance(value, np.dtype) else value
        if value is not None and np.asarray(value).dtype.kind != "O":
            values[name] = value
    return values


def save(fileobj_or_path: Any, values: dict[str, Any]) -> None:
    """Write `values` by their names."""
    if not isinstance(fileobj_or_path, str | os.PathLike):
        np.savez(fileobj_or_path, **values)
        return
    with whole_file(_with_suffix(fileobj_or_path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, **values)


def load(fileobj_or_path: Any, cls: type, names: Sequence[str]) -> dict[str, Any]:
    """What is in the file of a `cls`, which has no more than `names`; single values as such.

    Raises
    ------
    FileNotFoundError
    ValueError
        The file is truncated, of another kind, or holds another model.
    """
    source = fileobj_or_path
    if isinstance(source, str | os.PathLike):
        source = Path(source) if Path(source).exists() else _with_suffix(source)
        if not source.is_file():
            raise FileNotFoundError(f"there is no model file {str(source)!r}")
    try:
        with ExitStack() as stack:
            file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            content = stack.enter_context(closing(np.load(file, allow_pickle=False)))
            values = {name: content[name] for name in content.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(
            f"{str(source)!r} is not a whole .npz file of a model ({error}): truncated, or of "
            "another kind"
        ) from None
    foreign = sorted(set(values) - set(names))
    if foreign or not values:
        raise ValueError(
            f"{str(source)!r} holds no {cls.__name__}: it has "
            f"{', '.join(foreign) or 'nothing in it'}"
        )
    return {name: value if value.ndim else value.item() for name, value in values.items()}


def _with_suffix(path: str | os.PathLike) -> Path:
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
