"""The largest inner products of each column of a sparse matrix with all of its columns."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recsys import csr

from . import _neighbors
from .config import current_isa
from .entries import column_counts
from .product import product_topk
from .spans import cut, most_work_first
from .threads import resolve_num_threads
from .topk import NO_ID

if TYPE_CHECKING:
    from scipy import sparse

_HEAD = 1024  # items whose products with each other are in one square: whole vectors of the kernel
_SPAN_WORK = 200_000  # additions of a task, about 1 ms
_CALL_WORK = 1e8  # additions between looks for a KeyboardInterrupt, about 0.2 s
_CALL_USERS = 1 << 17  # the same for the head


def neighbors_topk(
    users: sparse.csr_array, n: int, *, itself: bool = True, num_threads: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The `n` columns that have the largest inner products with each column.

    Parameters
    ----------
    users : canonical CSR of a floating dtype, int32 indices and int64 indptr, users x items
    n : int, at least 1
    itself : bool
        Whether a column may be in its own list.
    num_threads : int
        0: all that are available. The result is the same for any number.

    Returns
    -------
    ids : (items, n) int32
        In no order, but -1 last, where no column with a product, other than exactly 0, is left. Of
        equal products those with the higher number are listed.
    scores : (items, n)
        -inf where there is no column.

    Raises
    ------
    FloatingPointError
        A product is not finite.
    """
    count, dtype = users.shape[1], users.dtype
    if not users.nnz:
        return np.full((count, n), NO_ID, np.int32), np.full((count, n), -np.inf, dtype)
    ids, scores = np.empty((count, n), np.int32), np.empty((count, n), dtype)
    threads = resolve_num_threads(num_threads)
    lengths = column_counts(users, threads)
    names = most_work_first(lengths)
    pairs = as_pairs(users, names, threads)
    head, tail = names[:_HEAD], names[_HEAD:]
    ids[head], scores[head] = _lists_of_head(
        _products_of_head(users.indptr, pairs, len(head), dtype, threads), head, n, itself, threads
    )
    if not len(tail):
        return ids, scores
    failed = np.zeros(count, np.uint8)
    least = np.where(ids[head, -1] == NO_ID, -np.inf, scores[head, -1]).astype(dtype)
    lists = (
        np.empty((threads, len(head), n), np.int32),
        np.empty((threads, len(head), n), dtype),
        np.zeros((threads, len(head)), np.int64),
        np.repeat(least[np.newaxis], threads, axis=0),
    )
    lengths = np.append(np.zeros(len(head), np.int64), lengths[tail])
    items = _transposed(users.indptr, pairs, lengths, dtype, threads)
    work = lengths[len(head) :] * (users.nnz / users.shape[0]) + 500
    spans, calls = len(head) + cut(work, _SPAN_WORK), len(head) + cut(work, _CALL_WORK)
    for begin, end in pairwise(np.searchsorted(spans, calls)):
        _neighbors.neighbors_topk(
            *items, users.indptr, pairs, names, spans[begin : end + 1], ids, scores, failed, *lists,
            without_itself=not itself, isa=current_isa(), num_threads=threads,
        )  # fmt: skip
    if failed.any():
        raise _not_finite(int(np.argmax(failed)), dtype)
    _merge(head, ids, scores, *lists[:3])
    return ids, scores


def as_pairs(users: sparse.csr_array, names: np.ndarray, threads: int = 1) -> np.ndarray:
    """Entries with column and value side by side, columns being ranks, as the kernels take them:
    bytes. `names` are the columns by rank."""
    ranks = np.empty_like(names)
    ranks[names] = np.arange(len(names), dtype=np.int32)
    entry = np.dtype([("column", np.int32), ("value", users.dtype)], align=True)
    pairs = np.empty(users.nnz * entry.itemsize, np.uint8)
    spans = cut(np.diff(users.indptr), _SPAN_WORK)
    _neighbors.neighbors_pairs(
        users.indptr, users.indices, users.data, ranks, spans, pairs, isa=current_isa(),
        num_threads=threads,
    )  # fmt: skip
    return pairs


def _transposed(
    indptr: np.ndarray, pairs: np.ndarray, lengths: np.ndarray, dtype: np.dtype, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CSR of the transpose; rows whose length is 0 here are left out."""
    starts = np.append(0, np.cumsum(lengths))
    indices, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], dtype)
    parts = np.searchsorted(starts, np.linspace(0, starts[-1], threads + 1), side="right") - 1
    _neighbors.neighbors_transpose(
        indptr, pairs, np.unique(parts), starts[:-1].copy(), indices, values, isa=current_isa(),
        num_threads=threads,
    )  # fmt: skip
    return starts, indices, values


def _products_of_head(
    indptr: np.ndarray, pairs: np.ndarray, head: int, dtype: np.dtype, threads: int
) -> np.ndarray:
    """Of the first columns with each other, (head, head)."""
    sums = np.zeros((head, head), dtype)
    # rows of the lower triangle in parts, of about as many sums each
    cuts = np.unique(np.round(head * np.sqrt(np.linspace(0, 1, 2 * threads + 1)))).astype(np.int64)
    for first in range(0, len(indptr) - 1, _CALL_USERS):
        last = min(first + _CALL_USERS, len(indptr) - 1)
        _neighbors.neighbors_head(
            indptr, pairs, sums, cuts if threads > 1 else cuts[[0, -1]],
            first=first, last=last, isa=current_isa(), num_threads=threads,
        )  # fmt: skip
    return np.tril(sums) + np.tril(sums, -1).T


def _lists_of_head(
    sums: np.ndarray, head: np.ndarray, n: int, itself: bool, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """The lists, best first, of items that have these products and no other."""
    finite = np.isfinite(sums).all(axis=1)
    if not finite.all():
        raise _not_finite(int(head[np.argmin(finite)]), sums.dtype)
    rows = np.arange(len(head) + 1)
    each = csr.assemble(
        np.ones(len(head), sums.dtype), rows[:-1].astype(np.int32), rows, sums.shape
    )
    skip = None if itself else (rows, head)
    return product_topk(each, sums, n, names=head, skip=skip, num_threads=threads)


def _merge(
    head: np.ndarray,
    ids: np.ndarray,
    scores: np.ndarray,
    more_ids: np.ndarray,
    more_scores: np.ndarray,
    kept: np.ndarray,
) -> None:
    """Put the best of the lists of the head and of all threads' into those of the head."""
    n = ids.shape[1]
    more = np.arange(n) < kept[:, :, np.newaxis]
    known = ids[head] != NO_ID
    rows = np.concatenate([np.nonzero(known)[0], np.nonzero(more)[1]])
    found = np.concatenate([ids[head][known], more_ids[more]])
    values = np.concatenate([scores[head][known], more_scores[more]])
    order = np.lexsort((found, values, rows))[::-1]  # of falling rows, each one's best first
    counts = np.bincount(rows, minlength=len(head))
    rows, found, values = rows[order], found[order], values[order]
    place = np.arange(len(rows)) - (len(rows) - np.cumsum(counts))[rows]
    best = place < n
    ids[head[rows[best]], place[best]] = found[best]
    scores[head[rows[best]], place[best]] = values[best]


def _not_finite(row: int, dtype: np.dtype) -> FloatingPointError:
    return FloatingPointError(
        f"the scores of row {row} are not finite: the values multiplied are too large for {dtype}"
    )
