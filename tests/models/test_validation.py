"""Validation during `fit`, early stopping, and the best state brought back."""

import itertools

import every_model
import numpy as np
import pytest
from every_model import FACTORS, counts, fitted, learned, make, more
from scipy import sparse

import recsys
from recsys import BPR, ExplicitALS, ExplicitSGD, ImplicitALS
from recsys.evaluation import evaluate, random_split
from recsys.models.validation import Validation, can_stop_early

RATE = [name for name in FACTORS if every_model.MODELS[name][0] in (ExplicitALS, ExplicitSGD)]
RANK = [name for name in FACTORS if name not in RATE]
QUIET = {"show_progress": False}


def split():
    return random_split(counts(60, 40), 0.3, random_state=0)


def measured(model, train, validation, metric):
    name, cut = metric.split("@")
    [value] = evaluate(model, train, validation, name, int(cut), **QUIET).mean.values()
    return value


@pytest.mark.parametrize("metric", [None, "recall@3", "auc@5", "novelty@4"])
@pytest.mark.parametrize("name", RANK)
def test_history_has_what_evaluate_finds(name, metric):
    train, validation = split()
    found = []

    def callback(*_):
        found.append(measured(model, train, validation, metric or "ndcg@10"))

    model = make(name)
    model.fit(
        train, validation=validation, metric=metric, validate_every=1, callback=callback, **QUIET
    )
    assert [entry.validation for entry in model.history] == found
    assert model.best_iteration is None
    assert learned(model) == learned(fitted(name, train))  # it was only watched


@pytest.mark.parametrize("name", RATE)
def test_errors_of_ratings(name):
    train, validation = split()
    model = make(name).fit(train, validation=validation, **QUIET)
    assert model.history[-1].validation == model.rmse(validation)
    model = make(name).fit(train, validation=validation, metric="mae", **QUIET)
    users, items = validation.nonzero()
    error = np.abs(model.predict(users, items) - validation.data).mean()
    assert model.history[-1].validation == pytest.approx(error, rel=1e-5)
    model = make(name).fit(train, validation=validation, metric="ndcg@5", **QUIET)
    assert model.history[-1].validation == measured(model, train, validation, "ndcg@5")


@pytest.mark.parametrize("name", FACTORS)
def test_patience_stops_and_brings_the_best_back(name):
    train, validation = split()
    model = make(name, **more(name, 40))
    model.fit(train, validation=validation, patience=2, validate_every=1, **QUIET)
    values = np.array([entry.validation for entry in model.history])
    gains = -values if name in RATE else values
    best = int(np.argmax(gains)) + 1  # of equals the first
    assert model.best_iteration == best
    assert len(values) in (best + 2, 40)
    whole = make(name, **more(name, len(values))).fit(train, **QUIET)
    alone = make(name, **more(name, best)).fit(train, **QUIET)
    assert learned(model) == (learned(alone)[0], learned(whole)[1])
    np.testing.assert_array_equal(model.recommend([5, 39]), alone.recommend([5, 39]))


def overfitting(**changes):
    return BPR(8, learning_rate=0.5, regularization=0.0, negatives=1, random_state=0, **changes)


@pytest.mark.parametrize("name", ["ImplicitALS", "ExplicitSGD"])
def test_gains_that_are_too_small_do_not_count(name):
    train, validation = split()
    how = {"validation": validation, "patience": 2, "validate_every": 1, **QUIET}
    model = make(name, **more(name, 30)).fit(train, min_gain=0.05, **how)
    values = np.array([entry.validation for entry in model.history])
    gains = -values if name in RATE else values
    last, missed = gains[0], 0
    for gain in gains[1:]:
        is_more = gain > last + 0.05 * abs(last)
        last, missed = (gain, 0) if is_more else (last, missed + 1)
    assert missed == 2 and len(values) < 30
    assert model.best_iteration == int(np.argmax(gains)) + 1  # small gains are gains


@pytest.mark.parametrize("before", [0, 3, 5])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_when_patience_can_stop_a_fit(every, before):
    """Against a fit in which no validation is better than the first."""
    for patience, iterations in itertools.product((1, 2, 3), range(1, 30)):
        judge = object.__new__(Validation)
        judge.patience, judge.every, judge.missed = patience, every, -1
        stopped = None
        for number in range(before + 1, before + iterations + 1):
            is_last = number == before + iterations
            judge.missed += judge.is_due(number, is_last)
            if judge.is_over() and not is_last:
                stopped = number
                break
        assert can_stop_early(patience, iterations, every, before) == (stopped is not None)


def test_patience_that_cannot_stop_a_fit_is_told(caplog):
    train, validation = split()
    how = {"validation": validation, "patience": 3, **QUIET}
    for iterations, told in ((20, 1), (21, 0), (0, 0)):
        caplog.clear()
        ImplicitALS(2, iterations=iterations).fit(train, **how)
        said = [r for r in caplog.records if "patience=3 cannot stop a fit of" in r.getMessage()]
        assert len(said) == told and all(r.name == "recsys" for r in said)
    caplog.clear()
    model = ImplicitALS(2, iterations=4).fit(train, **QUIET)
    model.set_params(iterations=16).fit(train, warm_start=True, **how)  # 5 to 20: four before 20
    assert "16 iterations early, measured after every 5: that takes 4 meas" in caplog.text


def test_patience_counts_validations_not_iterations():
    train, validation = split()
    model = overfitting(epochs=200).fit(
        train, validation=validation, patience=3, validate_every=4, **QUIET
    )
    at = [entry.iteration for entry in model.history if entry.validation is not None]
    assert at == list(range(4, len(model.history) + 1, 4))
    assert len(model.history) == model.best_iteration + 3 * 4 < 200


def test_the_last_iteration_is_validated():
    train, validation = split()
    model = overfitting(epochs=7).fit(train, validation=validation, **QUIET)
    assert [entry.iteration for entry in model.history if entry.validation is not None] == [5, 7]


def test_the_best_survives_interruption_files_and_a_warm_start(tmp_path):
    train, validation = split()
    how = {"validation": validation, "patience": 50, "validate_every": 1, **QUIET}
    whole = overfitting(epochs=30).fit(train, **how)
    assert whole.best_iteration < 30 == len(whole.history)

    def stop(iteration, seconds, loss):
        if iteration == 30:
            raise KeyboardInterrupt

    model = overfitting(epochs=100)
    with pytest.raises(KeyboardInterrupt):
        model.fit(train, callback=stop, **how)
    assert learned(model) == learned(whole) and model.best_iteration == whole.best_iteration
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert loaded.best_iteration == whole.best_iteration and loaded.history == model.history
    assert loaded.validation_metric == model.validation_metric == "ndcg@10"
    model.set_params(epochs=2).fit(train, warm_start=True, **QUIET)
    assert model.best_iteration is None and len(model.history) == 32
    assert model.validation_metric == "ndcg@10"  # of the iterations before
    assert model.fit(train, **QUIET).validation_metric is None
    assert ImplicitALS(2, iterations=0).fit(train).best_iteration is None


def test_some_users_stand_for_many(monkeypatch):
    train, validation = split()
    monkeypatch.setattr("recsys.models.validation.USERS", 20)
    first, again = (
        make("ImplicitALS").fit(train, validation=validation, **QUIET) for _ in range(2)
    )
    value = first.history[-1].validation
    assert value == again.history[-1].validation
    scores = evaluate(first, train, validation, "ndcg", 10, **QUIET).per_user["ndcg@10"]
    assert value != scores.mean() and abs(value - scores.mean()) < 3 * scores.std() / 20**0.5


def bad():
    train, validation = split()
    few = sparse.csr_array((60, 40))
    yield {"patience": 3}, ValueError, r"patience=3 goes by .*pass validation="
    yield {"metric": "ndcg@10"}, ValueError, r"metric='ndcg@10' is measured on validation="
    yield {"validation": validation, "min_gain": 0.1}, ValueError, "min_gain=0.1 is what patience"
    yield {"validation": validation, "patience": 0}, ValueError, "patience must be at least 1"
    yield {"validation": validation, "patience": 1.5}, TypeError, "patience must be an integer"
    yield {"validation": validation, "validate_every": 0}, ValueError, "validate_every must be"
    for metric in ("ndcg", "ndcg@0", "ndcg@ten", "coverage@10", "rmse@10", 10, ["ndcg@10"]):
        yield {"validation": validation, "metric": metric}, ValueError, "metric must be one of prec"
    yield {"validation": validation, "metric": "ndgc@10"}, ValueError, "did you mean 'ndcg@10'"
    yield {"validation": validation, "metric": "rmse"}, ValueError, "are for ExplicitALS and Expl"
    yield {"validation": validation.T}, ValueError, r"validation has shape .* looks transposed"
    yield {"validation": few}, ValueError, "validation has no entry greater than zero"
    yield {"validation": train}, ValueError, "entries are in user_items and in validation"
    yield {"validation": validation.toarray()}, TypeError, "validation must be"


@pytest.mark.parametrize(("options", "error", "message"), list(bad()))
def test_bad_input_changes_nothing(options, error, message):
    model = fitted("ImplicitALS")
    before = learned(model)
    with pytest.raises(error, match=message):
        model.fit(split()[0], **options, **QUIET)
    assert learned(model) == before


@pytest.mark.parametrize("name", RATE)
def test_ratings_trained_on_are_no_validation(name):
    train, _ = split()
    user, item = (ids[0] for ids in train.nonzero())
    known = sparse.csr_array(([1.0, 2.0], ([user, 79], [item, 2])), shape=(80, 50))
    with pytest.raises(ValueError, match="entries are in user_items and in validation, such as"):
        make(name).fit(train, validation=known, **QUIET)
    more_users = sparse.csr_array(([1.0], ([79], [49])), shape=(80, 50))
    assert make(name).fit(train, validation=more_users, **QUIET).history[-1].validation > 0
