"""Which parameters the next trial has, from the values of those before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .results import Trial
from .spaces import Axis
from .surrogate import Surrogate

ANYWHERE, NEAR = 500, 500  # candidates
BEST = 4  # known points, near which candidates are
STEPS = 0.15, 0.03  # how near, as shares of an axis
APART = 0.25  # of an axis: how far a sample of the users is from all
MOVED = 0.5  # of the axes of such a candidate; at least one

Params = dict[str, Any]


def at_random(axes: Mapping[str, Axis], random: np.random.Generator) -> Params:
    """A point of the space, each as likely."""
    return {name: axis.at(random.random()) for name, axis in axes.items()}


def proposed(
    axes: Mapping[str, Axis],
    trials: Sequence[Trial],
    pending: Sequence[Params],
    sign: int,
    random: np.random.Generator,
) -> Params:
    """Of candidates in the whole space and near the best the one that has most to gain.

    `pending` have no values yet, and are taken to have those expected; `sign` is 1 where higher
    values are better, -1 where lower ones are.
    """
    points, values = _known(axes, trials, sign)
    if not len(values):
        return at_random(axes, random)
    surrogate = Surrogate(points, values)
    tried = _points(axes, [trial.params for trial in trials])
    order = np.argsort(-surrogate.expected(tried).round(9), kind="stable")
    best = [trials[at].params for at in order[:BEST]]
    if pending:
        expected = _points(axes, pending)
        surrogate, tried = surrogate.with_points(expected), np.concatenate([tried, expected])
    candidates = [at_random(axes, random) for _ in range(ANYWHERE)]
    candidates += [_near(axes, best[at % len(best)], random) for at in range(NEAR)]
    return candidates[surrogate.best_gain(_points(axes, candidates), tried)]


def _known(
    axes: Mapping[str, Axis], trials: Sequence[Trial], sign: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points and values, the higher the better. Those of a sample stand beside those of all users,
    as much higher as these are in the mean; what diverged is as bad as the worst."""
    whole = [trial for trial in trials if trial.value is not None]
    sampled = [trial for trial in trials if trial.on_sample is not None]
    both = [trial.value - trial.on_sample for trial in whole if trial.on_sample is not None]
    higher = sum(both) / len(both) if both else 0.0
    values = [sign * trial.value for trial in whole]
    values += [sign * (trial.on_sample + higher) for trial in sampled]
    if not values:
        return np.empty((0, 0)), np.empty(0)
    lost = [trial for trial in trials if trial.value is None and trial.on_sample is None]
    points = _points(axes, [trial.params for trial in (*whole, *sampled, *lost)])
    points[len(whole) : len(whole) + len(sampled), -1] = APART
    return points, np.array([*values, *[min(values)] * len(lost)])


def _near(axes: Mapping[str, Axis], params: Params, random: np.random.Generator) -> Params:
    step = STEPS[random.integers(len(STEPS))]
    moved = random.random(len(axes)) < MOVED
    moved[random.integers(len(axes))] = True
    near = {}
    for (name, axis), moves in zip(axes.items(), moved, strict=True):
        if axis.choices is not None:
            stays = not moves and axis.holds(params[name])
            near[name] = params[name] if stays else axis.at(random.random())
        else:
            far = step * random.standard_normal()
            near[name] = axis.at(axis.place(params[name]) + moves * far)
    return near


def _points(axes: Mapping[str, Axis], every: Sequence[Params]) -> np.ndarray:
    """A row for each: the places of its numbers, whether a choice is each but the first, and 0 for
    all users."""
    columns = []
    for name, axis in axes.items():
        if axis.choices is None:
            columns.append([axis.place(params[name]) for params in every])
        else:
            for choice in axis.choices[1:]:
                columns.append([_is(params[name], choice) for params in every])
    return np.array([*columns, [0.0] * len(every)], float).T


def _is(value: Any, choice: Any) -> bool:
    return value is choice or bool(value == choice)
