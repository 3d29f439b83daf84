"""What scikit-learn asks of a model, which takes these functions for its methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsys.models.training import NotFittedError

if TYPE_CHECKING:
    from sklearn.utils import Tags


def is_fitted(model: Any) -> bool:
    """Whether there is anything to ask it."""
    try:
        model._known_shape()
    except NotFittedError:
        return False
    return True


def tags(model: Any) -> Tags:
    """That it takes sparse matrices, and no target."""
    from sklearn.utils import InputTags, Tags, TargetTags

    return Tags(
        estimator_type=None,
        target_tags=TargetTags(required=False),
        input_tags=InputTags(sparse=True),
    )
