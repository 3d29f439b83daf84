"""The best items of each query: the one kernel behind recommend and similar."""

from __future__ import annotations

import numpy as np

from . import _topk
from .config import current_isa
from .threads import resolve_num_threads

NO_ID = -1  # no such item: fills a list for which fewer than n items are left
_QUERIES = 256  # queries of a task of the kernel
_CALL_FLOPS = 4e10  # between looks for a KeyboardInterrupt, some 0.2 s
_PART_ENTRIES = 1 << 20  # of partial lists at a time, where items are split between threads


def topk(
    queries: np.ndarray,
    items: np.ndarray,
    n: int,
    *,
    item_scale: np.ndarray | None = None,
    skip: tuple[np.ndarray, np.ndarray] | None = None,
    banned: np.ndarray | None = None,
    num_threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The `n` items with the highest scores ``queries @ items.T * item_scale`` for each query.

    Parameters
    ----------
    queries, items : (q, f) and (i, f) arrays, both float32 or both float64, C-contiguous
    n : int, at least 1
    item_scale : (i,) array of the same dtype, optional
    skip : (indptr, indices), optional
        Items left out of each query's list: int64 (q + 1,), and int32 ascending within a query.
    banned : (i,) uint8, optional
        1: left out of every list.
    num_threads : int
        0: all that are available. The result is the same for any number.

    Returns
    -------
    ids : (q, n) int32
        Best first; of equal scores the higher id first; -1 where fewer than n items are left.
    scores : (q, n)
        -inf where there is no item.

    Raises
    ------
    FloatingPointError
        A score is not finite.
    """
    threads = resolve_num_threads(num_threads)
    ids = np.full((len(queries), n), NO_ID, np.int32)
    scores = np.full((len(queries), n), -np.inf, items.dtype)
    most = min(n, len(items))
    pair_flops = 2.0 * items.shape[1] * max(len(items), 1)
    step = max(_QUERIES * threads, int(_CALL_FLOPS / pair_flops) // _QUERIES * _QUERIES)
    for begin in range(0, len(queries) if most else 0, step):
        block = slice(begin, min(begin + step, len(queries)))
        own = None
        if skip is not None:
            indptr = skip[0][block.start : block.stop + 1]
            own = indptr - indptr[0], skip[1][indptr[0] : indptr[-1]]
        ids[block, :most], scores[block, :most] = _block(
            queries[block], items, most, item_scale, own, banned, threads
        )
    return ids, scores


def _block(queries, items, n, item_scale, skip, banned, threads):
    count = len(queries)
    spans = -(-count // _QUERIES)
    parts = 1
    if spans < 2 * threads:  # so few queries that threads have to share out the items
        parts = min(4 * threads // spans, len(items) // n, _PART_ENTRIES // (count * n))
        parts = max(parts, 1)
    ids = np.empty((parts, count, n), np.int32)
    scores = np.empty((parts, count, n), items.dtype)
    failed = np.zeros((parts, count), np.uint8)
    _topk.topk(
        queries, items, item_scale, *(skip or (None, None)), banned, ids, scores, failed,
        isa=current_isa(), num_threads=threads,
    )  # fmt: skip
    if failed.any():
        raise FloatingPointError(
            "scores are not finite: user_factors or item_factors hold NaN, infinite or huge "
            "values. Assign finite factors or fit again"
        )
    if parts == 1:
        return ids[0], scores[0]
    ids, scores = (np.concatenate(list(part), axis=1) for part in (ids, scores))
    best = np.lexsort((ids, scores), axis=-1)[:, : -n - 1 : -1]
    return np.take_along_axis(ids, best, axis=1), np.take_along_axis(scores, best, axis=1)
