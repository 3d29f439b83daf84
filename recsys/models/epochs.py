"""Training by epochs of stochastic gradients, whatever the entries mean."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, csr, kernels
from recsys.models.base import NumericalWarning, Step
from recsys.models.training import IterativeModel, Start

if TYPE_CHECKING:
    from scipy import sparse

SCHEDULES = ("deterministic", "hogwild")
_NAMES = ("_user_factors", "_item_factors", "_user_biases", "_item_biases")


class Steps(NamedTuple):
    """What there are steps for: the entries, less the mean."""

    entries: sparse.csr_array
    mean: float


class EpochModel(IterativeModel):
    """A factor model of which an epoch takes a step for each entry, or several."""

    learning_rate: float
    epochs: int
    learning_rate_decay: float
    schedule: str

    # ---- what a model of this kind provides ----------------------------------------------------

    def _mean_of(self, counts: sparse.csr_array) -> float:
        """What all scores have in common."""
        return 0.0

    def _entries(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Those that steps are taken for."""
        return counts

    def _engine(self, entries: sparse.csr_array, start: Start) -> Any:
        """Goes on from `start`; has a method ``learned(out)``."""
        raise NotImplementedError

    def _epoch(self, engine: Any, rate: float, key: int) -> tuple[float, dict[str, Any]]:
        """Make an epoch; its loss, and what else `history` is told."""
        raise NotImplementedError

    def _doubts(self, last: dict[str, Any], entries: sparse.csr_array) -> str | None:
        """What to warn of after a training whose last epoch told this."""
        return None

    # ---- training ------------------------------------------------------------------------------

    def _check_epochs(self) -> np.dtype:
        """Check the parameters that all such models have; returns the dtype."""
        checks.number("learning_rate", self._in_effect("learning_rate"), above=0)
        checks.integer("epochs", self.epochs, 0)
        checks.number("learning_rate_decay", self.learning_rate_decay, least=0)
        checks.choice("schedule", self.schedule, SCHEDULES)
        return self._check_size()

    def _bands(self) -> int | None:
        """Of the kernel's grid."""
        return 0 if self.schedule == "hogwild" else None

    def _iterations(self) -> int:
        return self.epochs

    def _problem(self, counts: sparse.csr_array) -> Steps:
        mean = self._mean_of(counts)
        return Steps(_less(self._entries(counts), mean), mean)

    def _training(self, problem: Steps, shape: tuple[int, int], continues: bool) -> EpochTraining:
        return EpochTraining(self, problem, shape, continues)


class EpochTraining:
    """Training an `EpochModel`; see `Training`."""

    def __init__(
        self, model: EpochModel, problem: Steps, shape: tuple[int, int], continues: bool
    ) -> None:
        self.model, self.problem = model, problem
        self.engine: Any = None
        self.spare: Any = None
        entries = problem.entries
        self.seed, self.current = model._seeded_start(shape, entries.dtype, continues)
        if not continues:  # nothing is going to be learned of these
            self.current[0][np.diff(entries.indptr) == 0] = 0
            self.current[1][np.bincount(entries.indices, minlength=shape[1]) == 0] = 0

    def state(self) -> dict[str, Any]:
        return {**dict(zip(_NAMES, self.current, strict=True)), "_mean": self.problem.mean}

    def step(self, number: int) -> Step:
        model = self.model
        if self.engine is None:
            self.engine = model._engine(self.problem.entries, self.current)
            self.spare = tuple(None if own is None else np.empty_like(own) for own in self.current)
        first = model._in_effect("learning_rate")
        rate = first / (1 + model.learning_rate_decay * (number - 1))
        loss, details = model._epoch(self.engine, rate, kernels.epoch_key(self.seed, number))
        if not (math.isfinite(loss) and _all_finite(self.engine.learned(self.spare))):
            raise FloatingPointError(
                f"training diverged in epoch {number}: factors grew beyond what "
                f"{self.problem.entries.dtype} can hold. Lower learning_rate, which is {rate:g}, "
                "or regularization or init_scale if they are large"
            )
        self.current, self.spare, self.told = self.spare, self.current, details
        return Step(self.state(), loss, {**details, "learning_rate": rate})

    def finish(self) -> None:
        doubts = self.model._doubts(self.told, self.problem.entries)
        if doubts:
            warnings.warn(doubts, NumericalWarning, stacklevel=4)


def _less(counts: sparse.csr_array, mean: float) -> sparse.csr_array:
    if not mean:
        return counts
    data = counts.data - counts.dtype.type(mean)
    return csr.assemble(data, counts.indices, counts.indptr, counts.shape)


def _all_finite(learned: Start) -> bool:
    """Whether all is finite, and so are the sums of squares."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(own is None or np.isfinite(np.vdot(own, own)) for own in learned)
