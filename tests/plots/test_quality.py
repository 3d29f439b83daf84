"""Pictures of what was measured."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from recsys import plots
from recsys.evaluation import Evaluation


def evaluation(mean, n=50, **overall):
    values = np.random.default_rng(0).normal(mean, 0.1, n)
    return Evaluation(np.arange(n), {"ndcg@20": values, "recall@5": 1 - values}, overall, 0, 0, 0)


RESULTS = {"low": evaluation(0.2), "hi$g$h": evaluation(0.4), "middle": evaluation(0.3)}


def names(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_best_first_with_intervals():
    figure = plots.plot_quality(RESULTS)
    [axes] = figure.axes
    assert names(axes) == ["hi$g$h", "middle", "low"]
    low, high = axes.get_ylim()
    assert low > high
    assert axes.get_xlabel() == "ndcg@20, mean over 50 users, 95 % intervals"
    [container] = axes.containers
    points, _, [bars] = container
    best = RESULTS["hi$g$h"]
    assert points.get_xdata()[0] == best.mean["ndcg@20"]
    [(left, _), (right, _)] = bars.get_segments()[0]
    assert right - left == pytest.approx(2 * 1.96 * best.standard_error["ndcg@20"])
    figure.draw_without_rendering()


def test_another_metric():
    [axes] = plots.plot_quality(RESULTS, "recall@5").axes
    assert names(axes) == ["low", "middle", "hi$g$h"]


def test_metrics_of_all_lists_and_single_users():
    found = {
        "a": evaluation(0.2, **{"coverage@9": 0.5}),
        "b": evaluation(0, 1, **{"coverage@9": 1}),
    }
    [axes] = plots.plot_quality(found, "coverage@9").axes
    assert axes.get_xlabel() == "coverage@9"
    [axes] = plots.plot_quality(found).axes  # the one user has no standard error
    assert axes.get_xlabel() == "ndcg@20, mean over users, 95 % intervals"
    own = Figure().subplots()
    assert plots.plot_quality(found, ax=own) is own and own.has_data()


def test_errors():
    with pytest.raises(ValueError, match=r"'low' was not measured by 'ndgc@20'; did you mean"):
        plots.plot_quality(RESULTS, "ndgc@20")
    for wrong in ({}, [RESULTS["low"]], RESULTS["low"]):
        with pytest.raises(TypeError, match="dict of name -> what evaluate returned"):
            plots.plot_quality(wrong)
    with pytest.raises(TypeError, match=r"results\['x'\] must be what evaluate returned; got dict"):
        plots.plot_quality({"x": {"ndcg@20": 1}})
