"""Weights of items for items: sparse regressions of each one's column on candidates' columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys import csr

from . import _product
from .config import current_isa
from .inverse import BLOCK, dense_gramian
from .neighbors import neighbors_topk
from .spans import cut, most_work_first, slices
from .threads import resolve_num_threads
from .topk import NO_ID

if TYPE_CHECKING:
    from scipy import sparse

_PRODUCTS_BYTES = 1 << 30
_SPAN_WORK = 200_000  # pairs of entries that meet, about 1 ms


def candidates(users: sparse.csr_array, k: int, num_threads: int = 0) -> np.ndarray:
    """The k items that most users have beside each one: int32 (items, k), -1 where there are fewer.

    Of k that is not less than the number of other items all of these, also those that no user has
    beside it. `users` is users x items in canonical form; products of its values are counted.
    """
    count = users.shape[1]
    if k >= count - 1:
        others = np.arange(count - 1, dtype=np.int32)
        return others + (others >= np.arange(count)[:, np.newaxis]).astype(np.int32)
    best, scores = neighbors_topk(users, k, itself=False, num_threads=num_threads)
    return np.take_along_axis(best, np.lexsort((best, scores))[:, ::-1], axis=1)


def products_of(items: sparse.csr_array, candidates: np.ndarray) -> np.ndarray:
    """A A' of items x users, float64, where that is little memory and less work than the pairs that
    candidates have in common; else nothing, (0, 0)."""
    count, users = items.shape
    pairs = np.square(_entries(items, candidates), dtype=np.float64).sum() / (2 * max(1, users))
    if count * count * 8 > _PRODUCTS_BYTES or pairs < items.nnz * count:
        return np.empty((0, 0))
    values = items.data.astype(np.float64)
    exact = csr.assemble(values, items.indices, items.indptr, items.shape)
    products = dense_gramian(exact, 0.0)
    for begin in range(0, count, BLOCK):  # which has no more than blocks below the diagonal
        rows = slice(begin, begin + BLOCK)
        products[rows, rows.stop :] = products[rows.stop :, rows].T
    return products


def _entries(items: sparse.csr_array, candidates: np.ndarray) -> np.ndarray:
    """How many each item and its candidates have together."""
    lengths = np.diff(items.indptr)
    return np.where(candidates == NO_ID, 0, lengths[candidates]).sum(axis=1) + lengths


def slim(
    items: sparse.csr_array,
    candidates: np.ndarray,
    *,
    l1: float,
    l2: float,
    nonnegative: bool,
    tolerance: float,
    sweeps: int,
    num_threads: int = 0,
) -> tuple[np.ndarray, int]:
    """What each candidate weighs in the prediction of an item's column.

    Parameters
    ----------
    items : canonical CSR, items x users, without stored zeros
    candidates : (items, m) int32
        None of them the item itself; -1 fills up.
    l1, l2, nonnegative, tolerance, sweeps
        See `reference.slim_rows`.
    num_threads : int
        0: all that are available. The result is the same for any number.

    Returns
    -------
    weights : (items, m)
    unsettled : int
        Of how many items the weights moved more than `tolerance` allows to the last.

    Raises
    ------
    FloatingPointError
        A weight is not finite.
    """
    weights = np.zeros(candidates.shape, items.dtype)
    failed = np.zeros(len(candidates), np.uint8)
    entries, products = _entries(items, candidates), products_of(items, candidates)
    # walking the lists, and some sweeps
    work = 4 * entries + 10 * np.count_nonzero(candidates >= 0, axis=1) ** 2 + 100
    order = most_work_first(work)
    spans = cut(work[order], _SPAN_WORK)
    threads = resolve_num_threads(num_threads)
    for part in slices(spans, threads):
        _product.slim_rows(
            items.indptr, items.indices, items.data, order, part, candidates, products, weights,
            failed, users=items.shape[1], longest=int(entries.max(initial=0)), l1=l1, l2=l2,
            nonnegative=nonnegative, tolerance=tolerance, sweeps=sweeps, isa=current_isa(),
            num_threads=threads,
        )  # fmt: skip
    if (failed == 2).any():
        raise FloatingPointError(
            f"the weights of item {int(np.argmax(failed == 2))} are not finite: the values of the "
            f"matrix are too large for {weights.dtype}. Scale them down, or raise regularization"
        )
    return weights, int(np.count_nonzero(failed))
