"""Pictures of training."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from every_model import counts, make, trained
from matplotlib.figure import Figure

from recsys import BPR, ImplicitALS, ItemNeighbors, plots
from recsys.evaluation import random_split

TRAIN, HELD_OUT = random_split(counts(60, 40), 0.3, random_state=0)


def measured(name, **options):
    model = make(name, **options)
    return model.fit(TRAIN, validation=HELD_OUT, validate_every=1, patience=1, show_progress=False)


def lines(axes):
    """The curves of a panel by label, without the rings of the best iterations."""
    return {line.get_label(): line for line in axes.get_lines() if line.get_marker() == "o"
            and line.get_linestyle() != "None"}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["ImplicitALS", "ImplicitALS cg", "ExplicitSGD", "BPR", "LogisticMF"]
)
def test_loss_and_validation(name):
    model = measured(name)
    figure = plots.plot_history(model)
    what = ["validation"] if model.history[0].loss is None else ["loss", "validation"]
    metric = "rmse" if name == "ExplicitSGD" else "ndcg@10"
    titles = [metric if each == "validation" else each for each in what]
    assert [axes.get_ylabel() for axes in figure.axes] == titles
    assert figure.axes[-1].get_xlabel() == "seconds of training"
    assert f"best iteration {model.best_iteration}" in figure.axes[0].get_title("left")
    seconds = np.cumsum([entry.seconds for entry in model.history])
    for axes, name in zip(figure.axes, what, strict=True):
        [line] = lines(axes).values()
        values = [getattr(entry, name) for entry in model.history]
        assert np.array_equal(line.get_xydata(), np.column_stack([seconds, values]))
        [ring] = set(axes.get_lines()) - {line}
        at = model.best_iteration - 1
        assert ring.get_xydata().tolist() == [[seconds[at], pytest.approx(values[at])]]
        low, high = axes.get_xlim()
        assert low == 0 and high > seconds[-1]
    figure.draw_without_rendering()


def test_validations_between_iterations():
    model = BPR(4, epochs=6, random_state=0)
    model.fit(TRAIN, validation=HELD_OUT, validate_every=3, show_progress=False)
    loss, validation = plots.plot_history(model).axes
    assert [len(line.get_xdata()) for line in loss.get_lines()] == [6]
    assert [len(line.get_xdata()) for line in validation.get_lines()] == [2]  # and no ring


def test_models_are_named_by_what_they_differ_in():
    options = {"iterations": 2, "random_state": 0, "compute_loss": True}
    models = [ImplicitALS(f, **options).fit(TRAIN, show_progress=False) for f in (2, 3, 3)]
    models.append(trained("BPR"))
    als, bpr = plots.plot_history(models).axes
    names = ["ImplicitALS(factors=2)", "ImplicitALS(factors=3) #1", "ImplicitALS(factors=3) #2"]
    assert list(lines(als)) == names and list(lines(bpr)) == ["BPR"]
    assert [als.get_ylabel(), bpr.get_ylabel()] == ["loss of ImplicitALS", "loss of BPR"]
    colours = [line.get_color() for axes in (als, bpr) for line in lines(axes).values()]
    assert colours == list(plots.COLOURS[:4])
    for axes in (als, bpr):
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert legend == list(lines(axes))


def test_names_of_ones_own():
    figure = plots.plot_history({"a$b$c": measured("BPR"), "two": measured("LogisticMF")})
    *losses, validation = figure.axes
    assert len(losses) == 2 and validation.get_legend() is None  # both have been explained
    assert [label.split(",")[0] for label in lines(validation)] == ["a$b$c", "two"]
    assert not figure.axes[0].get_legend().get_texts()[0].get_parse_math()


def test_metrics_that_do_not_compare():
    loss, rmse, ndcg = plots.plot_history(
        [measured("ExplicitSGD"), measured("ImplicitALS bias cg")]
    ).axes
    assert [axes.get_ylabel() for axes in (loss, rmse, ndcg)] == [
        "loss of ExplicitSGD", "rmse", "ndcg@10",
    ]  # fmt: skip
    assert len(lines(rmse)) == len(lines(ndcg)) == 1
    assert rmse.get_legend() is None and ndcg.get_legend() is not None


def test_a_loss_that_falls_far_is_logarithmic():
    model = trained("ImplicitALS")
    first, *others = model.history
    first = replace(first, loss=100 * others[-1].loss)
    model._publish({"_history": (first, *others)})
    assert plots.plot_history(model).axes[0].get_yscale() == "log"
    assert plots.plot_history(trained("ImplicitALS")).axes[0].get_yscale() == "linear"


def test_axes_of_ones_own():
    figure = Figure()
    own = list(figure.subplots(2))
    assert plots.plot_history(measured("BPR"), ax=own) is own
    assert [axes.get_ylabel() for axes in own] == ["loss", "ndcg@10"]
    one = Figure().subplots()
    assert plots.plot_history(trained("BPR"), ax=one) is one and one.has_data()
    with pytest.raises(ValueError, match=r"ax must be 2 matplotlib Axes in a sequence.*got 1"):
        plots.plot_history(measured("BPR"), ax=Figure().subplots())


def test_what_cannot_be_shown():
    with pytest.raises(ValueError, match=r"BPR\(\) has no history: call fit"):
        plots.plot_history(BPR())
    with pytest.raises(ValueError, match=r"mine has no history.*ItemNeighbors never has one"):
        plots.plot_history({"mine": ItemNeighbors().fit(TRAIN)})
    silent = ImplicitALS(2, iterations=1, acceleration=False).fit(TRAIN, show_progress=False)
    with pytest.raises(ValueError, match="neither loss nor validation: fit with compute_loss=True"):
        plots.plot_history(silent)
    for wrong in (3, [trained("BPR"), "x"], {"a": BPR}):
        with pytest.raises(TypeError, match="expected a model of recsys, a list of models"):
            plots.plot_history(wrong)
    with pytest.raises(ValueError, match="no model to show"):
        plots.plot_history([])


def test_dark_styles_stay_dark():
    with matplotlib.rc_context({"figure.facecolor": "black", "text.color": "white"}):
        figure = plots.plot_history(trained("BPR"))
    assert figure.get_facecolor() == (0, 0, 0, 1)
    assert figure.axes[0].title.get_color() == "white"
