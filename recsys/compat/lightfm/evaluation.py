"""lightfm.evaluation over `LightFM.predict_rank`: its names, signatures and definitions.

All of them are per user: of users with stored test entries, or with `preserve_rows` of all. For
more metrics, several k at a time, and standard errors, use `recsys.evaluation.evaluate` with what
`LightFM.to_recsys` makes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["auc_score", "precision_at_k", "recall_at_k", "reciprocal_rank"]


def precision_at_k(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    k: int = 10,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """The share of relevant items among a user's first k.

    Parameters
    ----------
    model : LightFM
    test_interactions : sparse matrix, users x items
        Stored entries are relevant, whatever their value.
    train_interactions : sparse matrix of the same shape, optional
        Items that are left out of a user's ranking.
    k : int, default 10
        How many items of a ranking count.
    user_features, item_features : sparse matrix, optional
        As in training.
    preserve_rows : bool, default False
        A value for every user, and not only for those with test entries.
    num_threads : int, default 1
    check_intersections : bool, default True
        Refuse matrices that share entries.

    Returns
    -------
    array of float32, shape (users with test entries,) or (users,)
        0 where a user has no test entries.

    Raises
    ------
    ValueError
        As `LightFM.predict_rank`; k is less than 1.
    """
    _check_k(k)
    ranks = _ranks(
        model, test_interactions, train_interactions, user_features, item_features, num_threads,
        check_intersections,
    )  # fmt: skip
    hits = _per_user(ranks, ranks.data < k)
    return _rows(hits / np.float32(k), test_interactions, preserve_rows)


def recall_at_k(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    k: int = 10,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """The share of a user's relevant items that are among the first k.

    Parameters, returned values and errors are those of `precision_at_k`.
    """
    _check_k(k)
    ranks = _ranks(
        model, test_interactions, train_interactions, user_features, item_features, num_threads,
        check_intersections,
    )  # fmt: skip
    hits = _per_user(ranks, ranks.data < k)
    relevant = np.maximum(test_interactions.getnnz(axis=1), 1).astype(np.float32)
    return _rows(hits / relevant, test_interactions, preserve_rows)


def auc_score(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """The share of pairs of a relevant and another item that are in the right order; 0.5 where
    there are no pairs.

    Parameters and errors are those of `precision_at_k`, without k, and so are returned values.
    """
    ranks = _ranks(
        model, test_interactions, train_interactions, user_features, item_features, num_threads,
        check_intersections,
    )  # fmt: skip
    positives = np.diff(ranks.indptr)
    negatives = ranks.shape[1] - positives
    if train_interactions is not None:
        negatives = negatives - np.diff(train_interactions.tocsr().indptr)
    user = np.repeat(np.arange(len(positives)), positives)
    order = np.lexsort((ranks.data, user))
    better_positives = np.arange(len(user)) - ranks.indptr[user]
    above = np.maximum(ranks.data[order] - better_positives, 0)
    right = 1 - above / np.maximum(negatives, 1)[user]
    auc = np.bincount(user, right, len(positives)) / np.maximum(positives, 1)
    auc[(positives == 0) | (negatives < 1)] = 0.5
    return _rows(auc.astype(np.float32), test_interactions, preserve_rows)


def reciprocal_rank(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """1 / the place of the best-ranked relevant item.

    Parameters and errors are those of `precision_at_k`, without k, and so are returned values.
    """
    ranks = _ranks(
        model, test_interactions, train_interactions, user_features, item_features, num_threads,
        check_intersections,
    )  # fmt: skip
    best = np.zeros(ranks.shape[0], np.float32)
    user = np.repeat(np.arange(ranks.shape[0]), np.diff(ranks.indptr))
    np.maximum.at(best, user, (1 / (ranks.data + 1)).astype(np.float32))
    return _rows(best, test_interactions, preserve_rows)


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k!r}: of no items there is no share")


def _ranks(
    model: Any,
    test: Any,
    train: Any,
    user_features: Any,
    item_features: Any,
    num_threads: int,
    check_intersections: bool,
) -> sparse.csr_matrix:
    return model.predict_rank(
        test,
        train_interactions=train,
        item_features=item_features,
        user_features=user_features,
        num_threads=num_threads,
        check_intersections=check_intersections,
    )


def _per_user(ranks: sparse.csr_matrix, values: np.ndarray) -> np.ndarray:
    user = np.repeat(np.arange(ranks.shape[0]), np.diff(ranks.indptr))
    return np.bincount(user, values, ranks.shape[0]).astype(np.float32)


def _rows(values: np.ndarray, test: Any, preserve_rows: bool) -> np.ndarray:
    return values if preserve_rows else values[test.getnnz(axis=1) > 0]
