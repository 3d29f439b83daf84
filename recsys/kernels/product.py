"""The best columns of each row of a product: item-item neighbours, and lists from them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recsys import csr

from . import _product
from .config import current_isa
from .spans import cut, most_work_first, query_blocks
from .threads import resolve_num_threads
from .topk import NO_ID, Entries

if TYPE_CHECKING:
    from scipy import sparse

_SPAN_WORK = 200_000  # additions of a task, about 0.3 ms
_CALL_WORK = 2e8  # additions between looks for a KeyboardInterrupt, about 0.2 s


def product_topk(
    a: sparse.csr_array,
    b: sparse.csr_array | np.ndarray,
    n: int,
    *,
    rows: np.ndarray | None = None,
    names: np.ndarray | None = None,
    skip: Entries | None = None,
    banned: np.ndarray | None = None,
    unsorted: bool = False,
    num_threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The `n` columns with the highest scores of each row of ``a @ b``.

    Parameters
    ----------
    a, b : canonical CSR of one floating dtype, int32 indices and int64 indptr
        Fast where b's columns come by falling popularity. b may be a C-contiguous array instead.
    n : int, at least 1
    rows : (lists,) int, optional
        The rows of a, and of `skip`, that lists are made for; by default one for each.
    names : (columns,) int32, optional
        What lists, `skip` and `banned` call a column.
    skip : (indptr, indices), optional
        Left out of each row's list: int64 (a's rows + 1,), and int32 ascending within a row.
    banned : (columns,) uint8, optional
        1: left out of every list.
    unsorted : bool
        Leave each list in any order, -1 still last: sorting takes a fifth of the time.
    num_threads : int
        0: all that are available. The result is the same for any number.

    Returns
    -------
    ids : (rows, n) int32
        Best first; of equal scores the higher name first; -1 where no column with a score, other
        than exactly 0, is left.
    scores : (rows, n)
        -inf where there is no column.

    Raises
    ------
    FloatingPointError
        A score is not finite.
    """
    if rows is not None:
        ids = np.full((len(rows), n), NO_ID, np.int32)
        scores = np.full((len(rows), n), -np.inf, b.dtype)
        for at in query_blocks(len(rows)):
            skipped = None
            if skip is not None:
                indptr, entries = csr.row_entries(skip[0], rows[at])
                skipped = indptr, skip[1][entries]
            ids[at], scores[at] = product_topk(
                csr.take_rows(a, rows[at]), b, n, names=names, skip=skipped, banned=banned,
                unsorted=unsorted, num_threads=num_threads,
            )  # fmt: skip
        return ids, scores
    count = a.shape[0]
    ids = np.full((count, n), NO_ID, np.int32)
    scores = np.full((count, n), -np.inf, b.dtype)
    failed = np.zeros(count, np.uint8)
    order, spans, calls = _plan(a, b)
    threads = resolve_num_threads(num_threads)
    lengths, entries = skip or (None, None)
    if isinstance(b, np.ndarray):
        b_indptr, b_indices, b_data = None, None, b.reshape(-1)
    else:
        b_indptr, b_indices, b_data = b.indptr, b.indices, b.data
    for begin, end in pairwise(calls):
        _product.product_topk(
            a.indptr, a.indices, a.data, b_indptr, b_indices, b_data, names,
            lengths, entries, banned, order, spans[begin : end + 1], ids, scores, failed,
            columns=b.shape[1], unsorted=unsorted, isa=current_isa(), num_threads=threads,
        )  # fmt: skip
    if failed.any():
        raise FloatingPointError(
            f"the scores of row {int(np.argmax(failed))} are not finite: the values multiplied are "
            f"too large for {b.dtype}"
        )
    return ids, scores


def _plan(
    a: sparse.csr_array, b: sparse.csr_array | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, those with most work first; cut into spans of similar work; and these into calls."""
    if isinstance(b, np.ndarray):
        meetings = np.full(len(a.indices), b.shape[1] // 8)  # which go by whole vectors
    else:
        meetings = np.diff(b.indptr)[a.indices]
    work = np.diff(np.append(0, np.cumsum(meetings))[a.indptr]) + 1000  # looking at a row at all
    order = most_work_first(work)
    spans, calls = cut(work[order], _SPAN_WORK), cut(work[order], _CALL_WORK)
    return order, spans, np.searchsorted(spans, calls)
