"""implicit.cpu.topk"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse

from recsys import kernels

_MANY = 1024  # queries that pay for ordering the items by their norms
_DENSE = 512  # sparse queries made dense at a time


def topk(
    items: Any,
    query: Any,
    k: int,
    item_norms: np.ndarray | None = None,
    filter_query_items: Any = None,
    filter_items: Any = None,
    num_threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the highest inner products with each query.

    Parameters
    ----------
    items : (n, f) array
    query : (q, f) or (f,) array, or sparse matrix
    k : int
    item_norms : (n,) array, optional
        Each score is divided by its item's.
    filter_query_items : CSR, q x n, optional
        Items that come after all others in a query's list, with the score -finfo.max.
    filter_items : array of int, optional
        The same for all queries.
    num_threads : int
        0: all.

    Returns
    -------
    ids : (q, k) int32
        Best first, of equal scores the higher number; -1 where there are fewer than k items.
    scores : (q, k), of the query's dtype
    """
    dtype = np.dtype(query.dtype if hasattr(query, "dtype") else np.float32)
    if dtype not in (np.float32, np.float64):
        dtype = np.dtype(np.float64)
    items = np.require(items, dtype, ["C"])
    scale = None
    if item_norms is not None:
        scale = np.ascontiguousarray(1 / np.asarray(item_norms, np.float64), dtype)
    banned = None
    if filter_items is not None:
        left_out = item_numbers(filter_items, len(items))
        banned = np.zeros(len(items), np.uint8)
        banned[left_out] = 1
    if sparse.issparse(query):
        blocks: Iterable[int] = range(0, query.shape[0], _DENSE)
        queries: Iterable[np.ndarray] = (
            query[at : at + _DENSE].toarray().astype(dtype, copy=False) for at in blocks
        )
    else:
        query = np.require(np.atleast_2d(query), dtype, ["C"])
        blocks, queries = (0,), (query,)
    order = None
    if scale is None and query.shape[0] >= _MANY:
        order = kernels.norm_order(items, kernels.norms(items))
    rows = np.empty((query.shape[0], k), np.int32), np.empty((query.shape[0], k), dtype)
    for at, block in zip(blocks, queries, strict=True):
        part = slice(at, at + len(block))
        liked = None if filter_query_items is None else _entries(filter_query_items[part])
        lists = kernels.topk(
            block, items, k, item_scale=scale, order=order, skip=liked, banned=banned,
            num_threads=num_threads,
        )  # fmt: skip
        rows[0][part], rows[1][part] = _with_filtered(*lists, liked, banned, len(items))
    return rows


def item_numbers(ids: Any, count: int, what: str = "filter_items") -> np.ndarray:
    """`ids` as an array of numbers from 0 to `count` - 1; IndexError otherwise."""
    array = np.asarray(ids).reshape(-1)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers; got dtype {array.dtype}")
    wrong = array[(array < 0) | (array >= count)]
    if len(wrong):
        raise IndexError(
            f"Some {what} are not in the model: {', '.join(map(str, wrong[:5]))}; expected 0 to "
            f"{count - 1}"
        )
    return array.astype(np.int64)


def _entries(liked: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a sparse matrix as `kernels.topk` takes what to skip."""
    liked = sparse.csr_matrix(liked)
    if not liked.has_sorted_indices:
        liked = liked.sorted_indices()
    return liked.indptr.astype(np.int64), liked.indices.astype(np.int32)


def _with_filtered(
    ids: np.ndarray, scores: np.ndarray, liked: Any, banned: np.ndarray | None, n_items: int
) -> tuple[np.ndarray, np.ndarray]:
    """implicit's lists go on, after what may be recommended, with what may not."""
    scores[ids == kernels.NO_ID] = -np.finfo(scores.dtype).max
    everybodys = np.empty(0, np.int64) if banned is None else np.flatnonzero(banned)
    for row in np.flatnonzero(ids[:, -1] == kernels.NO_ID):
        skipped = liked[1][liked[0][row] : liked[0][row + 1]] if liked is not None else everybodys
        left_out = np.union1d(skipped[skipped < n_items], everybodys)[::-1]
        at = int(np.argmax(ids[row] == kernels.NO_ID))
        added = left_out[: ids.shape[1] - at]
        ids[row, at : at + len(added)] = added
    return ids, scores
