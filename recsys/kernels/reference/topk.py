"""The best items of each query out of ranges of items, a query at a time."""

from __future__ import annotations

import numpy as np


def topk(
    queries,
    items,
    item_scale,
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

    queries (q, f), items (i, f), item_scale (i,) or None; skip_indptr (q + 1,) and skip_indices
    or None: items left out of each query's list; banned (i,) or None: 1 for items left out of
    all. ids and scores (parts, q, n), failed (parts, q): 1 where a score is not finite.

    Score x_q . y_i * item_scale_i; best first, of equal scores the higher id first; -1 and -inf
    where a list runs out of items.
    """
    parts, _, n = ids.shape
    bounds = [len(items) * part // parts for part in range(parts + 1)]
    for q, query in enumerate(np.asarray(queries, dtype=np.float64)):
        own = np.asarray(items, dtype=np.float64) @ query
        if item_scale is not None:
            own = own * item_scale
        left_out = np.zeros(len(items), dtype=bool) if banned is None else banned.astype(bool)
        if skip_indptr is not None:
            left_out[skip_indices[skip_indptr[q] : skip_indptr[q + 1]]] = True
        for part in range(parts):
            candidates = np.arange(bounds[part], bounds[part + 1])
            failed[part, q] = not np.isfinite(own[candidates]).all()
            candidates = candidates[~left_out[candidates]]
            best = candidates[np.lexsort((candidates, own[candidates]))[::-1][:n]]
            ids[part, q] = -1
            scores[part, q] = -np.inf
            ids[part, q, : len(best)] = best
            scores[part, q, : len(best)] = own[best]
