"""lightfm.datasets.stackexchange: `fetch_stackexchange`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from .files import kept_file, with_identity

_DATASETS = ("crossvalidated", "stackoverflow")


def fetch_stackexchange(
    dataset: str,
    test_set_fraction: float = 0.2,
    min_training_interactions: int = 1,
    data_home: Any = None,
    indicator_features: bool = True,
    tag_features: bool = False,
    download_if_missing: bool = True,
) -> dict[str, Any]:
    """Who answered which question of StackExchange, split by time, out of LightFM's file.

    Parameters
    ----------
    dataset : {"crossvalidated", "stackoverflow"}
    test_set_fraction : float, default 0.2
        The share of the last answers.
    min_training_interactions : int, default 1
        Users with at most so many answers in training are left out; 0: none is.
    data_home : path, optional
        None: ``~/lightfm_data``; the file is ``stackexchange/<dataset>/data.npz`` below it.
    indicator_features : bool, default True
        Whether each question is a feature of its own.
    tag_features : bool, default False
        Whether tags are features.
    download_if_missing : bool
        Makes no difference: nothing is downloaded.

    Returns
    -------
    dict
        "train" and "test", coo_matrix of float32, users x questions; "item_features", csr_matrix;
        "item_feature_labels", array of str.

    Raises
    ------
    OSError
        The file is not there.
    ValueError
        No features are wanted; another data set; the fraction is not between 0 and 1.
    """
    if not (indicator_features or tag_features):
        raise ValueError("At least one of indicator_features or tag_features must be True")
    if dataset not in _DATASETS:
        raise ValueError(f"Unknown dataset {dataset!r}: expected one of {_DATASETS}")
    if not 0 < test_set_fraction < 1:
        raise ValueError(f"Test set fraction must be between 0 and 1, got {test_set_fraction}")
    path = kept_file(
        data_home, f"stackexchange/{dataset}", "data.npz", f"stackexchange_{dataset}.npz"
    )
    with np.load(path) as arrays:
        answers, tags = _matrix(arrays, "interactions"), _matrix(arrays, "features")
        labels = arrays["labels"]
    answers.sum_duplicates()
    first_held_out = np.sort(answers.data)[int(answers.nnz * (1 - test_set_fraction))]
    early = answers.data < first_held_out
    train, test = _answered(answers, early), _answered(answers, ~early)
    if min_training_interactions > 0:
        kept = np.diff(train.indptr) > min_training_interactions
        train, test = train[kept], test[kept]
    own_labels = np.array([f"question_id:{number}" for number in range(train.shape[1])])
    features, labels = with_identity(tags, labels, own_labels, indicator_features, tag_features)
    return {
        "train": train.tocoo(),
        "test": test.tocoo(),
        "item_features": features,
        "item_feature_labels": labels,
    }


def _matrix(arrays: Any, name: str) -> sparse.coo_matrix:
    row, column, data = (arrays[f"{name}_{part}"] for part in ("row", "col", "data"))
    return sparse.coo_matrix((data, (row, column)), tuple(arrays[f"{name}_shape"].ravel()))


def _answered(answers: sparse.coo_matrix, chosen: np.ndarray) -> sparse.csr_matrix:
    at = answers.row[chosen], answers.col[chosen]
    return sparse.csr_matrix((np.ones(len(at[0]), np.float32), at), answers.shape)
