"""The data sets implicit's author publishes as HDF5 files: which there are, and getting one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from . import cache
from .download import Source, fetch_any, verify_if_recorded
from .hdf5 import HDF5_START, read_hdf5

logger = logging.getLogger("recsys")

RELEASE = "https://github.com/benfred/recommender_data/releases/download/v1.0/"


class Published(NamedTuple):
    """How one file is laid out."""

    group: str
    rows: str | None
    columns: str | None
    least_bytes: int
    text: bool = True  # names are wanted as str, else as bytes


PUBLISHED = {
    "movielens_100k.hdf5": Published("movie_user_ratings", "movie", None, 400_000),
    "movielens_1m.hdf5": Published("movie_user_ratings", "movie", None, 4_000_000),
    "movielens_10m.hdf5": Published("movie_user_ratings", "movie", None, 20_000_000),
    "movielens_20m.hdf5": Published("movie_user_ratings", "movie", None, 40_000_000),
    "msd_taste_profile.hdf5": Published("track_user_plays", "track", "user", 50_000_000, False),
    "reddit.hdf5": Published("item_user_ratings", None, None, 20_000_000),
    "sketchfab.hdf5": Published("item_user_likes", "item", "user", 1_000_000, False),
}


def read_published(
    filename: str, also_in: Path | None = None
) -> tuple[sp.csr_matrix, np.ndarray | None, np.ndarray | None]:
    """The items x users matrix of one of `PUBLISHED`, downloaded the first time.

    The folder in the environment variable RECSYS_DATA, recsys's cache folder and `also_in` are
    searched for the file first.

    Returns
    -------
    matrix, rows, columns
        As of `read_hdf5`.

    Raises
    ------
    ImportError
        If h5py is not installed.
    ValueError
        If the file is something else, is damaged, or is not what was downloaded first.
    DatasetUnavailableError
        If the file is neither found nor downloaded.
    """
    layout, folder = PUBLISHED[filename], cache.default_cache_dir()
    path = cache.find([filename], folder)
    if path is None and also_in is not None:
        path = cache.search([filename], also_in)
    if path is None:
        source = Source(filename, RELEASE + filename, "hdf5", layout.least_bytes)
        path = fetch_any(filename, [source], folder, _kind, allowed=True, show_progress=True)
    verify_if_recorded(path)
    logger.info("reading %s", path)
    return read_hdf5(path, filename, layout.group, layout.rows, layout.columns, text=layout.text)


def _kind(path: Path) -> str:
    with open(path, "rb") as file:
        return "hdf5" if file.read(len(HDF5_START)) == HDF5_START else "something else"
