"""Held-out interactions that a model is measured by while it is being trained."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr

if TYPE_CHECKING:
    from scipy import sparse

    from recsys.evaluation import HeldOut

logger = logging.getLogger("recsys")

USERS = 5000  # whose lists are looked at, at most
NAMES = ("user_items", "validation")  # of the matrices, in errors


class Validation:
    """Measures a model after some of its iterations and remembers the best one."""

    def __init__(
        self, model: Any, train: sparse.csr_array, held_out: Any, metric: str,
        patience: int | None, min_gain: float, every: int,
    ) -> None:  # fmt: skip
        self.metric, self.patience, self.min_gain, self.every = metric, patience, min_gain, every
        self.best: tuple[float, int, dict[str, Any]] | None = None  # value, iteration, state
        self.gained: float | None = None  # the value to be better than, by min_gain of it
        self.missed = 0  # validations since
        self._ratings = self._lists = None
        # not before it is asked for
        from recsys.evaluation.metrics import ERRORS

        if metric in ERRORS:
            self._ratings = model._held_out(held_out, train.dtype, train.shape)
            csr.check_apart(train, self._ratings, NAMES)
        else:
            self._lists = held_out_lists(train, held_out, metric, NAMES)

    @classmethod
    def of(
        cls, model: Any, train: sparse.csr_array, held_out: Any, metric: str | None,
        patience: int | None, min_gain: float, every: int,
    ) -> Validation | None:  # fmt: skip
        """What `fit` was asked for, checked; None if that is nothing."""
        if patience is not None:
            checks.integer("patience", patience, 1)
        checks.integer("validate_every", every, 1)
        if checks.number("min_gain", min_gain, least=0) and patience is None:
            raise ValueError(f"min_gain={min_gain} is what patience waits for: pass that as well")
        if metric is None:
            metric = model._default_metric
        elif held_out is None:
            raise ValueError(f"metric={metric!r} is measured on validation=...; pass that as well")
        if held_out is None:
            if patience is not None:
                raise ValueError(
                    f"patience={patience} goes by what was held out: pass validation=..., a matrix "
                    "of interactions that are not in user_items"
                )
            return None
        from recsys.evaluation.metrics import ERRORS, check_metric  # not before it is asked for

        check_metric(metric, model._default_metric in ERRORS)
        return cls(model, train, held_out, metric, patience, min_gain, every)

    def check_patience(self, iterations: int, before: int) -> None:
        """Say so if `patience` cannot end a fit of so many iterations, after so many before."""
        if self.patience is not None and iterations:
            warn_unless_early(self.patience, iterations, self.every, before)

    def is_due(self, iteration: int, is_last: bool) -> bool:
        return is_last or iteration % self.every == 0

    def measure(self, model: Any, iteration: int, state: dict[str, Any]) -> float:
        """The metric of a model in this state; the state is copied if it is the best so far."""
        twin = model._twin(**{**state, "_ids": None, "_prepared": {}})
        if self._lists is not None:
            [value] = self._lists.evaluate(twin, show_progress=False).mean.values()
            gain = value
        else:
            value = twin._error(self._ratings, self.metric)
            gain = -value
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{self.metric} is {value} after iteration {iteration}: training diverged. Lower "
                "learning_rate, or raise regularization"
            )
        if self.patience is not None:
            self._compare(gain, iteration, state)
        return value

    def _compare(self, gain: float, iteration: int, state: dict[str, Any]) -> None:
        if self.best is None or gain > self.best[0]:
            self.best = gain, iteration, {name: _copied(part) for name, part in state.items()}
        if self.gained is None or gain > self.gained + self.min_gain * abs(self.gained):
            self.gained, self.missed = gain, 0
        else:
            self.missed += 1

    def is_over(self) -> bool:
        return self.patience is not None and self.missed >= self.patience


def can_stop_early(patience: int, iterations: int, every: int, before: int = 0) -> bool:
    """Whether there are validations enough for `patience` to end a fit before its last iteration,
    in `iterations` after so many that were made `before`."""
    early = (before + iterations - 1) // every - before // every  # validations but the last
    return early > patience


def warn_unless_early(patience: int, iterations: int, every: int, before: int = 0) -> None:
    """Log it where that is not so."""
    if not can_stop_early(patience, iterations, every, before):
        logger.warning(
            "patience=%d cannot stop a fit of %d iterations early, measured after every %d: that "
            "takes %d measurements before the last iteration. Lower validate_every or patience, or "
            "have more iterations; the best one measured is kept in any case",
            patience, iterations, every, patience + 1,
        )  # fmt: skip


def held_out_lists(
    train: Any, held_out: Any, metric: str, names: tuple[str, str], most_users: int | None = None
) -> HeldOut:
    """What lists are measured on by a metric such as "ndcg@10"; those of `USERS` by default."""
    from recsys.evaluation import HeldOut  # not before it is asked for

    name, _, cut = metric.partition("@")
    most = USERS if most_users is None else most_users
    return HeldOut(train, held_out, name, int(cut), most_users=most, names=names)


def _copied(value: Any) -> Any:
    """Arrays that the training is going to overwrite; a named tuple holds what it does not."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return tuple(map(_copied, value)) if type(value) is tuple else value
