"""Spaces: the default ones give valid models, and one's own say what is wrong with them."""

import numpy as np
import optuna
import pytest
from every_model import MODELS, counts
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from recsys import BPR, ImplicitALS, csr
from recsys.models.factor_model import FactorModel
from recsys.tuning import SPACES
from recsys.tuning.spaces import axes_of, start_of


def drawn(axes, seed):
    """One point of the space, drawn at random, and how Optuna knows it."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    asked = study.ask({name: axis.distribution for name, axis in axes.items()})
    return {name: axis.value(asked.params[name]) for name, axis in axes.items()}, asked.params


def test_every_model_has_a_space():
    assert set(SPACES) == {model_class for model_class, _ in MODELS.values()}


@pytest.mark.parametrize("model_class", SPACES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_default_spaces_hold_valid_models(model_class, seed):
    axes = axes_of(model_class, "default", {})
    params, labels = drawn(axes, seed)
    model_class(**params)._check_parameters()
    for name, axis in axes.items():
        assert axis.holds(params[name]) and axis.label(params[name]) == labels[name]


@pytest.mark.parametrize("model_class", SPACES)
def test_the_ends_of_default_spaces_can_be_trained(model_class):
    axes = axes_of(model_class, "default", {})
    for end in (0, 1):
        params = {name: axis.ends()[end] for name, axis in axes.items()}
        fixed = {"factors": 4, "random_state": 0} if issubclass(model_class, FactorModel) else {}
        model = model_class(**fixed, **params).fit(counts(), show_progress=False)
        assert np.isfinite(model.score(np.arange(40)[:, None], np.arange(30))).all()


def test_what_is_fixed_leaves_the_default_space():
    axes = axes_of(ImplicitALS, "default", {"bias": True, "factors": 8})
    assert set(axes) == set(SPACES[ImplicitALS]) - {"bias"}

    class Own(ImplicitALS):
        pass

    assert set(axes_of(Own, "default", {})) == set(SPACES[ImplicitALS])


def scheme(matrix):
    return np.ones(matrix.nnz)


def test_forms_of_a_space():
    own = FloatDistribution(0.5, 2.5, step=0.5)
    axes = axes_of(
        BPR,
        {
            "learning_rate": (1, np.float32(2)),
            "negatives": (1, 8, "log"),
            "epochs": (2, np.int64(5)),
            "regularization": [0.01, (0.1, 0.2, 0.3)],
            "margin": own,
            "loss": CategoricalDistribution(["bpr", "warp"]),
        },
        {},
    )
    assert axes["learning_rate"].distribution == FloatDistribution(1.0, 2.0)
    assert axes["negatives"].distribution == IntDistribution(1, 8, log=True)
    assert axes["epochs"].distribution == IntDistribution(2, 5)
    assert axes["margin"].distribution is own
    params = [drawn(axes, seed)[0] for seed in range(30)]
    assert {p["regularization"] for p in params} == {0.01, (0.1, 0.2, 0.3)}
    assert {p["loss"] for p in params} == {"bpr", "warp"} == set(axes["loss"].ends())
    assert all(type(p["negatives"]) is int and type(p["learning_rate"]) is float for p in params)


def test_choices_of_any_type():
    space = {"confidence": [scheme, "log"], "dtype": [np.float32, np.float64]}
    space["epsilon"] = [None, np.float64(2)]
    axes = axes_of(ImplicitALS, space, {})
    assert axes["confidence"].labels == ["scheme", "log"]
    assert axes["dtype"].labels == ["float32", "float64"] and axes["epsilon"].labels == [None, 2.0]
    assert axes["confidence"].value("scheme") is scheme and axes["dtype"].holds(np.float64)


def test_what_an_axis_holds():
    space = {"alpha": (1.0, 3.0), "bias": [True]}
    alpha, bias = axes_of(ImplicitALS, space, {}).values()
    assert all(map(alpha.holds, (1.0, 2, np.float32(3))))
    assert not any(map(alpha.holds, (0.99, 3.01, None, "log", True, (1.0, 2.0))))
    assert bias.holds(True) and not bias.holds(False)


def test_places_on_an_axis():
    space = {"learning_rate": (0.01, 1.0, "log"), "negatives": (1, 4), "loss": ["bpr", "warp"]}
    space["margin"] = FloatDistribution(0.5, 2.5, step=0.5)
    axes = axes_of(BPR, space, {})
    rate = axes["learning_rate"]
    assert rate.place(0.1) == pytest.approx(0.5) and rate.at(0.5) == pytest.approx(0.1)
    assert rate.at(0.0) == rate.at(-3.0) == pytest.approx(0.01)
    assert rate.at(1.0) == rate.at(7.0) == 1.0
    assert (rate.place(0.0), rate.place(-1.0), rate.place(1e9)) == (-1.0, -1.0, 2.0)
    even = (np.arange(1000) + 0.5) / 1000
    for name, each in (("negatives", 250), ("loss", 500), ("margin", 200)):
        values, counts = np.unique([axes[name].at(place) for place in even], return_counts=True)
        assert (counts == each).all() and all(map(axes[name].holds, values.tolist()))
    for number in (1, 2, 3, 4):
        assert axes["negatives"].at(axes["negatives"].place(number)) == number
    alone = axes_of(BPR, {"margin": FloatDistribution(2.0, 2.0)}, {})["margin"]
    assert alone.at(0.7) == 2.0 and alone.place(2.0) == 0.0


WRONG = {
    "a name": ("defualt", ValueError, "or 'default'; got 'defualt'"),
    "a list": ([("alpha", 1)], TypeError, "space must be 'default' or a dictionary"),
    "empty": ({}, ValueError, "nothing is left to tune"),
    "unknown": ({"alhpa": (1, 2)}, ValueError, "no parameter 'alhpa'; did you mean 'alpha'?"),
    "fixed too": ({"factors": (1, 2)}, ValueError, "'factors' is in space and in fixed"),
    "a value": ({"alpha": 1.0}, ValueError, r"space\['alpha'\] must be \(low, high\), .*; got 1.0"),
    "one": ({"alpha": (1.0,)}, ValueError, r"space\['alpha'\] must be \(low, high\)"),
    "no choice": ({"alpha": []}, ValueError, r"space\['alpha'\] must be \(low, high\)"),
    "how": ({"alpha": (1.0, 2.0, "lgo")}, ValueError, r"must be \(low, high\), \(low, high, 'log'"),
    "order": ({"alpha": (2.0, 1.0)}, ValueError, r"must have low < high; got \(2.0, 1.0\)"),
    "same": ({"alpha": (1, 1)}, ValueError, "must have low < high"),
    "log of 0": ({"alpha": (0.0, 1.0, "log")}, ValueError, "must have 0 < low < high"),
    "nan": ({"alpha": (0.0, float("nan"))}, ValueError, "bounded by finite numbers"),
    "infinite": ({"alpha": (0.0, float("inf"))}, ValueError, "bounded by finite numbers"),
    "words": ({"confidence": ("log", "linear")}, ValueError, "got 'log'. Choices go into a list"),
    "truths": ({"bias": (False, True)}, ValueError, "got False. Choices go into a list"),
    "not whole": ({"iterations": (2.5, 4)}, ValueError, "bounded by finite integers.*got 2.5"),
    "twice": ({"bias": [True, 1]}, ValueError, r"names a choice twice: \[True, 1\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_spaces(case):
    space, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        axes_of(ImplicitALS, space, {"factors": 4})


def test_no_space_is_known():
    with pytest.raises(ValueError, match="or 'default'; Model has none"):
        axes_of(ImplicitALS.__mro__[-2], "default", {})


def test_the_start_of_a_search_is_one_number_for_three():
    axes = axes_of(BPR, "default", {"loss": "warp"})
    start = start_of(BPR(loss="warp"), "default", axes, csr.canonical(counts()))
    assert start["regularization"] == pytest.approx((0.15 + 0.07 + 0.07) / 3)
    assert axes["regularization"].holds(start["regularization"])


def test_the_start_of_a_search_chooses_weights_once(caplog):
    model, train = ImplicitALS(), csr.canonical(counts())
    with caplog.at_level("INFO", "recsys"):
        start = start_of(model, "default", axes_of(ImplicitALS, "default", {}), train)
    assert caplog.text.count("takes regularization=") == 1
    assert start["regularization"] > 0 and start["alpha"] == model.alpha


def test_a_default_between_two_steps_is_not_in_the_space():
    space = {
        "iterations": IntDistribution(5, 20, step=5),
        "alpha": FloatDistribution(1, 2.8, step=0.3),
    }
    axes = axes_of(ImplicitALS, space, {})
    assert start_of(ImplicitALS(), space, axes, csr.canonical(counts())) == {"alpha": 1.0}
    held = [1, 1.3, 2.8]
    assert all(axes["alpha"].holds(value) for value in held)
    assert not any(axes["alpha"].holds(value) for value in (1.1, 0.7, 3.1, np.nan, np.inf))
    assert axes["iterations"].holds(20) and not axes["iterations"].holds(7)
