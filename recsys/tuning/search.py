"""`tune`: one trial after the other, each a model that is trained and measured."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.evaluation.metrics import ERRORS, check_metric
from recsys.interactions import Interactions
from recsys.interactions.matching import pair_in_rows
from recsys.models import NumericalWarning, internal
from recsys.models.factor_model import FactorModel
from recsys.models.model import Model
from recsys.models.validation import held_out_lists
from recsys.progress import progress_bar

from .results import Trial, TuningResult, best_of
from .spaces import Axis, axes_of, corners_of, start_of, value_identity
from .study_file import StudyFile, fingerprint

if TYPE_CHECKING:
    from optuna.study import Study
    from scipy import sparse

    from recsys.evaluation import HeldOut

logger = logging.getLogger("recsys")

_NAMES = ("train", "validation")  # what errors call the matrices
STARTUP = 5  # trials before the values of others count, for drawing and for giving up
Report = Callable[[int, float], bool]  # of an iteration's value; returns whether to stop


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

    Trials are drawn by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), from the
    values of those before; the first five at random. The very first is the model with its own
    defaults, so that tuning does not lose to not tuning; in a space of your own, with those that
    lie in it. Those after it, of `ImplicitALS`, are settings that were good on other data. What was
    tried before is not trained again: it is in the table once more, in no time. A trial counts with
    its best iteration. It is given up ("pruned") where, after five that were completed, its best
    value so far is below the median of theirs at the same iteration.

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
        made, and the last one counts.
    prune : bool, default True
        False: no trial is given up.
    timeout : float, optional
        Begin no further trial after so many seconds, > 0, but the first.
    study : str or path, optional
        A JSON file that is written after each trial. If it is there already, the search goes on
        from its trials, and finds what it would have found in one go. All that decides on values
        must then be as it was: model, data, space, metric, fixed, patience, min_gain,
        validate_every, prune and random_state. One program at a time.
    random_state : int, default 0
        Seed of the search, and `random_state` of every model unless `fixed` has one. The same one
        gives the same trials, with the same version of Optuna.
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
        Optuna is not installed: ``pip install 'recsys-engine[tune]'``.
    TypeError, ValueError
        A parameter, the space or a matrix is not as described; the study file is of another
        search. Or whatever `fit` raises, but:
    FloatingPointError
        Every trial diverged. One that does, while others do not, is in the table only.
    KeyboardInterrupt
        Ctrl-C before any trial was completed. Later it ends the search: the trial under way is
        forgotten, and what was found before is refitted and returned. Press it again to prevent
        that; the study file is there in any case.

    References
    ----------
    J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, "Algorithms for Hyper-Parameter Optimization",
    NIPS 2011.
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
    starts = [start, *corners_of(model_class, space, axes)]
    search = Search(optuna, task, axes, starts, random_state, prune, file)
    search.run(trials, timeout, callback, show_progress)
    best = best_of(search.trials, task.metric)
    params = task.best_params(best)
    model = task.refitted(params, show_progress) if refit else None
    return TuningResult(model, params, best.value, task.metric, search.trials, axes, search.study)


@dataclass(frozen=True)
class Task:
    """What every trial does."""

    model_class: type[Model]
    train: sparse.csr_array
    validation: sparse.csr_array
    metric: str
    fixed: dict[str, Any]
    patience: int | None
    min_gain: float
    validate_every: int
    lists: HeldOut | None  # of errors of ratings there are none
    source: Interactions | None  # what `train` came from, if it had ids

    @classmethod
    def of(
        cls, model_class: type[Model], train: Any, validation: Any, metric: str | None,
        fixed: Mapping[str, Any], patience: int | None, min_gain: float, validate_every: int,
        random_state: int,
    ) -> Task:  # fmt: skip
        """What `tune` was asked for, checked."""
        if not isinstance(model_class, type) or not issubclass(model_class, Model):
            raise TypeError(
                "model_class must be the class of a model, such as recsys.ImplicitALS, with its "
                f"parameters in fixed={{...}}; got {model_class!r}"
            )
        if not isinstance(fixed, Mapping):
            raise TypeError(f"fixed must be a dictionary, parameter -> value; got {fixed!r}")
        internal.check_names(model_class, fixed)
        if patience is not None:
            checks.integer("patience", patience, 1)
        if checks.number("min_gain", min_gain, least=0) and patience is None:
            raise ValueError(f"min_gain={min_gain} is what patience waits for: pass that as well")
        checks.integer("validate_every", validate_every, 1)
        checks.integer("random_state", random_state, 0)
        if metric is None:
            metric = internal.default_metric(model_class)
        check_metric(metric, internal.default_metric(model_class) in ERRORS)
        drawn = "random_state" in internal.parameter_names(model_class)
        seed = {"random_state": random_state} if drawn else {}
        source = train if isinstance(train, Interactions) else None
        matrices = pair_in_rows(train, validation, _NAMES)
        train, validation = (
            csr.canonical(matrix, may_be_empty=True, name=name)
            for matrix, name in zip(matrices, _NAMES, strict=True)
        )
        lists = None if metric in ERRORS else held_out_lists(train, validation, metric, _NAMES)
        return cls(
            model_class,
            train,
            validation,
            metric,
            {**seed, **fixed},
            patience,
            min_gain,
            validate_every,
            lists,
            source,
        )

    def settings(self) -> dict[str, Any]:
        """What the trials have in common, for a file."""
        return {
            "model_class": self.model_class.__name__,
            "metric": self.metric,
            "fixed": {name: value_identity(self.fixed[name]) for name in sorted(self.fixed)},
            "patience": self.patience,
            "min_gain": self.min_gain,
            "validate_every": self.validate_every,
            "train": fingerprint(self.train),
            "validation": fingerprint(self.validation),
        }

    def check(self, axes: Mapping[str, Axis]) -> None:
        """ValueError or TypeError if an end of the space, or a choice, is not for this model."""
        low, high = ({name: axis.ends()[end] for name, axis in axes.items()} for end in (0, 1))
        others = [
            {**low, name: choice} for name, axis in axes.items() for choice in axis.choices or ()
        ]
        for params in (low, high, *others):
            model = self.model(params)
            internal.check_parameters(model)
            name = internal.iterations_name(self.model_class)
            if name is not None and not getattr(model, name):
                raise ValueError(f"{name}=0 leaves nothing to measure; expected at least 1")

    def model(self, params: Mapping[str, Any]) -> Model:
        return self.model_class(**{**self.fixed, **params})

    def measure(self, params: Mapping[str, Any], report: Report) -> tuple[float, int | None]:
        """The value of a model with these parameters, and after how many iterations it has it."""
        model = self.model(params)
        if not isinstance(model, FactorModel):
            model.fit(self.train, show_progress=False)
            [value] = self.lists.evaluate(model, show_progress=False).mean.values()
            return value, None

        def callback(*_: Any) -> bool:
            last = model.history[-1]
            return last.validation is not None and report(last.iteration, last.validation)

        model.fit(
            self.train,
            validation=self.validation,
            metric=self.metric,
            patience=self.patience,
            min_gain=self.min_gain,
            validate_every=self.validate_every,
            callback=callback,
            show_progress=False,
        )
        number = model.best_iteration or len(model.history)
        return model.history[number - 1].validation, number

    def best_params(self, best: Trial) -> dict[str, Any]:
        """All parameters of that trial, with its best number of iterations."""
        params = self.model(best.params).get_params()
        if best.iterations is not None:
            params[internal.iterations_name(self.model_class)] = best.iterations
        return params

    def refitted(self, params: Mapping[str, Any], show_progress: bool) -> Model:
        union = csr.scipy_matrix(csr.merged(self.train, self.validation))
        if self.source is not None:
            union = replace(self.source, user_items=union, times=None)
        return self.model_class(**params).fit(union, show_progress=show_progress)


class Search:
    """The trials so far, and the drawing of further ones."""

    def __init__(
        self, optuna: ModuleType, task: Task, axes: dict[str, Axis], starts: list[dict[str, Any]],
        seed: int, prune: bool, file: StudyFile | None,
    ) -> None:  # fmt: skip
        self.optuna, self.task, self.axes, self.starts = optuna, task, axes, starts
        self.seed, self.prune, self.file = seed, prune, file
        self.trials: list[Trial] = [] if file is None else file.read()
        self.study = _new_study(optuna, task.metric)
        self.distributions = {name: axis.distribution for name, axis in axes.items()}
        for trial in self.trials:
            if self._is_inside(trial.params):
                self.study.add_trial(self._frozen(trial))

    def run(
        self,
        trials: int,
        timeout: float | None,
        callback: Callable[[Trial], object] | None,
        show_progress: bool,
    ) -> None:
        """Make trials until there are so many, or until something else ends the search."""
        began, name = time.monotonic(), self.task.model_class.__name__
        try:
            done = len(self.trials)
            with progress_bar(show_progress, total=trials, initial=done, desc=name) as bar:
                while len(self.trials) < trials:
                    trial = self._make_one()
                    bar.set_postfix(self._postfix(), refresh=False)
                    bar.update()
                    late = timeout is not None and time.monotonic() - began > timeout
                    if (callback and callback(trial)) or late:
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

    def _make_one(self) -> Trial:
        if not self.trials and not self._is_inside(self.starts[0]):
            trial = self._measured(self.starts[0], None)  # of which Optuna cannot be told
        else:
            trial = self._make_drawn()
        self.trials.append(trial)
        if self.file is not None:
            self.file.write(self.trials)
        logger.info("%s: %s", self.task.model_class.__name__, trial)
        return trial

    def _make_drawn(self) -> Trial:
        drawn = self._ask()
        params = {name: axis.value(drawn.params[name]) for name, axis in self.axes.items()}
        try:
            trial = self._measured(params, drawn)
        except BaseException:
            self.study.tell(drawn, state=self.optuna.trial.TrialState.FAIL)
            raise
        if trial.state == "complete":
            self.study.tell(drawn, trial.value)
        else:  # To the sampler, a trial that diverged is a bad one as well.
            self.study.tell(drawn, state=self.optuna.trial.TrialState.PRUNED)
        return trial

    def _is_inside(self, params: Mapping[str, Any]) -> bool:
        return all(self.axes[name].holds(value) for name, value in params.items())

    def _ask(self) -> Any:
        number = len(self.trials)
        # A seed for each trial: a search that is taken up again draws what it would have drawn.
        [seed] = np.random.SeedSequence([self.seed, number]).generate_state(1)
        self.study.sampler = self.optuna.samplers.TPESampler(
            n_startup_trials=STARTUP, seed=int(seed)
        )
        if number < len(self.starts):
            start = self.starts[number]
            self.study.enqueue_trial({n: self.axes[n].label(v) for n, v in start.items()})
        return self.study.ask(self.distributions)

    def _measured(self, params: dict[str, Any], drawn: Any) -> Trial:
        """What comes of these parameters, reported to a trial of Optuna if there is one."""
        same = self._made_before(params)
        if same is not None:
            for iteration, value in same.validations.items():
                drawn.report(value, iteration)
            return same._replace(number=len(self.trials), seconds=0.0)
        validations: dict[int, float] = {}
        state, value, iterations = "complete", None, None

        def report(iteration: int, value: float) -> bool:
            nonlocal state
            validations[iteration] = value
            if drawn is not None:
                drawn.report(value, iteration)
                if self.prune and drawn.should_prune():
                    state = "pruned"
            return state == "pruned"

        began = time.perf_counter()
        try:
            value, iterations = self.task.measure(params, report)
        except (FloatingPointError, NumericalWarning) as error:  # a warning where it is an error
            state = "diverged"
            logger.warning("trial %d with %s: %s", len(self.trials), params, error)
        seconds = time.perf_counter() - began
        return Trial(len(self.trials), params, value, iterations, seconds, state, validations)

    def _made_before(self, params: dict[str, Any]) -> Trial | None:
        """An earlier trial with the same parameters."""
        wanted = _identities(params)
        return next((trial for trial in self.trials if _identities(trial.params) == wanted), None)

    def _frozen(self, trial: Trial) -> Any:
        """A trial of a file, as Optuna remembers it."""
        states = self.optuna.trial.TrialState
        done = trial.state == "complete"
        return self.optuna.trial.create_trial(
            state=states.COMPLETE if done else states.PRUNED,
            value=trial.value if done else None,
            params={name: self.axes[name].label(value) for name, value in trial.params.items()},
            distributions=self.distributions,
            intermediate_values=trial.validations,
        )

    def _completed(self) -> bool:
        return any(trial.state == "complete" for trial in self.trials)

    def _postfix(self) -> dict[str, str]:
        if not self._completed():
            return {}
        return {self.task.metric: f"{best_of(self.trials, self.task.metric).value:.6g}"}


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError:
        raise ImportError("tune needs optuna: pip install 'recsys-engine[tune]'") from None
    return optuna


def _identities(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: value_identity(value) for name, value in params.items()}


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


def _space_as_json(optuna: ModuleType, axes: Mapping[str, Axis]) -> dict[str, Any]:
    """A space as JSON can hold it."""
    as_json = optuna.distributions.distribution_to_json
    space = {name: json.loads(as_json(axis.distribution)) for name, axis in axes.items()}
    for name, axis in axes.items():
        if axis.choices is not None:
            space[name]["choices"] = [value_identity(choice) for choice in axis.choices]
    return space
