"""The table and the picture of a search."""

import sys
from xml.etree import ElementTree

import pytest
from every_model import counts

from recsys import ExplicitSGD, ImplicitALS, ItemNeighbors
from recsys.evaluation import random_split
from recsys.tuning import tune


@pytest.fixture(scope="module")
def result():
    train, validation = random_split(counts(60, 40), 0.3, random_state=0)
    space = {"learning_rate": (0.003, 1e8, "log"), "factors": (2, 5), "bias": [True, False]}
    space["schedule"] = ["deterministic"]
    return tune(ExplicitSGD, train, validation, space=space, trials=20, validate_every=1)


def test_table(result):
    head, *rows = (line.split() for line in result.table().splitlines())
    names = ["learning_rate", "factors", "bias", "schedule"]
    assert head == ["trial", "rmse", "iterations", "seconds", "state", *names]
    assert {int(row[0]) for row in rows} == set(range(20)) and len(rows) == 20
    assert int(rows[0][0]) == result.best_trial.number
    states = [trial.state for trial in result.trials]
    assert all(states.count(state) for state in ("complete", "pruned", "diverged"))
    shown = [next(word for word in row if word in states) for row in rows]
    assert shown == sorted(shown, key=["complete", "pruned", "diverged"].index)
    values = [float(row[1]) for row in rows[: states.count("complete")]]
    assert values == sorted(values) and values[0] == pytest.approx(result.best_value, abs=1e-4)
    assert rows[0][-1] == "deterministic" and rows[0][-2] in ("True", "False")
    assert repr(result) == f"TuningResult(20 trials: rmse={result.best_value:.4f})"
    html = ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")
    cells = [[cell.text or "" for cell in row] for row in html.find("table")]
    assert [" ".join(row).split() for row in cells] == [head, *rows[:10]]
    assert html.find("small").text == "and 10 more: print(result.table())"


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_plot_writes_a_picture(result, ending, start, tmp_path):
    result.plot(tmp_path / f"tuned.{ending}")
    assert (tmp_path / f"tuned.{ending}").read_bytes().startswith(start)
    assert len(list(tmp_path.iterdir())) == 1


def test_plot_has_a_panel_for_each_parameter(result):
    order, *others = (axes for axes in result.plot().axes if axes.axison)
    assert [axes.get_xlabel() for axes in others] == ["learning_rate", "factors", "bias"]
    assert [axes.get_xscale() for axes in others] == ["log", "linear", "linear"]
    assert {axes.get_ylabel() for axes in (order, *others)} == {"rmse"}
    assert [text.get_text() for text in others[2].get_xticklabels()] == ["False", "True"]
    [best] = order.get_lines()
    values = best.get_ydata()
    assert values[-1] == result.best_value and (values[1:] <= values[:-1]).all()
    measured = sum(trial.value is not None for trial in result.trials)
    for axes in (order, *others):
        assert sum(len(points.get_offsets()) for points in axes.collections) == measured


@pytest.mark.parametrize("model_class", [ImplicitALS, ItemNeighbors])
def test_a_single_trial_can_be_shown(model_class):
    train, validation = random_split(counts(60, 40), 0.3, random_state=0)
    alone = tune(model_class, train, validation, trials=1)
    assert len(alone.table().splitlines()) == 2
    assert sum(axes.axison for axes in alone.plot().axes) == 1


def test_without_matplotlib(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"matplotlib: pip install 'recsys-engine\[plot\]'"):
        result.plot()
