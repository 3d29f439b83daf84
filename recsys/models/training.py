"""`fit` of every model that learns in iterations, from top to bottom."""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from recsys import checks, csr, kernels, memory
from recsys.csr import TrainingMatrix
from recsys.interactions.matching import pair_in_rows
from recsys.models import features, fitted
from recsys.models.growth import continued
from recsys.models.ids import Vocabulary
from recsys.models.meaning import as_ratings, check_not_full
from recsys.models.validation import NAMES, Validation
from recsys.progress import progress_bar

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

Callback = Callable[[int, float, float | None], object]


class NotFittedError(ValueError, AttributeError):
    """The model was asked for something it only has after `fit`."""


class NumericalWarning(UserWarning):
    """The fit went through, but the numbers were close to what the dtype can hold."""


def warn(message: str) -> None:
    """A NumericalWarning at the line of the program that called recsys."""
    frame, level = sys._getframe(1), 2
    while frame is not None and frame.f_globals.get("__name__", "").startswith("recsys."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, NumericalWarning, stacklevel=level)


@dataclass(frozen=True)
class Iteration:
    """One entry of a model's `history`; a kind of model adds what else it can tell.

    Attributes
    ----------
    iteration : int
        Counted from 1; goes on counting after a warm start.
    seconds : float
        Wall time of the whole iteration, without validation and callback. The first one's includes
        the making of what the training starts from.
    loss : float or None
        What the model minimizes, after the iteration, where it was computed.
    validation : float or None
        The metric of the model on what was held out, after the iteration, where it was measured.
    """

    iteration: int
    seconds: float
    loss: float | None
    validation: float | None


class Step(NamedTuple):
    """What one iteration tells the loop."""

    loss: float | None
    details: dict[str, Any]


class Trainer(Protocol):
    """Trains one model in arrays of its own, which it holds as long as that takes; states are in
    terms of FactorModel's attributes."""

    def start(self, continues: bool, features: Mapping[str, features.Matched]) -> None:
        """Have factors: copies of the model's own if it `continues`, else new ones. Of users, or of
        items, there may be features to learn with; `state` then tells "_ridges" of these."""

    def state(self) -> dict[str, Any]:
        """What is learned so far; that stays as it is until after the next step."""

    def step(self, number: int) -> Step:
        """Make iteration `number`, counted from 1. Interrupted, it leaves all as it was."""

    def finish(self) -> None:
        """Warn of what went through, but only just."""


class Loan:
    """The counts of a fit, and whose memory they are in.

    Training is when memory is short, so nothing is copied before it or during it. The checked
    counts share whatever arrays of the caller's matrix are in the right form already; only values
    of another dtype are cast, and that cast goes with `hand_over`, as soon as the trainer has made
    what it needs of it. What the model shows as its training matrix until the end are the caller's
    arrays. `settle` then, when the trainer's memory is free again, gives the model copies which
    nobody else can write to; also after Ctrl-C, if an iteration has been published.
    """

    def __init__(self, user_items: Any, counts: sparse.csr_array) -> None:
        self.shape = counts.shape
        self.dtype = counts.dtype
        self._counts: sparse.csr_array | None = counts
        matrix = TrainingMatrix.of(counts)
        if np.may_share_memory(counts.indices, getattr(user_items, "indices", None)):
            matrix = matrix._replace(data=user_items.data)
        self.matrix = matrix

    def hand_over(self, make: Callable[[sparse.csr_array], Trainer]) -> Trainer:
        """What `make` makes of the counts, which are let go."""
        try:
            return make(self._counts)
        finally:
            self._counts = None

    def settle(self, model: Any) -> None:
        """Have the model own what it remembers, if it has been trained on this."""
        if model._training_matrix is self.matrix:
            model._training_matrix = self.matrix.copied(self.dtype)


def fit(
    model: Any,
    user_items: Any,
    *,
    validation: Any,
    metric: str | None,
    patience: int | None,
    min_gain: float,
    validate_every: int,
    callback: Callback | None,
    show_progress: bool,
    warm_start: bool,
    item_features: Any,
    user_features: Any,
) -> None:
    """Train `model`, a FactorModel, as its `fit` says."""
    dtype = model._check_parameters()
    checks.flag("warm_start", warm_start)
    _check_callback(callback)
    if model._ratings:
        user_items, validation = as_ratings(user_items), as_ratings(validation)
    vocabulary = Vocabulary.of(user_items)
    user_items, validation = pair_in_rows(user_items, validation, NAMES)
    counts = csr.canonical(user_items, dtype)
    model._check_counts(counts)
    if not model._ratings:
        check_not_full(counts)
    judge = Validation.of(model, counts, validation, metric, patience, min_gain, validate_every)
    described = {"users": user_features, "items": item_features}
    matched = features.matched(model, vocabulary, counts.shape, described, warm_start=warm_start)
    present = _present(model, counts, dtype, vocabulary) if warm_start else None
    continues = present is not None
    history = model.history if continues else []
    times = model._times(counts.shape[0], counts.nnz, continues, bool(matched))
    model._log_start(counts, len(history))
    if judge is not None:
        judge.check_patience(times, len(history))

    kept: dict[str, Any] = {
        "_fitted": fitted.parameters(model),
        "_ids": vocabulary,
        "_features": {},
    }
    loan = Loan(user_items, counts)
    del counts
    trainer = None
    try:
        trainer = loan.hand_over((present if continues else model)._trainer)
        del present
        began = time.perf_counter()
        trainer.start(continues, matched)
        start_seconds = time.perf_counter() - began
        kept["_training_matrix"] = loan.matrix
        _iterate(
            model, trainer, kept, times, history, start_seconds, judge, callback, show_progress
        )
    finally:
        trainer = judge = None  # their memory is wanted now
        loan.settle(model)
    features.learn(model, matched)


def _present(
    model: Any, counts: sparse.csr_array, dtype: np.dtype, vocabulary: Vocabulary | None
) -> Any:
    """The model a warm start goes on from, or None where there is none."""
    before = features.without_newcomers(model, vocabulary, counts.shape)
    return continued(before, counts, dtype, vocabulary)


def _check_callback(callback: Any) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(
            "callback must be a function of (iteration, seconds, loss); got "
            f"{callback!r} ({type(callback).__name__})"
        )


def _iterate(
    model: Any,
    trainer: Trainer,
    kept: dict[str, Any],
    times: int,
    history: list[Iteration],
    start_seconds: float,
    judge: Validation | None,
    callback: Callback | None,
    show_progress: bool,
) -> None:
    """Make so many iterations and publish what they make of the model, each where somebody may
    look, together with what else the model is to have, `kept`.

    Whatever interrupts one, Ctrl-C included, leaves the model as the last finished one made it (or
    as it was before `fit`) and goes on to the caller. Where `judge` has found a best one, that is
    what is left in any case.
    """
    watched = judge is not None or callback is not None  # else nobody looks before the end
    before = len(history)

    def publish(state: dict[str, Any]) -> None:
        state = {**state, **kept, "_history": tuple(history), "_best_iteration": None}
        measured = {"_validation_metric": judge.metric} if judge and len(history) > before else {}
        model._publish(state | measured)

    if not times:
        publish(trainer.state())
        return
    try:
        with progress_bar(show_progress, total=times, desc=type(model).__name__) as bar:
            for left in reversed(range(times)):
                number, began = len(history) + 1, time.perf_counter()
                loss, details = trainer.step(number)
                state = trainer.state() if watched else None
                seconds, value = time.perf_counter() - began + start_seconds, None
                start_seconds = 0.0
                if judge is not None and judge.is_due(number, is_last=not left):
                    value = judge.measure(model, number, {**state, **kept})
                history.append(entry := model._entry(number, seconds, loss, value, **details))
                if watched:
                    publish(state)
                _log_iteration(model, entry)
                bar.set_postfix(_postfix(entry, judge), refresh=False)
                bar.update()
                if callback and callback(number, seconds, loss):
                    model._log("stopped by the callback after iteration %d", number)
                    break
                if judge is not None and judge.is_over():
                    model._log(
                        "stopped after iteration %d: no better %s in the last %d validations",
                        number, judge.metric, judge.missed,
                    )  # fmt: skip
                    break
    finally:
        if judge is not None and judge.best is not None:
            _, number, state = judge.best
            model._publish({**state, "_best_iteration": number, "_history": tuple(history)})
            model._log("takes its best iteration, %d", number)
        elif not watched and len(history) > before:
            began, last = time.perf_counter(), history[-1]
            state = trainer.state()
            history[-1] = replace(last, seconds=last.seconds + time.perf_counter() - began)
            publish(state)
        seconds = sum(entry.seconds for entry in history)
        model._log("has learned in %d iterations, %.3g s in all", len(history), seconds)
    trainer.finish()


def _postfix(entry: Iteration, judge: Validation | None) -> dict[str, str]:
    """What a progress bar says of an iteration."""
    known = {"loss": entry.loss}
    if judge is not None:
        known[judge.metric] = entry.validation
    return {name: f"{value:.6g}" for name, value in known.items() if value is not None}


def _log_iteration(model: Any, entry: Iteration) -> None:
    if not logger.isEnabledFor(logging.DEBUG):
        return
    known = {name: value for name, value in asdict(entry).items() if value is not None}
    words = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in known.items()
    )
    logger.debug("%s: %s", type(model).__name__, ", ".join(words))


# ---- how a training starts ---------------------------------------------------------------------


class Start(NamedTuple):
    """X, Y, user biases and item biases; None where there are no such biases."""

    users: np.ndarray
    items: np.ndarray
    user_biases: np.ndarray | None
    item_biases: np.ndarray | None


def start(
    model: Any,
    shape: tuple[int, int],
    dtype: np.dtype,
    random: np.random.Generator | None,
    with_biases: tuple[bool, bool],
    *,
    draws_users: bool = True,
) -> Start:
    """Drawn factors (users not yet written where they are not to be drawn), or copies of the
    model's own where `random` is None. Biases that there are to be are copied as well, or zeros."""
    if random is None:
        users, items = (kernels.on_line((count, model.factors), dtype) for count in shape)
        users[...], items[...] = model._user_factors, model._item_factors
        present = model._user_biases, model._item_biases
    else:
        items, users = (
            drawn(random, (count, model.factors), model, dtype) if wanted
            else kernels.on_line((count, model.factors), dtype)
            for count, wanted in zip(shape[::-1], (True, draws_users), strict=True)
        )  # fmt: skip
        present = None, None
    user_biases, item_biases = (
        None if not wanted else np.zeros(count, dtype) if biases is None else biases.astype(dtype)
        for wanted, count, biases in zip(with_biases, shape, present, strict=True)
    )
    return Start(users, items, user_biases, item_biases)


def seeded_start(
    model: Any, shape: tuple[int, int], dtype: np.dtype, continues: bool
) -> tuple[int, Start]:
    """What all that is drawn in training follows from, and `start`."""
    random = checks.random_generator(model.random_state)
    check_room(model, shape, dtype)
    seed = int(random.integers(2**64, dtype=np.uint64))  # first: the same for a warm start
    return seed, start(model, shape, dtype, None if continues else random, model._with_biases())


def check_room(
    model: Any, shape: tuple[int, int], dtype: np.dtype, *, gramian: bool = False
) -> None:
    """MemoryError where the factors would not fit, so that none are allocated."""
    memory.require(
        dtype.itemsize * model.factors * (2 * sum(shape) + gramian * model.factors),
        f"a fit with {model.factors:,} factors",
        f"those of {shape[0]:,} users and {shape[1]:,} items twice"
        + (" and a matrix of factors x factors" if gramian else ""),
        "Lower factors" + ("" if dtype.itemsize == 4 else ", or use dtype=np.float32"),
    )


def drawn(
    random: np.random.Generator, shape: tuple[int, int], model: Any, dtype: np.dtype
) -> np.ndarray:
    """Initial factors: normal, of standard deviation init_scale / sqrt(f)."""
    factors = kernels.on_line(shape, dtype)
    random.standard_normal(dtype=dtype, out=factors)
    factors *= dtype.type(model.init_scale / math.sqrt(model.factors))
    return factors


def check_size(model: Any) -> np.dtype:
    """Check the parameters that all models with factors have; returns the dtype."""
    checks.integer("factors", model.factors, 1)
    checks.number("init_scale", model.init_scale, above=0)
    checks.integer("num_threads", model.num_threads, 0)
    checks.random_state(model.random_state)
    if model.feature_regularization is not None:
        checks.number("feature_regularization", model.feature_regularization, above=0)
    return checks.floating_dtype(model.dtype)


def no_target(y: Any) -> None:
    """TypeError if `fit` is given something beside the matrix to learn from."""
    if y is not None:
        raise TypeError(
            "fit takes one matrix, users x items, and no target; got y of type "
            f"{type(y).__name__}. Pass what was held out as validation=..., and arrays of users, "
            "items and counts as Interactions.from_arrays(users, items, counts)"
        )
