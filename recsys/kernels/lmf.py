"""Half-sweeps of logistic matrix factorization: one gradient step for every row of a side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import _lmf
from .config import current_isa
from .entries import transposed
from .reference.rng import draw
from .rows import padded
from .spans import cut, most_work_first, slices
from .threads import resolve_num_threads

if TYPE_CHECKING:
    from scipy import sparse

_SPAN_TERMS = 30_000  # rows looked at in a task, some 0.3 ms
_TOGETHER = 16  # rows that draw the same columns, as many as the kernel takes together


class Learned(NamedTuple):
    """What training knows of one side: of one dtype, C-contiguous."""

    factors: np.ndarray  # (rows, f)
    biases: np.ndarray  # (rows,)
    squares: np.ndarray  # (rows, f): sums of squared gradients so far
    bias_squares: np.ndarray  # (rows,)

    @classmethod
    def of(cls, factors: np.ndarray) -> Learned:
        """At the start of training."""
        biases = np.zeros(len(factors), factors.dtype)
        return cls(factors, biases, np.zeros_like(factors), np.zeros_like(biases))

    def fixed(self) -> Fixed:
        return Fixed.of(self.factors, self.biases)

    def copy_to(self, other: Learned) -> None:
        for own, its in zip(self, other, strict=True):
            np.copyto(its, own)

    def copy(self) -> Learned:
        return Learned(*(own.copy() for own in self))


class Fixed(NamedTuple):
    """The side held fixed, its rows padded."""

    factors: np.ndarray  # (columns, f or more)
    biases: np.ndarray  # (columns,)

    @classmethod
    def of(cls, factors: np.ndarray, biases: np.ndarray) -> Fixed:
        """A copy of `factors`, (columns, f), and `biases`, (columns,) as they are."""
        return cls(padded(factors), biases)


@dataclass(frozen=True)
class LmfSide:
    """One orientation of the data: signed confidences (> 0: liked), and how to go about its rows.

    None of it depends on the number of threads.
    """

    indptr: np.ndarray  # (rows + 1,) int64
    indices: np.ndarray  # (nnz,) int32
    confidence: np.ndarray  # (nnz,) float32 or float64
    columns: int
    negatives: int  # columns drawn for each entry, at most all
    order: np.ndarray  # (rows,) int32, most work first
    spans: np.ndarray  # int64, from 0 to rows

    @classmethod
    def of(cls, signed: sparse.csr_array, negatives: int) -> LmfSide:
        """Of a canonical matrix; its arrays are shared."""
        columns = signed.shape[1]
        lengths = np.diff(signed.indptr)
        negatives = min(negatives, columns)
        terms = lengths + np.minimum(negatives * np.maximum(lengths, 1), columns)
        order = most_work_first(terms)
        starts = np.arange(0, len(order), _TOGETHER)  # of rows that stay together
        groups = cut(np.add.reduceat(terms[order], starts), _SPAN_TERMS)
        spans = np.minimum(groups * _TOGETHER, len(order))
        return cls(
            indptr=signed.indptr.astype(np.int64, copy=False),
            indices=signed.indices.astype(np.int32, copy=False),  # SciPy widens them in slices
            confidence=signed.data,
            columns=columns,
            negatives=negatives,
            order=order,
            spans=spans,
        )

    def keys(self, seed: int, sweep: int) -> np.ndarray:
        """Keys (rows,) uint64 of what each row draws in half-sweep number `sweep`: rows of about as
        many draws, next to each other in `order`, have the same key, as they are done together."""
        rows = len(self.order)
        keys = np.empty(rows, np.uint64)
        groups = row_keys(seed, sweep, -(-rows // _TOGETHER))
        keys[self.order] = np.repeat(groups, _TOGETHER)[:rows]
        return keys


def lmf_sides(
    signed: sparse.csr_array, negatives: int, num_threads: int = 0
) -> tuple[LmfSide, LmfSide]:
    """Users x items, and its transpose."""
    by_item = transposed(signed, num_threads)
    return LmfSide.of(signed, negatives), LmfSide.of(by_item, negatives)


def row_keys(seed: int, sweep: int, rows: int) -> np.ndarray:
    """Keys (rows,) uint64, one of its own for each row."""
    [key] = draw(np.array([seed], np.uint64), sweep)
    return draw(key, np.arange(rows))


def lmf_half_sweep(
    side: LmfSide,
    fixed: Fixed,
    solved: Learned,
    keys: np.ndarray,
    *,
    learning_rate: float,
    regularization: float,
    means: np.ndarray | None = None,
    num_threads: int = 0,
) -> float:
    """A step of AdaGrad for every row of `side`, written to `solved`; see reference.lmf.lmf_rows.

    Parameters
    ----------
    side : LmfSide
        The data, rows x columns.
    fixed : Fixed
        The other side.
    solved : Learned
        Of the rows; partly written to if a KeyboardInterrupt comes, within about 0.1 s.
    keys : (rows,) uint64
        Of what is drawn for each row.
    learning_rate, regularization : float
    means : (rows, f) array of the same dtype, C-contiguous, optional
        What regularization draws rows to. None: to zero.
    num_threads : int
        0: all that are available. The result is the same for any number.

    Returns
    -------
    float
        The loss before the step, without regularization; NaN where a step led to numbers that are
        not finite.
    """
    row_loss = np.empty(len(solved.biases))
    threads = resolve_num_threads(num_threads)
    for spans in slices(side.spans, threads):
        _lmf.lmf_rows(
            side.indptr, side.indices, side.confidence, side.order, spans, *fixed, *solved,
            keys, row_loss, negatives=side.negatives, learning_rate=learning_rate,
            regularization=regularization, means=means, isa=current_isa(), num_threads=threads,
        )  # fmt: skip
    return float(row_loss.sum())
