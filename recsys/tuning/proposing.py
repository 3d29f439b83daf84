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
    tried = _points(axes, _places(axes, [trial.params for trial in trials]))
    order = np.argsort(-surrogate.expected(tried).round(9), kind="stable")
    best = [trials[at].params for at in order[:BEST]]
    if pending:
        expected = _points(axes, _places(axes, pending))
        surrogate, tried = surrogate.with_points(expected), np.concatenate([tried, expected])
    anywhere = random.random((ANYWHERE, len(axes)))
    places = np.concatenate([anywhere, _near(axes, _places(axes, best), random)])
    for at, axis in enumerate(axes.values()):
        places[:, at] = axis.drawn(places[:, at])
    place = places[surrogate.best_gain(_points(axes, places), tried)]
    return {name: axis.at(place[at]) for at, (name, axis) in enumerate(axes.items())}


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
    points = _points(axes, _places(axes, [trial.params for trial in (*whole, *sampled, *lost)]))
    points[len(whole) : len(whole) + len(sampled), -1] = APART
    return points, np.array([*values, *[min(values)] * len(lost)])


def _near(axes: Mapping[str, Axis], best: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Places in the neighbourhood of the best: a number moves by a step, a choice is another."""
    near = best[np.arange(NEAR) % len(best)]
    moved = random.random(near.shape) < MOVED
    moved[np.arange(NEAR), random.integers(len(axes), size=NEAR)] = True
    steps = np.take(STEPS, random.integers(len(STEPS), size=(NEAR, 1)))
    moves = np.where(moved, steps * random.standard_normal(near.shape), 0.0)
    anywhere = random.random(near.shape)
    chosen = np.array([axis.choices is not None for axis in axes.values()])
    return np.where(chosen, np.where(moved, anywhere, near), near + moves)


def _places(axes: Mapping[str, Axis], every: Sequence[Params]) -> np.ndarray:
    """Where on each axis they are, a row for each."""
    rows = [[axis.place(params[name]) for name, axis in axes.items()] for params in every]
    return np.array(rows, float).reshape(len(every), len(axes))


def _points(axes: Mapping[str, Axis], places: np.ndarray) -> np.ndarray:
    """A row for each: the places of its numbers, whether a choice is each but the first, and 0 for
    all users."""
    columns = []
    for place, axis in zip(places.T, axes.values(), strict=True):
        if axis.choices is None:
            columns.append(place)
        else:
            columns += [axis.chosen(place) == choice for choice in range(1, len(axis.choices))]
    return np.column_stack([*columns, np.zeros(len(places))])
