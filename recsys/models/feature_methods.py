"""Methods of `FactorModel` about features; a model was fitted with such for most of them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from recsys import checks
from recsys.interactions import Features
from recsys.models import feature_answers as by_features
from recsys.models import ids
from recsys.models.feature_answers import FeatureExplanation
from recsys.models.features import SIDES

_Model = TypeVar("_Model")


def fold_in_items(
    model: Any, item_users: Any = None, *, item_features: Features | None = None
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Factors of new items by their features, and their biases if the model has such; as
    `fold_in`. Models by least squares take entries too.

    Parameters
    ----------
    item_users : as `fold_in` of a model by least squares
    item_features : Features

    Raises
    ------
    TypeError, ValueError
        The model was fitted without ``item_features``, or with other columns; entries and
        features are not of as many items.
    """
    if item_features is None:
        raise TypeError(
            "fold_in_items takes item_features=...; models by least squares take item_users too"
        )
    return both_or_factors(by_features.folded(model, "items", item_features, item_users))


def partial_fit_items(model: _Model, items: Any, *, item_features: Features) -> _Model:
    """Have the model know new items by their features alone.

    Parameters
    ----------
    items : int or array of int, shape (n,)
        Column numbers, or ids; one the model does not have yet makes it grow.
    item_features : Features
        By id, or one row for each of `items`.

    Returns
    -------
    model

    Raises
    ------
    TypeError, ValueError
        As in `fold_in_items`; or entries tell of an item already. Nothing has been changed.
    """
    by_features.join(model, "items", items, item_features)
    return model


def item_features(model: Any) -> Features | None:
    """What the model knows items by, in the order of its items, with the columns that
    `Features.transform` makes of others. None: it was fitted without."""
    return by_features.known_features(model, "items")


def user_features(model: Any) -> Features | None:
    """What the model knows users by; see `item_features`."""
    return by_features.known_features(model, "users")


def item_feature_factors(model: Any) -> np.ndarray | None:
    """W, the factors of features of items, (p, factors), and their biases in one more column if
    items have such. What an item is expected to be is a constant and the sum of its features
    times these. None: the model was fitted without."""
    return by_features.feature_factors(model, "items")


def user_feature_factors(model: Any) -> np.ndarray | None:
    """W of users; see `item_feature_factors`."""
    return by_features.feature_factors(model, "users")


def feature_regularization_(model: Any) -> dict[str, float]:
    """kappa of "items", of "users", where the model was fitted with features of these."""
    return {side: known.ridge.strength for side, known in model._features.items()}


def explain_features(model: Any, user: Any, item: Any, *, of: str = "items") -> FeatureExplanation:
    """What each feature of an item, or of a user, adds to a score.

    Parameters
    ----------
    user, item : int
        Row and column number; or ids.
    of : {"items", "users"}, default "items"

    Returns
    -------
    FeatureExplanation
        ``x_u . w_k f_ik`` of each feature k, and what else there is to the score.

    Raises
    ------
    NotFittedError, IndexError, TypeError, ValueError
        As in `score`; ValueError where the model knows no features of these.
    """
    checks.choice("word for of=", of, SIDES)
    vocabulary, shape = model._vocabulary(), model._known_shape()
    if of == "items" and set(model._features) == {"users"}:
        raise ValueError("the model knows features of users, and none of items: pass of='users'")
    row = checks.one_row_number("user", ids.to_rows(vocabulary, "users", user, "user"), shape[0])
    column = ids.to_rows(vocabulary, "items", item, "item")
    return by_features.explained(model, row, checks.one_row_number("item", column, shape[1]), of)


def both_or_factors(solved: tuple[np.ndarray, np.ndarray | None]) -> Any:
    """Factors and biases, or the factors alone where there are no biases."""
    return solved[0] if solved[1] is None else solved
