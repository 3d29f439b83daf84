"""Inner products of all pairs of a sparse matrix's columns, and the largest of each column."""

from __future__ import annotations

import numpy as np


def neighbors_pairs(indptr, indices, values, ranks, spans, pairs, *, isa=None, num_threads=1):
    """Write the rows ``range(spans[0], spans[-1])`` of a matrix in CSR as pairs of a column, int32,
    and a value of the type of `values`, seen as bytes: columns c become ranks[c], and a row's
    entries come by rising rank."""
    entries = pairs.view(pair_of(values.dtype))
    for row in range(spans[0], spans[-1]):
        own = slice(indptr[row], indptr[row + 1])
        columns = ranks[indices[own]]
        order = np.argsort(columns)
        entries["column"][own], entries["value"][own] = columns[order], values[own][order]


def neighbors_transpose(
    b_indptr, b_pairs, cuts, next_place, a_indices, a_data, *, isa=None, num_threads=1
):
    """Write the rows i in ``range(cuts[0], cuts[-1])`` of the transpose of B, which is as in
    `neighbors_head`, into a_indices and a_data from next_place[i] on; next_place then is behind
    them."""
    entries = b_pairs.view(pair_of(a_data.dtype))
    for user in range(len(b_indptr) - 1):
        for column, value in entries[b_indptr[user] : b_indptr[user + 1]]:
            if cuts[0] <= column < cuts[-1]:
                a_indices[next_place[column]] = user
                a_data[next_place[column]] = value
                next_place[column] += 1


def neighbors_head(indptr, pairs, sums, cuts, *, first, last, isa=None, num_threads=1):
    """sums[i, j] += sum_u b_ui b_uj, j <= i, over the users u in ``range(first, last)``, for the
    columns i in ``range(cuts[0], cuts[-1])``.

    B (users x columns) in CSR, its entries as `neighbors_pairs` writes them. sums (head, head) of
    the first columns: what is above the diagonal is not looked at.
    """
    entries = pairs.view(pair_of(sums.dtype))
    for user in range(first, last):
        own = entries[indptr[user] : indptr[user + 1]]
        own = own[own["column"] < cuts[-1]]
        values = own["value"].astype(np.float64)
        for column, value in zip(own["column"], values, strict=True):
            if column >= cuts[0]:
                before = own["column"] <= column
                sums[column, own["column"][before]] += value * values[before]


def neighbors_topk(
    a_indptr,
    a_indices,
    a_data,
    b_indptr,
    b_pairs,
    names,
    spans,
    ids,
    scores,
    failed,
    head_ids,
    head_scores,
    head_kept,
    head_least,
    *,
    without_itself=False,
    isa=None,
    num_threads=1,
):
    """Write the lists of the columns i in ``range(spans[0], spans[-1])``, none of them of the head:
    the j of the largest sums s_ij = sum_u b_ui b_uj, into the rows names[i] of ids and scores.

    B as in `neighbors_head`, and A, its transpose, in CSR; names (columns,): what lists call a
    column. ids and scores (columns, n), -1 and -inf where there are fewer; failed (columns,):
    becomes 1 where an offered sum is not finite.

    Each s_ij is also offered to the list of j, if j is of the head, the first columns, and s_ij
    reaches head_least[j]: head_ids and head_scores (threads, head, n), of which head_kept
    (threads, head) are there, belong to one thread each; the twin uses the first one's. head_least
    (threads, head) rises with the worst of a full list.

    Lists are in any order; of equal scores the higher name is listed. A column whose sum is exactly
    0 never is, nor, `without_itself`, the column itself.
    """
    entries = b_pairs.view(pair_of(scores.dtype))
    n, head = ids.shape[1], head_least.shape[1]
    for i in range(spans[0], spans[-1]):
        sums = np.zeros(len(names))
        for k in range(a_indptr[i], a_indptr[i + 1]):
            own = entries[b_indptr[a_indices[k]] : b_indptr[a_indices[k] + 1]]
            sums[own["column"]] += float(a_data[k]) * own["value"].astype(np.float64)
        row = names[i]
        listed = np.flatnonzero(sums)
        if without_itself:
            listed = listed[listed != i]
        best = listed[np.lexsort((names[listed], sums[listed]))[::-1][:n]]
        ids[row], scores[row] = -1, -np.inf
        ids[row, : len(best)] = names[best]
        scores[row, : len(best)] = sums[best]
        failed[row] |= not np.isfinite(sums[listed]).all()
        for j in np.flatnonzero(sums[:head]):
            if sums[j] < head_least[0, j]:
                continue
            failed[names[j]] |= not np.isfinite(sums[j])
            kept = head_kept[0, j]
            offered = np.append(head_scores[0, j, :kept], sums[j])
            called = np.append(head_ids[0, j, :kept], row)
            best = np.lexsort((called, offered))[::-1][:n]
            head_kept[0, j] = len(best)
            head_ids[0, j, : len(best)] = called[best]
            head_scores[0, j, : len(best)] = offered[best]
            if len(best) == n:
                head_least[0, j] = max(head_least[0, j], offered[best[-1]])


def pair_of(dtype):
    """The type of an entry of B."""
    return np.dtype([("column", np.int32), ("value", dtype)], align=True)
