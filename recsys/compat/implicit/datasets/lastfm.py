"""implicit.datasets.lastfm: `get_lastfm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from . import implicit_folder, not_built

if TYPE_CHECKING:
    from scipy import sparse


def get_lastfm() -> tuple[np.ndarray, np.ndarray, sparse.csr_matrix]:
    """lastfm-360K, by `recsys.datasets.lastfm360k`.

    Returns
    -------
    artists : ndarray of str
    users : ndarray of str
    plays : csr_matrix of float32, artists x users
        Train on its transpose: ``plays.T.tocsr()``.

    Raises
    ------
    ImportError, ValueError, DatasetUnavailableError
        As `recsys.datasets.lastfm360k`.
    """
    from recsys.datasets import lastfm360k

    own = implicit_folder() / "lastfm_360k.hdf5"
    data = lastfm360k(own if own.is_file() else None)
    items, users = (np.array(list(ids), object) for ids in (data.items, data.users))
    return items, users, data.user_items.T.tocsr()


def generate_dataset(filename: str, outputfilename: str) -> NoReturn:
    """NotImplementedError: the original files are read without a detour."""
    not_built("lastfm_360k.hdf5", f"read {filename!r} by recsys.datasets.lastfm360k({filename!r})")
