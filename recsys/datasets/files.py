"""Interactions from a file of one's own: a CSR in an .npz, or user,item,count rows in a CSV."""

from __future__ import annotations

import csv
import gzip
import logging
import os
import zipfile
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import scipy.sparse as sp

from .dataset import Dataset, names_array

logger = logging.getLogger("recsys")

# The names under which each thing is recognised, in an .npz and in the header of a CSV.
_COUNTS = ("plays", "count", "counts", "data", "rating", "ratings", "value", "values", "weight")
_USERS: tuple[str, ...] = ("user", "users", "user_id", "userid", "user_ids", "uid")
_ITEMS: tuple[str, ...] = (
    "item",
    "items",
    "item_id",
    "itemid",
    "item_ids",
    "iid",
    "artist",
    "artists",
)
_ITEMS += ("artist_id", "artistid", "artist_name", "movie", "movies", "movie_id", "movieid")
_ITEMS += ("title", "titles", "name", "names", "track", "track_id")


def read_interactions(path: str | os.PathLike[str]) -> Dataset:
    """Read a users x items matrix of counts, whichever of these forms it has.

    - ``.npz`` with ``shape, indptr, indices`` (CSR) or ``shape, user, item`` (triples), optionally
      counts (as ``plays``, ``counts``, ``data``, ``ratings``, ...; all ones otherwise) and names
      (``artists``, ``items``, ...; ``users``). With ``train_indptr, train_indices`` the training
      part is read.
    - ``.npz`` written by ``scipy.sparse.save_npz``.
    - CSV of user, item and optionally count; comma, semicolon or tab; with or without a
      header; it may be gzipped. Further columns are passed over if a header names the three.

    Returns
    -------
    Dataset
        float32 counts; duplicated entries are summed. The ids of a CSV are strings, in order
        of first appearance.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is in none of these forms, or its content is inconsistent; for a CSV, with
        the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    dataset = _read(path)
    logger.info("read %r from %s: %s", dataset, path, dataset.report)
    return dataset


def _read(path: Path) -> Dataset:
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return _read_npz(path)
    opened = gzip.open if start[:2] == b"\x1f\x8b" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            return _read_csv(path, file)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is neither an .npz nor a CSV in UTF-8: {error}") from error
    except (EOFError, gzip.BadGzipFile, csv.Error) as error:
        raise ValueError(f"{path} is damaged or no CSV: {error}") from error


def _read_npz(path: Path) -> Dataset:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            if "format" in stored.files:
                return _dataset(path, sp.load_npz(path), None, None)
            arrays = {name: stored[name] for name in stored.files}
        matrix = _matrix(arrays)
        users = _names(arrays, _USERS, matrix.shape[0])
        items = _names(arrays, _ITEMS, matrix.shape[1])
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no users x items matrix: {error}") from error
    return _dataset(path, matrix, users, items)


def _matrix(arrays: dict[str, np.ndarray]) -> sp.csr_matrix:
    prefix = "train_" if "train_indptr" in arrays else ""
    form = (prefix + "indptr", prefix + "indices")
    if "user" in arrays and "item" in arrays:
        form = ("user", "item")
    missing = [name for name in ("shape", *form) if name not in arrays]
    if missing:
        raise ValueError(
            f"got the arrays {sorted(arrays)}, without {missing}; expected shape, indptr, indices "
            "(CSR), or what scipy.sparse.save_npz writes"
        )
    shape = tuple(int(n) for n in arrays["shape"])
    left, right = (arrays[name] for name in form)
    named = [prefix + name for name in _COUNTS if prefix + name in arrays]
    counts = arrays[named[0]] if named else np.ones(len(right), dtype=np.float32)
    if len(counts) != len(right):
        raise ValueError(f"{named[0]} has {len(counts)} entries, {form[1]} has {len(right)}")
    if form[0] == "user":
        return sp.coo_matrix((counts, (left, right)), shape=shape)
    matrix = sp.csr_matrix((counts, right, left), shape=shape)
    matrix.check_format(full_check=True)
    return matrix


def _names(arrays: dict[str, np.ndarray], known: tuple[str, ...], n: int) -> np.ndarray | None:
    """The first array of strings under a known name."""
    for name in known:
        if name in arrays and arrays[name].dtype.kind in "US":
            if len(arrays[name]) != n:
                raise ValueError(f"{name} has {len(arrays[name])} names, the matrix has {n}")
            return names_array(arrays[name].astype(str).tolist())
    return None


def _dataset(
    path: Path, matrix: sp.spmatrix, users: np.ndarray | None, items: np.ndarray | None
) -> Dataset:
    if matrix.dtype.kind not in "biuf":
        raise ValueError(f"the counts of {path} are {matrix.dtype}; expected numbers")
    entries = matrix.nnz
    matrix = sp.csr_matrix(matrix, dtype=np.float32)
    if not np.isfinite(matrix.data).all():
        raise ValueError(f"{path} holds counts that are NaN or infinite")
    matrix.sum_duplicates()
    report = {"rows": entries, "duplicates": entries - matrix.nnz}
    return Dataset(matrix, users, items, name=path.name, report=report)


def _read_csv(path: Path, file: TextIO) -> Dataset:
    first = file.readline()
    delimiter = max("\t;,", key=first.count)
    fields = next(csv.reader([first], delimiter=delimiter), [])
    columns, has_header = _columns(path, fields)
    if not has_header:
        file.seek(0)
    users: defaultdict[str, int] = defaultdict()
    items: defaultdict[str, int] = defaultdict()
    users.default_factory, items.default_factory = users.__len__, items.__len__
    rows, cols, counts = array("i"), array("i"), array("f")
    for user, item, count in _rows(
        path, csv.reader(file, delimiter=delimiter), columns, has_header
    ):
        rows.append(users[user])
        cols.append(items[item])
        counts.append(count)
    if not rows:
        raise ValueError(f"{path} has no rows; expected user,item,count")
    matrix = sp.coo_matrix(
        (
            np.frombuffer(counts, dtype=np.float32),
            (np.frombuffer(rows, dtype=np.int32), np.frombuffer(cols, dtype=np.int32)),
        ),
        shape=(len(users), len(items)),
    )
    return _dataset(path, matrix, names_array(list(users)), names_array(list(items)))


def _columns(path: Path, first: list[str]) -> tuple[tuple[int, int, int | None], bool]:
    """Where user, item and count (None: all ones) are, and whether the first row is a header."""
    names = [field.strip().lower() for field in first]
    user, item, count = (
        next((i for i, name in enumerate(names) if name in known), None)
        for known in (_USERS, _ITEMS, _COUNTS)
    )
    if user is not None and item is not None:
        if count is None and len(names) > 2:
            raise ValueError(
                f"{path} has the columns {first}; expected one of them to be named count, plays "
                "or rating, or user and item alone"
            )
        return (user, item, count), True
    if len(first) not in (2, 3):
        raise ValueError(
            f"{path} begins with {first[:6]}: {len(first)} columns; expected user,item or "
            "user,item,count, or a header that names user, item and count"
        )
    has_header = len(first) == 3 and not _is_number(first[2])
    return (0, 1, 2 if len(first) == 3 else None), has_header


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(
    path: Path,
    reader: Any,
    columns: tuple[int, int, int | None],
    has_header: bool,
) -> Iterator[tuple[str, str, float]]:
    user, item, count = columns
    for row in reader:
        if not row:
            continue
        try:
            value = 1.0 if count is None else float(row[count])
            if not abs(value) < 3e38:  # NaN, infinite, or too large for float32
                raise ValueError(f"the count {row[count]!r} is not finite")
            yield row[user], row[item], value
        except (ValueError, IndexError) as error:
            line = reader.line_num + has_header
            raise ValueError(
                f"{path}, line {line}: got {row[:6]}, expected user,item,count ({error})"
            ) from error
