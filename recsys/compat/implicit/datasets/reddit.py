"""implicit.datasets.reddit: `get_reddit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from . import implicit_folder, not_built

if TYPE_CHECKING:
    from scipy import sparse


def get_reddit() -> sparse.csr_matrix:
    """Votes of reddit users on links: 1 for up, -1 for down.

    Returns
    -------
    csr_matrix of float32, links x users

    Raises
    ------
    ImportError, ValueError, DatasetUnavailableError
        As `recsys.datasets.published.read_published`.
    """
    from recsys.datasets.published import read_published

    return read_published("reddit.hdf5", implicit_folder())[0]


def generate_dataset(filename: str, outputfilename: str) -> NoReturn:
    """NotImplementedError: get the published file."""
    not_built("reddit.hdf5", "get_reddit() downloads it")
