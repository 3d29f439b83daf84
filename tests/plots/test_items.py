"""Pictures of what was learned of items."""

import itertools

import numpy as np
import pytest
from every_model import counts, trained
from matplotlib.figure import Figure

from recsys import BPR, Features, ImplicitALS, ItemNeighbors, NotFittedError, plots
from recsys.interactions import Interactions

NAMES = [f"name {item} ¥$a$" for item in range(30)]


@pytest.mark.parametrize("name", ["ImplicitALS", "BPR", "ItemNeighbors"])
def test_neighbors(name):
    model = trained(name)
    found, scores = model.similar_items(4, 6)
    kept = (found != 4) & np.isfinite(scores)
    figure = plots.plot_neighbors(model, 4, 5, names=NAMES)
    [axes] = figure.axes
    bars = [bar.get_width() for bar in axes.patches]
    assert bars == pytest.approx(scores[kept][:5].tolist(), rel=1e-5)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [NAMES[item] for item in found[kept][:5]]
    assert axes.get_title("left") == f"Nearest to {NAMES[4]}"
    low, high = axes.get_ylim()
    assert low > high  # the first at the top
    kind = "similarity" if isinstance(model, ItemNeighbors) else "cosine of the factors"
    assert axes.get_xlabel() == kind
    figure.draw_without_rendering()  # a name is no formula


def test_neighbors_without_names():
    [axes] = plots.plot_neighbors(trained("BPR"), 4, 2).axes
    assert all(text.get_text().startswith("item ") for text in axes.get_yticklabels())
    assert axes.get_title("left") == "Nearest to item 4"
    own = Figure().subplots()
    assert plots.plot_neighbors(trained("BPR"), 4, ax=own) is own and own.patches


def test_models_that_speak_ids():
    shown = [f"a{item}" for item in range(30)]
    matrix = counts()
    model = BPR(4, epochs=2, random_state=0)
    ids = Interactions.from_csr(matrix, items=shown)
    model.fit(ids, show_progress=False)
    [axes] = plots.plot_neighbors(model, "a4", 3).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == (
        model.similar_items("a4", 4)[0][1:].tolist()
    )
    assert axes.get_title("left") == "Nearest to a4"
    names = {name: name.upper() for name in shown}
    [axes] = plots.plot_neighbors(model, "a4", 3, names=names).axes
    assert axes.get_title("left") == "Nearest to A4"
    [axes] = plots.plot_map(model, ["a9", "a2", "a11"]).axes
    assert {text.get_text() for text in axes.texts} == {"a9", "a2", "a11"}
    [axes] = plots.plot_map(model, names=names).axes
    assert {text.get_text() for text in axes.texts} <= set(names.values())
    with pytest.raises(ValueError, match="names has 1 names, none for item 'a4'"):
        plots.plot_neighbors(model, "a4", names={"x": "y"})


def test_neighbors_errors():
    with pytest.raises(NotFittedError):
        plots.plot_neighbors(BPR(), 0)
    with pytest.raises(IndexError):
        plots.plot_neighbors(trained("BPR"), 30)
    with pytest.raises(ValueError, match="item 7 has no neighbours to show"):
        plots.plot_neighbors(trained("ItemNeighbors"), 7)
    with pytest.raises(ValueError, match="names has 3 names, none for item"):
        plots.plot_neighbors(trained("BPR"), 1, names=["a", "b", "c"])
    with pytest.raises(TypeError, match="names must be a sequence or a dict with a name for each"):
        plots.plot_neighbors(trained("BPR"), 1, names="abc")


@pytest.mark.parametrize("name", ["ImplicitALS bias", "BPR"])
def test_map(name):
    figure = plots.plot_map(trained(name), names=NAMES)
    [axes] = figure.axes
    [points] = axes.collections
    assert points.get_offsets().shape == (30, 2)
    assert {text.get_text() for text in axes.texts} <= set(NAMES) and len(axes.texts) > 5
    assert "principal component (" in axes.get_xlabel() and "% of variance)" in axes.get_ylabel()


def test_map_shows_the_most_interacted_with():
    model = trained("ImplicitALS")
    [axes] = plots.plot_map(model, N=5).axes
    users = np.bincount(counts().indices, minlength=30)
    most = {f"item {item}" for item in np.argsort(-users, kind="stable")[:5]}
    assert {text.get_text() for text in axes.texts} == most


def test_map_names_cover_nothing():
    rng = np.random.default_rng(0)
    model = ImplicitALS(3)
    model.user_factors = np.ones((4, 3))
    model.item_factors = rng.normal(size=(90, 3)) * [1, 1, 0.1]
    figure = plots.plot_map(model, np.arange(90), names=["a name"] * 90)
    figure.draw_without_rendering()
    [axes] = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 20 < len(boxes) < 90
    assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))
    [points] = axes.collections
    places = axes.transData.transform(points.get_offsets())
    assert not any(box.contains(*place) for box in boxes for place in places)
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_map_is_of_principal_components():
    model = ImplicitALS(3)
    model.user_factors = np.ones((4, 3))
    angles = np.linspace(0, 1, 6)
    # Lengths do not matter, and all is in one plane.
    model.item_factors = np.column_stack([np.cos(angles), np.sin(angles), 0 * angles])
    model.item_factors = model.item_factors * np.arange(1, 7)[:, np.newaxis]
    [axes] = plots.plot_map(model, range(6)).axes
    places = axes.collections[0].get_offsets()
    apart = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_allclose(apart, 2 * np.sin(0.1), rtol=1e-5)
    shares = [float(label.split("(")[1].split("%")[0]) for label in
              (axes.get_xlabel(), axes.get_ylabel())]  # fmt: skip
    assert sum(shares) == pytest.approx(100, abs=1)


def test_map_of_one_factor():
    model = ImplicitALS(1)
    model.user_factors, model.item_factors = np.ones((2, 1)), [[1.0], [-2.0], [0.0], [3.0]]
    [axes] = plots.plot_map(model, [0, 1, 2, 3]).axes
    assert "(100% of variance)" in axes.get_xlabel() and "(0% of variance)" in axes.get_ylabel()
    assert np.ptp(axes.collections[0].get_offsets()[:, 1]) == 0


@pytest.mark.parametrize("bias", [False, True])
def test_features_on_the_map(bias):
    matrix = (np.random.default_rng(5).random((32, 3)) < 0.5).astype(float)
    matrix[30:] = [[0, 2, 0], [0, 0, 1]]  # of two new items, a feature each
    known = Features.from_csr(matrix, names=["a", "b", "c"])
    model = ImplicitALS(4, bias=bias, iterations=2, random_state=0)
    model.fit(counts(), item_features=known, show_progress=False)
    [axes] = plots.plot_map(model, range(32), features=["c", "b"]).axes
    items, features = (points.get_offsets() for points in axes.collections)
    assert items.shape == (32, 2)
    np.testing.assert_allclose(features, items[[31, 30]], atol=1e-6)
    with pytest.raises(ValueError, match="no feature 'd' of items"):
        plots.plot_map(model, features=["d"])
    with pytest.raises(TypeError, match=r"pass \['b'\]"):
        plots.plot_map(model, features="b")
    with pytest.raises(ValueError, match="fit it with item_features="):
        plots.plot_map(trained("BPR"), features=["b"])


def test_map_errors():
    with pytest.raises(TypeError, match="ItemNeighbors does not have; use a factor model"):
        plots.plot_map(trained("ItemNeighbors"))
    with pytest.raises(NotFittedError):
        plots.plot_map(BPR())
    with pytest.raises(ValueError, match="at least 3 items; got 2"):
        plots.plot_map(trained("BPR"), [1, 2])
    with pytest.raises(IndexError):
        plots.plot_map(trained("BPR"), [1, 2, 30])
    own = Figure().subplots()
    assert plots.plot_map(trained("BPR"), ax=own) is own and own.texts
