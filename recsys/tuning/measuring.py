"""Trials that were asked for together, made side by side where that is faster."""

from __future__ import annotations

import logging
import numbers
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from threading import Event
from typing import Any

from recsys.kernels import resolve_num_threads
from recsys.models import NumericalWarning
from recsys.models.factor_model import FactorModel

from .drawing import Asked
from .halving import Sample, is_promising, is_sampled
from .parallel import in_order
from .results import Trial
from .spaces import Axis, value_identity
from .task import Task

logger = logging.getLogger("recsys")

BATCH = 4  # trials asked for together; not by the machine, as what they are depends on it
SMALL = 30_000_000  # entries x factors, up to which trials are faster side by side than in turns


class Measuring:
    """Makes the trials of one task.

    Attributes
    ----------
    batch : int
        How many are best asked for together: `BATCH` where they are made side by side. What comes
        of them is the same with any number of threads.
    """

    def __init__(self, task: Task, axes: Mapping[str, Axis], prune: bool) -> None:
        self.task, self.prune = task, prune
        self.sample = Sample.of(task, axes) if prune else None
        factors = _factors(task, axes)
        self.is_small = 0 < factors * task.train.nnz <= SMALL
        sample = self.sample
        self.is_small_sample = sample is not None and factors * sample.train.nnz <= SMALL
        self.batch = BATCH if self.is_small or self.is_small_sample else 1

    def trials(
        self, asked: Sequence[Asked], earlier: Sequence[Trial], is_late: Callable[[], bool]
    ) -> Generator[Trial]:
        """What comes of each, in their order; those of `earlier` are not made again, nor are equal
        ones. None but the first begins when it is late."""
        known = {_identity(trial.params): trial for trial in earlier}
        first = {_identity(each.params): each for each in reversed(asked)}  # of equals
        new = [
            first[name]
            for name in dict.fromkeys(_identity(each.params) for each in asked)
            if name not in known
        ]
        with closing(self._made(new, list(known.values()), is_late)) as made:
            for each in asked:
                same = known.get(_identity(each.params))
                if same is not None:
                    yield same._replace(number=each.number, seconds=0.0)
                    continue
                trial = next(made, None)
                if trial is None:
                    return
                known[_identity(each.params)] = trial
                yield trial

    def _made(
        self, asked: Sequence[Asked], earlier: Sequence[Trial], is_late: Callable[[], bool]
    ) -> Generator[Trial]:
        if self.sample is None:
            yield from self._side_by_side(self._whole, asked, self.is_small, is_late)
            return
        first = [each for each in asked if is_sampled(each.number)]
        made = list(self._side_by_side(self._sampled, first, self.is_small_sample, is_late))
        sampled = {trial.number: trial for trial in made}
        promising = {
            trial.number
            for at, trial in enumerate(made)
            if is_promising(trial, [*earlier, *made[:at]])
        }
        unsampled = {each.number for each in asked} - {each.number for each in first}
        wanted = [each for each in asked if each.number in promising | unsampled]
        late = is_late if unsampled else lambda: False  # what was begun on the sample is ended
        with closing(self._side_by_side(self._whole, wanted, self.is_small, late)) as whole:
            for each in asked:
                on_sample = sampled.get(each.number)
                if each.number in promising | unsampled:
                    trial = next(whole, None)
                    if trial is not None and on_sample is not None:
                        seconds = on_sample.seconds + trial.seconds
                        trial = trial._replace(on_sample=on_sample.on_sample, seconds=seconds)
                else:
                    trial = on_sample
                if trial is None:  # it was late
                    return
                yield trial

    def _side_by_side(
        self,
        make: Callable[[Asked, int | None, Event], Trial],
        asked: Sequence[Asked],
        is_small: bool,
        is_late: Callable[[], bool],
    ) -> Generator[Trial]:
        threads = resolve_num_threads(self.task.model({}).num_threads)
        workers = max(1, min(len(asked), threads)) if is_small and self._may_be_parallel() else 1
        each = threads // workers if workers > 1 else None
        return in_order([partial(make, one, each) for one in asked], workers, is_late)

    def _may_be_parallel(self) -> bool:
        """Not where models draw from one generator in turns."""
        seed = getattr(self.task.model({}), "random_state", None)
        return seed is None or isinstance(seed, numbers.Integral)

    def _whole(self, asked: Asked, num_threads: int | None, stop: Event) -> Trial:
        """A model of all users, given up where its reports are hopeless."""
        validations: dict[int, float] = {}
        is_pruned = False

        def report(iteration: int, value: float) -> bool:
            nonlocal is_pruned
            asked.report(iteration, value)
            validations[iteration] = value
            is_pruned = self.prune and asked.is_hopeless()
            return is_pruned

        def measure() -> dict[str, Any]:
            value, iterations = self.task.measure(asked.params, num_threads, stop, report)
            state = "pruned" if is_pruned else "complete"
            return {"value": value, "iterations": iterations, "state": state}

        return self._timed(asked, measure)._replace(validations=validations)

    def _sampled(self, asked: Asked, num_threads: int | None, stop: Event) -> Trial:
        """A model of some users."""

        def measure() -> dict[str, Any]:
            value = self.sample.measure(self.task, asked.params, num_threads, stop)
            return {"on_sample": value, "state": "sampled"}

        return self._timed(asked, measure)

    def _timed(self, asked: Asked, measure: Callable[[], dict[str, Any]]) -> Trial:
        trial = Trial(asked.number, asked.params, None, None, 0.0, "diverged", {})
        began = time.perf_counter()
        try:
            trial = trial._replace(**measure())
        except (FloatingPointError, NumericalWarning) as error:  # a warning where it is an error
            logger.warning("trial %d with %s: %s", asked.number, asked.params, error)
        return trial._replace(seconds=time.perf_counter() - began)


def _factors(task: Task, axes: Mapping[str, Axis]) -> int:
    """At most; 0 of models without."""
    if not issubclass(task.model_class, FactorModel):
        return 0
    if "factors" not in axes:
        usual: Any = task.model({})
        return usual.factors
    axis = axes["factors"]
    return max(axis.choices or axis.ends())


def _identity(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value_identity(value)) for name, value in params.items()))
