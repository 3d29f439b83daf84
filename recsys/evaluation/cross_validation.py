"""Cross-validation by held-out users, in the form that scikit-learn's searches take.

There rows are samples, and rows of a user-item matrix are users: a model is trained on all users
but those of a fold, meets them by a part of their rows, and is measured on the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.interactions.splits import UserSplit, able_users, user_split, users_of_folds

from .metrics import ERRORS, check_metric
from .protocol import evaluate
from .ratings import mae, rmse

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class UserFolds:
    """Folds of users, as ``cv=`` of scikit-learn's GridSearchCV, cross_val_score and the like.

    Each user with at least two interactions is held out once; all others are always trained on.
    The folds are those of `user_folds`: random, and of sizes that differ by at most one.

    Parameters
    ----------
    n_splits : int, default 5
        How many, at least 2.
    random_state : default None
        None (new folds at every `split`), an int, a numpy.random.Generator or a RandomState.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV               # doctest: +SKIP
    >>> cv, scoring = UserFolds(3, random_state=0), FoldInScorer("ndcg@10")
    >>> search = GridSearchCV(
    ...     recsys.ImplicitALS(), {"factors": [32, 64]}, cv=cv, scoring=scoring
    ... )                                                              # doctest: +SKIP
    >>> search.fit(user_items, show_progress=False).best_params_       # doctest: +SKIP
    """

    n_splits: int = 5
    _: KW_ONLY
    random_state: Any = None

    def __post_init__(self) -> None:
        checks.integer("n_splits", self.n_splits, 2)
        checks.random_state(self.random_state)

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers of the users to train on and of those held out, for each fold.

        Parameters
        ----------
        X : scipy sparse matrix, n_users x n_items
        y, groups
            Ignored.

        Yields
        ------
        train, held_out : ndarrays of int64, ascending

        Raises
        ------
        TypeError, ValueError
            X is no sparse matrix of finite numbers, or too few of its users have two interactions.
        """
        user_items = csr.canonical(X, may_be_empty=True, name="X")
        rng = checks.random_generator(self.random_state)
        everybody = np.arange(user_items.shape[0])
        for users in users_of_folds(user_items, "n_splits", self.n_splits, rng):
            yield np.setdiff1d(everybody, users, assume_unique=True), users

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """How many folds there are; scikit-learn asks."""
        return self.n_splits


@dataclass(frozen=True)
class FoldInScorer:
    """How well a model serves users it was not trained on: ``scoring=`` of scikit-learn's searches.

    A part of each user's row is folded in, and the model is measured on the rest (Liang et al.,
    WWW 2018). Users with fewer than two interactions are left out. Every model that is scored on
    the same users is shown the same part of their rows.

    Parameters
    ----------
    metric : str, default "ndcg@10"
        Any of `USER_METRICS` at a length of the lists; or, of models of ratings, "rmse" or "mae".
        Errors are negated, as scikit-learn takes the highest score for the best.
    test_share : float, default 0.2
        Of n interactions of a user, floor(test_share n) random ones, and at least one, are held
        back.
    random_state : int, default 0
        Which ones.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of range; the metric is unknown.
    """

    metric: str = "ndcg@10"
    _: KW_ONLY
    test_share: float = 0.2
    random_state: int = 0

    def __post_init__(self) -> None:
        check_metric(self.metric, rates=True)
        checks.number("test_share", self.test_share, above=0, below=1)
        checks.integer("random_state", self.random_state, 0)

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """The score of a fitted model, or of a scikit-learn Pipeline or search that ends in one.

        Parameters
        ----------
        estimator : object
            Has ``recommend(users, user_items, N=..., fold_in=True)``, or, for errors of ratings,
            ``partial_fit_users`` and ``predict``. Transformers of a Pipeline are applied to what
            is folded in, and not to what is held back.
        X : scipy sparse matrix, n x n_items
            Rows of users the model was not trained on.
        y
            Ignored.

        Returns
        -------
        float
            The mean over users, or minus the error over all ratings held back.
        """
        user_items = csr.canonical(X, may_be_empty=True, name="X")
        parts = user_split(
            user_items,
            len(able_users(user_items)),
            test_share=self.test_share,
            random_state=self.random_state,
        )
        model, shown = _last_step(estimator, parts.fold_in)
        if self.metric in ERRORS:
            return -_error(model, shown, parts, rmse if self.metric == "rmse" else mae)
        name, _, cut = self.metric.partition("@")
        options = {"fold_in": True}
        measured = evaluate(
            model, shown, parts.test, name, int(cut), options=options, show_progress=False
        )
        return measured.mean[self.metric]


def _last_step(estimator: Any, shown: sparse.csr_matrix) -> tuple[Any, Any]:
    """The model in a scikit-learn Pipeline or search, and what it is to be shown."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = getattr(estimator, "steps", [(None, estimator)])
    return steps[-1][1], estimator[:-1].transform(shown) if len(steps) > 1 else shown


def _error(model: Any, shown: Any, parts: UserSplit, error: Any) -> float:
    """Of predicted ratings, for users that a copy of the model learns by what it is shown."""
    if not (hasattr(model, "predict") and hasattr(model, "partial_fit_users")):
        raise TypeError(
            "'rmse' and 'mae' are of models that predict ratings, ExplicitALS and ExplicitSGD; got "
            f"{type(model).__name__}: use a metric of lists, such as 'ndcg@10'"
        )
    twin, first = copy.copy(model), len(model.user_factors)
    twin.partial_fit_users(first + parts.users, rows=shown[parts.users])
    held_back = parts.test.tocoo()
    return error(twin.predict(first + held_back.row, held_back.col), held_back.data)
