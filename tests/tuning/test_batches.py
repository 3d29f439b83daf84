"""Trials side by side, and on a part of the users first: the same with any number of threads."""

import threading
import time

import numpy as np
import pytest
from every_model import counts

from recsys import BPR, ImplicitALS, ItemNeighbors
from recsys.evaluation import random_split
from recsys.models.training import NumericalWarning
from recsys.tuning import halving, measuring, tune
from recsys.tuning.halving import Sample, is_promising, is_sampled
from recsys.tuning.measuring import Measuring
from recsys.tuning.parallel import in_order
from recsys.tuning.results import Trial
from recsys.tuning.spaces import axes_of
from recsys.tuning.task import Task

LONG = 20  # seconds, after which a thread is no longer waited for


def never():
    return False


def search(model_class=ImplicitALS, threads=1, **options):
    parts = random_split(counts(60, 40), 0.3, random_state=0)
    fixed = {"factors": 4, "num_threads": threads, **options.pop("fixed", {})}
    return tune(
        model_class, *parts, **{"fixed": fixed, "trials": 9, "refit": False, **options},
        show_progress=False,
    )  # fmt: skip


def without_clock(result):
    return [trial._replace(seconds=0.0) for trial in result.trials]


# ---- jobs in threads ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_are_in_order(workers):
    pauses = [0.04, 0.0, 0.02, 0.0, 0.01, 0.0]

    def job(number):
        return lambda stop: (time.sleep(pauses[number]), number)[1]

    assert list(in_order([job(n) for n in range(6)], workers, never)) == list(range(6))
    assert list(in_order([], workers, never)) == []
    assert list(in_order([job(n) for n in range(6)], workers, lambda: True)) == [0]


def test_what_came_before_an_error_is_finished():
    """A job under way is not told to stop by a later one that raises."""
    raised = threading.Event()

    def first(stop):
        assert raised.wait(10)
        return not stop.wait(0.05)

    def second(stop):
        raised.set()
        raise ZeroDivisionError

    results = in_order([first, second], 2, lambda: False)
    assert next(results)
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_tells_the_others_to_stop(error):
    """It comes in its place; what was under way is waited for, and nothing begins after it."""
    both, seen = threading.Barrier(2), []

    def fails(stop):
        both.wait(LONG)
        raise error("one's own")

    def waits(stop):
        both.wait(LONG)
        seen.append(stop.wait(LONG))

    jobs = [lambda stop: "first", fails, waits, lambda stop: seen.append("begun")]
    results = in_order(jobs, 2, never)
    assert next(results) == "first"
    with pytest.raises(error, match="one's own"):
        next(results)
    assert seen == [True]
    assert not [each for each in threading.enumerate() if each.name.startswith("recsys-trial")]


def test_whoever_has_enough_stops_the_others():
    stopped = []
    results = in_order([lambda stop: 1, lambda stop: stopped.append(stop.wait(LONG))], 2, never)
    assert next(results) == 1
    results.close()
    assert stopped in ([True], [])  # none if it had not begun


# ---- side by side ------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [ImplicitALS, BPR])
@pytest.mark.parametrize("sampled", [False, True])
def test_threads_change_nothing(model_class, sampled, monkeypatch):
    monkeypatch.setattr(halving, "LEAST", 0 if sampled else 10**9)
    one, three = (search(model_class, threads, validate_every=1) for threads in (1, 3))
    assert without_clock(one) == without_clock(three)
    assert one.best_value == three.best_value
    assert (one.best_params["num_threads"], three.best_params["num_threads"]) == (1, 3)


def test_small_trials_are_side_by_side(monkeypatch):
    """Two fits wait for each other; each has its share of the threads, at least one."""
    both, fit, threads = threading.Barrier(2), ImplicitALS.fit, []

    def meeting(self, *args, **how):
        both.wait(LONG)
        threads.append(self.num_threads)
        return fit(self, *args, **how)

    monkeypatch.setattr(ImplicitALS, "fit", meeting)
    search(threads=2, trials=4)
    assert threads == [1] * 4


@pytest.mark.parametrize("why", ["large", "one generator", "no factors"])
def test_others_take_turns(why, monkeypatch):
    own = {"one generator": {"random_state": np.random.default_rng(0)}}
    if why == "large":
        monkeypatch.setattr(measuring, "SMALL", 100)
    model_class = ItemNeighbors if why == "no factors" else ImplicitALS
    fit, where = model_class.fit, []

    def watched(self, *args, **how):
        where.append((threading.current_thread(), self.num_threads))
        return fit(self, *args, **how)

    monkeypatch.setattr(model_class, "fit", watched)
    fixed = {"num_threads": 3, **own.get(why, {})}
    fixed |= {} if why == "no factors" else {"factors": 2}
    parts = random_split(counts(60, 40), 0.3, random_state=0)
    tune(model_class, *parts, trials=3, fixed=fixed, refit=False, show_progress=False)
    assert where == [(threading.main_thread(), 3)] * 3


# ---- a part of the users first -----------------------------------------------------------------


def trial(number, on_sample):
    state = "diverged" if on_sample is None else "sampled"
    return Trial(number, {"alpha": number}, None, None, 0.0, state, {}, on_sample)


def test_which_trials_are_trained_on_all_users():
    assert [number for number in range(8) if not is_sampled(number)] == [1, 2, 3]
    values = [0.2, None, 0.1, 0.3, 0.25, 0.29, 0.28, 0.295, 0.1, 0.4, 0.35, 0.299, 0.36, 0.37, 0.3]
    values += [0.38, 0.39, 0.41]
    trials = [trial(number, value) for number, value in enumerate(values)]
    chosen = [each.number for each in trials if is_promising(each, trials[: each.number])]
    # The best of up to eleven that did not diverge, then the best two
    assert chosen == [0, 3, 9, 12, 13, 15, 16, 17]
    assert is_promising(trial(4, 0.1), [trial(0, None), trial(1, None)])


def test_the_others_are_left_at_it(monkeypatch):
    monkeypatch.setattr(halving, "LEAST", 0)
    result = search(trials=14)
    assert {each.state for each in result.trials} == {"complete", "sampled"}
    for each in result.trials:
        promising = is_promising(each, result.trials[: each.number])
        expected = promising or not is_sampled(each.number)
        assert (each.state == "complete") == expected == bool(each.validations)
        assert (each.value is None) == (each.state == "sampled")
        assert (each.on_sample is not None) == is_sampled(each.number)
    assert all(0 < each.on_sample < 1 for each in result.trials if is_sampled(each.number))
    ranked = [(each.state, each.value or each.on_sample) for each in result.ranked]
    assert ranked[1:] == sorted(ranked[1:], key=lambda pair: (pair[0], -pair[1]))
    head, *rows = (line.split() for line in result.table().splitlines())
    assert head[:3] == ["trial", "ndcg@10", "on_sample"]
    assert float(rows[0][2]) == pytest.approx(result.ranked[0].on_sample, abs=1e-4)
    told = result.study.trials  # but the first, which is outside the space
    for known, each in zip(told, result.trials[1:], strict=True):
        assert known.state.name == ("COMPLETE" if each.state == "complete" else "PRUNED")
        reported = each.validations or {0: each.on_sample}
        assert known.intermediate_values == reported
    assert search(trials=4, prune=False).trials[0].on_sample is None


def test_a_trial_that_diverges_on_the_sample(monkeypatch, caplog):
    monkeypatch.setattr(halving, "LEAST", 0)
    measure = Sample.measure

    def diverging(self, task, params, num_threads, stop):
        if params["alpha"] == 1.0:
            raise NumericalWarning("a warning, where it is an error")
        return measure(self, task, params, num_threads, stop)

    monkeypatch.setattr(Sample, "measure", diverging)
    result = search(trials=5)
    states = ["diverged", "complete", "complete", "complete", "diverged"]
    assert [each.state for each in result.trials] == states
    assert caplog.text.count("a warning, where it is an error") == 2
    assert result.trials[0].on_sample is None


def lambda_by_the_rule(train):
    """As docs/defaults.md has it, nu being 1."""
    users, items = (np.count_nonzero(train.sum(axis)) for axis in (1, 0))
    w0 = train.data.mean() * np.sqrt(train.nnz / (users * items))
    of_users = train.nnz / users + w0 * train.shape[1]
    of_items = train.nnz / items + w0 * train.shape[0]
    return w0 * (np.sqrt(users) + np.sqrt(items)) / 2 / np.sqrt(of_users * of_items)


def test_what_is_learned_on_the_sample():
    user_items, held_out = random_split(counts(60, 40), 0.3, random_state=0)
    task = Task.of(ImplicitALS, user_items, held_out, None, {"factors": 4}, 3, 0.0, 5, 0)
    space = {"alpha": (0.5, 2.0)}
    halving_least, halving.LEAST = halving.LEAST, 0
    try:
        sample = Sample.of(task, axes_of(ImplicitALS, space, {}))
    finally:
        halving.LEAST = halving_least
    assert sample.train.shape == (15, 40)
    rows = {tuple(row) for row in user_items.toarray()}
    assert all(tuple(row) in rows for row in sample.train.toarray())
    noise = lambda_by_the_rule(sample.train) / lambda_by_the_rule(user_items)
    assert sample.noise == pytest.approx(noise) and noise > 1.3
    given = {"regularization": 0.02, "regularization_exponent": 1.0}
    for params, expected in (
        ({"alpha": 1.5}, {"alpha": 1.5}),
        (given, {**given, "regularization": 0.02 * sample.noise}),
    ):
        value = sample.measure(task, params, 1, threading.Event())
        model = ImplicitALS(4, **expected, iterations=3, random_state=0)
        model.fit(sample.train, show_progress=False)
        [same] = sample.lists.evaluate(model, show_progress=False).mean.values()
        assert value == same > 0


WHEN = {
    "small": ({}, {}, False),
    "default": (None, {}, True),
    "by the data": ({"alpha": (0.5, 2.0)}, {}, True),
    "plain lambda": ({"alpha": (0.5, 2.0)}, {"regularization": 3.0}, False),
    "lambda alone": ({"regularization": (0.5, 2.0)}, {}, False),
    "scaled": ({"regularization": (0.01, 0.1)}, {"regularization_exponent": 1}, True),
    "half scaled": ({"regularization_exponent": [0.5, 1.0]}, {"regularization": 0.1}, False),
    "not pruned": (None, {}, False),
    "gradient": (None, {}, False),
}


@pytest.mark.parametrize("case", WHEN)
def test_when_a_part_of_the_users_comes_first(case, monkeypatch):
    space, fixed, expected = WHEN[case]
    model_class = BPR if case == "gradient" else ImplicitALS
    if case == "small":
        space = None
    else:
        monkeypatch.setattr(halving, "LEAST", 0)
    parts = random_split(counts(60, 40), 0.3, random_state=0)
    task = Task.of(model_class, *parts, None, fixed, 3, 0.0, 5, 0)
    axes = axes_of(model_class, "default" if space is None else space, fixed)
    made = Measuring(task, axes, prune=case != "not pruned")
    assert (made.sample is not None) == expected
    assert made.batch == measuring.BATCH
