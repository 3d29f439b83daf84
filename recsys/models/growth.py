"""What a model has learned, for more users and items than before: a day's events, and trainings
that go on with newcomers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.interactions import Ids
from recsys.models import just_added, newcomers
from recsys.models.fitted import as_fitted
from recsys.models.ids import Vocabulary

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

Rows = tuple[np.ndarray, np.ndarray]  # row numbers of users and of items
LEARNED = ("_user_factors", "_item_factors", "_user_biases", "_item_biases")


def learn_day(
    model: Any, events: sparse.csr_array, vocabulary: Vocabulary | None, rounds: int
) -> None:
    """Add events, in the rows and columns of the model and new ones beyond them, to what a
    FactorModel remembers, and learn what they touch."""
    shape, before = model._known_shape(), model._remembered().counts(events.dtype)
    touched = np.flatnonzero(np.diff(events.indptr)), np.unique(events.indices)
    added = events if model._ratings else just_added.without_counted(model, None, events)
    whole = with_events(before, added, shape, replaces=model._ratings)
    users, items = (
        np.append(np.arange(old), np.full(count - old, -1))
        for old, count in zip(shape, events.shape, strict=True)
    )
    unmet = newcomers.without_entries(model, widened(before, events.shape), touched)
    users[unmet[0]] = items[unmet[1]] = -1
    twin = placed(as_fitted(model), (users, items), events.dtype)
    twin._training_matrix = TrainingMatrix.of(whole)
    new = np.flatnonzero(users < 0), np.flatnonzero(items < 0)
    twin._learn_rows(whole, new, touched, rounds, before)
    state = {
        "_training_matrix": twin._training_matrix,
        "_features": known_by_features(model._features, touched),
    }
    publish(model, twin, _ids=vocabulary, **state)


def with_events(
    known: sparse.csr_array, events: sparse.csr_array, shape: tuple[int, int], *, replaces: bool
) -> sparse.csr_array:
    """What is known of `shape` users and items and the events added to it, which of ratings replace
    older ones."""
    if events.shape[0] < shape[0] or events.shape[1] < shape[1]:
        hint = ". It looks transposed: pass its .T" if events.shape == shape[::-1] else ""
        raise ValueError(
            f"the events have shape {events.shape}; expected at least {shape}: rows and columns "
            f"are those of the model, and new ones come after them{hint}"
        )
    known = widened(known, events.shape)
    users = np.flatnonzero(np.diff(events.indptr))
    rows = csr.take_rows(known, users), csr.take_rows(events, users)
    return csr.put_rows(known, users, csr.merged(*rows, replaces=replaces))


def continued(
    model: Any, counts: sparse.csr_array, dtype: np.dtype, vocabulary: Vocabulary | None
) -> Any:
    """The model that training goes on from: itself, or a twin whose rows are those of `counts`,
    new ones being folded in; None where nothing is learned yet.

    Raises
    ------
    NotFittedError, ValueError
        One side has no factors, or some of another width, or not finite; there are biases that
        the model is not to have; or users or items of the model are not in `counts`.
    """
    if model._user_factors is None and model._item_factors is None:
        return None
    sides = (("user", model.user_factors, counts.shape[0]),
             ("item", model.item_factors, counts.shape[1]))  # fmt: skip
    for noun, factors, count in sides:
        if factors.shape[1] != model.factors or (len(factors) > count and model._ids is None):
            raise ValueError(
                f"cannot continue from {noun}_factors of shape {factors.shape}: expected "
                f"{(count, model.factors)}, for {count} {noun}s in user_items and "
                f"factors={model.factors}, or fewer rows. Fit with warm_start=False to start fresh"
            )
        checks.factor_matrix(f"{noun}_factors", factors, dtype)
    biases, wanted = (model._user_biases, model._item_biases), model._with_biases()
    if any(b is not None and not w for b, w in zip(biases, wanted, strict=True)):
        raise ValueError(
            "cannot continue without biases from a model that has them: fit with "
            "warm_start=False to start fresh, or set_params back"
        )
    places = _places(model, counts.shape, vocabulary)
    same = all(np.array_equal(p, np.arange(n)) for p, n in zip(places, model._known_shape(),
                                                               strict=True))  # fmt: skip
    if same and not len(newcomers.lost(model, counts)):
        return model
    twin = placed(model, places, dtype)
    twin._training_matrix = TrainingMatrix.of(counts)
    nobody = np.empty(0, np.int64)
    new = tuple(np.flatnonzero(place < 0) for place in places)
    twin._learn_rows(counts, new, (nobody, nobody), 0)
    return twin


def placed(model: Any, places: Rows, dtype: np.dtype) -> Any:
    """A twin with factors of its own: row i is what row ``places[i]`` was, or zeros for -1; so are
    its features."""
    state = model._placed(*places, dtype)
    features = {
        side: _features_placed(known, places[side == "items"])
        for side, known in model._features.items()
    }
    return model._twin(**state, _features=features, _prepared={})


def _features_placed(known: Any, rows: np.ndarray) -> Any:
    there = np.where(rows < known.matrix.shape[0], rows, -1)
    nobody = np.flatnonzero(np.isin(rows, known.rows))
    return known._replace(matrix=csr.take_rows(known.matrix, there), rows=nobody)


def taken(array: np.ndarray, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Some rows of an array, in one of its own; zeros for -1."""
    out = np.zeros((len(rows), *array.shape[1:]), dtype)
    out[rows >= 0] = array[rows[rows >= 0]]
    return out


def in_dtype(model: Any, dtype: np.dtype) -> dict[str, Any]:
    """All that a model has learned, by attribute."""
    learned = {name: getattr(model, name) for name in LEARNED}
    return {
        name: None if array is None else array.astype(dtype, copy=False)
        for name, array in learned.items()
    }


def publish(model: Any, twin: Any, **changed: Any) -> None:
    """Have the model what its twin has learned."""
    names = (*LEARNED, *model._learned_besides)
    model._publish({name: getattr(twin, name) for name in names} | changed)


def known_by_features(features: Mapping[str, Any], learned: Rows) -> dict[str, Any]:
    """What is known by features, after entries of some users and items were learned."""
    return {
        side: known._replace(rows=np.setdiff1d(known.rows, learned[side == "items"]))
        for side, known in features.items()
    }


def distinct(name: str, values: Any) -> np.ndarray:
    """Row numbers, each once."""
    rows = checks.row_numbers(name, values, checks.ANYONE).reshape(-1)
    known, counts = np.unique(rows, return_counts=True)
    if np.any(counts > 1):
        raise ValueError(f"{name} names {known[np.argmax(counts)]} more than once")
    return rows


def widened(matrix: sparse.csr_array, shape: tuple[int, int]) -> sparse.csr_array:
    """The same entries in a matrix of more rows and columns."""
    more = np.full(shape[0] - matrix.shape[0], matrix.indptr[-1])
    return csr.assemble(matrix.data, matrix.indices, np.append(matrix.indptr, more), shape)


def alternate(model: Any, counts: sparse.csr_array, new: Rows, touched: Rows, rounds: int) -> None:
    """Solve some users and then some items of a model by least squares, whose arrays are written
    to: the new ones once, then those that are touched, `rounds` times. Items that nothing leads to
    get a start of their own in between."""
    signed = model._signed(counts)
    by_item = kernels.transposed(signed, model.num_threads)

    def solve(noun: str, rows: np.ndarray, entries: sparse.csr_array, held: str) -> None:
        if not len(rows):
            return
        solved = model._solve_rows(entries, held, model._drawn_to(f"{noun}s", rows))
        getattr(model, f"_{noun}_factors")[rows] = solved.factors
        if solved.biases is not None:
            getattr(model, f"_{noun}_biases")[rows] = solved.biases

    def solve_both(users: np.ndarray, items: np.ndarray, times: int) -> None:
        of_users, of_items = csr.take_rows(signed, users), csr.take_rows(by_item, items)
        for _ in range(times):
            solve("user", users, of_users, "item")
            solve("item", items, of_items, "user")

    solve_both(*new, 1)
    newcomers.start_lost(model, counts)
    solve_both(*touched, rounds)


def _places(model: Any, shape: tuple[int, int], vocabulary: Vocabulary | None) -> Rows:
    """The model's row of each row of a matrix with these ids; -1 for a new one."""
    known = model._known_shape()
    if model._ids is None:
        users, items = (
            np.where(np.arange(count) < old, np.arange(count), -1)
            for count, old in zip(shape, known, strict=True)
        )
        return users, items
    if vocabulary is None:
        raise ValueError(
            "cannot continue a model that knows ids with a matrix: pass Interactions, or "
            "continue model.without_ids()"
        )
    users, items = (
        _found(known_ids, ids, noun)
        for known_ids, ids, noun in zip(model._ids[:2], vocabulary[:2], ("users", "items"),
                                        strict=True)
    )  # fmt: skip
    return users, items


def _found(known: Ids, ids: Ids, noun: str) -> np.ndarray:
    if ids is known:
        return np.arange(len(known))
    rows = known.find(ids.take(np.arange(len(ids))), noun)
    missing = np.setdiff1d(np.arange(len(known)), rows)
    if len(missing):
        shown = ", ".join(repr(known[int(row)]) for row in missing[:3])
        raise ValueError(
            f"cannot continue without {len(missing)} of the model's {len(known)} {noun}, such as "
            f"{shown}: expected all of them in user_items, and new ones wherever they are. Put "
            "old and new events together by old.concat(new), use model.partial_fit(new), or fit "
            "with warm_start=False to start fresh"
        )
    return rows


def lengths(matrix: sparse.csr_array) -> Rows:
    """How many entries rows have, and columns."""
    return np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=matrix.shape[1])


def and_as_many(rows: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Some rows of `count`, sorted, and as many others, drawn, if there are so many."""
    others = np.setdiff1d(np.arange(count), rows, assume_unique=True)
    if len(others) > len(rows):
        others = random.choice(others, len(rows), replace=False)
    return np.sort(np.append(rows, others))
