"""implicit.datasets.sketchfab: `get_sketchfab`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from . import implicit_folder, not_built

if TYPE_CHECKING:
    import numpy as np
    from scipy import sparse


def get_sketchfab() -> tuple[np.ndarray, np.ndarray, sparse.csr_matrix]:
    """Likes of models on sketchfab.com.

    Returns
    -------
    items : ndarray of bytes
    users : ndarray of bytes
    likes : csr_matrix of float32, items x users

    Raises
    ------
    ImportError, ValueError, DatasetUnavailableError
        As `recsys.datasets.published.read_published`.
    """
    from recsys.datasets.published import read_published

    likes, items, users = read_published("sketchfab.hdf5", implicit_folder())
    return items, users, likes


def generate_dataset(filename: str, outputfilename: str) -> NoReturn:
    """NotImplementedError: get the published file."""
    not_built("sketchfab.hdf5", "get_sketchfab() downloads it")
