"""Training by epochs of stochastic gradients, whatever the entries mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from recsys import checks, csr, kernels
from recsys.models.joint import Priors
from recsys.models.training import Start, Step, check_size, seeded_start, warn

if TYPE_CHECKING:
    from scipy import sparse

    from recsys.models.features import Matched

SCHEDULES = ("deterministic", "hogwild")
_EVIDENCE = 10  # entries that weigh as much as features
_NAMES = ("_user_factors", "_item_factors", "_user_biases", "_item_biases")


def check_epochs(model: Any) -> np.dtype:
    """Check the parameters that all models trained by epochs have; returns the dtype."""
    checks.number("learning_rate", model._in_effect("learning_rate"), above=0)
    checks.integer("epochs", model.epochs, 0)
    checks.number("learning_rate_decay", model.learning_rate_decay, least=0)
    checks.choice("schedule", model.schedule, SCHEDULES)
    return check_size(model)


def bands(model: Any) -> int | None:
    """Of the kernel's grid."""
    return 0 if model.schedule == "hogwild" else None


class Gradients(Protocol):
    """What a model gives to `GradientTrainer`, beside its parameters."""

    def _engine(self, entries: sparse.csr_array, start: Start) -> Any:
        """Goes on from `start`; has a method ``learned(out)``."""

    def _epoch(self, engine: Any, rate: float, key: int) -> tuple[float, dict[str, Any]]:
        """Make an epoch; its loss, and what else `history` is told."""

    def _doubts(self, last: dict[str, Any], entries: sparse.csr_array) -> str | None:
        """What to warn of after a training whose last epoch told this."""


class GradientTrainer:
    """Trains a factor model of which an epoch takes a step for each of `entries`, less their
    `mean`, or several; see `training.Trainer` and `Gradients`. Where the model learns with
    features, in the second half of the epochs regularization draws rows to what these say, see
    `drawn_to`, which is learned after each epoch."""

    def __init__(self, model: Any, entries: sparse.csr_array, mean: float = 0.0) -> None:
        self.model, self.mean = model, mean
        self.entries = _less(entries, mean)
        self.engine: Any = None
        self.spare: Any = None

    def start(self, continues: bool, features: Mapping[str, Matched]) -> None:
        entries = self.entries
        by_side = {"users": entries, "items": kernels.transposed(entries, self.model.num_threads)}
        self.lengths = {side: np.diff(rows.indptr) for side, rows in by_side.items()}
        self.seed, self.current = seeded_start(self.model, entries.shape, entries.dtype, continues)
        if not continues:  # nothing is going to be learned of these
            self.current.users[self.lengths["users"] == 0] = 0
            self.current.items[self.lengths["items"] == 0] = 0
        self.priors = None
        if features and self.model._learns_features:
            rows = {side: (each, np.ones(each.shape[0])) for side, each in by_side.items()}
            plain = self.model.epochs // 2
            self.priors = Priors(self.model, features, rows, plain, continues)

    def state(self) -> dict[str, Any]:
        # No step makes W part of what is minimized: in the end it is the ridge of what was learned
        ridges = dict.fromkeys(self.priors.ridges()) if self.priors else {}
        learned = dict(zip(_NAMES, self.current, strict=True))
        return {**learned, "_mean": self.mean, "_ridges": ridges}

    def step(self, number: int) -> Step:
        model = self.model
        if self.engine is None:
            self.engine = model._engine(self.entries, self.current)
            self.spare = Start(*(None if a is None else np.empty_like(a) for a in self.current))
        if self.priors:
            self.priors.iterate(_by_side(self.current))
            self.engine.draw_to(
                *(drawn_to(self.priors.means(side), self.lengths[side]) for side in self.lengths)
            )
        first = model._in_effect("learning_rate")
        rate = first / (1 + model.learning_rate_decay * (number - 1))
        loss, details = model._epoch(self.engine, rate, kernels.epoch_key(self.seed, number))
        if not (math.isfinite(loss) and all_finite(self.engine.learned(self.spare))):
            raise FloatingPointError(
                f"training diverged in epoch {number}: factors grew beyond what "
                f"{self.entries.dtype} can hold. Lower learning_rate, which is {rate:g}, "
                "or regularization or init_scale if they are large"
            )
        self.current, self.spare, self.details = self.spare, self.current, details
        if self.priors:
            self.priors.learn(_by_side(self.current))
        return Step(loss, {**details, "learning_rate": rate})

    def finish(self) -> None:
        doubts = self.model._doubts(self.details, self.entries)
        if doubts:
            warn(doubts)


def drawn_to(expected: kernels.Factors | None, lengths: np.ndarray) -> kernels.Factors | None:
    """Where regularization draws rows of so many entries, with what features let expect of them.

    The more entries, the nearer to zero: what holds back the rows with most, of which nearly all
    steps are, is what others depend on in lists. For the same reason biases are drawn to zero.
    """
    if expected is None:
        return None
    share = (_EVIDENCE / (_EVIDENCE + lengths)).astype(expected.factors.dtype)
    return kernels.Factors(expected.factors * share[:, np.newaxis])


def _by_side(learned: Start) -> dict[str, kernels.Factors]:
    return {
        "users": kernels.Factors(learned.users, learned.user_biases),
        "items": kernels.Factors(learned.items, learned.item_biases),
    }


def _less(counts: sparse.csr_array, mean: float) -> sparse.csr_array:
    if not mean:
        return counts
    data = counts.data - counts.dtype.type(mean)
    return csr.assemble(data, counts.indices, counts.indptr, counts.shape)


def all_finite(learned: Start) -> bool:
    """Whether all is finite, and so are the sums of squares."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(a is None or np.isfinite(np.vdot(a, a)) for a in learned)
