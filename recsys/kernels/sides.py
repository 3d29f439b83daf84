"""Both orientations of the data, ready for half-sweeps of ALS: rows in order, in spans of work."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys import csr

from . import _als
from .entries import column_counts, renumbered, take_rows, transposed
from .spans import most_work_first

if TYPE_CHECKING:
    from scipy import sparse

_ENTRY_CYCLES = 100  # and as many again for a row
_PIECES = 4  # of the long rows, for each thread


@dataclass(frozen=True)
class Side:
    """One orientation of the data, ready to be solved row by row.

    `confidence` carries the preference in its sign (> 0: liked), or is ratings. `order` holds the
    rows, longest first; `spans` cuts it into pieces of similar cost (but see `spans_for`). Neither
    depends on the number of threads.
    `places` ranks the columns by popularity: most gathers then come from a few neighbouring rows.
    """

    indptr: np.ndarray  # (rows + 1,) int64
    indices: np.ndarray  # (nnz,) int32, sorted within a row
    confidence: np.ndarray  # (nnz,) float32 or float64
    ratings: bool  # whether those are ratings, targets of confidence 1
    regularization: np.ndarray  # (rows,) float64
    other_regularization: np.ndarray  # (columns,) float64
    unobserved_weight: float
    places: np.ndarray | None  # (columns,) int32: a column's row in a scratch copy of the factors
    placed_indices: np.ndarray  # (nnz,) int32: places[indices], or indices
    order: np.ndarray  # (rows,) int32
    spans: np.ndarray  # int64, from 0 to rows

    @property
    def n_rows(self) -> int:
        return len(self.regularization)

    def entries(self) -> sparse.csr_array:
        """All of them, of the same memory."""
        shape = self.n_rows, len(self.other_regularization)
        return csr.assemble(self.confidence, self.indices, self.indptr, shape)

    def weights(self, entries: np.ndarray | slice) -> np.ndarray:
        """c - w0 of some entries, float64."""
        values = self.confidence[entries].astype(np.float64)
        return (np.ones(len(values)) if self.ratings else np.abs(values)) - self.unobserved_weight


def make_sides(
    signed_confidence: sparse.csr_array,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    ratings: bool = False,
    num_threads: int = 0,
) -> tuple[Side, Side]:
    """Both orientations of the data.

    Parameters
    ----------
    signed_confidence : scipy.sparse CSR, users x items
        Canonical (sorted, no duplicates), float32 or float64, indices int32. Value v > 0:
        preference 1 with confidence v; v <= 0: preference 0 with confidence -v. Shared, never
        written.
    regularization, regularization_exponent, unobserved_weight : float
        lambda, nu and w0: row u of n_u entries gets lambda (n_u + w0 columns)^nu
        (Rendle, Krichene, Zhang, Koren, RecSys 2022, section 3).
    ratings : bool
        The values are ratings instead: targets, each of confidence 1.
    num_threads : int
        0: all that are available.

    Returns
    -------
    (Side, Side)
        Users x items, and its transpose.
    """
    users = signed_confidence
    items = transposed(users, num_threads)

    def lambdas(matrix: sparse.csr_array) -> np.ndarray:
        return scaled_lambda(matrix, regularization, regularization_exponent, unobserved_weight)

    both = lambdas(users), lambdas(items)
    return _both((users, items), both, unobserved_weight, ratings, num_threads)


def some_users(
    signed_confidence: sparse.csr_array,
    users: np.ndarray,
    lambdas: tuple[np.ndarray, np.ndarray],
    unobserved_weight: float,
    ratings: bool = False,
    num_threads: int = 0,
    *,
    all_items: bool = False,
) -> tuple[tuple[Side, Side], np.ndarray | None]:
    """Both orientations of some users' entries, whose objective is in expectation that of all times
    their share: the penalty of an item's factors is as much smaller.

    Parameters
    ----------
    signed_confidence, unobserved_weight, ratings, num_threads
        As of `make_sides`.
    users : int array
        Row numbers, rising.
    lambdas : (float64 array, float64 array)
        Of all users and all items, see `both_lambdas`.
    all_items : bool
        Keep items that these users have no entry of.

    Returns
    -------
    (Side, Side)
        Of these users, and of the items that they have entries of.
    known : int array or None
        Which these are, rising; None: all.
    """
    n_users, n_items = signed_confidence.shape
    entries, known, of_items = take_rows(signed_confidence, users, num_threads), None, lambdas[1]
    if not all_items:
        known = np.flatnonzero(column_counts(entries, num_threads))
        number, of_items = np.zeros(n_items, dtype=np.int32), of_items[known]
        number[known] = np.arange(len(known))
        renumbered(entries.indices, number, num_threads, out=entries.indices)
        shape = len(users), len(known)
        entries = csr.assemble(entries.data, entries.indices, entries.indptr, shape)
    items = transposed(entries, num_threads)
    both = lambdas[0][users], len(users) / n_users * of_items
    return _both((entries, items), both, unobserved_weight, ratings, num_threads), known


def both_lambdas(
    signed_confidence: sparse.csr_array,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
    num_threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """lambda_u of each user, and lambda_i of each item, float64; see `make_sides`."""
    held = column_counts(signed_confidence, num_threads).astype(np.float64)
    same = regularization, regularization_exponent, unobserved_weight
    users = scaled_lambda(signed_confidence, *same)
    return users, _lambda(held, signed_confidence.shape[0], *same)


def _both(
    entries: tuple[sparse.csr_array, sparse.csr_array],
    lambdas: tuple[np.ndarray, np.ndarray],
    unobserved_weight: float,
    ratings: bool,
    num_threads: int,
) -> tuple[Side, Side]:
    """Users x items and its transpose, with what draws the rows of either to zero."""
    items = make_side(entries[1], *lambdas[::-1], unobserved_weight, ratings, None)
    # A popular item is gathered for most users, while no user is for most items.
    places = np.empty(items.n_rows, dtype=np.int32)
    places[items.order] = np.arange(items.n_rows)
    users = make_side(entries[0], *lambdas, unobserved_weight, ratings, places, num_threads)
    return users, items


def scaled_lambda(
    matrix: sparse.csr_array,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
) -> np.ndarray:
    """lambda_u of each row of a CSR matrix, float64; see `make_sides`."""
    lengths = np.diff(matrix.indptr).astype(np.float64)
    same = regularization, regularization_exponent, unobserved_weight
    return _lambda(lengths, matrix.shape[1], *same)


def _lambda(
    lengths: np.ndarray,
    columns: int,
    regularization: float,
    regularization_exponent: float,
    unobserved_weight: float,
) -> np.ndarray:
    with np.errstate(divide="ignore"):
        scale = (lengths + unobserved_weight * columns) ** regularization_exponent
    # without a weight of unobserved cells an empty row's factors are zero whatever its lambda
    return regularization * np.where(np.isfinite(scale), scale, 0.0)


def make_side(
    matrix: sparse.csr_array,
    regularization: np.ndarray,
    other_regularization: np.ndarray,
    unobserved_weight: float,
    ratings: bool,
    places: np.ndarray | None,
    num_threads: int = 0,
) -> Side:
    indptr = matrix.indptr.astype(np.int64, copy=False)
    lengths = np.diff(indptr)
    order = most_work_first(lengths)
    indices = matrix.indices.astype(np.int32, copy=False)
    return Side(
        indptr=indptr,
        indices=indices,
        confidence=matrix.data,
        ratings=bool(ratings),
        regularization=regularization,
        other_regularization=other_regularization,
        unobserved_weight=float(unobserved_weight),
        places=places,
        placed_indices=indices if places is None else renumbered(indices, places, num_threads),
        order=order,
        spans=make_spans(lengths[order]),
    )


def make_spans(lengths: np.ndarray) -> np.ndarray:
    """Cut rows, longest first, where the kernel's measure of a span has come together; spans of
    short rows are whole batches."""
    cost = np.cumsum(_ENTRY_CYCLES * (lengths + 1.0))
    cuts = np.searchsorted(cost, np.arange(_als.SPAN_CYCLES, cost[-1], _als.SPAN_CYCLES)) + 1
    short = lengths[np.minimum(cuts, len(lengths) - 1)] <= _als.BATCH_MOST
    cuts = np.where(short, -(-cuts // _als.MOST_LANES) * _als.MOST_LANES, cuts)
    return np.unique(np.concatenate([[0], np.minimum(cuts, len(lengths)), [len(lengths)]]))


def spans_for(side: Side, factors: int, cg_steps: int, num_threads: int) -> np.ndarray:
    """The side's spans, but of its long rows only a few for each thread: the more of them a span
    has, the more they share (csrc/kernels/als_primal.h). A row's bits do not depend on its span."""
    n_long = count_long(side, factors, cg_steps)
    fine = side.spans[np.searchsorted(side.spans, n_long) :]
    work = np.cumsum(np.diff(side.indptr)[side.order[:n_long]])
    pieces = min(n_long, _PIECES * num_threads)
    cuts = [np.searchsorted(work, work[-1] * k // pieces) for k in range(1, pieces)]
    return np.unique(np.concatenate([[0], cuts, [n_long], fine])).astype(np.int64)


def count_long(side: Side, factors: int, cg_steps: int) -> int:
    """How many rows share their gathers; as the longest, they are the first in the order."""

    def is_not_long(row: np.int32) -> bool:
        length = int(side.indptr[row + 1] - side.indptr[row])
        itemsize = side.confidence.itemsize
        path = _als.row_path(length, factors, cg_steps, below=False, itemsize=itemsize)
        return path != "long primal"

    return bisect_left(side.order, True, key=is_not_long)
