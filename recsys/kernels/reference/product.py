"""Products of a sparse matrix, a row at a time: the best of one with another, and with factors."""

from __future__ import annotations

import numpy as np


def product_topk(
    a_indptr,
    a_indices,
    a_data,
    b_indptr,
    b_indices,
    b_data,
    names,
    skip_indptr,
    skip_indices,
    banned,
    order,
    spans,
    ids,
    scores,
    failed,
    *,
    columns,
    unsorted=False,
    isa=None,
    num_threads=1,
):
    """Write the lists of the rows r in ``order[spans[0]:spans[-1]]`` of the product of A and B.

    A (rows x m) and B (m x `columns`) in CSR; or B dense, its rows one after the other in b_data,
    where b_indptr and b_indices are None; names (columns,) or None: what lists call a column;
    skip_indptr (rows + 1,) and skip_indices or None: names left out of a row's list, ascending;
    banned or None: 1 for names left out of all. ids and scores (rows, n), which come filled with -1
    and -inf; failed (rows,): becomes 1 where a listed score is not finite.

    Best first, of equal scores the higher name first; in any order if `unsorted`. A column
    without a score, or with a score of exactly 0, is never listed.
    """
    names = np.arange(columns) if names is None else names
    if b_indptr is None:
        b_indptr = np.arange(len(b_data) // columns + 1) * columns
        b_indices = np.tile(np.arange(columns), len(b_data) // columns)
    for row in order[spans[0] : spans[-1]]:
        sums = np.zeros(columns)
        for k in range(a_indptr[row], a_indptr[row + 1]):
            own = slice(b_indptr[a_indices[k]], b_indptr[a_indices[k] + 1])
            sums[b_indices[own]] += float(a_data[k]) * b_data[own].astype(np.float64)
        listed = np.flatnonzero(sums)
        if banned is not None:
            listed = listed[banned[names[listed]] == 0]
        if skip_indptr is not None:
            skipped = skip_indices[skip_indptr[row] : skip_indptr[row + 1]]
            listed = listed[~np.isin(names[listed], skipped)]
        best = listed[np.lexsort((names[listed], sums[listed]))[::-1][: ids.shape[1]]]
        ids[row, : len(best)] = names[best]
        scores[row, : len(best)] = sums[best]
        failed[row] |= not np.isfinite(sums[best]).all()


def spmm(
    indptr, indices, values, order, spans, dense, out, *, likes, mean, isa=None, num_threads=1
):
    """out[u] = sum_k v_k dense[indices[k]] of the rows u in ``order[spans[0]:spans[-1]]``.

    A (rows x columns) in CSR, dense (columns, f), out (rows, f). v_k is 1 for a value > 0 and 0 for
    others with `likes`, else the value less `mean`.
    """
    for row in order[spans[0] : spans[-1]]:
        entries = slice(indptr[row], indptr[row + 1])
        own = np.asarray(values[entries], dtype=np.float64)
        own = (own > 0).astype(np.float64) if likes else own - mean
        out[row] = own @ np.asarray(dense[indices[entries]], dtype=np.float64)
