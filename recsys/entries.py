"""Entries of canonical CSR matrices, many at a time: their keys, and some of them kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks

if TYPE_CHECKING:
    from scipy import sparse


def canonical(matrix: Any, name: str) -> sparse.csr_array:
    """`matrix` in canonical form, in the narrowest of float32 and float64 that holds its values."""
    from scipy import sparse

    kind = matrix.dtype if sparse.issparse(matrix) else np.dtype(np.float32)
    exact = kind.kind in "biuf" and np.result_type(kind, np.float32) == np.float32
    dtype = np.dtype(np.float32 if exact else np.float64)
    return checks.interactions(matrix, dtype, may_be_empty=True, name=name)


def plain(matrix: sparse.csr_array) -> sparse.csr_matrix:
    """As a csr_matrix with one integer type for both index arrays: what every library takes."""
    from scipy import sparse

    own = sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
    own.has_sorted_indices = own.has_canonical_format = True
    return own


def row_of_entries(matrix: sparse.csr_array) -> np.ndarray:
    """The row of each stored entry, int64."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def keep(matrix: sparse.csr_array, kept: np.ndarray) -> sparse.csr_array:
    """The entries where `kept`, one bool an entry, in a matrix of the same shape."""
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return checks.assemble(matrix.data[kept], matrix.indices[kept], indptr, matrix.shape)


def entry_keys(matrix: sparse.csr_array, rows: slice, width: int | None = None) -> np.ndarray:
    """``(row - rows.start) * width + column`` of the entries of some rows, ascending; `width` is
    the number of columns, or more."""
    indptr = matrix.indptr[rows.start : rows.stop + 1]
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return row * np.int64(width or matrix.shape[1]) + matrix.indices[indptr[0] : indptr[-1]]


def among(wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which of `wanted`, of any shape, are in the ascending `keys`."""
    if not len(keys):
        return np.zeros(wanted.shape, bool)
    return keys.take(np.searchsorted(keys, wanted), mode="clip") == wanted


def shared_entries(
    first: sparse.csr_array, second: sparse.csr_array
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Where two matrices both have an entry; one may have more rows or columns than the other.

    Returns
    -------
    counts : ndarray of int64, shape (n_rows,)
        How many a row, of the rows that both have.
    example : (row, column) or None
        One of them.
    """
    n_rows = min(first.shape[0], second.shape[0])
    width = max(first.shape[1], second.shape[1])
    counts, example = np.zeros(n_rows, np.int64), None
    for rows, _ in checks.row_blocks(first.indptr[: n_rows + 1]):
        keys = entry_keys(second, rows, width)
        both = keys[among(keys, entry_keys(first, rows, width))]
        if not len(both):
            continue
        row, column = np.divmod(both, width)
        counts[rows] = np.bincount(row, minlength=rows.stop - rows.start)
        example = example or (rows.start + int(row[0]), int(column[0]))
    return counts, example


def without(matrix: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    """A matrix without the entries that another one of the same shape has."""
    kept = np.empty(matrix.nnz, bool)
    for rows, span in checks.row_blocks(matrix.indptr):
        kept[span] = ~among(entry_keys(matrix, rows), entry_keys(other, rows))
    return keep(matrix, kept)


def check_apart(
    train: sparse.csr_array, test: sparse.csr_array, names: tuple[str, str], advice: str = ""
) -> None:
    """ValueError if what is to be measured on was trained on; `names` are those of the matrices."""
    counts, example = shared_entries(train, test)
    if example is not None:
        raise ValueError(
            f"{counts.sum()} entries are in {names[0]} and in {names[1]}, such as user "
            f"{example[0]}, item {example[1]}: what was trained on says nothing about the rest. "
            f"Take them out of {names[1]}{advice}"
        )
