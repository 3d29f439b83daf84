"""The book of a search: which trials are asked for, what came of them, and Optuna's view of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.evaluation.metrics import ERRORS

from .proposing import at_random, proposed
from .results import Trial
from .spaces import Axis

if TYPE_CHECKING:
    from optuna.study import Study

STARTUP = 5  # completed trials before one is given up by the median of their values
AT_RANDOM = 4  # trials, those of `starts` among them, before values of others count


@dataclass(frozen=True)
class Asked:
    """A trial to be made; `drawn` is what Optuna knows it as, None outside the space."""

    number: int
    params: dict[str, Any]
    drawn: Any

    def report(self, iteration: int, value: float) -> None:
        if self.drawn is not None:
            self.drawn.report(value, iteration)

    def is_hopeless(self) -> bool:
        """Whether its reports so far are below the median of the trials told of."""
        return self.drawn is not None and self.drawn.should_prune()


class Drawing:
    """Asks for trials, and tells what came of them.

    What is asked for depends on nothing but its number, the trials told of, and those asked for
    since: a search that is taken up again draws what it would have drawn.
    """

    def __init__(
        self, optuna: ModuleType, metric: str, axes: dict[str, Axis], starts: list[dict[str, Any]],
        seed: int,
    ) -> None:  # fmt: skip
        self.optuna, self.axes, self.starts, self.seed = optuna, axes, starts, seed
        self.study = _new_study(optuna, metric)
        self.sign = -1 if metric in ERRORS else 1
        self.distributions = {name: axis.distribution for name, axis in axes.items()}
        self.told: list[Trial] = []
        self.pending: dict[int, dict[str, Any]] = {}  # by number

    def ask(self, number: int, params: dict[str, Any] | None = None) -> Asked:
        """The trial of that number, with these parameters if it was made before."""
        params = self._params(number) if params is None else params
        self.pending[number] = params
        if not all(self.axes[name].holds(value) for name, value in params.items()):
            return Asked(number, params, None)
        labels = {name: self.axes[name].label(value) for name, value in params.items()}
        self.study.enqueue_trial(labels)
        return Asked(number, params, self.study.ask(self.distributions))

    def _params(self, number: int) -> dict[str, Any]:
        """Of the starts the first may leave some parameters to chance."""
        random = np.random.default_rng([self.seed, number])
        if number < len(self.starts):
            return {**at_random(self.axes, random), **self.starts[number]}
        if number < AT_RANDOM:
            return at_random(self.axes, random)
        return proposed(self.axes, self.told, list(self.pending.values()), self.sign, random)

    def tell(self, asked: Asked, trial: Trial | None) -> None:
        """What came of it; None if it was not made. Validations are reported that were not while it
        was trained, as it was not now."""
        states = self.optuna.trial.TrialState
        self.pending.pop(asked.number, None)
        if trial is not None:
            self.told.append(trial)
        if asked.drawn is None:
            return
        if trial is None:
            self.study.tell(asked.drawn, state=states.FAIL)
            return
        known = self.study.get_trials(deepcopy=False)[asked.drawn.number].intermediate_values
        for iteration in trial.validations.keys() - known.keys():
            asked.report(iteration, trial.validations[iteration])
        if trial.state == "sampled":
            asked.report(0, trial.on_sample)  # tells less than any iteration on all users
        if trial.state == "complete":
            self.study.tell(asked.drawn, trial.value)
        else:
            self.study.tell(asked.drawn, state=states.PRUNED)


def _new_study(optuna: ModuleType, metric: str) -> Study:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would say that there is a study
    try:
        return optuna.create_study(
            direction="minimize" if metric in ERRORS else "maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
        )
    finally:
        optuna.logging.set_verbosity(before)
