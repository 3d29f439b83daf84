"""The best items of each query out of ranges of items, a query at a time; and codes of items."""

from __future__ import annotations

import numpy as np

RUN = 192
CODE_NORM, CODE_MOST, CODE_ZERO = 181, 63, 64


def topk(
    queries,
    items,
    item_scale,
    order,
    norms,
    codes,
    code_bounds,
    skip_indptr,
    skip_indices,
    banned,
    ids,
    scores,
    failed,
    *,
    isa=None,
    num_threads=1,
):
    """Write the lists of each query q out of each part p of the items.

    queries (q, f), items (i, f), item_scale (i,) or None; order (i,) or None: the items as they
    are to be looked at; skip_indptr (q + 1,) and skip_indices or None: items left out of each
    query's list; banned (i,) or None: 1 for items left out of all. Part p has every parts-th run
    of 192 items, from the p-th on. ids and scores (parts, q, n), failed (parts, q): something
    becomes 1 where a value is not finite, or so large that scores may not be.

    norms (i,), bounds of the items' norms in that order, falling, and codes with code_bounds, see
    code_runs, spare the kernel work; they change no list.

    Score x_q . y_i * item_scale_i; best first, of equal scores the higher id first; -1 and -inf
    where a list runs out of items.
    """
    parts, _, n = ids.shape
    order = np.arange(len(items)) if order is None else order
    part_of = np.empty(len(items), np.int64)
    part_of[order] = np.arange(len(items)) // RUN % parts
    scale = np.ones(len(items)) if item_scale is None else item_scale.astype(np.float64)
    scaled = np.asarray(items, dtype=np.float64) * scale[:, np.newaxis]
    limit = np.sqrt(np.finfo(items.dtype).max / items.shape[1]) / 2
    failed[:] |= not all(np.all(np.abs(values) <= limit) for values in (queries, scaled))
    for q, query in enumerate(np.asarray(queries, dtype=np.float64)):
        query_scores = scaled @ query
        left_out = np.zeros(len(items), dtype=bool) if banned is None else banned.astype(bool)
        if skip_indptr is not None:
            left_out[skip_indices[skip_indptr[q] : skip_indptr[q + 1]]] = True
        for part in range(parts):
            candidates = np.flatnonzero((part_of == part) & ~left_out)
            best = candidates[np.lexsort((candidates, query_scores[candidates]))[::-1][:n]]
            ids[part, q] = -1
            scores[part, q] = -np.inf
            ids[part, q, : len(best)] = best
            scores[part, q, : len(best)] = query_scores[best]


def code_runs(items, item_scale, order, codes, bounds, failed, *, isa=None, num_threads=1):
    """Write the codes of each run of items, as they are ordered and scaled.

    items (i, f), item_scale (i,) or None, order (i,) or None as of topk. A run of 192 rows v has
    one scale s, such that the whole numbers c nearest to v / s are up to 63 in size and |c| up to
    181. codes (runs, blocks, pairs, items of a block, 2) uint8 become c + 64, two factors of each
    item of a block together, and 64 for what there is not. bounds (runs, 3): 1 / s, the largest
    |v - s c| of the run, the largest |v|. failed (runs,) becomes 1 where a value is not finite, or
    so large that scores may not be.
    """
    count, f = items.shape
    order = np.arange(count) if order is None else order
    scale = np.ones(count, items.dtype) if item_scale is None else item_scale
    limit = np.sqrt(np.finfo(items.dtype).max / f) / 2
    least = 1e-36 if items.dtype == np.float32 else 1e-120
    _, blocks, pairs, block, _ = codes.shape
    for run in range(len(codes)):
        rows = order[run * RUN : (run + 1) * RUN]
        v = np.asarray(items[rows] * scale[rows, np.newaxis], dtype=np.float64)
        failed[run] = not np.all(np.abs(v) <= limit)
        if failed[run]:
            continue
        norm = np.linalg.norm(v, axis=1).max()
        s = max(norm / (CODE_NORM - np.sqrt(f) / 2), np.abs(v).max() / CODE_MOST, least)
        c = np.zeros((RUN, 2 * pairs))
        c[: len(v), :f] = np.rint(v / s)
        codes[run] = (c + CODE_ZERO).reshape(blocks, block, pairs, 2).transpose(0, 2, 1, 3)
        bounds[run] = 1 / s, np.linalg.norm(v - s * c[: len(v), :f], axis=1).max(), norm
