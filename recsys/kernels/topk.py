"""The best items of each query: the one kernel behind recommend and similar."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys import csr

from . import _topk
from ._topk import CODE_BLOCK, CODE_BOUNDS, NO_ID, QUERIES, RUN, VANISHED
from .config import current_isa
from .spans import query_blocks
from .threads import threads_worth

Entries = tuple[np.ndarray, np.ndarray]  # indptr int64, indices int32: rows of a CSR matrix

FEW_QUERIES = 4  # no more in a call: it takes what reading the items does
_CALL_FLOPS = 4e10  # between looks for a KeyboardInterrupt, some 0.2 s
_PART_ENTRIES = 1 << 20  # of partial lists at a time, where items are split between threads
_MANY = 128  # queries that look at all items, of which coding the items costs half
_PROBE = 16  # of them tell how many items a query looks at
_MOST_CODED = 1024  # factors; of more of them the codes are too coarse
_LONG = 32  # items for each place of a list, or most of them are wanted anyway
_LARGE = 512  # the same, for codes to be worth making for a call


class Codes(NamedTuple):
    """Items in 8 bits a value, scaled and ordered; csrc/kernels/screen.h says how."""

    values: np.ndarray  # (runs, RUN / CODE_BLOCK, pairs of factors, CODE_BLOCK, 2) uint8
    bounds: np.ndarray  # (runs, 3) float64


class NormOrder(NamedTuple):
    """What spares `topk` work, and changes no list: the rows of a matrix by falling norm, which
    lets it leave most items unlooked at, and codes, by which it looks at the others.

    ids int32: row numbers; norms, of the matrix's dtype: bounds of the norms, in that order, no
    score that the kernel computes being larger than the two norms' product. None, both: the rows
    as they come. codes: of the rows in that order.
    """

    ids: np.ndarray | None = None
    norms: np.ndarray | None = None
    codes: Codes | None = None


def norms(rows: np.ndarray) -> np.ndarray:
    """Euclidean norm of each row, float64."""
    # In double, so that the squares of very small or large factors neither vanish nor overflow.
    return np.sqrt(np.einsum("if,if->i", rows, rows, dtype=np.float64))


def norm_order(
    items: np.ndarray, norms: np.ndarray, *, codes: bool = False, num_threads: int = 0
) -> NormOrder:
    """See `NormOrder`; `norms` are those of `items`, float64.

    FloatingPointError where a row holds something that is not finite.
    """
    # Squares of values below 1e-154 vanish even in double; VANISHED makes up for that in a bound.
    norms = norms + VANISHED
    if not np.isfinite(norms).all():
        raise _not_finite()
    # A computed score is off by less than f eps |x| |y|, the two roundings here included.
    slack = 1 + (items.shape[1] + 8) * float(np.finfo(items.dtype).eps)
    ids = np.argsort(-norms, kind="stable").astype(np.int32)
    with np.errstate(over="ignore"):  # an infinite bound is one
        bounds = (norms[ids] * slack).astype(items.dtype)
    coded = codes and can_code(items)
    return NormOrder(ids, bounds, code(items, ids=ids, num_threads=num_threads) if coded else None)


def can_code(items: np.ndarray) -> bool:
    """Whether items can have codes that are of use."""
    return len(items) > 0 and 0 < items.shape[1] <= _MOST_CODED


def code(
    items: np.ndarray,
    *,
    item_scale: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    num_threads: int = 0,
) -> Codes:
    """Codes of `items`, times `item_scale`, in the order of `ids`; see `Codes`.

    FloatingPointError as of `topk`.
    """
    runs = -(-len(items) // RUN)
    pairs = -(-items.shape[1] // 2)
    codes = Codes(
        np.empty((runs, RUN // CODE_BLOCK, pairs, CODE_BLOCK, 2), np.uint8),
        np.empty((runs, CODE_BOUNDS)),
    )
    failed = np.zeros(runs, np.uint8)
    threads = threads_worth(num_threads, 32.0 * items.size)
    _topk.code_runs(items, item_scale, ids, *codes, failed, isa=current_isa(), num_threads=threads)
    if failed.any():
        raise _not_finite()
    return codes


def topk(
    queries: np.ndarray,
    items: np.ndarray,
    n: int,
    *,
    rows: np.ndarray | None = None,
    among: np.ndarray | None = None,
    item_scale: np.ndarray | None = None,
    order: NormOrder | None = None,
    skip: Entries | None = None,
    skip_rows: np.ndarray | None = None,
    banned: np.ndarray | None = None,
    num_threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The `n` items with the highest scores ``queries @ items.T * item_scale`` for each query.

    Parameters
    ----------
    queries, items : (q, f) and (i, f) arrays, both float32 or both float64, C-contiguous
        With f + 1 columns of items the last one is a bias, which is added to the item's scores.
    n : int, at least 1
    rows : (lists,) int, optional
        The queries that lists are made for; by default one for each.
    among : (m,) int, ascending, optional
        The only items that may be listed.
    item_scale : (i,) array of the same dtype, optional
    order : NormOrder, optional
        Of `items`: with norms only without `item_scale`, with codes only with the same, and with
        neither where there is `among`. Changes the time it takes and no list.
    skip : (indptr, indices), optional
        Items left out: of list k those of row ``skip_rows[k]``, or row k; int64 (rows + 1,), and
        int32 ascending within a row.
    skip_rows : (lists,) int, optional
    banned : (i,) uint8, optional
        1: left out of every list.
    num_threads : int
        0: all that are available. The result is the same for any number.

    Returns
    -------
    ids : (lists, n) int32
        Best first; of equal scores the higher id first; -1 where fewer than n items are left.
    scores : (lists, n)
        -inf where there is no item.

    Raises
    ------
    FloatingPointError
        A value is not finite, or so large (2e18 in float32) that scores may not be.
    """
    count = len(queries) if rows is None else len(rows)
    ids, scores = np.empty((count, n), np.int32), np.empty((count, n), items.dtype)
    has_biases = items.shape[1] > queries.shape[1]
    places = None
    if among is not None:
        places = np.full(len(items), NO_ID, np.int32)
        places[among] = np.arange(len(among), dtype=np.int32)
        items = np.ascontiguousarray(items[among])
        item_scale = None if item_scale is None else item_scale[among]
        banned = None if banned is None else banned[among]

    def answer(at: slice, order: NormOrder) -> None:
        block = queries[at if rows is None else rows[at]]
        if has_biases:
            block = np.column_stack([block, np.ones(len(block), block.dtype)])
        skipped = None
        if skip is not None:
            which = np.arange(at.start, at.stop) if skip_rows is None else skip_rows[at]
            skipped = _skipped(skip, which, places)
        threads = threads_worth(num_threads, 2.0 * len(block) * items.size)
        best, scores[at] = _lists(block, items, n, item_scale, order, skipped, banned, threads)
        ids[at] = best if among is None else np.append(among, NO_ID)[best]  # NO_ID is the last

    order, probed = order or NormOrder(), 0
    if len(items) < _LONG * n:
        order = order._replace(codes=None)
    elif order.codes is None and can_code(items) and count >= _MANY and len(items) >= _LARGE * n:
        looks: float = count
        if order.norms is not None:
            probed = _PROBE
            answer(slice(0, probed), order)
            first = queries[:probed] if rows is None else queries[rows[:probed]]
            looks = count * _looked_at(first, scores[:probed, -1], order.norms)
        if looks >= _MANY:
            made = code(items, item_scale=item_scale, ids=order.ids, num_threads=num_threads)
            order = order._replace(codes=made)
    for at in query_blocks(count - probed):
        answer(slice(probed + at.start, probed + at.stop), order)
    return ids, scores


def _looked_at(queries: np.ndarray, worst: np.ndarray, norm_bounds: np.ndarray) -> float:
    """The share of the items, by falling norm, that may matter to the lists of queries, given the
    worst score in each."""
    least = worst / np.maximum(norms(queries), np.finfo(np.float64).tiny)
    looked = np.searchsorted(-norm_bounds, -least, side="right")
    return float(looked.mean() / len(norm_bounds))


def _skipped(skip: Entries, rows: np.ndarray, places: np.ndarray | None) -> Entries:
    """Some rows of `skip`, one after the other; where items have other `places`, in terms of
    these."""
    indptr, at = csr.row_entries(skip[0], rows)
    items = skip[1][at]
    if places is None:
        return indptr, items
    items = places[items]
    kept = items != NO_ID
    return np.append(0, np.cumsum(kept))[indptr], items[kept]


def _lists(
    queries: np.ndarray,
    items: np.ndarray,
    n: int,
    item_scale: np.ndarray | None,
    order: NormOrder,
    skip: Entries | None,
    banned: np.ndarray | None,
    threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Lists of all `queries`, in calls that are short enough to be interrupted."""
    most = min(n, len(items))
    pair_flops = 2.0 * items.shape[1] * max(len(items), 1)
    step = max(QUERIES * threads, int(_CALL_FLOPS / pair_flops) // QUERIES * QUERIES)
    if most == n and len(queries) <= step:
        return _block(queries, items, n, item_scale, order, skip, banned, threads)
    ids = np.full((len(queries), n), NO_ID, np.int32)
    scores = np.full((len(queries), n), -np.inf, items.dtype)
    for begin in range(0, len(queries) if most else 0, step):
        block = slice(begin, min(begin + step, len(queries)))
        skipped = None
        if skip is not None:
            indptr = skip[0][block.start : block.stop + 1]
            skipped = indptr - indptr[0], skip[1][indptr[0] : indptr[-1]]
        ids[block, :most], scores[block, :most] = _block(
            queries[block], items, most, item_scale, order, skipped, banned, threads
        )
    return ids, scores


def _block(
    queries: np.ndarray,
    items: np.ndarray,
    n: int,
    item_scale: np.ndarray | None,
    order: NormOrder,
    skip: Entries | None,
    banned: np.ndarray | None,
    threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    count = len(queries)
    spans = -(-count // QUERIES)
    parts = 1
    if spans < 2 * threads:  # so few queries that threads have to share out the items
        parts = min(-(-threads // spans), len(items) // n, _PART_ENTRIES // (count * n))
        parts = max(parts, 1)
    ids = np.empty((parts, count, n), np.int32)
    scores = np.empty((parts, count, n), items.dtype)
    failed = np.zeros((parts, count), np.uint8)
    by_norm, bounds, codes = order
    values, code_bounds = codes or (None, None)
    lengths, entries = skip or (None, None)
    _topk.topk(
        queries, items, item_scale, by_norm, bounds, values, code_bounds, lengths, entries, banned,
        ids, scores, failed, isa=current_isa(), num_threads=threads,
    )  # fmt: skip
    if failed.any():
        raise _not_finite()
    if parts == 1:
        return ids[0], scores[0]
    ids, scores = (np.concatenate(list(part), axis=1) for part in (ids, scores))
    best = np.lexsort((ids, scores), axis=-1)[:, : -n - 1 : -1]
    return np.take_along_axis(ids, best, axis=1), np.take_along_axis(scores, best, axis=1)


def _not_finite() -> FloatingPointError:
    return FloatingPointError(
        "scores are not finite: user_factors or item_factors hold NaN, infinite or huge values. "
        "Assign finite factors or fit again"
    )
