"""Epochs of stochastic gradients on ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _sgd
from .config import current_isa
from .grid import make_grid
from .rows import padded
from .threads import resolve_num_threads

if TYPE_CHECKING:
    from scipy import sparse

Biases = np.ndarray | None


class RatingSGD:
    """A training in progress.

    Parameters
    ----------
    ratings : scipy.sparse CSR, users x items
        Canonical; less the mean. Each entry is a rating.
    x, y, user_biases, item_biases : (users, f), (items, f), (users,) and (items,) arrays
        Of the dtype of the ratings, to start from; not written to. None for both biases: none.
    bands : int or None
        Of the grid; None: as many as suit the shape. 0: no grid, all threads write where they like.
    """

    def __init__(
        self,
        ratings: sparse.csr_array,
        x: np.ndarray,
        y: np.ndarray,
        user_biases: Biases,
        item_biases: Biases,
        bands: int | None = None,
    ) -> None:
        everything = np.ones(ratings.shape[1])
        self._grid = make_grid(
            ratings.indptr, ratings.indices, everything, ratings.data, 1 if bands == 0 else bands
        )
        self._hogwild = bands == 0
        self._grid.log(self._hogwild)
        self._factors = x.shape[1]
        item_at = np.argsort(self._grid.place)
        self._x, self._y = padded(x), padded(y[item_at])
        self._user_biases = None if user_biases is None else user_biases.copy()
        self._item_biases = None if item_biases is None else item_biases[item_at]

    def epoch(self, rate: float, regularization: float, key: int, num_threads: int = 0) -> float:
        """A step for each rating; returns the mean of their squared errors before it.

        The order follows from `key`, 64 bits, and the result with it, for any number of threads
        unless there is no grid.

        Raises
        ------
        KeyboardInterrupt
            Between rounds; what has been learned by then stays.
        """
        grid, total = self._grid, 0.0
        rounds = grid.threads_cells() if self._hogwild else grid.rounds(np.random.default_rng(key))
        for cells in rounds:
            losses = np.empty(len(cells))
            _sgd.ratings_cells(
                self._x, self._y, self._user_biases, self._item_biases, grid.users, grid.items,
                grid.values, cells, losses, rate=rate, regularization=regularization,
                isa=current_isa(), num_threads=resolve_num_threads(num_threads),
            )  # fmt: skip
            total += float(losses.sum())
        return total / max(len(grid.users), 1)

    def learned(
        self, out: tuple[np.ndarray, np.ndarray, Biases, Biases]
    ) -> tuple[np.ndarray, np.ndarray, Biases, Biases]:
        """`out`, of the shapes of what training started from, with what it has come to."""
        place = self._grid.place
        np.copyto(out[0], self._x[:, : self._factors])
        np.take(self._y[:, : self._factors], place, axis=0, out=out[1], mode="clip")
        if out[2] is not None:
            np.copyto(out[2], self._user_biases)
            np.take(self._item_biases, place, out=out[3], mode="clip")
        return out
