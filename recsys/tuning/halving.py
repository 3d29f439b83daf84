"""A part of the users, with whom a search sees sooner which trials are worth training on all.

Successive halving (Jamieson, Talwalkar, AISTATS 2016) in two rungs, as ASHA (Li et al., MLSys 2020)
decides: by the trials that came before, so that a search can be taken up again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.models import ImplicitALS
from recsys.models.validation import held_out_lists
from recsys.models.weights import Parameters

from .results import Trial
from .spaces import Axis
from .task import NAMES, Task

if TYPE_CHECKING:
    from scipy import sparse

    from recsys.evaluation import HeldOut

# On gowalla, anime and ml-1m the values of 25 settings on such a sample, lambda being larger by
# `noise`, were in the order of those on all users (Spearman .97, .96 and .99; with the same lambda
# .94, .96 and .93). An eighth of the users or two iterations told less.
SHARE = 4  # of so many users one
ITERATIONS = 3  # of a model on the sample
LEAST = 300_000  # entries; fewer are soon learned whole
LISTED = 2500  # users of the sample whose lists are looked at, at most
FIRST = 4  # trials are trained on all users in any case
KEPT = 6  # of so many trials on the sample one is trained on all users


class Sample(NamedTuple):
    """Some of the users, and what was held out of their rows; fewer of them are noisier, and
    `noise` is how many times as large a lambda that takes."""

    train: sparse.csr_array
    lists: HeldOut
    noise: float

    @classmethod
    def of(cls, task: Task, axes: Mapping[str, Axis]) -> Sample | None:
        """None where all users are soon learned, or where some might tell something else: models
        by steps of gradient make fewer of them on a sample."""
        if not issubclass(task.model_class, ImplicitALS) or not _is_scaled(task, axes):
            return None
        if task.train.nnz < LEAST:
            return None
        n_users = task.train.shape[0]
        users = np.random.default_rng(0).permutation(n_users)[: n_users // SHARE]
        users.sort()
        train, held_out = task.train[users], task.validation[users]
        if not held_out.nnz:
            return None
        lists = held_out_lists(train, held_out, task.metric, NAMES, LISTED)
        return cls(train, lists, _noise(train) / _noise(task.train))

    def measure(
        self, task: Task, params: Mapping[str, Any], num_threads: int | None, stop: Event
    ) -> float:
        """The value of a model of these users alone, after its first iterations."""
        model: Any = task.model(params, num_threads)
        model.iterations = min(model.iterations or ITERATIONS, ITERATIONS)
        if model.regularization is not None:
            model.regularization *= self.noise
        model.fit(self.train, callback=lambda *_: stop.is_set(), show_progress=False)
        [value] = self.lists.evaluate(model, show_progress=False).mean.values()
        return value


def _noise(train: sparse.csr_array) -> float:
    """The lambda that `ImplicitALS` would take from these counts."""
    return Parameters(None, 1.0, None).by_data(train).regularization


def _is_scaled(task: Task, axes: Mapping[str, Axis]) -> bool:
    """Whether lambda means the same on a part of the users: scaled by frequency, or left to the
    data. (So does w0: it goes by the density, which is the same there.)"""
    usual: Any = task.model({})
    if "regularization_exponent" in axes:
        return set(axes["regularization_exponent"].ends()) == {1.0}
    if usual.regularization_exponent is None:
        return usual.regularization is None and "regularization" not in axes
    return usual.regularization_exponent == 1.0


def is_sampled(number: int) -> bool:
    """Whether a trial is made on the sample first: the one of the defaults, by which others are
    judged, and those after the ones that are trained on all users in any case."""
    return number == 0 or number >= FIRST


def is_promising(trial: Trial, before: Iterable[Trial]) -> bool:
    """Whether what was measured on the sample is to be trained on all users: the best so far, and
    what is among the best sixth; `before` are those of other parameters."""
    if trial.on_sample is None:
        return False
    values = [other.on_sample for other in before if other.on_sample is not None]
    better = sum(value > trial.on_sample for value in values)
    return better < max(1, (len(values) + 1) // KEPT)
