"""What every model shares: parameters, repr, history, progress and the iteration loop."""

from __future__ import annotations

import inspect
import logging
import numbers
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from recsys import checks
from recsys.models.display import parameters, shown
from recsys.progress import progress_bar

if TYPE_CHECKING:
    from recsys.models.validation import Validation

logger = logging.getLogger("recsys")

Callback = Callable[[int, float, float | None], object]


class NotFittedError(ValueError, AttributeError):
    """The model was asked for something it only has after `fit`."""


class NumericalWarning(UserWarning):
    """The fit went through, but the numbers were close to what the dtype can hold."""


@dataclass(frozen=True)
class Iteration:
    """One entry of a model's `history`; a kind of model adds what else it can tell.

    Attributes
    ----------
    iteration : int
        Counted from 1; goes on counting after a warm start.
    seconds : float
        Wall time of the whole iteration, without validation and callback.
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
    """What one iteration hands to the loop: the state to publish, its loss and other details."""

    state: dict[str, Any]
    loss: float | None
    details: dict[str, Any]


class Recommender:
    """Base of all models.

    A model's `__init__` only stores its keyword arguments, under their own names and as given;
    `fit` checks them. So `get_params`, `set_params` and scikit-learn's `clone` work on any model.
    """

    _entry: ClassVar[type[Iteration]] = Iteration  # what `history` is made of
    _history: tuple[Iteration, ...] = ()
    _best_iteration: int | None = None
    _validation_metric: str | None = None

    if not TYPE_CHECKING:  # for which the parameters are those of __init__

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            # Python's own error for an unknown keyword does not know the nearest spelling.
            cls._check_names(kwargs, TypeError)
            return super().__new__(cls)

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(inspect.signature(cls.__init__).parameters)[1:]

    @classmethod
    def _check_names(cls, given: Iterable[str], error: type[Exception]) -> None:
        names = cls._parameter_names()
        for name in given:
            if name not in names:
                hint = checks.nearest(name, names) or f"; expected one of {', '.join(names)}"
                raise error(f"{cls.__name__} has no parameter {name!r}{hint}")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters as they were given, by name (`deep` is there for scikit-learn)."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def _in_effect(self, name: str) -> Any:
        """A parameter, or what it comes to where it is None."""
        return getattr(self, name)

    def set_params(self, **params: Any) -> Self:
        """Replace parameters by name; they are checked at the next `fit`.

        Raises
        ------
        ValueError
            There is no such parameter; none has been changed then.
        """
        self._check_names(params, ValueError)
        vars(self).update(params)
        return self

    @property
    def history(self) -> list[Iteration]:
        """One entry for each iteration since training started fresh; empty before `fit`."""
        return list(self._history)

    @property
    def best_iteration(self) -> int | None:
        """The iteration that the model is of, if `patience` chose it; None: the last one."""
        return self._best_iteration

    @property
    def validation_metric(self) -> str | None:
        """What `validation` in the history is, such as "ndcg@10"; None where nothing was
        measured."""
        measured = any(entry.validation is not None for entry in self._history)
        return self._validation_metric if measured else None

    def __repr__(self) -> str:
        changed, _ = parameters(self)
        shown_ones = ", ".join(f"{name}={value}" for name, value in changed.items())
        return f"{type(self).__name__}({shown_ones})"

    def _header(self) -> dict[str, Any]:
        """What a model file says of any model."""
        return {
            "class": type(self).__name__,
            "parameters": {name: _plain(name, value) for name, value in self.get_params().items()},
            "history": [asdict(entry) for entry in self._history],
            "best_iteration": self._best_iteration,
            "validation_metric": self.validation_metric,
        }

    def _publish(self, state: dict[str, Any], history: Iterable[Iteration]) -> None:
        # One call, not several assignments: Ctrl-C cannot come in between.
        vars(self).update(state, _history=tuple(history))

    def _with(self, state: dict[str, Any]) -> Self:
        """The model as it is to be published."""
        twin = self._twin()
        twin._publish(state, ())
        return twin

    def _twin(self, **changed: Any) -> Self:
        """The same model, some of its attributes changed."""
        twin = object.__new__(type(self))  # copy.copy would look at the parameters: 0.15 ms a list
        vars(twin).update(vars(self), **changed)
        return twin

    def _iterate(
        self,
        step: Callable[[], Step],
        times: int,
        history: list[Iteration],
        callback: Callback | None,
        show_progress: bool,
        judge: Validation | None = None,
    ) -> None:
        """Call `step` up to so many `times` and publish what each call has finished.

        Whatever interrupts a step, Ctrl-C included, leaves the model as the last finished one made
        it (or as it was before `fit`) and goes on to the caller. Where `judge` has found a best
        one, that is what is left in any case.
        """
        try:
            with progress_bar(show_progress, total=times, desc=type(self).__name__) as bar:
                for left in reversed(range(times)):
                    entry = self._finish_one(step, history, judge, is_last=not left)
                    bar.set_postfix(_postfix(entry, judge), refresh=False)
                    bar.update()
                    if callback and callback(entry.iteration, entry.seconds, entry.loss):
                        self._log("stopped by the callback after iteration %d", entry.iteration)
                        break
                    if judge is not None and judge.is_over():
                        self._log(
                            "stopped after iteration %d: no better %s in the last %d validations",
                            entry.iteration, judge.metric, judge.missed,
                        )  # fmt: skip
                        break
        finally:
            if judge is not None and judge.best is not None:
                _, number, state = judge.best
                self._publish({**state, "_best_iteration": number}, history)
                self._log("takes its best iteration, %d", number)
            seconds = sum(entry.seconds for entry in history)
            self._log("has learned in %d iterations, %.3g s in all", len(history), seconds)

    def _log(self, message: str, *details: Any) -> None:
        logger.info(f"%s {message}", type(self).__name__, *details)

    def _finish_one(
        self,
        step: Callable[[], Step],
        history: list[Iteration],
        judge: Validation | None,
        is_last: bool,
    ) -> Iteration:
        """Make a step, measure and publish it."""
        number, begin = len(history) + 1, time.perf_counter()
        done = step()
        seconds, value = time.perf_counter() - begin, None
        if judge is not None and judge.is_due(number, is_last):
            value = judge.measure(self, number, done.state)
        entry = self._entry(number, seconds, done.loss, value, **done.details)
        history.append(entry)
        metric = self._validation_metric if judge is None else judge.metric
        state = {**done.state, "_best_iteration": None, "_validation_metric": metric}
        self._publish(state, history)
        if logger.isEnabledFor(logging.DEBUG):
            known = {name: value for name, value in asdict(entry).items() if value is not None}
            told = (
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in known.items()
            )  # fmt: skip
            logger.debug("%s: %s", type(self).__name__, ", ".join(told))
        return entry


def _postfix(entry: Iteration, judge: Validation | None) -> dict[str, str]:
    """What a progress bar says of an iteration."""
    known = {"loss": entry.loss}
    if judge is not None:
        known[judge.metric] = entry.validation
    return {name: f"{value:.6g}" for name, value in known.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    """A parameter as JSON can hold it."""
    if name == "dtype":
        return np.dtype(value).name
    if name == "random_state" and not isinstance(value, numbers.Integral):
        return None
    if callable(value):
        raise TypeError(
            f"{name} is a function ({shown(value)}), which a model file cannot hold: save with "
            f"one of the named choices, and set_params({name}=...) after loading"
        )
    return value.item() if isinstance(value, np.generic) else value
