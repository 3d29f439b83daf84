"""What every trial of a search does: train a model, and measure it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.evaluation.metrics import ERRORS, check_metric
from recsys.interactions import Interactions
from recsys.interactions.matching import pair_in_rows
from recsys.models import internal
from recsys.models.factor_model import FactorModel
from recsys.models.model import Model
from recsys.models.validation import USERS, can_stop_early, held_out_lists, warn_unless_early

from .spaces import Axis, value_identity
from .study_file import fingerprint

if TYPE_CHECKING:
    from scipy import sparse

    from recsys.evaluation import HeldOut

    from .results import Trial

NAMES = ("train", "validation")  # what errors call the matrices
# Of the difference of NDCG@20 of two good settings of ImplicitALS, user by user, times the root of
# the number of users, as a share of the mean: .1 (ml-1m) to .5 (retailrocket).
STANDARD_ERROR = 1 / 2
Report = Callable[[int, float], bool]  # of an iteration's value; returns whether to stop


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
        matrices = pair_in_rows(train, validation, NAMES)
        train, validation = (
            csr.canonical(matrix, may_be_empty=True, name=name)
            for matrix, name in zip(matrices, NAMES, strict=True)
        )
        lists = None if metric in ERRORS else held_out_lists(train, validation, metric, NAMES)
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
            if name is not None and getattr(model, name) == 0:
                raise ValueError(f"{name}=0 leaves nothing to measure; expected at least 1")
        if self.min_gain and internal.iterations_name(self.model_class) is not None:
            most = internal.iterations(self.model(high), self.train)
            warn_unless_early(self.patience, most, self.validate_every)

    def model(self, params: Mapping[str, Any], num_threads: int | None = None) -> Model:
        model = self.model_class(**{**self.fixed, **params})
        if num_threads is not None:
            model.num_threads = num_threads
        return model

    def measure(
        self, params: Mapping[str, Any], num_threads: int | None, stop: Event, report: Report
    ) -> tuple[float | None, int | None]:
        """The value of a model with these parameters, and after how many iterations it has it.

        Once `stop` is set, the fit ends with its iteration, and what it returns is of no use.
        """
        model = self.model(params, num_threads)
        if not isinstance(model, FactorModel):
            model.fit(self.train, show_progress=False)
            [value] = self.lists.evaluate(model, show_progress=False).mean.values()
            return value, None

        def callback(*_: Any) -> bool:
            last = model.history[-1]
            if last.validation is None:
                return stop.is_set()
            return report(last.iteration, last.validation) or stop.is_set()

        model.fit(
            self.train,
            validation=self.validation,
            metric=self.metric,
            **self._stopping(model),
            validate_every=self.validate_every,
            callback=callback,
            show_progress=False,
        )
        measured = [entry for entry in model.history if entry.validation is not None]
        if self.patience is None:
            measured = measured[-1:]
        better = min if self.metric in ERRORS else max
        best = better(measured, key=lambda entry: entry.validation, default=None)
        return (None, None) if best is None else (best.validation, best.iteration)

    def _stopping(self, model: Model) -> dict[str, Any]:
        """When `fit` is to stop by itself; not at all where it could not."""
        iterations = internal.iterations(model, self.train)
        if self.patience is None or not can_stop_early(
            self.patience, iterations, self.validate_every
        ):
            return {}
        return {"patience": self.patience, "min_gain": self.min_gain}

    def margin(self) -> float:
        """By what share of the value of the model as it is another has to be better, as one part
        of the data is chance: so much is the standard error of the difference of two good settings
        over this many users, by and large; 0 for errors of ratings."""
        if self.lists is None:
            return 0.0
        users = int(np.count_nonzero(np.diff(self.validation.indptr)))
        return STANDARD_ERROR / math.sqrt(max(min(users, USERS), 1))

    def best_params(self, best: Trial, start: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters of that trial, with its best number of iterations. Where it is the model
        as it is, they are not what its defaults came to on the training data, as they are to be
        chosen again where there is more of it."""
        is_as_it_is = start.keys() == best.params.keys() and best.params == start
        params = self.model({} if is_as_it_is else best.params).get_params()
        if best.iterations is not None:
            model, name = self.model(params), internal.iterations_name(self.model_class)
            made = internal.iterations(model, self.train)
            params[name] = internal.iterations_to_repeat(model, best.iterations, made)
        return params

    def refitted(self, params: Mapping[str, Any], show_progress: bool) -> Model:
        union = csr.scipy_matrix(csr.merged(self.train, self.validation))
        if self.source is not None:
            union = replace(self.source, user_items=union, times=None)
        return self.model_class(**params).fit(union, show_progress=show_progress)
