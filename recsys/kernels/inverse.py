"""The inverse of a large symmetric matrix in its own memory, and products that make such ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import csr

from . import _product
from .config import current_isa
from .spans import cut, most_work_first, slices
from .threads import resolve_num_threads, single_threaded_blas

if TYPE_CHECKING:
    from scipy import sparse

BLOCK = 1024  # rows and columns handled together
_TILE = 2048  # columns of a product that waits to be subtracted
_SPAN_WORK = 1_000_000  # multiplications of a task, about 0.3 ms


def sparse_times_dense(a: sparse.csr_array, dense: np.ndarray, num_threads: int = 0) -> np.ndarray:
    """A D for a canonical CSR matrix and a C-contiguous array of one dtype."""
    out = np.empty((a.shape[0], dense.shape[1]), dense.dtype)
    work = np.diff(a.indptr) * dense.shape[1] + 1000
    order, threads = most_work_first(work), resolve_num_threads(num_threads)
    for spans in slices(cut(work[order], _SPAN_WORK), threads):
        _product.spmm(
            a.indptr, a.indices, a.data, order, spans, dense, out,
            likes=False, mean=0.0, isa=current_isa(), num_threads=threads,
        )  # fmt: skip
    return out


def dense_gramian(
    rows: sparse.csr_array, regularization: float, num_threads: int = 0
) -> np.ndarray:
    """The lower triangle of ``A A' + regularization I``, in blocks; what is above them is not set.

    A is canonical CSR; the sums are in its dtype, exact for 0 and 1 in float32 to 2**24.
    """
    count = rows.shape[0]
    gram = np.empty((count, count), rows.dtype)
    for begin in range(0, count, BLOCK):
        some = csr.take_rows(rows, np.arange(begin, min(begin + BLOCK, count)))
        below = csr.take_rows(rows, np.arange(begin, count))
        columns = np.ascontiguousarray(some.toarray().T)
        gram[begin:, begin : begin + BLOCK] = sparse_times_dense(below, columns, num_threads)
    gram[np.diag_indices(count)] += rows.dtype.type(regularization)
    return gram


def invert(
    matrix: np.ndarray, num_threads: int = 0, tell: Callable[[int], Any] = lambda rows: None
) -> None:
    """Replace a symmetric positive definite matrix by its inverse.

    Blocks of rows and columns are swept one after the other (Goodnight, "A tutorial on the sweep
    operator", The American Statistician 33(3), 1979): with P the inverse of the k-th block on the
    diagonal::

        A_ij -= A_ik P A_kj,    then A_ik = A_ik P,    A_kk = -P

    which leaves minus the inverse when all are done. n^3 FLOP for n rows, as many as by way of
    Cholesky's factor, and beside the matrix a few of its blocks of rows. LAPACK inverts the blocks
    on the diagonal, in float64. Only the lower triangle is read and kept up to date. Threads share
    out products, not the sums in them: the result is the same for any number.

    Parameters
    ----------
    matrix : (n, n) float32 or float64, C-contiguous
        Only the blocks on and below the diagonal have to be set.
    num_threads : int
        0: all that are available.
    tell : function of one integer
        Called with the number of rows swept, a block at a time.

    Raises
    ------
    FloatingPointError
        The matrix is not positive definite as far as its dtype can tell; it is used up then.
    """
    starts = range(0, len(matrix), BLOCK)
    with single_threaded_blas(), ThreadPoolExecutor(resolve_num_threads(num_threads)) as pool:
        for begin in starts:
            pivot = slice(begin, min(begin + BLOCK, len(matrix)))
            _sweep(matrix, pivot, lambda task, items: list(pool.map(task, items)))
            tell(pivot.stop - pivot.start)
        for begin in starts:
            own = slice(begin, begin + BLOCK)
            np.negative(matrix[own, : own.stop], out=matrix[own, : own.stop])
            matrix[own, own] = _mirrored(matrix[own, own])
            matrix[:begin, own] = matrix[own, :begin].T


def _sweep(
    matrix: np.ndarray, pivot: slice, run: Callable[[Callable[[int], None], Iterable[int]], Any]
) -> None:
    column = np.empty((len(matrix), pivot.stop - pivot.start), matrix.dtype)
    column[: pivot.start] = matrix[pivot, : pivot.start].T
    column[pivot.start :] = matrix[pivot.start :, pivot]
    inverse = _inverse_of_block(column[pivot]).astype(matrix.dtype)
    swept = np.empty_like(column)

    def multiply(begin: int) -> None:
        rows = slice(begin, begin + BLOCK)
        np.matmul(column[rows], inverse, out=swept[rows])

    def subtract(begin: int) -> None:
        rows = slice(begin, min(begin + BLOCK, len(matrix)))
        for left in range(0, rows.stop, _TILE):
            tile = slice(left, min(left + _TILE, rows.stop))
            matrix[rows, tile] -= swept[rows] @ column[tile].T

    starts = range(0, len(matrix), BLOCK)
    run(multiply, starts)
    run(subtract, reversed(starts))  # those with most work first
    matrix[pivot, : pivot.start] = swept[: pivot.start].T
    matrix[pivot.stop :, pivot] = swept[pivot.stop :]
    np.negative(inverse, out=matrix[pivot, pivot])


def _inverse_of_block(block: np.ndarray) -> np.ndarray:
    wide = _mirrored(block.astype(np.float64))
    try:
        root = np.linalg.inv(np.linalg.cholesky(wide))
        return root.T @ root  # symmetric, and closer than what inverts the block as it is
    except np.linalg.LinAlgError:
        raise FloatingPointError(f"the matrix is not positive definite in {block.dtype}") from None


def _mirrored(block: np.ndarray) -> np.ndarray:
    """The symmetric matrix with this lower triangle."""
    lower = np.tril(block)
    return lower + np.tril(lower, -1).T
