"""Stochastic gradient for users and items that are sums of features.

What the kernel works on is put together here: embeddings with their biases behind, one feature a
row, and draws that are looked at in the rows of a while ago, where an item has several features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ._hybrid import LOSSES, hybrid_steps
from ._product import spmm
from .config import current_isa
from .rows import whole_lines
from .spans import cut
from .threads import resolve_num_threads

if TYPE_CHECKING:
    from scipy import sparse

_BATCH = 64  # samples whose gradients are worked out together, of many
_BATCHES = 256  # at least: of few samples fewer are taken together
_SPAN_ENTRIES = 4096  # of features, that a thread sums at a time
_STRETCHES = 16  # parts of an epoch, between which Ctrl-C is heard and rows are summed anew


@dataclass
class LearnedFeatures:
    """Of the features of one side: what is learned, in NumPy's own layout.

    Attributes
    ----------
    embeddings, squares, momentum : (features, f)
        Sums of squared gradients, and of AdaDelta squared steps.
    biases, bias_squares, bias_momentum : (features,)
    """

    embeddings: np.ndarray
    squares: np.ndarray
    momentum: np.ndarray
    biases: np.ndarray
    bias_squares: np.ndarray
    bias_momentum: np.ndarray


@dataclass
class FeatureRows:
    """Users or items as sums of features.

    Parameters
    ----------
    features : csr matrix (rows, features), or None
        None: row r is feature r.
    learned : LearnedFeatures
    alpha : float
        Regularization.
    """

    features: sparse.csr_array | None
    learned: LearnedFeatures
    alpha: float
    adadelta: bool
    values: np.ndarray = field(init=False)
    squares: np.ndarray = field(init=False)
    momentum: np.ndarray | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        now, dtype = self.learned, self.learned.embeddings.dtype
        self.values = _behind(now.embeddings, now.biases, 0)
        self.squares = _behind(now.squares, now.bias_squares, 1)
        if self.adadelta:
            self.momentum = _behind(now.momentum, now.bias_momentum, 1)
        if self.features is None:
            self.arrays: tuple[Any, Any, Any] = (None, None, None)
            return
        matrix = self.features
        self.arrays = (
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int32, copy=False),
            matrix.data.astype(dtype, copy=False),
        )

    @property
    def several(self) -> bool:
        """Whether a row is more work than one feature's."""
        return self.features is not None

    def write(self) -> None:
        """Put what training has come to into `learned`."""
        now = self.learned
        _apart(self.values, now.embeddings, now.biases)
        _apart(self.squares, now.squares, now.bias_squares)
        if self.momentum is not None:
            _apart(self.momentum, now.momentum, now.bias_momentum)


def _behind(rows: np.ndarray, last: np.ndarray, fill: float) -> np.ndarray:
    """`rows` with the column `last`, filled up to whole cache lines."""
    f = rows.shape[1]
    out = whole_lines(len(rows), f + 1, rows.dtype)
    out[:, :f], out[:, f], out[:, f + 1 :] = rows, last, fill
    return out


def _apart(padded: np.ndarray, rows: np.ndarray, last: np.ndarray) -> None:
    f = rows.shape[1]
    rows[...], last[...] = padded[:, :f], padded[:, f]


@dataclass(frozen=True)
class Samples:
    """What an epoch goes through, in its order.

    Attributes
    ----------
    users, items : (samples,) int32
    weights : (samples,), or None
        None: all 1.
    liked : (samples,) uint8, or None
        Of the logistic loss.
    """

    users: np.ndarray
    items: np.ndarray
    weights: np.ndarray | None = None
    liked: np.ndarray | None = None


@dataclass(frozen=True)
class HybridOptions:
    """Parameters of training; see csrc/kernels/hybrid.h.

    Attributes
    ----------
    loss : {"logistic", "bpr", "warp", "warp-kos"}
    rate : float
        Of AdaGrad.
    rho, epsilon : float
        Of AdaDelta.
    max_sampled : int
        Draws of WARP for a sample.
    k, n : int
        Of "warp-kos": the k-th best of n of the user's items is the liked one.
    hogwild : bool
        Threads write where they like, except with regularization: faster, and never twice the same.
    """

    loss: str
    rate: float
    rho: float = 0.95
    epsilon: float = 1e-6
    max_sampled: int = 10
    k: int = 5
    n: int = 10
    hogwild: bool = False


class HybridSGD:
    """Training of two `FeatureRows`.

    Parameters
    ----------
    users, items : FeatureRows
    options : HybridOptions
    stored : csr matrix, users x items
        What is no negative of a user; indices ascend.
    pool : (n,) int32
        Items, as often as BPR is to draw them.
    """

    def __init__(
        self,
        users: FeatureRows,
        items: FeatureRows,
        options: HybridOptions,
        stored: sparse.csr_array,
        pool: np.ndarray,
    ) -> None:
        self._users, self._items, self._options = users, items, options
        self._stored = stored.indptr.astype(np.int64), stored.indices.astype(np.int32, copy=False)
        self._pool = pool
        warp = options.loss in ("warp", "warp-kos")
        rows = len(items.values) if items.features is None else items.features.shape[0]
        ranks = (rows - 1) // np.arange(1, options.max_sampled + 1)
        self._rank_weights = np.log(np.maximum(ranks, 1)) if warp else None
        self._screen = None
        if warp and items.several:
            self._screen = whole_lines(rows, items.values.shape[1], items.values.dtype)

    def epoch(self, samples: Samples, key: int, num_threads: int = 0) -> None:
        """A step for each of the samples.

        Raises
        ------
        KeyboardInterrupt
            Between stretches; `write` then gives what has been learned by then.
        """
        total = len(samples.users)
        stretch = -(-total // _STRETCHES)
        if self._screen is not None:
            # Summing all rows takes no longer than the steps for which they last.
            stretch = max(stretch, len(self._screen))
        scales, at = np.ones(2), 0
        while at < total:
            if self._screen is not None:
                self._sum_rows(num_threads)
            end = min(at + stretch, total)
            while at < end:
                at = self._steps(samples, key, at, end, scales, num_threads)
                self._unscale(scales)

    def _steps(
        self,
        samples: Samples,
        key: int,
        begin: int,
        end: int,
        scales: np.ndarray,
        num_threads: int,
    ) -> int:
        options, users, items = self._options, self._users, self._items
        batch = max(1, min(_BATCH, len(samples.users) // _BATCHES))
        # To share a batch is no faster on two idle processors, and where they have other work the
        # threads wait for each other a hundred times as long.
        threads, hogwild = 1, options.hogwild and not (users.alpha or items.alpha)
        if hogwild:  # threads without a processor of their own keep the others waiting
            threads = min(resolve_num_threads(num_threads), resolve_num_threads(0))
        return hybrid_steps(
            users.values, users.squares, users.momentum, *users.arrays,
            items.values, items.squares, items.momentum, *items.arrays,
            self._screen, samples.users, samples.items, samples.weights, samples.liked,
            *self._stored, self._pool, self._rank_weights, scales,
            factors=users.learned.embeddings.shape[1], loss=LOSSES[options.loss],
            rate=options.rate, key=key, begin=begin, end=end,
            batch=batch, k=options.k,
            n=options.n if options.loss == "warp-kos" else 0, rho=options.rho,
            epsilon=options.epsilon, user_alpha=users.alpha, item_alpha=items.alpha,
            hogwild=hogwild,
            isa=current_isa(), num_threads=threads,
        )  # fmt: skip

    def _unscale(self, scales: np.ndarray) -> None:
        for place, side in enumerate((self._users, self._items)):
            if scales[place] != 1:
                f = side.learned.embeddings.shape[1]
                side.values[:, : f + 1] /= side.values.dtype.type(scales[place])
        scales[:] = 1

    def _sum_rows(self, num_threads: int) -> None:
        order = np.arange(len(self._screen), dtype=np.int32)
        spans = cut(np.diff(self._items.arrays[0]) + 1, _SPAN_ENTRIES)
        spmm(
            *self._items.arrays, order, spans,
            self._items.values, self._screen, likes=False, mean=0.0, isa=current_isa(),
            num_threads=resolve_num_threads(num_threads),
        )  # fmt: skip
