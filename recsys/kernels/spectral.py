"""Where alternating least squares starts: near the best low-rank approximation of the entries.

The randomized SVD of Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review
53(2), 2011 (algorithms 4.4 and 5.1), of the matrix P of preferences, 0 and 1 (of ratings: what they
are less their mean, and 0 elsewhere). Its singular vectors are scaled by the root of the singular
values, so that scores are P's best approximation of rank f.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _als
from ._product import spmm
from .config import kernel_options
from .objective import gramian_of
from .sides import Side
from .spans import slices
from .threads import single_threaded_blas

# Times that P and P' are gone through. After one, ALS needs about an iteration more than after two;
# a third one saves at most half an iteration, and takes about a quarter.
PASSES = 2


@single_threaded_blas()
def spectral_start(
    sides: tuple[Side, Side],
    users: np.ndarray,
    items: np.ndarray,
    *,
    mean: float = 0.0,
    num_threads: int = 0,
) -> int:
    """Write U S^(1/2) and V S^(1/2) of P = U S V' into the factors, the largest values first.

    Parameters
    ----------
    sides : (Side, Side)
        Of users and of items, as `make_sides` gives them.
    users, items : arrays of one floating dtype, (n_users, f) and (n_items, f)
        Items are what to look for singular vectors from: anything drawn. Users may be anything.
    mean : float
        What ratings are less.
    num_threads : int
        0: all that are available. The result is the same for any number, bit for bit.

    Returns
    -------
    int
        How many singular values were told from rounding noise. The columns behind are zeros: P has
        a lower rank than f.

    Raises
    ------
    FloatingPointError
        If the values are so large that products overflow.
    """
    options = kernel_options(num_threads)
    users_side, items_side = sides
    rank = 0
    for left in reversed(range(PASSES)):
        _multiply(users_side, items, users, mean, options)
        _rescale(users, -0.5, *_spectrum(users, options), options)
        _multiply(items_side, users, items, mean, options)
        squares, basis = _spectrum(items, options)
        if left:
            _rescale(items, -0.5, squares, basis, options)
        else:  # users are orthonormal, so that these are the squares of P's singular values
            rank = int(np.count_nonzero(squares))
            _rescale(items, -0.25, squares, basis, options)
            _rescale(users, 0.25, squares, basis, options)
    return rank


def _multiply(
    side: Side, dense: np.ndarray, out: np.ndarray, mean: float, options: dict[str, Any]
) -> None:
    """out = P dense, or P' dense."""
    for spans in slices(side.spans, options["num_threads"]):
        spmm(
            side.indptr, side.indices, side.confidence, side.order, spans, dense, out,
            likes=not side.ratings, mean=mean, **options,
        )  # fmt: skip


def _spectrum(x: np.ndarray, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the singular values of x, largest first, 0 where they are rounding noise, and
    right singular vectors."""
    gram = gramian_of(x, [], options)
    if not np.all(np.isfinite(gram)):
        raise FloatingPointError(
            f"the values are too large for a spectral start in {x.dtype}: scale them down, use "
            "dtype=np.float64, or init='random'"
        )
    squares, basis = np.linalg.eigh(gram)
    squares = np.maximum(squares[::-1], 0.0)
    noise = len(squares) * float(np.finfo(x.dtype).eps) * squares[0]
    return np.where(squares > noise, squares, 0.0), basis[:, ::-1]


def _rescale(
    x: np.ndarray, power: float, squares: np.ndarray, basis: np.ndarray, options: dict[str, Any]
) -> None:
    """x = x basis diag(squares)^power; columns of squares 0 become 0."""
    scale = np.zeros_like(squares)
    np.power(squares, power, out=scale, where=squares > 0)
    _als.rotate(x, np.ascontiguousarray(basis * scale, dtype=x.dtype), x, **options)
