"""Who is asked for, and the places of items in the rankings of users."""

from __future__ import annotations

import numpy as np
from scipy import sparse

MOST_ID = np.iinfo(np.int32).max
_CELLS = 1 << 22  # scores that are held at a time


def ranks_of(
    test: sparse.csr_matrix,
    train: sparse.csr_matrix | None,
    users: tuple[np.ndarray, np.ndarray],
    items: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """For each entry of `test` how many other items its user scores as high or higher, those in
    `train` left out; float32, shape (nnz,).

    Parameters
    ----------
    test, train : csr_matrix, users x items
    users, items : (embeddings, biases)
    """
    out = np.empty(test.nnz, np.float32)
    tested = np.flatnonzero(np.diff(test.indptr))
    block = max(1, _CELLS // max(test.shape[1], 1))
    for begin in range(0, len(tested), block):
        rows = tested[begin : begin + block]
        scores = users[0][rows] @ items[0].T + items[1]
        scores += users[1][rows, np.newaxis]
        others = scores.copy()
        if train is not None:
            skipped = train[rows]
            counts = np.diff(skipped.indptr)
            others[np.repeat(np.arange(len(rows)), counts), skipped.indices] = -np.inf
        others.sort(axis=1)
        for at, row in enumerate(rows.tolist()):
            entries = slice(test.indptr[row], test.indptr[row + 1])
            columns = test.indices[entries]
            left_out = np.zeros(0, np.int32)
            if train is not None:
                left_out = train.indices[train.indptr[row] : train.indptr[row + 1]]
            wanted = scores[at, columns]
            higher = test.shape[1] - np.searchsorted(others[at], wanted, side="left")
            out[entries] = higher - ~np.isin(columns, left_out)
    return out


def row_numbers(name: str, ids: np.ndarray) -> np.ndarray:
    """Row numbers as integers; ValueError where they are none."""
    if ids.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be integers, got {ids.dtype}")
    if len(ids) and (ids.min() < 0 or ids.max() > MOST_ID):
        wrong = ids[(ids < 0) | (ids > MOST_ID)][0]
        raise ValueError(
            f"User or item ids cannot be negative, or larger than {MOST_ID}: {name} has {wrong}"
        )
    return ids.astype(np.int64)
