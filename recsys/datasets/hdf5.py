"""The HDF5 files implicit's author publishes: a CSR in a group, and what its rows and columns are.

No shape is stored, and rows are items.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .download import EXTRA

HDF5_START = b"\x89HDF\r\n\x1a\n"


def read_hdf5(
    path: Path,
    published: str,
    group: str,
    row_names: str | None = None,
    column_names: str | None = None,
    *,
    text: bool = True,
) -> tuple[sp.csr_matrix, np.ndarray | None, np.ndarray | None]:
    """Read one such file.

    Parameters
    ----------
    path : Path
    published : str
        What the file is called where it is published, for errors.
    group : str
        What the group of ``data, indices, indptr`` is called.
    row_names, column_names : str, optional
        What the dataset is called that names the rows (it may hold several strings each), and that
        of the columns.
    text : bool, default True
        Names as str, else as bytes.

    Returns
    -------
    matrix : csr_matrix of float32
        As many columns as there are names, or as occur.
    rows, columns : ndarray of object, or None
        None where no name was given. There may be more rows named than the matrix has.

    Raises
    ------
    ImportError
        If h5py is not installed.
    ValueError
        If the file holds something else, or is damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"reading {path} needs h5py: {EXTRA}") from error
    try:
        with h5py.File(path, "r") as file:
            _check_held(file, "it", [group, *filter(None, (row_names, column_names))])
            arrays = file[group]
            _check_held(arrays, group, ["data", "indices", "indptr"])
            data = arrays["data"][:].astype(np.float32, copy=False)
            indices, indptr = arrays["indices"][:], arrays["indptr"][:]
            rows, columns = (_names(file, name, text) for name in (row_names, column_names))
        n_columns = int(indices.max(initial=-1)) + 1 if columns is None else len(columns)
        matrix = sp.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, n_columns))
        matrix.check_format(full_check=True)
        if not np.isfinite(data).all():
            raise ValueError("its values are not finite")
        if rows is not None and len(rows) < matrix.shape[0]:
            raise ValueError(f"{row_names} has {len(rows)} names, {group} {matrix.shape[0]} rows")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not implicit's {published}, or is damaged: {error}") from error
    return matrix, rows, columns


def _check_held(group: Any, what: str, names: list[str]) -> None:
    missing = set(names) - set(group)
    if missing:
        raise ValueError(f"{what} holds {sorted(group)}, without {sorted(missing)}")


def _names(file: Any, name: str | None, text: bool) -> np.ndarray | None:
    if name is None:
        return None
    return file[name].asstr(errors="replace")[:] if text else file[name][:]
