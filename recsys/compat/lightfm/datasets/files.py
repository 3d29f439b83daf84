"""Where LightFM keeps what it downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

_RELEASES = "https://github.com/maciejkula/lightfm_datasets/releases/download/v0.1.0/"


def kept_file(data_home: Any, folder: str, name: str, published: str) -> Path:
    """The path of a file of LightFM's folder.

    Parameters
    ----------
    data_home : path or None
        None: ``~/lightfm_data``.
    folder, name : str
        Below it.
    published : str
        The file's name where LightFM downloads it.

    Raises
    ------
    OSError
        It is not there; says where from it comes.
    """
    home = Path.home() / "lightfm_data" if data_home is None else Path(data_home)
    path = home / folder / name
    if not path.is_file():
        raise OSError(
            f"Dataset missing: there is no {path}. recsys does not download it: get "
            f"{_RELEASES}{published} and put it there under this name"
        )
    return path


def with_identity(
    features: Any, labels: np.ndarray, own_labels: np.ndarray, indicators: bool, named: bool
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Features of items and their labels: each item's own, those that are named, or both."""
    if not indicators:
        return features.tocsr(), labels
    own = sparse.identity(features.shape[0], np.float32, "csr")
    if not named:
        return own, own_labels
    return sparse.hstack([own, features]).tocsr(), np.concatenate([own_labels, labels])
