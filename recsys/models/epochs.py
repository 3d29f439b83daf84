"""Training by epochs of stochastic gradients, whatever the entries mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, kernels
from recsys.models.base import Callback, Iteration, Step
from recsys.models.candidates import Seen
from recsys.models.factor_model import FactorModel
from recsys.models.training import check_callback, drawn_factors, goes_on

if TYPE_CHECKING:
    from scipy import sparse

SCHEDULES = ("deterministic", "hogwild")
_NAMES = ("_user_factors", "_item_factors", "_user_biases", "_item_biases")

# X, Y, user biases and item biases; None where there are no such biases
Learned = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]
Judge = Callable[[dict[str, Any]], dict[str, Any]]


class EpochModel(FactorModel):
    """A factor model of which an epoch takes a step for each entry, or several."""

    factors: int
    learning_rate: float
    epochs: int
    learning_rate_decay: float
    schedule: str
    init_scale: float
    random_state: Any

    # ---- what a model of this kind provides ----------------------------------------------------

    def _check_parameters(self) -> np.dtype:
        raise NotImplementedError

    def _with_biases(self) -> tuple[bool, bool]:
        """Whether there are user and item biases."""
        raise NotImplementedError

    def _mean_of(self, counts: sparse.csr_array) -> float:
        """What all scores have in common."""
        return 0.0

    def _entries(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Those that steps are taken for."""
        return counts

    def _training(self, counts: sparse.csr_array, start: Learned) -> Any:
        """A training in progress, with a method ``learned(out)``; `counts`: the entries, less the
        mean."""
        raise NotImplementedError

    def _epoch(self, training: Any, rate: float, key: int) -> tuple[float, dict[str, Any]]:
        """Make an epoch; its loss, and what else `history` is told."""
        raise NotImplementedError

    # ---- training ------------------------------------------------------------------------------

    def _check_epochs(self) -> np.dtype:
        """Check the parameters that all such models have; returns the dtype."""
        checks.integer("factors", self.factors, 1)
        checks.number("learning_rate", self.learning_rate, above=0)
        checks.integer("epochs", self.epochs, 0)
        checks.number("learning_rate_decay", self.learning_rate_decay, least=0)
        checks.choice("schedule", self.schedule, SCHEDULES)
        checks.number("init_scale", self.init_scale, above=0)
        checks.integer("num_threads", self.num_threads, 0)
        checks.random_state(self.random_state)
        return checks.floating_dtype(self.dtype)

    def _bands(self) -> int | None:
        """Of the kernel's grid."""
        return 0 if self.schedule == "hogwild" else None

    def _fit(
        self,
        counts: sparse.csr_array,
        callback: Callback | None,
        show_progress: bool,
        warm_start: bool,
        judge: Judge = lambda state: {},
    ) -> None:
        """What `fit` does with `counts`, checked; ``judge(state)`` adds to `history`."""
        check_callback(callback)
        dtype = counts.dtype
        warm_start = goes_on(self, warm_start, counts.shape, self.factors, dtype)
        random = checks.random_generator(self.random_state)
        seed = int(random.integers(2**64, dtype=np.uint64))  # first: the same for a warm start
        if warm_start:
            start = self._present(dtype)
        else:
            factors = drawn_factors(random, counts.shape, self.factors, self.init_scale, dtype)
            entries = self._entries(counts)
            factors[0][np.diff(entries.indptr) == 0] = 0  # nothing is going to be learned of them
            factors[1][np.bincount(entries.indices, minlength=counts.shape[1]) == 0] = 0
            start = *factors, *self._own_biases(counts.shape, (None, None), dtype)
        seen = Seen.of(counts)
        try:
            history = self.history if warm_start else []
            self._train(counts, seen, start, seed, judge, history, callback, show_progress)
        finally:
            if self._seen is seen:
                self._seen = seen.copied(dtype)

    def _present(self, dtype: np.dtype) -> Learned:
        """The model's own, copied; ValueError if it has biases that it is not to have."""
        factors = self._user_factors.astype(dtype), self._item_factors.astype(dtype)
        biases = self._user_biases, self._item_biases
        if any(
            own is not None and not has
            for own, has in zip(biases, self._with_biases(), strict=True)
        ):
            raise ValueError(
                "cannot continue from a model with biases without them: fit with "
                "warm_start=False to start fresh, or set_params back"
            )
        return *factors, *self._own_biases((len(factors[0]), len(factors[1])), biases, dtype)

    def _own_biases(
        self, shape: tuple[int, int], present: tuple[np.ndarray | None, ...], dtype: np.dtype
    ) -> tuple[np.ndarray | None, ...]:
        """Copies of those present, zeros for others, None where there are to be none."""
        wanted = zip(self._with_biases(), shape, present, strict=True)
        return tuple(
            None if not has else np.zeros(count, dtype) if own is None else own.astype(dtype)
            for has, count, own in wanted
        )

    def _train(
        self,
        counts: sparse.csr_array,
        seen: Seen,
        current: Learned,
        seed: int,
        judge: Judge,
        history: list[Iteration],
        callback: Callback | None,
        show_progress: bool,
    ) -> None:
        """Make epochs from `current`, arrays of our own."""
        common = {"_seen": seen, "_mean": self._mean_of(counts)}
        if self.epochs == 0:
            self._publish({**_state(current), **common}, history)
            return
        training = self._training(_less(self._entries(counts), common["_mean"]), current)
        spare = tuple(None if own is None else np.empty_like(own) for own in current)

        def step() -> Step:
            nonlocal current, spare
            number = len(history) + 1
            rate = self.learning_rate / (1 + self.learning_rate_decay * (number - 1))
            loss, details = self._epoch(training, rate, kernels.epoch_key(seed, number))
            if not (math.isfinite(loss) and _all_finite(training.learned(spare))):
                raise FloatingPointError(
                    f"training diverged in epoch {number}: factors grew beyond what "
                    f"{counts.dtype} can hold. Lower learning_rate, which is {rate:g}, or "
                    "regularization or init_scale if they are large"
                )
            current, spare = spare, current
            state = {**_state(current), **common}
            return Step(state, loss, {**details, **judge(state), "learning_rate": rate})

        self._iterate(step, self.epochs, history, callback, show_progress)


def _less(counts: sparse.csr_array, mean: float) -> sparse.csr_array:
    if not mean:
        return counts
    data = counts.data - counts.dtype.type(mean)
    return checks.assemble(data, counts.indices, counts.indptr, counts.shape)


def _all_finite(learned: Learned) -> bool:
    """Whether all is finite, and so are the sums of squares."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(own is None or np.isfinite(np.vdot(own, own)) for own in learned)


def _state(learned: Learned) -> dict[str, Any]:
    """In terms of FactorModel's attributes."""
    return dict(zip(_NAMES, learned, strict=True))
