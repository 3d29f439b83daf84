"""Which parameters are proposed."""

import numpy as np
import optuna
import pytest

from recsys import BPR
from recsys.tuning.proposing import at_random, proposed
from recsys.tuning.results import Trial
from recsys.tuning.spaces import axes_of

SPACE = {
    "learning_rate": (0.001, 1.0, "log"),
    "margin": optuna.distributions.FloatDistribution(0.5, 2.5, step=0.25),
    "negatives": (1, 30, "log"),
    "loss": ["bpr", "warp"],
    "sampler": [None, "uniform", "popular"],
}
ONE = {"learning_rate": (0.001, 1.0, "log")}


def worth(params):
    """At most 1."""
    value = 1 - 0.3 * np.log10(params["learning_rate"] / 0.1) ** 2
    value -= 0.2 * (params["margin"] - 1) ** 2 + 0.1 * np.log(params["negatives"] / 5) ** 2
    return value - 0.3 * (params["loss"] == "bpr") - 0.2 * (params["sampler"] != "uniform")


def worth_of(rate):
    """At most 0, of a learning rate of 0.05."""
    return -(np.log10(rate / 0.05) ** 2)


def made(number, params, value, on_sample=None):
    state = "diverged" if value is None else "complete"
    return Trial(number, params, value, 7, 0.0, state, {}, on_sample)


def search(count, sign=1, seed=0):
    axes, trials = axes_of(BPR, SPACE, {}), []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        drawn = at_random(axes, random) if number < 4 else None
        params = drawn or proposed(axes, trials, [], sign, random)
        trials.append(made(number, params, sign * worth(params)))
    return trials


@pytest.mark.parametrize("sign", [1, -1])
def test_good_values_are_found_sooner_than_by_chance(sign):
    axes = axes_of(BPR, SPACE, {})
    for seed in range(3):
        best = max(sign * trial.value for trial in search(30, sign, seed))
        random = np.random.default_rng(seed)
        chance = max(worth(at_random(axes, random)) for _ in range(30))
        assert best > max(chance, 0.9)


def test_what_is_proposed_is_in_the_space():
    axes = axes_of(BPR, SPACE, {})
    for trial in search(20):
        assert all(axes[name].holds(value) for name, value in trial.params.items())
        assert (trial.params["margin"] / 0.25).is_integer()
        assert type(trial.params["negatives"]) is int


def test_the_first_may_be_outside():
    axes = axes_of(BPR, SPACE, {})
    outside = {
        "learning_rate": 0.0, "margin": 9.0, "negatives": 5, "loss": "other", "sampler": "hard",
    }  # fmt: skip
    trials = [made(0, outside, 0.9)]
    for number in range(1, 20):
        params = proposed(axes, trials, [], 1, np.random.default_rng(number))
        assert all(axes[name].holds(value) for name, value in params.items())
        trials.append(made(number, params, 0.1 if number % 3 else None))


def test_those_asked_for_together_are_apart():
    axes, rates = axes_of(BPR, ONE, {}), (0.001, 0.01, 0.3, 1.0)
    trials = [made(at, {"learning_rate": rate}, worth_of(rate)) for at, rate in enumerate(rates)]
    pending = []
    for number in range(3):
        pending.append(proposed(axes, trials, pending, 1, np.random.default_rng(number)))
    places = sorted(axes["learning_rate"].place(each["learning_rate"]) for each in pending)
    assert np.diff(places).min() > 0.01


def test_a_sample_that_is_off_leads_to_what_is_best_on_all():
    """It is for twice the rate, and all trials but every fourth are left at it."""
    axes, trials = axes_of(BPR, ONE, {}), []
    for number in range(16):
        random = np.random.default_rng(number)
        params = proposed(axes, trials, [], 1, random) if number > 3 else at_random(axes, random)
        value, on_sample = (worth_of(params["learning_rate"] / off) for off in (1, 2))
        is_whole = number < 4 or number % 4 == 0
        trials.append(made(number, params, value if is_whole else None, on_sample - 3))
    best = max((each for each in trials if each.value is not None), key=lambda each: each.value)
    assert 0.04 < best.params["learning_rate"] < 0.0625


def test_nothing_is_known():
    axes = axes_of(BPR, SPACE, {})
    trials = [made(0, at_random(axes, np.random.default_rng(0)), None)]
    first, again = (proposed(axes, trials, [], 1, np.random.default_rng(5)) for _ in range(2))
    assert first == again == at_random(axes, np.random.default_rng(5))
