"""Interactions from a file of one's own: a CSR in an .npz, or user,item,count rows in a CSV."""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from recsys.interactions import Ids, Interactions
from recsys.interactions.files import csv_layout, existing, naming

from .dataset import Dataset

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
        Duplicated entries are summed. The ids of a CSV are strings, in order of first appearance;
        where there are no names they are the numbers of rows and columns.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is in none of these forms, or its content is inconsistent; for a CSV, with
        the row.
    """
    path = existing(path)
    with open(path, "rb") as file:
        packed = file.read(4) == b"PK\x03\x04"
    dataset = _read_npz(path) if packed else _read_csv(path)
    logger.info("read %r from %s: %s", dataset, path, dataset.report)
    return dataset


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


def _names(arrays: dict[str, np.ndarray], known: tuple[str, ...], n: int) -> Ids | None:
    """The first array of strings under a known name."""
    for name in known:
        if name in arrays and arrays[name].dtype.kind in "US":
            if len(arrays[name]) != n:
                raise ValueError(f"{name} has {len(arrays[name])} names, the matrix has {n}")
            return Ids.of(arrays[name].astype(str).tolist())
    return None


def _dataset(path: Path, matrix: sp.spmatrix, users: Ids | None, items: Ids | None) -> Dataset:
    if matrix.dtype.kind not in "biuf":
        raise ValueError(f"the counts of {path} are {matrix.dtype}; expected numbers")
    rows = matrix.nnz
    with naming(path):
        wide = matrix.astype(np.float64).tocsr()  # so that sums of small integers fit
        read = Interactions.from_csr(wide, users, items, allow_negative=True)
    report = {"rows": rows, "duplicates": rows - read.nnz}
    return Dataset(read.user_items, read.users, read.items, name=path.name, report=report)


def _read_csv(path: Path) -> Dataset:
    with naming(path):
        first = csv_layout(path).names
        (user, item, count), has_header = _columns(first)
    columns: list[Any] = [user, item, count]
    if has_header:
        columns = [None if place is None else first[place] for place in columns]
    read = Interactions.from_csv(path, *columns, header=has_header, allow_negative=True)
    return Dataset(read.user_items, read.users, read.items, name=path.name)


def _columns(first: list[str]) -> tuple[tuple[int, int, int | None], bool]:
    """Where user, item and count (None: all ones) are, and whether the first row is a header."""
    names = [field.strip().lower() for field in first]
    user, item, count = (
        next((i for i, name in enumerate(names) if name in known), None)
        for known in (_USERS, _ITEMS, _COUNTS)
    )
    if user is not None and item is not None:
        if count is None and len(names) > 2:
            raise ValueError(
                f"the columns are {first}; expected one of them to be named count, plays or "
                "rating, or user and item alone. Interactions.from_csv takes any names"
            )
        return (user, item, count), True
    if len(first) not in (2, 3):
        raise ValueError(
            f"the first line is {first[:6]}: {len(first)} columns; expected user,item or "
            "user,item,count, or a header that names user, item and count. "
            "Interactions.from_csv takes any names"
        )
    has_header = len(first) == 3 and not _is_number(first[2])
    return (0, 1, 2 if len(first) == 3 else None), has_header


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
