"""From counts to confidences: how much an entry of the user-item matrix weighs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recsys import csr, kernels
from recsys.models.training import warn

if TYPE_CHECKING:
    from scipy import sparse

SCHEMES = ("linear", "log", "scaled")
Scheme = str | Callable[["sparse.csr_array"], np.ndarray]

# From about here on the sums behind a row's system lose the ordinary entries under the heavy one
# in float32, whose relative precision is 6e-8.
_SPREAD = 1e5
_SAMPLE = 1_000_000


def signed_confidence(
    counts: sparse.csr_array,
    scheme: Scheme,
    alpha: float,
    epsilon: float | None,
    num_threads: int = 0,
) -> sparse.csr_array:
    """Confidence and preference of every stored entry, in one number.

    With r a stored count::

        "linear"  c = 1 + alpha |r|
        "log"     c = 1 + alpha log(1 + |r| / epsilon)
        "scaled"  c = alpha |r|

    Parameters
    ----------
    counts : csr_array, n_users x n_items
        Canonical, float32 or float64; not changed.
    scheme : {"linear", "log", "scaled"} or callable
        A callable is given `counts` (its arrays read-only) and returns one confidence, finite and
        not negative, for each of `counts.data`.
    alpha : float
        Scale of the confidence, > 0; unused by a callable.
    epsilon : float or None
        Count at which "log" bends, > 0; None takes each user's own mean of |r| over stored entries.
    num_threads : int, default 0
        0: all that are available.

    Returns
    -------
    csr_array
        Same structure (arrays shared) and dtype; `data` is c where r > 0 (the user likes the item)
        and -c where r <= 0 (preference 0, held with confidence c).

    Raises
    ------
    TypeError, ValueError
        A callable returned something else; a confidence is too large for the dtype.

    Warns
    -----
    NumericalWarning
        float32, and the largest confidence is over 100,000 times the median.
    """
    if counts.nnz == 0:  # a newcomer without a history: no mean count to take
        return counts
    signed = np.empty_like(counts.data)
    called = _called(scheme, counts) if callable(scheme) else None

    def weigh(block: tuple[slice, slice]) -> float:
        """Writes a block of `signed`; returns its largest confidence."""
        rows, entries = block
        if not callable(scheme):
            lengths = np.diff(counts.indptr[rows.start : rows.stop + 1])
            sizes = np.abs(counts.data[entries], dtype=np.float64)
            confidence = _builtin(scheme, sizes, lengths, alpha, epsilon)
        else:
            confidence = called[entries]
        with np.errstate(over="ignore"):
            signed[entries] = confidence
        _check_block(signed[entries], confidence, entries.start, counts, callable(scheme))
        largest = float(signed[entries].max(initial=0.0))
        np.negative(signed[entries], out=signed[entries], where=counts.data[entries] <= 0)
        return largest

    largest = kernels.in_threads(weigh, csr.row_blocks(counts.indptr), num_threads)
    if signed.dtype == np.float32:
        _warn_of_spread(signed, max(largest))
    return csr.assemble(signed, counts.indices, counts.indptr, counts.shape)


def _builtin(
    scheme: str, sizes: np.ndarray, lengths: np.ndarray, alpha: float, epsilon: float | None
) -> np.ndarray:
    """Confidences of whole rows of the given lengths, in double; overwrites `sizes`, the |r|."""
    if scheme == "log":
        sizes /= _row_means(sizes, lengths) if epsilon is None else epsilon
        np.log1p(sizes, out=sizes)
    sizes *= alpha
    if scheme != "scaled":
        sizes += 1.0
    return sizes


def _row_means(sizes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each entry's row mean; 1 for a row of zeros, of which every scheme makes the same."""
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return np.empty(0)
    means = np.add.reduceat(sizes, np.cumsum(lengths) - lengths) / lengths
    means[means == 0] = 1.0
    return np.repeat(means, lengths)


def _called(scheme: Callable, counts: sparse.csr_array) -> np.ndarray:
    """What the user's function makes of the counts, checked for type and shape."""
    data, indices, indptr = counts.data.view(), counts.indices.view(), counts.indptr.view()
    for array in (data, indices, indptr):
        array.flags.writeable = False  # they may be the caller's own
    try:
        values = np.asarray(scheme(csr.assemble(data, indices, indptr, counts.shape)))
    except NotImplementedError as error:  # what SciPy says of 1 + matrix
        raise TypeError(
            "the confidence function is given a sparse matrix of counts, of which SciPy says: "
            f"{error}. Work on its entries: lambda counts: 1 + alpha * counts.data"
        ) from error
    if values.dtype.kind not in "biuf":
        raise TypeError(
            "the confidence function must return an array of real numbers; got dtype "
            f"{values.dtype}. Work on counts.data, not on the matrix"
        )
    if values.shape != counts.data.shape:
        raise ValueError(
            "the confidence function must return one number for each stored entry, shape "
            f"{counts.data.shape}; got shape {values.shape}. Work on counts.data"
        )
    return values


def _check_block(
    stored: np.ndarray, confidence: np.ndarray, begin: int, counts: sparse.csr_array, called: bool
) -> None:
    good = np.isfinite(stored) & (stored >= 0)
    if good.all():
        return
    at = int(np.argmin(good))
    place = csr.entry_name(begin + at, counts.indptr, counts.indices)
    if called and not (np.isfinite(confidence[at]) and confidence[at] >= 0):
        raise ValueError(
            f"the confidence function returned {confidence[at]} at {place}; expected finite "
            "numbers of at least 0"
        )
    raise ValueError(
        f"the count {counts.data[begin + at]:g} at {place} has a confidence too large for "
        f'{stored.dtype}: use confidence="log", a smaller alpha or dtype=np.float64'
    )


def _warn_of_spread(signed: np.ndarray, largest: float) -> None:
    # A strided sample: the median of all entries would need a copy of them.
    median = float(np.median(np.abs(signed[:: max(1, len(signed) // _SAMPLE)])))
    if median > 0 and largest > _SPREAD * median:
        warn(
            f"the largest confidence is {largest:.3g}, {largest / median:.1g} times the median: "
            "float32 loses the other entries of its row under it. "
            'Use confidence="log", a smaller alpha or dtype=np.float64'
        )
