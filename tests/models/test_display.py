"""What models look like in a notebook, and how parameters are shown."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from every_model import EVERY, counts, fitted, make, trained

from recsys import BPR, ImplicitALS, LogisticMF
from recsys.evaluation import random_split
from recsys.models.display import shown


def my_scheme(counts):
    return 1 + counts.data


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.float64, "float64"),
        (np.dtype("float32"), "float32"),
        (np.float64(0.5), "0.5"),
        (np.int64(7), "7"),
        (my_scheme, "my_scheme"),
        ("cg", "'cg'"),
        ((0.1, 0.2), "(0.1, 0.2)"),
        (np.random.default_rng(0), "Generator(PCG64)"),
        (np.random.RandomState(0), "RandomState(MT19937)"),
        (np.arange(3), "array([0, 1, 2])"),
        (np.zeros((100, 40), np.float32), "array of float32, shape (100, 40)"),
        ("x" * 100, "'" + "x" * 78 + "…"),
        ("two\nlines", r"'two\nlines'"),
    ],
)
def test_shown(value, words):
    assert shown(value) == words


def test_what_is_the_same_is_not_shown():
    assert repr(ImplicitALS(dtype=np.dtype(np.float32), alpha=np.float64(1))) == "ImplicitALS()"
    model = BPR(random_state=np.random.default_rng(0), regularization=np.arange(500.0))
    said = "BPR(regularization=array of float64, shape (500,), random_state=Generator(PCG64))"
    assert repr(model) == said


def read(model):
    """The HTML as a tree; ParseError where it is not well formed."""
    text = model._repr_html_()
    assert len(text.encode()) < 6000
    return ElementTree.fromstring(text)


def pairs(table):
    return {row[0].text: row[1].text for row in table}


def text_of(tree):
    return " ".join(tree.itertext())


@pytest.mark.parametrize("name", EVERY)
def test_every_model(name):
    for model, state in ((make(name), "not fitted"), (trained(name), "40 users x 30 items")):
        tree = read(model)
        assert type(model).__name__ in tree[0].text and state in text_of(tree)
        changed, others = tree.find("table"), tree.find("details/table")
        params = {**pairs(changed), **pairs(others)}
        assert params == {key: shown(value) for key, value in model.get_params().items()}
        assert all(f"{key}={value}" in repr(model) for key, value in pairs(changed).items())
        assert f"{len(others)} parameters" in tree.find("details/summary").text
    entries = f"{counts().nnz} entries"
    assert entries in text_of(tree)
    has_loss = any(entry.loss is not None for entry in model.history)
    assert len(list(tree.iter("polyline"))) == has_loss


def test_curves():
    model = trained("BPR")
    [entry, *_] = model.history
    history = tuple(
        replace(entry, iteration=n, seconds=0.5, loss=1 / n, validation=n * (500 - n))
        for n in range(1, 401)
    )
    model._publish({"_history": history, "_best_iteration": 250})
    tree = read(model)
    assert "400 iterations in 200 s, the best of them 250" in text_of(tree)
    lines, rings = (list(tree.iter(tag)) for tag in ("polyline", "circle"))
    assert len(lines) == 2 and len(rings) == 2
    loss, validation = (
        [tuple(map(float, place.split(","))) for place in line.get("points").split()]
        for line in lines
    )
    assert len(loss) <= 101 and loss[0][0] == 6 and loss[-1][0] == 214
    assert loss[0][1] == 6 and max(v for _, v in loss) == 54  # the highest at the top
    best = float(rings[1].get("cx")), float(rings[1].get("cy"))
    assert best in validation and best[1] == 6
    assert "loss 1 → 0.0025" in text_of(tree) and "validation 499 → 4e+04" in text_of(tree)


def test_the_metric_is_named():
    train, held_out = random_split(counts(60, 40), 0.3, random_state=0)
    model = make("BPR").fit(train, validation=held_out, metric="map@7", show_progress=False)
    assert f"map@7 {model.history[-1].validation:.4g} → " in text_of(read(model))


def test_one_iteration_is_a_point_halfway():
    [line] = read(fitted("BPR", epochs=1)).iter("polyline")
    assert line.get("points") == "110,30.0"


def test_everything_is_escaped():
    def scheme(counts):
        return my_scheme(counts)

    scheme.__name__ = "<script>alert('&')</script>"
    model = LogisticMF(confidence=scheme)
    assert "<script" not in model._repr_html_()
    assert pairs(read(model).find("table"))["confidence"] == scheme.__name__


def test_factors_without_training():
    model = BPR(2)
    model.item_factors = np.ones((5, 2))
    assert "not fitted" in text_of(read(model))
    model.user_factors = np.ones((3, 2))
    assert "3 users x 5 items" in text_of(read(model)) and "entries" not in text_of(read(model))
    model.user_factors = np.ones((3, 4))
    assert "not fitted" in text_of(read(model))
