"""lightfm.cross_validation: `random_train_test_split`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["random_train_test_split"]


def random_train_test_split(
    interactions: Any, test_percentage: float = 0.2, random_state: Any = None
) -> tuple[sparse.coo_matrix, sparse.coo_matrix]:
    """A random share of the entries for a test; a seed gives the split that LightFM gives.

    Parameters
    ----------
    interactions : sparse matrix, users x items
        To split a matrix of weights alike, pass it with the same seed.
    test_percentage : float, default 0.2
        The share, not per cent, of the entries.
    random_state : int, None or RandomState

    Returns
    -------
    train, test : coo_matrix
        Of the shape and dtype of `interactions`.

    Raises
    ------
    ValueError
        `interactions` is no sparse matrix; `test_percentage` is not between 0 and 1.
    """
    if not sparse.issparse(interactions):
        raise ValueError(
            f"interactions must be a scipy.sparse matrix, got {type(interactions).__name__}: "
            "convert it with scipy.sparse.coo_matrix(...)"
        )
    if not 0 <= test_percentage <= 1:
        raise ValueError(
            f"test_percentage must be a share between 0 and 1, got {test_percentage!r}: 20 per "
            "cent are 0.2"
        )
    random = random_state
    if not isinstance(random, np.random.RandomState):
        random = np.random.RandomState(random_state)
    entries = interactions.tocoo()
    order = np.arange(entries.nnz)
    random.shuffle(order)
    kept = int((1.0 - test_percentage) * entries.nnz)
    row, column = entries.coords if hasattr(entries, "coords") else (entries.row, entries.col)

    def part(at: np.ndarray) -> sparse.coo_matrix:
        return sparse.coo_matrix(
            (entries.data[at], (row[at], column[at])), entries.shape, dtype=entries.dtype
        )

    return part(order[:kept]), part(order[kept:])
