"""What a model is asked about features: who somebody is by them, and what they add to a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, csr
from recsys.interactions import Features, Ids, Interactions
from recsys.models import growth, ids
from recsys.models.features import (
    SIDES,
    SideFeatures,
    arrays,
    check_columns,
    check_kind,
    expected,
    name_of,
    of_side,
    put,
)
from recsys.models.fitted import as_fitted

if TYPE_CHECKING:
    from scipy import sparse

Solved = tuple[np.ndarray, np.ndarray | None]  # factors, and biases if the model has them


class FeatureExplanation(NamedTuple):
    """What makes a score: ``score == constant + entries + contributions.sum()``, but by rounding.

    Attributes
    ----------
    score : float
    names : list of str
        Features of the item (or of the user), the one that contributes most first.
    contributions : ndarray of float64, same length
    constant : float
        What the score would be without features.
    entries : float
        What is known beyond features, by entries; 0 where there are none.
    """

    score: float
    names: list[str]
    contributions: np.ndarray
    constant: float
    entries: float


# ---- who somebody is ---------------------------------------------------------------------------


def folded(model: Any, side: str, given: Any, entries: Any = None) -> Solved:
    """What users or items are by features, and by `entries` as well where there are any."""
    rows = checked(model, side, given)
    if entries is None:
        return expected(of_side(model, side), rows, model)
    check_takes_both(model, side)
    if isinstance(entries, Interactions) and model._ids is not None:
        rows = _of_ids(given, entries.users if side == "users" else entries.items, side)
    entries = ids.newcomers_entries(model._vocabulary(), side, entries)
    count = getattr(entries, "shape", (0,))[0]
    if count != rows.shape[0]:
        raise ValueError(
            f"{name_of(side)} have {rows.shape[0]} rows, and there are entries of {count} {side}; "
            "expected as many"
        )
    learner, means = as_fitted(model), prior(model, side, rows)
    if side == "items":
        return learner._new_items(entries, means)
    counts = csr.canonical(entries, learner._check_parameters(), may_be_empty=True)
    checks.columns("user_items", counts.shape, model._known_shape()[1], "items")
    return learner._folded(counts, means)


def checked(model: Any, side: str, given: Any) -> sparse.csr_array:
    """The matrix of features, which have the columns that the model knows."""
    known = of_side(model, side)
    check_kind(name_of(side), given)
    check_columns(name_of(side), given, known.schema)
    return given.matrix


def prior(model: Any, side: str, rows: sparse.csr_array) -> np.ndarray:
    """What rows of features are expected to be, biases as one more column, float64."""
    return of_side(model, side).ridge.mean(rows).astype(np.float64)


def check_takes_both(model: Any, side: str) -> None:
    """Whether a model can draw what entries say to what features say."""
    if side == "items" and not model._learns_items:
        raise TypeError(
            f"{type(model).__name__} learns single items by their features alone: leave out their "
            "entries, or pass these to partial_fit(events)"
        )
    lambda_ = as_fitted(model)._in_effect("regularization")  # None: chosen from the data, above 0
    if lambda_ is not None and not np.ravel(lambda_)[0]:  # the first one is that of users
        raise ValueError(
            "regularization=0 gives features no weight beside entries: pass one of them"
        )


def _of_ids(given: Features, wanted: Ids, side: str) -> sparse.csr_array:
    """Rows of features by id; -1, without features, for those they do not know."""
    if given.ids is None:
        return given.matrix
    listed = wanted.take(np.arange(len(wanted)))
    return csr.take_rows(given.matrix, given.ids.find(listed, side))


# ---- who stays ---------------------------------------------------------------------------------


def rows_of(model: Any, side: str, who: Any, given: Any) -> sparse.csr_array:
    """The features of each of `who`, in that order."""
    matrix, count = checked(model, side, given), np.size(who)
    if model._ids is not None and given.ids is not None:
        listed = model._ids.side(side).as_given(who).reshape(-1)
        rows = given.ids.find(listed, side)
        if (rows < 0).any():
            raise ValueError(
                f"{name_of(side)} have no row of {listed[int(np.argmin(rows))]!r}; expected one "
                f"for each of the {count} {side}"
            )
        return csr.take_rows(matrix, rows)
    if matrix.shape[0] != count:
        raise ValueError(
            f"{name_of(side)} have {matrix.shape[0]} rows; expected one for each of the {count} "
            f"{side}"
        )
    return matrix


def join(model: Any, side: str, who: Any, given: Any) -> None:
    """Have a model know users or items, without entries so far, by features alone."""
    model._check_parameters()
    new = rows_of(model, side, who, given)
    vocabulary, numbers, _ = ids.to_learn(model._vocabulary(), side, who, None)
    rows, known, at = growth.distinct(side, numbers), of_side(model, side), SIDES.index(side)
    shape = list(model._known_shape())
    _check_without_entries(model, side, rows)
    count = max(shape[at], int(rows.max(initial=-1)) + 1)
    every = np.append(rows, np.setdiff1d(np.arange(shape[at], count), rows))
    matrix = with_rows(model, side, rows, new)[side].matrix
    places = [np.arange(each) for each in shape]
    places[at] = np.append(places[at], np.full(count - shape[at], -1))
    twin = growth.placed(model, (places[0], places[1]), model._item_factors.dtype)
    put(twin, side, every, expected(known, csr.take_rows(matrix, every), model))
    known = known._replace(matrix=matrix, rows=np.union1d(known.rows, every))
    changed = {"_ids": vocabulary, "_features": {**model._features, side: known}}
    if model._training_matrix is not None:
        counts = model._training_matrix.counts(model._training_matrix.data.dtype)
        wide = growth.widened(counts, (len(places[0]), len(places[1])))
        changed["_training_matrix"] = csr.TrainingMatrix.of(wide)
    growth.publish(model, twin, **changed)


def with_rows(
    model: Any, side: str, rows: np.ndarray, new: sparse.csr_array
) -> dict[str, SideFeatures]:
    """What a model knows by features, those of some rows being other ones."""
    known = of_side(model, side)
    count = max(known.matrix.shape[0], model._known_shape()[SIDES.index(side)])
    wide = growth.widened(known.matrix, (count, known.matrix.shape[1]))
    return {**model._features, side: known._replace(matrix=csr.put_rows(wide, rows, new))}


def _check_without_entries(model: Any, side: str, rows: np.ndarray) -> None:
    there = rows[rows < model._known_shape()[SIDES.index(side)]]
    told = there[~np.isin(there, of_side(model, side).rows)]
    if len(told):
        raise ValueError(
            f"{len(told)} of the {side}, the first in row {told[0]} of the model, are known by "
            "entries already, which tell more than features alone: leave them out"
        )


# ---- what features make of a score -------------------------------------------------------------


def explained(model: Any, user: int, item: int, side: str) -> FeatureExplanation:
    """The score of a user and an item, feature by feature of one of them."""
    known, pair = of_side(model, side), {"users": user, "items": item}
    other = "items" if side == "users" else "users"
    held, held_bias = _one(model, other, pair[other])
    itself, bias = _one(model, side, pair[side])
    pull = np.append(held, 1.0) if known.ridge.weights.shape[1] > len(held) else held
    whole = np.append(itself, bias) if len(pull) > len(held) else itself
    row = pair[side] if pair[side] < known.matrix.shape[0] else -1
    features = csr.take_rows(known.matrix, np.array([row]))
    contributions = features.data * (known.ridge.weights[features.indices] @ pull)
    best = np.argsort(-contributions, kind="stable")
    given = model._mean + held_bias + (bias if len(pull) == len(held) else 0.0)
    constant = float(given + known.ridge.constant @ pull)
    score, by_features = float(given + whole @ pull), float(contributions.sum())
    rest = 0.0 if pair[side] in known.rows else score - constant - by_features
    names = known.schema.names
    listed = [names[features.indices[place]] for place in best]
    return FeatureExplanation(score, listed, contributions[best], constant, rest)


def _one(model: Any, side: str, row: int) -> tuple[np.ndarray, float]:
    factors, biases = arrays(model, side)
    return factors[row].astype(np.float64), 0.0 if biases is None else float(biases[row])


def known_features(model: Any, side: str) -> Features | None:
    """What a model knows of its users or items, in its rows; None: it was fitted without."""
    known = model._features.get(side)
    if known is None:
        return None
    count = model._known_shape()[SIDES.index(side)]
    rows = np.arange(count)
    matrix = csr.take_rows(known.matrix, np.where(rows < known.matrix.shape[0], rows, -1))
    return Features(matrix, None if model._ids is None else model._ids.side(side), known.schema)


def feature_factors(model: Any, side: str) -> np.ndarray | None:
    """W, which is not to be written to; None of a model fitted without."""
    if side not in model._features:
        return None
    weights = model._features[side].ridge.weights.view()
    weights.flags.writeable = False
    return weights
