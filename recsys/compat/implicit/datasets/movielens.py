"""implicit.datasets.movielens: `get_movielens`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from recsys import checks

from . import implicit_folder, not_built

if TYPE_CHECKING:
    import numpy as np
    from scipy import sparse


def get_movielens(variant: str = "20m") -> tuple[np.ndarray, sparse.csr_matrix]:
    """MovieLens ratings.

    Parameters
    ----------
    variant : {"20m", "10m", "1m", "100k"}, default "20m"

    Returns
    -------
    movies : ndarray of str
        Titles by movie id, empty for ids that do not occur.
    ratings : csr_matrix of float32, movies x users
        Numbered by the ids of MovieLens, which start at 1.

    Raises
    ------
    ValueError
        Another variant; else as `recsys.datasets.published.read_published`.
    ImportError, DatasetUnavailableError
        As `recsys.datasets.published.read_published`.
    """
    from recsys.datasets.published import read_published

    checks.choice("variant", variant, ("20m", "10m", "1m", "100k"))
    ratings, movies, _ = read_published(f"movielens_{variant}.hdf5", implicit_folder())
    return movies, ratings


def generate_dataset(path: str, variant: str = "20m", outputpath: str = ".") -> NoReturn:
    """NotImplementedError: get the published file."""
    not_built(f"movielens_{variant}.hdf5", f"get_movielens({variant!r}) downloads it")
