"""implicit.datasets.million_song_dataset: `get_msd_taste_profile`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from . import implicit_folder, not_built

if TYPE_CHECKING:
    import numpy as np
    from scipy import sparse


def get_msd_taste_profile() -> tuple[np.ndarray, np.ndarray, sparse.csr_matrix]:
    """The taste profile subset of the Million Song Dataset.

    Returns
    -------
    tracks : ndarray of bytes, shape (n, 4)
        Track id, artist, album and title of each row.
    users : ndarray of bytes
    plays : csr_matrix of float32, tracks x users

    Raises
    ------
    ImportError, ValueError, DatasetUnavailableError
        As `recsys.datasets.published.read_published`.
    """
    from recsys.datasets.published import read_published

    plays, tracks, users = read_published("msd_taste_profile.hdf5", implicit_folder())
    return tracks, users, plays


def generate_dataset(
    triplets_filename: str,
    summary_filename: str = "msd_summary_file.h5",
    outputfilename: str = "msd_taste_profile.hdf5",
) -> NoReturn:
    """NotImplementedError: get the published file."""
    not_built("msd_taste_profile.hdf5", "get_msd_taste_profile() downloads it")
