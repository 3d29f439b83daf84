"""implicit.evaluation over recsys.evaluation: its names, signatures and definitions.

What implicit calls precision is not precision at k: see `ranking_metrics_at_k`. For the field's
definitions, for several k in one pass, and for standard errors, use `recsys.evaluation.evaluate`,
which takes the same models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, evaluation

if TYPE_CHECKING:
    from scipy import sparse

# implicit's names for metrics of recsys.evaluation
_METRICS = {
    "precision": "micro_capped_recall",
    "map": "map",
    "ndcg": "ndcg",
    "auc": "auc_catalogue",
}


def train_test_split(
    ratings: Any, train_percentage: float = 0.8, random_state: Any = None
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Each entry goes to train with probability `train_percentage`, else to test.

    For a matrix in canonical CSR form a seed gives the split it gives in implicit.

    Parameters
    ----------
    ratings : scipy sparse matrix, users x items
    train_percentage : float, default 0.8
        Between 0 and 1, exclusive.
    random_state : int, None, Generator or RandomState

    Returns
    -------
    train, test : csr_matrix
        Of the dtype and shape of `ratings`; entries of test that are not positive are dropped.

    Raises
    ------
    TypeError, ValueError
        As `recsys.evaluation.random_split`.
    """
    checks.number("train_percentage", train_percentage, above=0, below=1)
    train, test = evaluation.random_split(ratings, 1 - train_percentage, random_state=random_state)
    return _as_given(train, ratings), _as_given(
        csr.scipy_matrix(csr.keep(test, test.data > 0)), ratings
    )


def leave_k_out_split(
    ratings: Any, K: int = 1, train_only_size: float = 0.0, random_state: Any = None
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """`K` random entries of each user with more than K + 1 go to test.

    Parameters
    ----------
    ratings : scipy sparse matrix, users x items
    K : int, default 1
    train_only_size : float, default 0.0
        The share of users who keep all entries in train.
    random_state : int, None, Generator or RandomState

    Returns
    -------
    train, test : csr_matrix
        Of the dtype and shape of `ratings`; they add up to it.

    Raises
    ------
    TypeError, ValueError
        As `recsys.evaluation.leave_k_out_split`; ValueError where K < 1, or `train_only_size` is
        not in 0 <= x < 1.
    """
    checks.integer("K", K, 1)
    checks.number("train_only_size", train_only_size, least=0, below=1)
    train, test = evaluation.leave_k_out_split(
        ratings, K, min_train=2, train_only_share=train_only_size, random_state=random_state
    )
    return _as_given(train, ratings), _as_given(test, ratings)


def ranking_metrics_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> dict[str, float]:
    """The four metrics of implicit, by its definitions.

    Parameters
    ----------
    model : object with ``recommend(userids, user_items, N=...)``
        A model of implicit or of recsys.
    train_user_items : scipy sparse matrix, users x items
        Entries are left out of the lists.
    test_user_items : scipy sparse matrix of the same shape
        Stored entries are relevant, whatever their value.
    K : int, default 10
        Length of the lists.
    show_progress : bool, default True
        Show a progress bar where the output is a terminal or a notebook.
    num_threads : int, default 1
        Not used, as in implicit: lists are made with as many threads as the model has.

    Returns
    -------
    dict
        "precision": hits of all users / sum of min(K, |T|) over all users (`micro_capped_recall`
        in recsys.evaluation; precision at K divides by K); "map": `map`; "ndcg": `ndcg`; "auc":
        `auc_catalogue`. The latter three are means over users with test entries.

    Raises
    ------
    TypeError, ValueError
        As `recsys.evaluation.evaluate`; entries in both matrices are not an error.
    """
    test = csr.canonical(test_user_items, may_be_empty=True, name="test_user_items")
    test = csr.assemble(np.ones_like(test.data), test.indices, test.indptr, test.shape)
    measured = evaluation.evaluate(
        model,
        train_user_items,
        test,
        _METRICS.values(),
        K,
        allow_overlap=True,
        ties="model",
        show_progress=show_progress,
    )
    values = {**measured.mean, **measured.overall}
    return {name: values[f"{metric}@{K}"] for name, metric in _METRICS.items()}


def _only(metric: str, name: str, note: str = "") -> Callable[..., float]:
    """The function `name` of implicit, for one of its metrics."""

    def at_k(
        model: Any,
        train_user_items: Any,
        test_user_items: Any,
        K: int = 10,
        show_progress: bool = True,
        num_threads: int = 1,
    ) -> float:
        return ranking_metrics_at_k(
            model, train_user_items, test_user_items, K, show_progress, num_threads
        )[metric]

    at_k.__name__ = at_k.__qualname__ = name
    at_k.__doc__ = f"The value {metric!r} of `ranking_metrics_at_k`{note}."
    return at_k


precision_at_k = _only("precision", "precision_at_k", ": not precision at K, but a capped recall")
mean_average_precision_at_k = _only("map", "mean_average_precision_at_k")
ndcg_at_k = _only("ndcg", "ndcg_at_k")
AUC_at_k = _only("auc", "AUC_at_k")


def _as_given(matrix: sparse.csr_matrix, ratings: Any) -> sparse.csr_matrix:
    """In the dtype of `ratings`, where sums of its duplicates still fit that."""
    with np.errstate(all="ignore"):
        data = matrix.data.astype(ratings.dtype)
    if np.array_equal(data, matrix.data):
        matrix.data = data
    return matrix
