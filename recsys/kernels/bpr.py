"""Epochs of pairwise stochastic gradient: BPR and WARP with their samplers of negatives."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _sgd
from .config import current_isa
from .factors import Factors
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
    x, y, user_biases, item_biases : (users, f), (items, f), None and (items,) arrays, of one dtype
        Factors and biases (None: no biases) to start from; not written to. No step tells anything
        of a user's bias.
    weights : (nnz,) array of the same dtype, optional
        Scale the steps of the entries.
    negatives : int
        Steps for each entry in an epoch.
    chances : (items,) float64, optional
        Draw items by these instead of uniformly.
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
    """

    def __init__(
        self,
        liked: sparse.csr_array,
        x: np.ndarray,
        y: np.ndarray,
        user_biases: np.ndarray | None,
        item_biases: np.ndarray | None,
        *,
        weights: np.ndarray | None = None,
        negatives: int = 1,
        chances: np.ndarray | None = None,
        adaptive_share: float | None = None,
        candidates: int = 1,
        rank_weights: np.ndarray | None = None,
        margin: float = 1.0,
        bands: int | None = None,
    ) -> None:
        shares = np.ones(liked.shape[1]) if chances is None else chances
        self._grid = make_grid(
            liked.indptr, liked.indices, shares, weights, 1 if bands == 0 else bands
        )
        self._hogwild = bands == 0
        self._grid.log(self._hogwild)
        self._factors, self.n_items = x.shape[1], len(y)
        item_at = np.argsort(self._grid.place)
        self._x = padded(x)
        self._y = padded(y[item_at])
        self._b = None if item_biases is None else item_biases[item_at]
        own = None if chances is None else chances[item_at]
        self._options = _options(
            x, own, self._grid.bounds,
            negatives=negatives, candidates=candidates, rank_weights=rank_weights, margin=margin,
        )  # fmt: skip
        self._adaptive_share = adaptive_share

    def draw_to(self, users: Factors | None, items: Factors | None) -> None:
        """Have regularization draw factors, and items' biases, here; None: to zero."""
        item_at = np.argsort(self._grid.place)
        biases = None if items is None else items.biases
        self._options |= {
            "x_mean": None if users is None else padded(users.factors),
            "y_mean": None if items is None else padded(items.factors[item_at]),
            "b_mean": None if biases is None else biases[item_at],
        }

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
        self, out: tuple[np.ndarray, np.ndarray, None, np.ndarray | None]
    ) -> tuple[np.ndarray, np.ndarray, None, np.ndarray | None]:
        """`out`, of the shapes of what training started from, with what it has come to."""
        place = self._grid.place
        np.copyto(out[0], self._x[:, : self._factors])
        np.take(self._y[:, : self._factors], place, axis=0, out=out[1], mode="clip")
        if out[3] is not None:
            np.take(self._b, place, out=out[3], mode="clip")
        return out

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
        self._options |= _ranked(y, self._grid.bounds, self._adaptive_share)


class PairwiseFoldIn:
    """Learning users, each as if it were alone, items held fixed.

    Parameters are those of `PairwiseSGD`; y and b are what training made of the items.
    """

    def __init__(
        self,
        y: np.ndarray,
        b: np.ndarray | None,
        *,
        negatives: int = 1,
        chances: np.ndarray | None = None,
        adaptive_share: float | None = None,
        candidates: int = 1,
        rank_weights: np.ndarray | None = None,
        margin: float = 1.0,
    ) -> None:
        self._y, self._b = padded(y), None if b is None else b.copy()
        bounds = np.array([0, len(y)])
        self._options = _options(
            y, chances, bounds, frozen=True,
            negatives=negatives, candidates=candidates, rank_weights=rank_weights, margin=margin,
        )  # fmt: skip
        if adaptive_share is not None:
            self._options |= _ranked(y, bounds, adaptive_share)

    def users(
        self,
        liked: sparse.csr_array,
        rates: Rates,
        key: int,
        epochs: int,
        *,
        means: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        num_threads: int = 0,
    ) -> np.ndarray:
        """x after so many epochs, (users, f), from `means`, (users, f), to which regularization
        draws; None: from zero."""
        factors = self._options["factors"]
        shape = liked.shape[0], factors
        x = padded(np.zeros(shape, self._y.dtype) if means is None else means)
        drawn_to: dict[str, Any] = {} if means is None else {"x_mean": padded(means)}
        grid = make_grid(liked.indptr, liked.indices, np.ones(len(self._y)), weights, bands=1)
        [cells] = grid.threads_cells()
        for number in range(epochs):
            _sgd.bpr_cells(
                x, self._y, self._b, grid.users, grid.items, grid.values, cells,
                np.empty((len(cells), 4)), rate=rates.learning, reg_user=rates.user,
                reg_positive=rates.positive, reg_negative=rates.negative,
                key=epoch_key(key, number), **self._options, **drawn_to, isa=current_isa(),
                num_threads=resolve_num_threads(num_threads),
            )  # fmt: skip
        return np.ascontiguousarray(x[:, :factors])


def _options(
    rows: np.ndarray, chances: np.ndarray | None, bounds: np.ndarray, **given: Any
) -> dict[str, Any]:
    """What the kernel is told beside arrays and rates; `chances` in the order of groups."""
    options = {"factors": rows.shape[1], **given}
    if chances is not None:
        options["alias_keep"], options["alias"] = _alias_tables(chances, bounds)
    return options


def _ranked(y: np.ndarray, bounds: np.ndarray, share: float) -> dict[str, Any]:
    """What an adaptive sampler goes by: each group's items by falling y_k, for each k."""
    ranking = np.empty((y.shape[1], len(y)), np.int32)
    for lo, hi in itertools.pairwise(bounds.tolist()):
        ranking[:, lo:hi] = lo + np.argsort(-y[lo:hi].T, axis=1, kind="stable")
    return {"ranking": ranking, "spread": y.std(axis=0), "adaptive_share": share}


def _alias_tables(weights: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each group of items (Walker 1977): cell i keeps i with the probability keep_i / 2^32."""
    keep = np.full(len(weights), 2**32 - 1, np.uint32)
    alias = np.arange(len(weights), dtype=np.int32)
    for lo, hi in itertools.pairwise(bounds.tolist()):
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
