"""Epochs of pairwise stochastic gradient: BPR and WARP with their samplers of negatives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _sgd
from .config import current_isa
from .grid import make_grid
from .reference.rng import draw
from .rows import padded
from .threads import resolve_num_threads

if TYPE_CHECKING:
    from scipy import sparse


class Rates(NamedTuple):
    """Of an epoch."""

    learning: float
    user: float  # regularization of user factors
    positive: float  # and of the liked item's factors and bias
    negative: float  # and of the other item's


class EpochSums(NamedTuple):
    """What the steps of an epoch came to."""

    loss: float  # the sum over steps
    correct: int  # steps whose items were in the right order
    steps: int
    skipped: int  # steps not made, for want of an item that the user has not liked


def epoch_key(seed: int, number: int) -> int:
    """The key of all that is drawn in an epoch; 64 bits, as `seed`."""
    return int(draw(np.array([seed], np.uint64), number)[0])


class PairwiseSGD:
    """A training in progress.

    Parameters
    ----------
    liked : scipy.sparse CSR, users x items
        Canonical; each entry is an item that the user likes.
    x, y, b : (users, f), (items, f) and (items,) arrays, of one dtype
        Factors and biases (None: no biases) to start from; not written to.
    weights : (nnz,) array of the same dtype, optional
        Scale the steps of the entries.
    negatives : int
        Steps for each entry in an epoch.
    popularity_exponent : float, optional
        Draw items by their number of entries, to this power, instead of uniformly.
    adaptive_share : float, optional
        Draw items by their rank along one factor, its mean being this share of the items.
    candidates : int
        Take the best-scored of so many draws; with `rank_weights`, most trials.
    rank_weights : (candidates,) float64, optional
        The loss is WARP's, and these its steps by the number of trials.
    margin : float
        WARP's.
    bands : int or None
        Of the grid; None: as many as suit the shape. 0: no grid, all threads write where they like.
    frozen : bool
        Learn x only, without a grid; y is shared and has to be `padded`.
    """

    def __init__(
        self,
        liked: sparse.csr_array,
        x: np.ndarray,
        y: np.ndarray,
        b: np.ndarray | None,
        *,
        weights: np.ndarray | None = None,
        negatives: int = 1,
        popularity_exponent: float | None = None,
        adaptive_share: float | None = None,
        candidates: int = 1,
        rank_weights: np.ndarray | None = None,
        margin: float = 1.0,
        bands: int | None = None,
        frozen: bool = False,
    ) -> None:
        chances = np.ones(liked.shape[1])
        if popularity_exponent is not None:
            popularity = np.bincount(liked.indices, minlength=liked.shape[1])
            chances = popularity.astype(np.float64) ** popularity_exponent
        self._grid = make_grid(
            liked.indptr, liked.indices, chances, weights, 1 if bands == 0 else bands
        )
        self._hogwild = bands == 0
        self._factors = x.shape[1]
        item_at = np.argsort(self._grid.place)
        self._x = padded(x)
        self._y = y if frozen else padded(y[item_at])
        self._b = None if b is None else b[item_at]
        self._options: dict[str, Any] = {
            "factors": self._factors,
            "negatives": negatives,
            "candidates": candidates,
            "rank_weights": rank_weights,
            "margin": margin,
            "frozen": frozen,
        }
        if popularity_exponent is not None:
            keep, alias = _alias_tables(chances[item_at], self._grid.bounds)
            self._options |= {"alias_keep": keep, "alias": alias}
        self._adaptive_share = adaptive_share

    def epoch(self, rates: Rates, key: int, num_threads: int = 0) -> EpochSums:
        """One pass over all entries.

        Parameters
        ----------
        rates : Rates
        key : int
            Of all that is drawn, 64 bits; the result follows from it, for any number of threads
            unless there is no grid.
        num_threads : int
            0: all that are available.

        Raises
        ------
        KeyboardInterrupt
            Between rounds; what has been learned by then stays.
        """
        rng = np.random.default_rng(key)
        rounds = self._grid.threads_cells() if self._hogwild else self._grid.rounds(rng)
        total = np.zeros(4)
        since_ranked = math.inf
        for cells in rounds:
            if self._adaptive_share is not None and since_ranked > self._ranking_lasts():
                self._rank()
                since_ranked = 0
            sums = np.empty((len(cells), 4))
            self._cells(cells, sums, rates, key, num_threads)
            total += sums.sum(axis=0)
            since_ranked += sums[:, 2].sum()
        return EpochSums(float(total[0]), *map(int, total[1:]))

    def learned(
        self, out: tuple[np.ndarray, np.ndarray, np.ndarray | None]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """`out`, of the shapes of x, y and b, with what they are now."""
        place = self._grid.place
        np.copyto(out[0], self.users())
        np.take(self._y[:, : self._factors], place, axis=0, out=out[1], mode="clip")
        if out[2] is not None:
            np.take(self._b, place, out=out[2], mode="clip")
        return out

    def users(self) -> np.ndarray:
        """x as it is now, not a copy."""
        return self._x[:, : self._factors]

    def _cells(
        self, cells: np.ndarray, sums: np.ndarray, rates: Rates, key: int, num_threads: int
    ) -> None:
        grid = self._grid
        _sgd.bpr_cells(
            self._x, self._y, self._b, grid.users, grid.items, grid.values, cells, sums,
            rate=rates.learning, reg_user=rates.user, reg_positive=rates.positive,
            reg_negative=rates.negative, key=key, **self._options, isa=current_isa(),
            num_threads=resolve_num_threads(num_threads),
        )  # fmt: skip

    def _ranking_lasts(self) -> float:
        return len(self._y) * math.log2(max(len(self._y), 2))

    def _rank(self) -> None:
        y = self._y[:, : self._factors]
        ranking = np.empty((self._factors, len(y)), np.int32)
        for lo, hi in zip(self._grid.bounds[:-1], self._grid.bounds[1:], strict=True):
            ranking[:, lo:hi] = lo + np.argsort(-y[lo:hi].T, axis=1, kind="stable")
        self._options |= {
            "ranking": ranking,
            "spread": y.std(axis=0),
            "adaptive_share": self._adaptive_share,
        }


def _alias_tables(weights: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each group of items (Walker 1977): cell i keeps i with the probability keep_i / 2^32."""
    keep = np.full(len(weights), 2**32 - 1, np.uint32)
    alias = np.arange(len(weights), dtype=np.int32)
    for lo, hi in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        total = weights[lo:hi].sum()
        if total <= 0:
            continue
        level = (weights[lo:hi] * ((hi - lo) / total)).tolist()
        small = [i for i, value in enumerate(level) if value < 1]
        large = [i for i, value in enumerate(level) if value >= 1]
        while small and large:
            i, j = small.pop(), large[-1]
            keep[lo + i], alias[lo + i] = int(level[i] * (2**32 - 1)), lo + j
            level[j] -= 1 - level[i]
            if level[j] < 1:
                small.append(large.pop())
    return keep, alias
