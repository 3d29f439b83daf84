"""Entries of sparse matrices put elsewhere: transposes and rows, by several threads.

What costs is not the work but memory: millions of writes that each wait for another line of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys import csr

from . import _entries
from .spans import cut
from .threads import threads_worth

if TYPE_CHECKING:
    from scipy import sparse

_MOVED = 10  # FLOP that would take as long as moving an entry does
_SPAN = 1 << 17  # entries of a task, less than 1 ms


def transposed(matrix: sparse.csr_array, num_threads: int = 0) -> sparse.csr_array:
    """CSR of the transpose, indices rising in each row whatever their order in `matrix` was.

    Parameters
    ----------
    matrix : CSR of a dtype of 1, 2, 4 or 8 bytes
    num_threads : int
        0: all that are available.

    Returns
    -------
    csr_array
        indices int32, indptr int64. Entries of one place stay in their order.
    """
    n_rows, n_columns = matrix.shape
    _check_lengths(matrix)
    indices = matrix.indices.astype(np.int32, copy=False)
    indptr = matrix.indptr.astype(np.int64, copy=False)
    threads = threads_worth(num_threads, _MOVED * matrix.nnz)
    parts = _parts(matrix, threads)
    rows = np.searchsorted(indptr, np.linspace(0, matrix.nnz, parts + 1).astype(np.int64))
    rows[0], rows[-1] = 0, n_rows
    # What a part has of a column comes behind what the parts before it have
    counts = _counts(indices, indptr[rows], n_columns, threads)
    ends = np.cumsum(counts.T.reshape(-1)).reshape(n_columns, parts)
    places = np.subtract(ends.T, counts, out=counts)
    turned_indices, turned = np.empty_like(indices), np.empty(matrix.nnz, matrix.dtype)
    _entries.transpose(
        indptr, indices, _words(matrix.data), rows.astype(np.int64), places, turned_indices,
        _words(turned), num_threads=threads,
    )  # fmt: skip
    starts = np.append(0, ends[:, -1])
    return csr.assemble(turned, turned_indices, starts, (n_columns, n_rows))


def column_counts(matrix: sparse.csr_array, num_threads: int = 0) -> np.ndarray:
    """Stored entries of each column, (columns,) int64; `matrix` is a CSR with int32 indices."""
    n_columns = matrix.shape[1]
    threads = threads_worth(num_threads, _MOVED * matrix.nnz)
    cuts = np.linspace(0, matrix.nnz, _parts(matrix, threads) + 1).astype(np.int64)
    return _counts(matrix.indices, cuts, n_columns, threads).sum(axis=0)


def take_rows(matrix: sparse.csr_array, rows: np.ndarray, num_threads: int = 0) -> sparse.csr_array:
    """Many rows, numbered from 0, of a large matrix in canonical form, one after the other.

    `csr.take_rows` makes arrays of positions, which take more memory than the entries, and knows
    rows without entries by -1.
    """
    _check_lengths(matrix)
    starts = matrix.indptr.astype(np.int64, copy=False)
    entries = starts, matrix.indices, matrix.data
    indptr = np.append(0, np.cumsum(np.diff(starts)[rows]))
    return _taken(entries, rows, indptr, matrix.shape[1], num_threads)


def first_entries(
    columns: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    n_columns: int,
    num_threads: int = 0,
) -> sparse.csr_array:
    """CSR of the first ``lengths[row]`` of each row of `columns` (rows, k) int32, as they come, and
    of `values` (rows, k)."""
    n_rows, width = columns.shape
    starts = np.arange(n_rows + 1) * width
    entries = starts, columns.reshape(-1), values.reshape(-1)
    indptr = np.append(0, np.cumsum(lengths))
    return _taken(entries, np.arange(n_rows), indptr, n_columns, num_threads)


def renumbered(
    indices: np.ndarray,
    numbers: np.ndarray,
    num_threads: int = 0,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """``numbers[indices]``, int32 as both are; `out` may be `indices`."""
    out = np.empty_like(indices) if out is None else out
    threads = threads_worth(num_threads, _MOVED * len(indices))
    _entries.renumber(indices, numbers, out, num_threads=threads)
    return out


def _taken(
    entries: tuple[np.ndarray, np.ndarray, np.ndarray],
    rows: np.ndarray,
    indptr: np.ndarray,
    n_columns: int,
    num_threads: int,
) -> sparse.csr_array:
    """Of rows that begin at the starts in `entries` (starts, columns, values), as many entries of
    each as `indptr` has room for."""
    starts, columns, values = entries
    count = int(indptr[-1])
    taken = np.empty(count, np.int32), np.empty(count, values.dtype)
    _entries.take_rows(
        starts, columns, _words(values), rows.astype(np.int64, copy=False), indptr,
        cut(np.diff(indptr) + 1, _SPAN), taken[0], _words(taken[1]),
        num_threads=threads_worth(num_threads, _MOVED * count),
    )  # fmt: skip
    return csr.assemble(taken[1], taken[0], indptr, (len(rows), n_columns))


def _check_lengths(matrix: sparse.csr_array) -> None:
    """What is moved without further looks must be there."""
    if not matrix.data.shape == matrix.indices.shape == (matrix.indptr[-1],):
        raise ValueError(
            f"a CSR matrix with {len(matrix.indices)} indices, data of shape {matrix.data.shape} "
            f"and an indptr that ends at {matrix.indptr[-1]}; expected as many of each"
        )


def _parts(matrix: sparse.csr_array, threads: int) -> int:
    """Each of which counts all columns: that is to take less memory than the entries."""
    return max(1, min(threads, matrix.nnz // (4 * matrix.shape[1] + 1)))


def _counts(indices: np.ndarray, cuts: np.ndarray, columns: int, threads: int) -> np.ndarray:
    """Entries of each column between `cuts`, (parts, columns) int64."""
    counts = np.zeros((len(cuts) - 1, columns), np.int64)
    _entries.count_columns(indices, cuts, counts, num_threads=threads)
    return counts


def _words(values: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers."""
    return np.ascontiguousarray(values).view(f"u{values.itemsize}")
