"""`tune`: trials, each a model that is trained and measured, until there are enough."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

from recsys import checks
from recsys.models.model import Model
from recsys.progress import progress_bar

from .drawing import Drawing
from .measuring import Measuring
from .results import Trial, TuningResult, best_of
from .spaces import Axis, axes_of, corners_of, start_of, value_identity
from .study_file import StudyFile
from .task import Task

logger = logging.getLogger("recsys")


def tune(
    model_class: type[Model],
    train: Any,
    validation: Any,
    *,
    space: str | Mapping[str, Any] = "default",
    trials: int = 50,
    metric: str | None = None,
    fixed: Mapping[str, Any] | None = None,
    patience: int | None = 3,
    min_gain: float = 0.0,
    validate_every: int = 5,
    prune: bool = True,
    timeout: float | None = None,
    study: str | os.PathLike | None = None,
    random_state: int = 0,
    refit: bool = True,
    callback: Callable[[Trial], object] | None = None,
    show_progress: bool = True,
) -> TuningResult:
    """Look for the parameters with which a model trained on `train` is best on `validation`.

    The very first trial is the model with its own defaults, so that tuning does not lose to not
    tuning; in a space of your own, with those that lie in it. The next three are drawn at random;
    those of `ImplicitALS` have w0 and lambda in the directions from the defaults in which other
    data had their best. Each one after that has, of a thousand candidates in the whole space and
    near the best, the parameters from which most is expected to be gained by the values of those
    before: a Gaussian process through these and its expected improvement (Snoek et al. 2012). What
    was tried before is not trained again: it is in the table once more, in no time. A trial counts
    with its best iteration. It is given up ("pruned") where, after five that were completed, its
    best value so far is below the median of theirs at the same iteration.

    Which of two good settings is better on one part of the data is largely chance. So the defaults
    stay the best, where lists are measured, unless another trial's value is higher by a share of
    ``1 / (2 sqrt(n))``, n being the users with held-out entries, at most 5,000: 1 % of 2,500 users.
    That is about a standard error of the difference.

    Where models of factors are small (entries x factors up to 30 million), four trials at a time
    are drawn, from the values of those before the four, and made side by side in as many threads
    as there are, at most four. Where there are 300,000 entries, each setting of `ImplicitALS` first
    makes three iterations on a fourth of the users, and learns all of them only if it is the first
    or among the best sixth so far; the others are left at that ("sampled"). The second to fourth
    trials learn all at once. As fewer users are noisier, lambda is larger on a part, by as much as
    the lambda that `ImplicitALS` takes from the data. That takes a `regularization_exponent` of 1,
    as in the default space, or a `regularization` left to the data: another lambda means something
    else on a part of the users.
    All this goes by the data alone: trials and values are the same with any number of threads.

    Parameters
    ----------
    model_class : type
        Such as `recsys.ImplicitALS`.
    train, validation : scipy sparse matrix or array, n_users x n_items, or Interactions
        As `fit` takes them: what models are trained on, and what was held out of it. Of
        Interactions the model that is found speaks their ids.
    space : "default" or dict, default "default"
        `SPACES` of the model, without what is in `fixed`; or parameter -> one of

        - ``(low, high)``: a number from low to high, to begin with each as likely; an integer
          where the model's own default is one
        - ``(low, high, "log")``: the same with each logarithm as likely, 0 < low
        - a list: one of these, of any type
        - an optuna distribution.
    trials : int, default 50
        How many there are to be, with those of a study file.
    metric : str, default "ndcg@10", of models of ratings "rmse"
        See `fit` of a model with iterations.
    fixed : dict, optional
        Parameters that all models have; the others are left at their defaults. What takes time in
        proportion (factors, most iterations, negatives of LogisticMF) is in no default space, and
        belongs here.
    patience, min_gain, validate_every : default 3, 0.0 and 5
        See `fit`; models without iterations have no use for them. With None all iterations are
        made, and the last one counts. A trial ends early only if it has more iterations than
        ``validate_every * (patience + 1)``.
    prune : bool, default True
        False: no trial is given up, and none is made on a part of the users first.
    timeout : float, optional
        Begin no further trial after so many seconds, > 0, but the first.
    study : str or path, optional
        A JSON file that is written after each trial. If it is there already, the search goes on
        from its trials, and finds what it would have found in one go. All that decides on values
        must then be as it was: model, data, space, metric, fixed, patience, min_gain,
        validate_every, prune and random_state. One program at a time.
    random_state : int, default 0
        Seed of the search, and `random_state` of every model unless `fixed` has one. The same one
        gives the same trials.
    refit : bool, default True
        Train the best model again on `train` and `validation` together, for as many iterations as
        were best.
    callback : callable, optional
        ``callback(trial)`` after each `Trial`. Returning a true value ends the search.
    show_progress : bool, default True
        Show a progress bar where the output is a terminal or a notebook.

    Returns
    -------
    TuningResult

    Raises
    ------
    ImportError
        Optuna, for pruning and `study`, is not installed: ``pip install 'recsys-engine[tune]'``.
    TypeError, ValueError
        A parameter, the space or a matrix is not as described; the study file is of another
        search. Or whatever `fit` raises, but:
    FloatingPointError
        Every trial diverged. One that does, while others do not, is in the table only.
    KeyboardInterrupt
        Ctrl-C before any trial was completed. Later it ends the search: trials under way are
        forgotten, and what was found before is refitted and returned. Press it again to prevent
        that; the study file is there in any case.

    References
    ----------
    K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization", AISTATS 2016.
    J. Snoek, H. Larochelle, R. Adams, "Practical Bayesian Optimization of Machine Learning
    Algorithms", NIPS 2012.
    T. Akiba, S. Sano, T. Yanase, T. Ohta, M. Koyama, "Optuna: A Next-generation Hyperparameter
    Optimization Framework", KDD 2019.
    """
    optuna = _optuna()
    checks.integer("trials", trials, 1)
    for name, value in (("prune", prune), ("refit", refit)):
        checks.flag(name, value)
    if timeout is not None:
        checks.number("timeout", timeout, above=0)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of a trial; got {callback!r}")
    task = Task.of(
        model_class,
        train,
        validation,
        metric,
        {} if fixed is None else fixed,
        patience,
        min_gain,
        validate_every,
        random_state,
    )
    axes = axes_of(model_class, space, task.fixed)
    task.check(axes)
    settings = {"random_state": random_state, "prune": prune, **task.settings()}
    settings["space"] = _space_as_json(optuna, axes)
    file = None if study is None else StudyFile(Path(study), settings, axes)
    start = start_of(task.model({}), space, axes, task.train)
    starts = [start, *corners_of(model_class, space, axes, start)]
    drawing = Drawing(optuna, task.metric, axes, starts, random_state)
    margin = task.margin() if start.keys() == axes.keys() else 0.0
    search = Search(drawing, Measuring(task, axes, prune), file, margin)
    search.run(trials, timeout, callback, show_progress)
    best = best_of(search.trials, task.metric, margin)
    params = task.best_params(best, start)
    model = task.refitted(params, show_progress) if refit else None
    return TuningResult(
        model, params, best.value, task.metric, search.trials, axes, margin, drawing.study
    )


class Search:
    """The trials so far, and the making of further ones."""

    def __init__(
        self, drawing: Drawing, measuring: Measuring, file: StudyFile | None, margin: float
    ) -> None:
        self.drawing, self.measuring, self.file, self.margin = drawing, measuring, file, margin
        self.task = measuring.task
        self.trials: list[Trial] = [] if file is None else file.read()
        self.told = 0  # of these; the last ones of a file wait for the rest of their batch

    def run(
        self,
        trials: int,
        timeout: float | None,
        callback: Callable[[Trial], object] | None,
        show_progress: bool,
    ) -> None:
        """Make trials until there are so many, or until something else ends the search."""
        name, done = self.task.model_class.__name__, len(self.trials)
        ends = math.inf if timeout is None else time.monotonic() + timeout
        try:
            with (
                progress_bar(show_progress, total=trials, initial=done, desc=name) as bar,
                closing(self._made(trials, lambda: time.monotonic() > ends)) as made,
            ):
                for trial in made:
                    bar.set_postfix(self._postfix(), refresh=False)
                    bar.update()
                    if callback and callback(trial):
                        break
        except KeyboardInterrupt:
            if not self._completed():
                raise
            logger.warning("interrupted: the search ends after %d trials", len(self.trials))
        if not self._completed():
            raise FloatingPointError(
                f"training diverged in all of {len(self.trials)} trials: lower learning_rate, or "
                "raise regularization, in space or fixed"
            )

    def _made(self, trials: int, is_late: Callable[[], bool]) -> Generator[Trial]:
        """Each new trial, when it is among `self.trials` and in the file."""
        before = len(self.trials)
        while self.told < max(trials, len(self.trials)):
            if len(self.trials) > before and is_late():
                return
            end = min(self.told + self.measuring.batch, max(trials, len(self.trials)))
            stored = self.trials[self.told : end]
            asked = [self.drawing.ask(self.told + at, t.params) for at, t in enumerate(stored)]
            asked += [self.drawing.ask(number) for number in range(self.told + len(stored), end)]
            new = self.measuring.trials(asked[len(stored) :], list(self.trials), is_late)
            try:
                with closing(new):
                    for trial in new:
                        self._keep(trial)
                        yield trial
            finally:
                for each in asked:
                    came = self.trials[each.number : each.number + 1]
                    self.drawing.tell(each, came[0] if came else None)
            if len(self.trials) < end:
                return
            self.told = end

    def _keep(self, trial: Trial) -> None:
        self.trials.append(trial)
        if self.file is not None:
            self.file.write(self.trials)
        logger.info("%s: %s", self.task.model_class.__name__, trial)

    def _completed(self) -> bool:
        return any(trial.state == "complete" for trial in self.trials)

    def _postfix(self) -> dict[str, str]:
        if not self._completed():
            return {}
        return {
            self.task.metric: f"{best_of(self.trials, self.task.metric, self.margin).value:.6g}"
        }


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError:
        raise ImportError("tune needs optuna: pip install 'recsys-engine[tune]'") from None
    return optuna


def _space_as_json(optuna: ModuleType, axes: Mapping[str, Axis]) -> dict[str, Any]:
    """A space as JSON can hold it."""
    as_json = optuna.distributions.distribution_to_json
    space = {name: json.loads(as_json(axis.distribution)) for name, axis in axes.items()}
    for name, axis in axes.items():
        if axis.choices is not None:
            space[name]["choices"] = [value_identity(choice) for choice in axis.choices]
    return space
