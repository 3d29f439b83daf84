"""lightfm.datasets.movielens: `fetch_movielens`."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
from scipy import sparse

from .files import kept_file, with_identity


def fetch_movielens(
    data_home: Any = None,
    indicator_features: bool = True,
    genre_features: bool = False,
    min_rating: float = 0.0,
    download_if_missing: bool = True,
) -> dict[str, Any]:
    """MovieLens 100K with LightFM's split, out of LightFM's file.

    Parameters
    ----------
    data_home : path, optional
        None: ``~/lightfm_data``; the file is ``movielens100k/movielens.zip`` below it.
    indicator_features : bool, default True
        Whether each item is a feature of its own.
    genre_features : bool, default False
        Whether the 19 genres are features.
    min_rating : float, default 0.0
        Lower ratings are left out.
    download_if_missing : bool
        Makes no difference: nothing is downloaded.

    Returns
    -------
    dict
        "train" and "test", coo_matrix of int32, users x items; "item_features", csr_matrix of
        float32; "item_feature_labels" and "item_labels", arrays of str.

    Raises
    ------
    OSError
        The file is not there.
    ValueError
        No features are wanted; the file is no such zip.
    """
    if not (indicator_features or genre_features):
        raise ValueError("At least one of indicator_features or genre_features must be True")
    path = kept_file(data_home, "movielens100k", "movielens.zip", "movielens.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            base, held_out, items, genres = (
                archive.read(f"ml-100k/{name}").decode(errors="ignore").splitlines()
                for name in ("ua.base", "ua.test", "u.item", "u.genre")
            )
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path} is not LightFM's zip of MovieLens 100K: {error}") from error
    ratings = [_ratings(lines) for lines in (base, held_out)]
    shape = tuple(max(part[:, axis].max() for part in ratings) for axis in (0, 1))
    train, test = (_matrix(part, shape, min_rating) for part in ratings)
    labels = np.array([f"genre:{line.split('|')[0]}" for line in genres if line])
    titles, has_genre = _items(items, shape[1], len(labels))
    features, feature_labels = with_identity(
        has_genre, labels, titles, indicator_features, genre_features
    )
    return {
        "train": train,
        "test": test,
        "item_features": features,
        "item_feature_labels": feature_labels,
        "item_labels": titles,
    }


def _ratings(lines: list[str]) -> np.ndarray:
    """(n, 3): user and item from 1 on, rating."""
    return np.array([line.split("\t")[:3] for line in lines if line], np.int32)


def _matrix(ratings: np.ndarray, shape: tuple[int, ...], min_rating: float) -> sparse.coo_matrix:
    user, item, rating = ratings[ratings[:, 2] >= min_rating].T
    matrix = sparse.coo_matrix((rating, (user - 1, item - 1)), shape, dtype=np.int32)
    return matrix.tocsr().tocoo()  # in the order of rows


def _items(lines: list[str], n_items: int, n_genres: int) -> tuple[np.ndarray, sparse.csr_matrix]:
    titles = np.full(n_items, "", object)
    genres = np.zeros((n_items, n_genres), np.float32)
    for line in filter(None, lines):
        number, title, *rest = line.split("|")
        titles[int(number) - 1] = title
        genres[int(number) - 1] = np.array(rest[-n_genres:], np.float32)
    return titles.astype(str), sparse.csr_matrix(genres)
