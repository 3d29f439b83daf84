"""What a search finds, in which order, and how it ends."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from every_model import counts, learned
from optuna import logging as optuna_logging

import recsys
from recsys import (
    BPR,
    EASE,
    SLIM,
    ExplicitALS,
    ExplicitSGD,
    ImplicitALS,
    ItemNeighbors,
    NumericalWarning,
)
from recsys.evaluation import evaluate, random_split
from recsys.models import internal
from recsys.tuning import SPACES, halving, measuring, tune
from recsys.tuning.drawing import Asked
from recsys.tuning.results import Trial, best_of
from recsys.tuning.spaces import CORNERS

SMALL = {"factors": 4}
NO_FACTORS = (EASE, SLIM, ItemNeighbors)
QUIET = {"show_progress": False}


def split(least=1):
    return random_split(counts(60, 40, least=least), 0.3, random_state=0)


def search(model_class=ImplicitALS, *, fixed=None, **options):
    own = {} if model_class in NO_FACTORS else SMALL
    return tune(model_class, *split(), **{"fixed": {**own, **(fixed or {})}, **QUIET, **options})


def found(result):
    """All of a search that does not depend on the clock."""
    trials = [trial._replace(seconds=0.0) for trial in result.trials]
    return trials, result.best_params, result.best_value


def measured(model, train, validation, metric):
    if metric in ("rmse", "mae"):
        users, items = validation.nonzero()
        error = model.predict(users, items).astype(np.float64) - validation.data
        return np.sqrt(np.mean(error**2)) if metric == "rmse" else np.abs(error).mean()
    name, cut = metric.split("@")
    [value] = evaluate(model, train, validation, name, int(cut), **QUIET).mean.values()
    return value


@pytest.mark.parametrize("metric", [None, "recall@5"])
@pytest.mark.parametrize("model_class", SPACES)
def test_the_best_trial_is_what_is_returned(model_class, metric):
    result = search(model_class, metric=metric, trials=8)
    assert len(result.trials) == 8 and len(result.study.trials) in (7, 8)
    assert [trial.number for trial in result.trials] == list(range(8))
    values = [trial.value for trial in result.trials if trial.state == "complete"]
    if result.metric == "rmse":
        assert result.best_value == min(values) and result.margin == 0
    else:
        is_kept = max(values) <= (1 + result.margin) * result.trials[0].value
        assert result.best_value == (result.trials[0].value if is_kept else max(values))
    assert result.best_value == result.best_trial.value
    again = model_class(**result.best_params).fit(split()[0], **QUIET)
    assert measured(again, *split(), result.metric) == pytest.approx(result.best_value, rel=1e-6)
    assert set(result.best_params) == set(model_class().get_params())


@pytest.mark.parametrize("model_class", [ImplicitALS, ExplicitALS, ItemNeighbors])
def test_the_model_is_trained_on_all_there_is(model_class):
    """Entries that are 0 included."""
    train, validation = split(least=0)
    assert (validation.data == 0).any()
    fixed = {} if model_class is ItemNeighbors else SMALL
    result = tune(model_class, train, validation, trials=2, fixed=fixed, **QUIET)
    alone = model_class(**result.best_params).fit(counts(60, 40, least=0), **QUIET)
    assert learned(result.model) == learned(alone)
    assert tune(model_class, train, validation, trials=1, refit=False, **QUIET).model is None


@pytest.mark.parametrize("model_class", SPACES)
def test_the_first_trial_is_the_model_as_it_is(model_class):
    """Also where its defaults are outside the space."""
    model, fixed = model_class(), {"random_state": 5}
    result = search(model_class, trials=2, fixed={} if model_class in NO_FACTORS else fixed)
    first, second = result.trials
    train = recsys.csr.canonical(split()[0])
    chosen = internal.chosen_on(model, train)
    assert first.params == {
        name: chosen.get(name, internal.in_effect(model, name)) for name in SPACES[model_class]
    }
    assert all(result.axes[name].holds(value) for name, value in second.params.items())
    inside = all(result.axes[name].holds(value) for name, value in first.params.items())
    assert len(result.study.trials) == 1 + inside


def test_the_first_trial_in_a_space_of_ones_own():
    space = {"learning_rate": (0.1, 0.2), "margin": (0.5, 2.0), "loss": ["bpr"], "epochs": [3, 4]}
    [trial] = search(BPR, space=space, trials=1).trials
    assert trial.params["margin"] == BPR().margin and trial.params["loss"] == "bpr"
    assert 0.1 <= trial.params["learning_rate"] <= 0.2 and trial.params["epochs"] in (3, 4)


def test_the_seed_decides():
    first, again, other = (search(BPR, trials=14, random_state=seed) for seed in (3, 3, 4))
    assert found(first) == found(again) and learned(first.model) == learned(again.model)
    assert first.best_params["random_state"] == 3
    assert [t.params for t in first.trials[1:]] != [t.params for t in other.trials[1:]]
    assert len({repr(trial.params) for trial in first.trials}) == 14
    fixed = search(fixed={"random_state": 9}, trials=1)
    assert fixed.best_params["random_state"] == 9


def test_what_was_tried_before_is_not_trained_again(monkeypatch):
    fits = []
    fit = ItemNeighbors.fit
    monkeypatch.setattr(
        ItemNeighbors, "fit",
        lambda self, *args, **how: (fits.append(self.k), fit(self, *args, **how))[1],
    )  # fmt: skip
    result = search(ItemNeighbors, trials=7, space={"k": [2, 5]}, refit=False)
    assert sorted(fits) == [2, 5] and len(result.trials) == len(result.study.trials) == 7
    for trial in result.trials:
        [first, *_] = [each for each in result.trials if each.params == trial.params]
        assert trial._replace(number=first.number, seconds=first.seconds) == first


def test_equal_trials_asked_for_together_are_trained_once(monkeypatch):
    fits = []
    fit = ImplicitALS.fit
    monkeypatch.setattr(
        ImplicitALS, "fit",
        lambda self, *args, **how: (fits.append(self.alpha), fit(self, *args, **how))[1],
    )  # fmt: skip
    result = search(trials=7, space={"alpha": [1.0, 2.0]}, refit=False)
    assert sorted(fits) == [1.0, 2.0] and len(result.study.trials) == 7


def test_the_next_trials_are_where_it_is_known_to_be_good():
    """So many times what the first has, as far as the space reaches."""
    result = search(trials=5)
    start, *corners = (trial.params for trial in result.trials[:4])
    for params, corner in zip(corners, CORNERS[ImplicitALS], strict=True):
        assert (params["bias"] != start["bias"]) == ("bias" in corner)
        for name in ("unobserved_weight", "regularization", "alpha"):
            low, high = result.axes[name].ends()
            assert params[name] == min(max(start[name] * corner.get(name, 1.0), low), high)
    fixed = {"bias": False, "regularization": 0.01, "regularization_exponent": 1.0}
    result = search(trials=4, fixed=fixed)
    first, few, many, _ = (trial.params["unobserved_weight"] for trial in result.trials)
    assert (few, many) == (first / 6, min(3 * first, 2.0))
    assert "bias" not in result.trials[1].params


def test_a_space_of_ones_own_has_no_corners():
    result = search(trials=3, space={"unobserved_weight": (0.1, 2.0, "log")})
    first, *others = (trial.params["unobserved_weight"] for trial in result.trials)
    assert not {first / 6, min(3 * first, 2.0)} & set(others)


def test_the_model_as_it_is_chooses_anew_when_it_is_the_best():
    """Its weights are of the training data; all data may want others."""
    result = search(trials=1)
    assert result.best_params["regularization"] is None is result.best_params["bias"]
    best = result.best_trial.iterations
    assert result.best_params["iterations"] == (None if best == 7 else best)
    given = search(trials=1, fixed={"iterations": 4, "factors": 4})
    assert given.best_params["iterations"] == given.best_trial.iterations
    model = ImplicitALS(**result.best_params).fit(split()[0], **QUIET)
    assert model.regularization_ == pytest.approx(result.best_trial.params["regularization"])
    assert result.model.regularization_ != pytest.approx(model.regularization_)
    space = {"regularization": (0.01, 0.02)}  # not what the data says: outside
    other = search(trials=1, space=space)
    assert other.best_params["regularization"] == other.best_trial.params["regularization"]
    assert other.margin == 0


def test_the_model_as_it_is_stays_unless_another_is_better_by_the_margin():
    def of(*values):
        return [
            Trial(number, {}, value, 7, 0.0, "complete" if value else "diverged", {})
            for number, value in enumerate(values)
        ]

    assert best_of(of(0.2, 0.201, 0.202), "ndcg@10", 0.01).number == 0
    assert best_of(of(0.2, 0.201, 0.203, 0.203), "ndcg@10", 0.01).number == 2
    assert best_of(of(0.2, 0.201), "ndcg@10", 0.0).number == 1
    assert best_of(of(None, 0.2, 0.201), "ndcg@10", 0.01).number == 2
    assert best_of(of(0.9, 0.89), "rmse", 0.0).number == 1
    result = search(trials=2)
    users = np.count_nonzero(np.diff(split()[1].indptr))
    assert result.margin == pytest.approx(1 / 2 / np.sqrt(users))


def test_patience_none_takes_the_last_iteration():
    space, fixed = {"learning_rate": (0.3, 0.5)}, {"epochs": 40, "negatives": 1}  # soon too much
    result = search(BPR, space=space, trials=2, patience=None, fixed=fixed)
    assert [trial.iterations for trial in result.trials] == [40, 40]
    early = search(BPR, space=space, trials=2, fixed=fixed)
    assert early.best_trial.iterations == early.best_params["epochs"] < 40
    assert early.best_value == early.best_trial.validations[early.best_trial.iterations]


# ---- trials that are given up ------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "sign"), [("rmse", 1), ("ndcg@10", -1)])
def test_pruning_gives_up_what_is_below_the_median(metric, sign):
    space = {"regularization": (0.001, 10.0, "log"), "bias": [True, False]}
    options = {"metric": metric, "validate_every": 1, "trials": 24, "refit": False, "space": space}
    result = search(ExplicitALS, **options)
    done = [trial for trial in result.trials if trial.state == "complete"]
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert pruned and len(done) + len(pruned) == 24
    for trial in pruned:
        before = [other for other in done if other.number < trial.number]
        assert len(before) >= 5
        last = max(trial.validations)
        theirs = [other.validations[last] for other in before if last in other.validations]
        best = min(sign * value for value in trial.validations.values())
        assert best > np.median([sign * value for value in theirs])
        assert sign * trial.value == best > sign * result.best_value
    whole = search(ExplicitALS, prune=False, **options)
    assert {trial.state for trial in whole.trials} == {"complete"}
    lengths = [max(trial.validations) for trial in whole.trials]
    assert np.mean([max(trial.validations) for trial in pruned]) < np.mean(lengths)


def test_a_trial_that_diverges_is_not_the_end():
    space = {"learning_rate": (0.01, 1e8, "log")}
    result = search(ExplicitSGD, space=space, trials=12)
    states = [trial.state for trial in result.trials]
    assert "diverged" in states and "complete" in states
    assert all(
        t.value is None and t.iterations is None for t in result.trials if t.state == "diverged"
    )
    assert result.table().count("diverged") == states.count("diverged")
    with pytest.raises(
        FloatingPointError, match="diverged in all of 3 trials: lower learning_rate"
    ):
        search(ExplicitSGD, space={"learning_rate": (1e7, 1e8)}, trials=3)


def failing(monkeypatch, error, at):
    """Let the fit of trial number `at` fail, when some of it is done."""
    report = Asked.report

    def wrapped(self, iteration, value):
        if self.number == at:
            raise error
        report(self, iteration, value)

    monkeypatch.setattr(Asked, "report", wrapped)


def test_warnings_and_other_errors(monkeypatch):
    with monkeypatch.context() as patch:
        failing(patch, NumericalWarning("a warning, where it is an error"), 1)
        assert [trial.state for trial in search(trials=3).trials] == [
            "complete",
            "diverged",
            "complete",
        ]
    failing(monkeypatch, ZeroDivisionError("the user's own"), 1)
    with pytest.raises(ZeroDivisionError, match="the user's own"):
        search(trials=3)


# ---- the end -----------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_was_found(monkeypatch, tmp_path, caplog):
    whole = search(trials=12)
    with monkeypatch.context() as patch:
        failing(patch, KeyboardInterrupt(), 7)
        part = search(trials=12, study=tmp_path / "study.json")
    assert "interrupted: the search ends after 7 trials" in caplog.text
    assert found(part)[0] == found(whole)[0][:7]
    assert learned(part.model) == learned(
        ImplicitALS(**part.best_params).fit(counts(60, 40), **QUIET)
    )
    assert found(search(trials=12, study=tmp_path / "study.json")) == found(whole)


def test_ctrl_c_before_anything_was_found(monkeypatch, tmp_path):
    failing(monkeypatch, KeyboardInterrupt(), 0)
    with pytest.raises(KeyboardInterrupt):
        search(trials=3, study=tmp_path / "study.json")
    assert list(tmp_path.iterdir()) == []


def test_timeout_and_callback():
    assert len(search(trials=50, timeout=1e-9).trials) == 1
    seen = []
    result = search(trials=50, callback=lambda trial: seen.append(trial) or len(seen) == 3)
    assert seen == result.trials and len(seen) == 3


def test_it_tells_the_logger_and_prints_nothing(capfd, caplog):
    before = optuna_logging.get_verbosity()
    with caplog.at_level(logging.INFO, "recsys"):
        search(trials=3)
    assert [r.name for r in caplog.records if "Trial(number=" in r.getMessage()] == ["recsys"] * 3
    assert capfd.readouterr() == ("", "")
    assert optuna_logging.get_verbosity() == before


# ---- study files -------------------------------------------------------------------------------


def my_scheme(matrix):
    return 1 + np.sqrt(np.abs(matrix.data))


RESUMED = {
    "ImplicitALS": (ImplicitALS, {}),
    "choices": (ImplicitALS, {"space": {"confidence": ["log", my_scheme], "epsilon": [None, 2.0]}}),
    "ItemNeighbors": (ItemNeighbors, {}),
    "BPR": (BPR, {}),
    "pruned": (ExplicitALS, {"validate_every": 1}),
    "diverged": (ExplicitSGD, {"space": {"learning_rate": (1e-4, 100.0, "log")}}),
    "one by one": (ImplicitALS, {"fixed": {"random_state": 0}}),
    "sampled": (ImplicitALS, {"validate_every": 1}),
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_search_goes_on_as_if_in_one_go(case, tmp_path, monkeypatch):
    model_class, options = RESUMED[case]
    if case == "one by one":
        monkeypatch.setattr(measuring, "SMALL", 0)
    if case == "sampled":
        monkeypatch.setattr(halving, "LEAST", 0)
    path = tmp_path / "study.json"
    whole = search(model_class, trials=13, **options)
    for trials in (3, 11, 13):
        part = search(model_class, trials=trials, study=path, **options)
        assert found(part)[0] == found(whole)[0][:trials]
        assert [t["number"] for t in json.loads(path.read_text())["trials"]] == list(range(trials))
    assert found(part) == found(whole)
    before = path.read_bytes()
    assert found(search(model_class, trials=5, study=path, **options)) == found(whole)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


OTHER = {
    "model_class": {"model_class": BPR},
    "metric": {"metric": "recall@20"},
    "space": {"space": {"alpha": (0.5, 2.0)}},
    "fixed": {"fixed": {"factors": 5}},
    "patience": {"patience": 4},
    "min_gain": {"min_gain": 0.1},
    "validate_every": {"validate_every": 4},
    "prune": {"prune": False},
    "random_state": {"random_state": 1},
}


@pytest.mark.parametrize("what", OTHER)
def test_a_study_of_another_search(what, tmp_path):
    path = tmp_path / "study.json"
    search(trials=1, study=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"study\.json' is of another search: its {what} is"):
        search(trials=2, study=path, **OTHER[what])
    assert path.read_bytes() == before


def test_a_study_of_other_data(tmp_path):
    train, validation = split()
    search(trials=1, study=tmp_path / "study.json")
    changed = train.copy()
    changed.data[0] += 1
    for pair, what in (((changed, validation), "train"), ((train, validation * 2), "validation")):
        with pytest.raises(ValueError, match=f"its {what} is 60 x 40, .* CRC"):
            tune(ImplicitALS, *pair, fixed=SMALL, study=tmp_path / "study.json", **QUIET)


@pytest.mark.parametrize("content", [b"user,item\n1,2\n", b"[1, 2]", b"{}", b"", b'{"format": 9}'])
def test_a_file_that_is_no_study(content, tmp_path):
    path = tmp_path / "study.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"study\.json' is not a study file of this version"):
        search(trials=1, study=path)
    assert path.read_bytes() == content


def test_a_place_where_no_file_can_be(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        search(trials=1, study=tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        search(trials=1, study=tmp_path / "none" / "study.json")


# ---- errors ------------------------------------------------------------------------------------

WRONG = {
    "trials": ({"trials": 0}, ValueError, "trials must be at least 1"),
    "prune": ({"prune": 1}, TypeError, "prune must be True or False"),
    "timeout": ({"timeout": 0}, ValueError, "timeout must be"),
    "callback": ({"callback": 1}, TypeError, "callback must be a function"),
    "random_state": ({"random_state": None}, TypeError, "random_state must be an integer"),
    "patience": ({"patience": 0}, ValueError, "patience must be at least 1"),
    "min_gain": ({"min_gain": -0.1}, ValueError, "min_gain must be .* at least 0"),
    "a gain": ({"min_gain": 0.1, "patience": None}, ValueError, "is what patience waits for"),
    "validate_every": ({"validate_every": 0}, ValueError, "validate_every must be at least 1"),
    "metric": ({"metric": "ndgc@10"}, ValueError, "metric must be one of"),
    "error of no ratings": ({"metric": "rmse"}, ValueError, "errors of ratings are for"),
    "fixed name": ({"fixed": {"factor": 3}}, ValueError, "did you mean 'factors'?"),
    "fixed value": ({"fixed": {"factors": -3}}, ValueError, "factors must be at least 1; got -3"),
    "iterations": ({"fixed": {"iterations": 0}}, ValueError, "iterations=0 leaves nothing"),
    "a model": ({"model_class": ImplicitALS()}, TypeError, "model_class must be the class of a"),
    "no model": ({"model_class": dict}, TypeError, "model_class must be the class of a model"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input(case, tmp_path):
    options, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        search(**{"trials": 1, "study": tmp_path / "study.json", **options})
    assert list(tmp_path.iterdir()) == []


def test_bad_matrices():
    train, validation = split()
    with pytest.raises(TypeError, match="fixed must be a dictionary"):
        tune(ImplicitALS, train, validation, fixed=["factors"])
    with pytest.raises(TypeError, match="train must be a SciPy sparse matrix"):
        tune(ImplicitALS, train.toarray(), validation)
    for model_class in (ImplicitALS, ItemNeighbors):
        with pytest.raises(ValueError, match="entries are in train and in validation"):
            tune(model_class, train, train)
        with pytest.raises(ValueError, match=r"validation has shape .*transposed"):
            tune(model_class, train, validation.T)
    with pytest.raises(ValueError, match="validation has shape"):
        tune(ExplicitALS, train, validation.T, **QUIET)


def test_without_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"needs optuna: pip install 'recsys-engine\[tune\]'"):
        search(trials=1)


def test_nothing_of_it_is_imported_before_it_is_used():
    code = (
        "import sys, recsys; print('recsys.tuning' in sys.modules); recsys.tuning.tune; "
        "print('optuna' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False"] * 3, done.stderr
    assert recsys.tuning.tune is tune


def test_a_study_knows_a_function_by_its_code(tmp_path):
    def options(factor):
        schemes = {1: lambda counts: 1 + counts.data, 2: lambda counts: 1 + 2 * counts.data}
        return {"fixed": {**SMALL, "confidence": schemes[factor]}, "study": tmp_path / "study.json"}

    search(ImplicitALS, trials=1, **options(1))
    search(ImplicitALS, trials=2, **options(1))
    with pytest.raises(ValueError, match="fixed"):
        search(ImplicitALS, trials=3, **options(2))


def test_every_choice_is_tried_before_anything_is_trained():
    with pytest.raises(ValueError, match="unknown confidence 'foo'"):
        search(ImplicitALS, space={"confidence": ["log", "foo", "linear"]}, trials=1)
