"""The parsed copy of a data set: one uncompressed .npz, without pickle, bound to its source.

The copy holds the size and modification time of the file it was parsed from and the version of
this layout; where any of them differs it counts as absent. It is written beside its final name
and renamed, so a reader sees all of it or nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recsys.interactions import Ids
from recsys.whole_file import whole_file

from .dataset import Dataset, distinct_names

logger = logging.getLogger("recsys")

_LAYOUT = 1  # raise it whenever the arrays below, or what parsing makes of a file, change


def default_cache_dir() -> Path:
    """The folder for downloads and parsed copies: the platform's cache folder of this user."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "recsys"


def find(filenames: Sequence[str], cache_dir: Path) -> Path | None:
    """The first of some files in the folder that RECSYS_DATA names, else in `cache_dir`."""
    named = os.environ.get("RECSYS_DATA")
    return (search(filenames, Path(named)) if named else None) or search(filenames, cache_dir)


def search(filenames: Sequence[str], folder: Path) -> Path | None:
    """The first of some files that is in `folder`."""
    return next((folder / name for name in filenames if (folder / name).is_file()), None)


def load(source: Path, cache_dir: Path) -> Dataset | None:
    """The copy of ``source``; None if there is none, or it is outdated or damaged."""
    path = _copy_path(source, cache_dir)
    if not path.is_file():
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            if json.loads(str(stored["fingerprint"])) != _fingerprint(source):
                logger.info("%s has changed since it was cached: reading it again", source)
                return None
            matrix = sp.csr_matrix(
                (stored["data"], stored["indices"], stored["indptr"]), shape=tuple(stored["shape"])
            )
            matrix.has_canonical_format = True
            logger.info("taken from %s, the parsed copy of %s", path, source)
            return Dataset(
                user_items=matrix,
                users=_unpack(stored["users"]),
                items=_unpack(stored["items"]),
                name=str(stored["name"]),
                report=json.loads(str(stored["report"])),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("the cached copy %s is damaged (%s): reading the source again", path, error)
        return None


def save(dataset: Dataset, source: Path, cache_dir: Path) -> None:
    """Keep a copy for the next time. A folder that cannot be written is logged, not fatal."""
    matrix = dataset.user_items
    arrays = {
        "fingerprint": np.array(json.dumps(_fingerprint(source))),
        "shape": np.array(matrix.shape, dtype=np.int64),
        "indptr": matrix.indptr,
        "indices": matrix.indices,
        "data": matrix.data,
        "users": _pack(dataset.users),
        "items": _pack(dataset.items),
        "name": np.array(dataset.name),
        "report": np.array(json.dumps(dict(dataset.report))),
    }
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with whole_file(_copy_path(source, cache_dir)) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        logger.warning("could not keep a parsed copy in %s: %s", cache_dir, error)


def _copy_path(source: Path, cache_dir: Path) -> Path:
    key = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:12]
    return cache_dir / f"parsed-{source.name.split('.')[0]}-{key}.npz"


def _fingerprint(source: Path) -> list[int]:
    stat = source.stat()
    return [_LAYOUT, stat.st_size, stat.st_mtime_ns]


def _pack(names: Ids) -> np.ndarray:
    """Strings as the bytes of one JSON list: fixed-width arrays would take the longest for all."""
    return np.frombuffer(json.dumps(list(names)).encode(), dtype=np.uint8)


def _unpack(packed: np.ndarray) -> Ids:
    return distinct_names(json.loads(packed.tobytes()))
