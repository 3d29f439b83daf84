"""What scikit-learn asks of an estimator, beside its parameters and `fit`, without needing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.models.base import NotFittedError, Recommender
from recsys.models.candidates import pairs

if TYPE_CHECKING:
    from sklearn.utils import Tags


class Estimator(Recommender):
    """A model that `clone`, `Pipeline` and `GridSearchCV` take; docs/integrations.md."""

    def _known_shape(self) -> tuple[int, int]:
        """Users and items of the model; NotFittedError where there are none yet."""
        raise NotImplementedError

    def _check_parameters(self) -> np.dtype:
        """Check every parameter; returns the dtype."""
        raise NotImplementedError

    def fit(self, user_items: Any, y: None = None, *, show_progress: bool = True) -> Self:
        """Learn from a matrix of users x items, or from Interactions."""
        raise NotImplementedError

    @property
    def n_features_in_(self) -> int:
        """Items of the model, by the name that scikit-learn has for columns."""
        return self._known_shape()[1]

    def __sklearn_is_fitted__(self) -> bool:
        try:
            self._known_shape()
        except NotFittedError:
            return False
        return True

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            input_tags=InputTags(sparse=True),
        )


def no_target(y: Any) -> None:
    """TypeError if `fit` is given something beside the matrix to learn from."""
    if y is not None:
        raise TypeError(
            "fit takes one matrix, users x items, and no target; got y of type "
            f"{type(y).__name__}. Pass what was held out as validation=..., and arrays of users, "
            "items and counts as Interactions.from_arrays(users, items, counts)"
        )


def scored_pairs(users: Any, items: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`pairs`, where nothing but a matrix means that scikit-learn wants to be given one
    number."""
    if items is None:
        raise TypeError(
            f"score takes users and items; got only {type(users).__name__}. It is no default for "
            "scikit-learn to choose models by: pass scoring=recsys.evaluation.FoldInScorer() to "
            "GridSearchCV, cross_val_score and the like"
        )
    return pairs(users, items, shape)
