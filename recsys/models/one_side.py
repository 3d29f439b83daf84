"""Users or items of a model by least squares learned on their own, the other side held fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.interactions import Interactions
from recsys.models import feature_answers, growth, ids, just_added
from recsys.models.fitted import as_fitted
from recsys.models.meaning import as_ratings
from recsys.models.training import NotFittedError

if TYPE_CHECKING:
    from scipy import sparse


def partial_fit(
    model: Any,
    side: str,
    who: Any,
    given: Any,
    events: Any,
    rows: Any,
    name: str,
    features: Any = None,
) -> None:
    """`partial_fit_users` and `partial_fit_items`; `side` is "users" or "items", `given` what was
    passed without saying what it is, `name` what errors call that."""
    if features is not None and given is None and events is None and rows is None:
        feature_answers.join(model, side, who, features)
        return
    _check_words(side, who, given, events, rows, name)
    if model._training_matrix is None and model._popularity is not None:
        raise NotFittedError(
            f"the model was saved with history=False, so that what it knew of the {side} is not "
            "there to be added to: load one saved with its history, or take fold_in"
        )
    described = None
    if features is not None:
        feature_answers.check_takes_both(model, side)
        described = feature_answers.rows_of(model, side, who, features)
    entries = next(each for each in (events, rows, given) if each is not None)
    entries = as_ratings(entries) if model._ratings else entries
    vocabulary, who, entries = ids.to_learn(model._vocabulary(), side, who, entries)

    dtype = model._check_parameters()
    learned, shape = growth.distinct(side, who), model._known_shape()
    entries = csr.canonical(entries, dtype, may_be_empty=True, name=name)
    _check_shape(entries.shape, side, len(learned), shape, name)
    known = model._known(shape, dtype)
    if given is not None:
        _check_new(known, side, learned, name)
    whole = _in_place(entries, side, learned, shape)
    known, added = _with_entries(model, side, known, learned, whole, replaces=rows is not None)
    learned = np.append(
        learned, np.setdiff1d(np.arange(shape[side == "items"], learned.max(initial=-1)), learned)
    )
    by_features, prior = _by_features(model, side, learned, described)
    solved = _solved(as_fitted(model), side, known, learned, prior)
    matrix = TrainingMatrix.of(known)
    state: dict[str, Any] = {"_training_matrix": matrix, "_ids": vocabulary, "_just_added": None}
    nobody = np.empty(0, np.int64)
    both = (learned, nobody) if side == "users" else (nobody, learned)
    state["_features"] = growth.known_by_features(by_features, both)
    if rows is None:
        state["_just_added"] = just_added.noted(model, side, matrix, whole, added)
    model._publish(state | _with_rows(model, side[:-1], learned, solved, dtype))


def _with_entries(
    model: Any,
    side: str,
    known: sparse.csr_array,
    learned: np.ndarray,
    entries: sparse.csr_array,
    *,
    replaces: bool,
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """What is known of all once the entries of those to be learned are added to it, or have taken
    the place of theirs; and which of the entries these are: the others have been counted before."""
    known, added = growth.widened(known, entries.shape), entries
    if replaces:
        known = csr.keep(known, ~np.isin(_places(known, side), learned))
    elif not model._ratings:
        added = just_added.without_counted(model, side, entries)
    at = np.flatnonzero(np.diff(added.indptr))
    pair = csr.take_rows(known, at), csr.take_rows(added, at)
    return csr.put_rows(known, at, csr.merged(*pair, replaces=model._ratings)), added


def _by_features(
    model: Any, side: str, learned: np.ndarray, described: sparse.csr_array | None
) -> tuple[Any, np.ndarray | None]:
    """The features known of all once the first ones learned have those `described`, and what those
    learned are drawn to by features."""
    if described is None:
        return model._features, model._drawn_to(side, learned)
    known = feature_answers.with_rows(model, side, learned[: described.shape[0]], described)
    rows = csr.take_rows(known[side].matrix, learned)
    return known, feature_answers.prior(model, side, rows)


def _solved(
    model: Any,
    side: str,
    known: sparse.csr_array,
    learned: np.ndarray,
    prior: np.ndarray | None,
) -> kernels.Factors:
    """Factors and biases of those to be learned, by all that is known of them."""
    if side == "items":
        return model._solve_items(known, learned, prior)
    return model._solve_rows(model._signed(csr.take_rows(known, learned)), "item", prior)


def _check_words(side: str, who: Any, given: Any, events: Any, rows: Any, name: str) -> None:
    method, said = f"partial_fit_{side}", [each is not None for each in (given, events, rows)]
    if sum(said) == 1:
        return
    if isinstance(who, Interactions) or hasattr(who, "nnz"):
        raise TypeError(
            f"{method} takes {side} and then what is known of them: "
            f"{method}(new.{side}, events=new) adds events, rows=new replaces what was known. A "
            "day's events, of users and items at once, are for partial_fit(events)"
        )
    got = [word for word, there in zip((name, "events", "rows"), said, strict=True) if there]
    raise TypeError(
        f"{method} takes either events=..., to be added to what is known of the {side}, or "
        f"rows=..., all that is to be known of them; got {' and '.join(got) or 'neither'}"
    )


def _check_shape(
    entries_shape: tuple[int, int], side: str, count: int, shape: tuple[int, int], name: str
) -> None:
    held = ("items", shape[1]) if side == "users" else ("users", shape[0])
    checks.columns(name, entries_shape, held[1], held[0])
    if entries_shape[0] != count:
        raise ValueError(
            f"{name} has shape {entries_shape}; expected one row for each of the {count} {side}"
        )


def _check_new(known: sparse.csr_array, side: str, learned: np.ndarray, name: str) -> None:
    """Whether it makes no difference if entries are added or all there are."""
    counts = np.bincount(_places(known, side), minlength=learned.max(initial=-1) + 1)
    twice = learned[counts[learned] > 0]
    if len(twice):
        raise ValueError(
            f"{len(twice)} of the {side}, the first in row {twice[0]} of the model, have entries "
            f"already: say events={name} to add these to them, or rows={name} to replace them"
        )


def _places(known: sparse.csr_array, side: str) -> np.ndarray:
    """The row of each entry of users x items, or its column."""
    return csr.entry_rows(known) if side == "users" else known.indices


def _in_place(
    entries: sparse.csr_array, side: str, learned: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    """Rows of entries as users x items of the model, which may have more of one side by them."""
    places, other = learned[csr.entry_rows(entries)], entries.indices
    count = int(learned.max(initial=-1)) + 1
    if side == "users":
        whole = max(shape[0], count), shape[1]
        return csr.from_triples(entries.data, places, other, whole)
    return csr.from_triples(entries.data, other, places, (shape[0], max(shape[1], count)))


def _with_rows(
    model: Any, noun: str, rows: np.ndarray, solved: kernels.Factors, dtype: np.dtype
) -> dict[str, Any]:
    """All that is learned, with factors and biases of some users or items, new ones among them."""
    state = growth.in_dtype(model, dtype)
    for name, new in zip((f"_{noun}_factors", f"_{noun}_biases"), solved, strict=True):
        if new is not None:
            old = state[name]
            count = max(len(old), rows.max(initial=-1) + 1)
            state[name] = np.empty((count, *old.shape[1:]), dtype)
            state[name][: len(old)] = old
            state[name][rows] = new
    return state
