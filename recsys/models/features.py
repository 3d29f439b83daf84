"""What a model knows by features: a ridge of what it has learned, and the users and items that no
entry tells of, whose factors are what that ridge expects."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import csr, kernels
from recsys.interactions import Features, Ids
from recsys.models import growth
from recsys.models.ids import Vocabulary, joined
from recsys.models.ridge import Ridge, fit
from recsys.models.strength import STRENGTHS, chosen_strength

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

SIDES = ("users", "items")
# Of an entry, in both orientations and in the folds of cross-validation; of a weight in training
_ENTRY_BYTES, _WEIGHT_BYTES = 60, 64
_WIDE = 10  # columns for each row
_OTHER = {"users": "items", "items": "users"}
_OF_NO_USE = ", the most that is tried: they hardly count, as they tell too little of likes"


class Matched(NamedTuple):
    """Features in the rows of a model, some of which come after those it is trained on."""

    matrix: sparse.csr_array  # a row for each user, or item, there is going to be
    ids: Ids | None
    schema: Any


class SideFeatures(NamedTuple):
    """What a model knows of its users, or items, by features.

    Attributes
    ----------
    schema : of `Features`
    matrix : csr_array of float32, rows x p
        Users or items learned later may have no row.
    ridge : Ridge
        Of factors, and biases as one more column, in the model's dtype.
    rows : ndarray of int64
        Those of whom there are no entries, ascending.
    joint : bool
        Whether factors were trained together with the ridge.
    """

    schema: Any
    matrix: sparse.csr_array
    ridge: Ridge
    rows: np.ndarray
    joint: bool


def name_of(side: str) -> str:
    """What the argument is called that has features of "users" or "items"."""
    return f"{side[:-1]}_features"


# ---- in training -------------------------------------------------------------------------------


def matched(
    model: Any,
    vocabulary: Vocabulary | None,
    shape: tuple[int, int],
    features: Mapping[str, Any],
    *,
    warm_start: bool,
) -> dict[str, Matched]:
    """The features that `fit` was given, by side, in the rows of what it trains on.

    Raises
    ------
    TypeError, ValueError, KeyError
        They are no Features; ids where there are none or the other way round, or of another kind;
        none of a known user or item; a warm start from a model that has others.
    MemoryError
        Learning with so many takes more than the machine has.
    """
    found = {}
    for side, count in zip(SIDES, shape, strict=True):
        given = features[side]
        if warm_start:
            _check_same(model, side, given)
        if given is None:
            continue
        _check_can(model)
        check_kind(name_of(side), given)
        ids = None if vocabulary is None else vocabulary.side(side)
        found[side] = _in_rows(given, ids, count, side)
        _check_size(name_of(side), given.matrix, model.factors)
    return found


def _in_rows(given: Features, ids: Ids | None, count: int, side: str) -> Matched:
    name = name_of(side)
    if (given.ids is None) != (ids is None):
        raise TypeError(
            f"{name} have {'no ids' if given.ids is None else 'ids'}, and what is fitted has "
            f"{'none' if ids is None else 'ids'}: make both with ids, or both without"
        )
    if given.ids is None:
        if len(given) < count:
            raise ValueError(
                f"{name} have {len(given)} rows; expected at least {count}, one for each of the "
                f"{side} by number, and new ones after them"
            )
        return Matched(given.matrix, None, given.schema)
    every = joined(ids, given.ids, name)
    rows = every.find(given.ids, name)
    if not (rows < count).any():
        raise ValueError(
            f"{name} are of {len(given)} {side}, such as {given.ids[0]!r}, none of which has an "
            f"entry; expected some of {ids!r}"
        )
    source = np.full(len(every), -1)
    source[rows] = np.arange(len(given))
    return Matched(csr.take_rows(given.matrix, source), every, given.schema)


def check_kind(name: str, given: Any) -> None:
    """TypeError unless these are Features."""
    if not isinstance(given, Features):
        raise TypeError(
            f"{name} must be recsys.Features; got {type(given).__qualname__}: make them by "
            "Features.from_frame(table, id=...) or Features.from_csr(matrix)"
        )


def _check_size(name: str, matrix: sparse.csr_array, factors: int) -> None:
    """Whether features fit into memory; if rows cannot tell them apart, the log says so."""
    (count, columns), there = matrix.shape, physical_memory()
    needed = _ENTRY_BYTES * matrix.nnz + _WEIGHT_BYTES * columns * (factors + 1)
    if there is not None and needed > there:
        raise MemoryError(
            f"{name} have {matrix.nnz:,} entries in {columns:,} columns: learning with them takes "
            f"about {needed / 1e9:.3g} GB, and the machine has {there / 1e9:.3g} GB. Keep fewer "
            "columns (min_count=), or vectors of fewer dimensions"
        )
    if columns > _WIDE * count:
        logger.warning(
            "%s have %s columns for %s rows: most of them will say next to nothing. Raise "
            "min_count, or lower the dimensions of vectors",
            name, f"{columns:,}", f"{count:,}",
        )  # fmt: skip


def physical_memory() -> int | None:
    """Bytes that the machine has; None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _check_can(model: Any) -> None:
    if getattr(model, "nonnegative", False):
        raise ValueError(
            "nonnegative=True cannot be fitted with features: what these expect may be negative, "
            "and cut off at zero it would be explained by no feature. Leave out one of the two, or "
            "give them to the trained model, set_params(nonnegative=False, "
            f"{model._iterations_name}=0).fit(..., warm_start=True)"
        )
    times = getattr(model, model._iterations_name)
    lambda_ = model._in_effect("regularization")  # None: chosen from the data, above 0
    if model._learns_features and times != 0 and lambda_ is not None and not np.any(lambda_):
        raise ValueError(
            "regularization=0 gives features no weight in training: raise it, or give a model "
            f"features after it, set_params({model._iterations_name}=0).fit(..., warm_start=True)"
        )


def _check_same(model: Any, side: str, given: Any) -> None:
    """Whether a training that goes on has the features it had."""
    before = model._features.get(side)
    if before is None:
        return
    if given is None:
        raise ValueError(
            f"the model was fitted with {name_of(side)}: pass them again, or fit with "
            "warm_start=False to start fresh"
        )
    check_kind(name_of(side), given)
    check_columns(name_of(side), given, before.schema)


def check_columns(name: str, given: Features, schema: Any) -> None:
    """ValueError unless features have the columns that a model knows."""
    wanted, names = schema.names, given.names
    if names == wanted:
        return
    missing = next((each for each in wanted if each not in set(names)), None)
    detail = "they are in another order" if missing is None else f"{missing!r} is not among them"
    if set(names) > set(wanted):
        detail = f"{next(each for each in names if each not in set(wanted))!r} is not among those"
    raise ValueError(
        f"{name} have {len(names)} columns, and those the model was fitted with {len(wanted)}: "
        f"{detail}. Make them by features.transform(...), of the features the model was fitted with"
    )


def without_newcomers(model: Any, vocabulary: Vocabulary | None, shape: tuple[int, int]) -> Any:
    """A twin without the users and items that only features tell of and that are not in what
    training goes on with; the model itself, if there are none."""
    if not model._features:
        return model
    kept = []
    for at, (side, count) in enumerate(zip(SIDES, model._known_shape(), strict=True)):
        stays = np.ones(count, bool)
        if side in model._features:
            rows = model._features[side].rows
            if vocabulary is None or model._ids is None:
                stays[rows[rows >= shape[at]]] = False
            else:
                stays[rows] = vocabulary.side(side).find(model._ids.side(side).take(rows)) >= 0
        kept.append(np.flatnonzero(stays))
    if all(len(rows) == count for rows, count in zip(kept, model._known_shape(), strict=True)):
        return model
    twin = growth.placed(model, (kept[0], kept[1]), model._item_factors.dtype)
    if model._ids is not None:
        users, items = (model._ids.side(s).subset(r) for s, r in zip(SIDES, kept, strict=True))
        twin._ids = model._ids._replace(users=users, items=items)
    return twin


def learn(model: Any, features: Mapping[str, Matched]) -> None:
    """Have a trained model know users and items by features: by the ridges that it was trained
    together with, where it has such, or else by those of its factors."""
    if not features:
        return
    shape, dtype = model._known_shape(), model._item_factors.dtype
    users, items = (
        np.append(np.arange(count), np.full(_count(features, side, count) - count, -1))
        for side, count in zip(SIDES, shape, strict=True)
    )
    twin = growth.placed(model, (users, items), dtype)
    matrix = model._training_matrix
    counted = growth.widened(matrix.counts(matrix.data.dtype), (len(users), len(items)))
    by_side = {"users": counted, "items": kernels.transposed(counted, model.num_threads)}
    sides = {}
    for side in features:
        aligned, entries = features[side].matrix, by_side[side]
        is_empty = np.diff(entries.indptr) == 0
        ridge = model._ridges.get(side)
        if ridge is None:
            rows, others = (kernels.Factors(*arrays(twin, each)) for each in (side, _OTHER[side]))
            strength = model.feature_regularization
            if strength is None:
                strength = chosen_strength(model, side, aligned, rows, others, entries)
            there = np.flatnonzero(~is_empty)
            ridge = fit(csr.take_rows(aligned, there), rows.whole(there), strength)
        is_chosen = model.feature_regularization is None
        model._log(
            "knows %s by %d features: feature_regularization %g%s",
            side, aligned.shape[1], ridge.strength,
            _OF_NO_USE if is_chosen and ridge.strength == STRENGTHS[0] else "",
        )  # fmt: skip
        narrow = Ridge(ridge.weights.astype(dtype), ridge.constant.astype(dtype), ridge.strength)
        joint, newcomers = side in model._ridges, np.flatnonzero(is_empty)
        sides[side] = SideFeatures(features[side].schema, aligned, narrow, newcomers, joint)
    for side, known in sides.items():
        put(twin, side, known.rows, expected(known, csr.take_rows(known.matrix, known.rows), twin))
    vocabulary = model._ids
    if vocabulary is not None:
        new = {side: each.ids for side, each in features.items()}
        vocabulary = vocabulary._replace(**new)
    growth.publish(
        model, twin, _training_matrix=csr.TrainingMatrix.of(counted), _ids=vocabulary,
        _features=sides, _ridges={},
    )  # fmt: skip


def _count(features: Mapping[str, Matched], side: str, count: int) -> int:
    return features[side].matrix.shape[0] if side in features else count


def arrays(model: Any, side: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Factors and biases of a model's users or items."""
    noun = side[:-1]
    return getattr(model, f"_{noun}_factors"), getattr(model, f"_{noun}_biases")


def put(model: Any, side: str, rows: np.ndarray, solved: tuple) -> None:
    """Write factors and biases of some rows into arrays of the model's own."""
    for array, new in zip(arrays(model, side), solved, strict=True):
        if array is not None:
            array[rows] = new


# ---- afterwards --------------------------------------------------------------------------------


def expected(
    known: SideFeatures, features: sparse.csr_array, model: Any
) -> tuple[np.ndarray, np.ndarray | None]:
    """Factors, and biases if the model has them, of rows of features."""
    mean = known.ridge.mean(features)
    width = model._item_factors.shape[1]
    factors = np.ascontiguousarray(mean[:, :width])
    return factors, mean[:, width] if mean.shape[1] > width else None


def expected_of(model: Any, side: str, rows: np.ndarray | None = None) -> kernels.Factors | None:
    """What rows, or all, are drawn to in a model that was trained with features; None: to zero."""
    known = model._features.get(side)
    if known is None or not known.joint:
        return None
    rows = np.arange(len(arrays(model, side)[0])) if rows is None else rows
    there = np.where(rows < known.matrix.shape[0], rows, -1)
    return kernels.Factors(*expected(known, csr.take_rows(known.matrix, there), model))


def of_side(model: Any, side: str) -> SideFeatures:
    """What the model knows by features; ValueError where it was fitted without."""
    if side not in model._features:
        other = f". It knows such of {_OTHER[side]}" if _OTHER[side] in model._features else ""
        raise ValueError(
            f"the model knows no features of {side}: fit with {name_of(side)}=... first{other}"
        )
    return model._features[side]
