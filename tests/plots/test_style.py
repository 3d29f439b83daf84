"""What pictures have in common: no window, no backend, no trace in what the user has set."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from every_model import trained
from matplotlib.figure import Figure

from recsys import plots
from recsys.plots.style import brief, line_styles


def small():
    with plots.style():
        figure, [[axes]] = plots.subplots(size=(3, 2))
        axes.plot([1, 2], [3, 4])
    return figure


def test_nothing_global_is_touched():
    program = (
        "import sys, matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        "import recsys\n"
        "from recsys import plots\n"
        "from recsys.evaluation import Evaluation\n"
        "import numpy as np\n"
        "found = Evaluation(np.arange(3), {'ndcg@20': np.arange(3.0)}, {}, 0, 0, 0)\n"
        "plots.plot_quality({'one': found})._repr_png_()\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    windows = {**os.environ, "MPLBACKEND": "gtk3agg"}  # which would need a display
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=windows)
    assert done.returncode == 0, done.stderr


def test_a_figure_shows_itself():
    figure = small()
    assert isinstance(figure, Figure)
    picture, size = figure._repr_png_()
    assert picture.startswith(b"\x89PNG") and size == {"width": 300, "height": 200}
    assert np.frombuffer(picture[16:24], ">u4").tolist() == [600, 400]  # of its header


def test_colours_and_lines():
    with plots.style():
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"][:6] == list(plots.COLOURS)
    styles = line_styles(map(str, range(18)))
    assert len({tuple(style.values()) for style in styles.values()}) == 18


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_saving_twice_gives_the_same_file(ending, tmp_path):
    paths = [tmp_path / f"{number}.{ending}" for number in range(2)]
    for path in paths:
        plots.save(small(), path)
    one, two = (path.read_bytes() for path in paths)
    assert one == two and len(one) > 500


def test_saving_in_an_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="xyz"):
        plots.save(small(), tmp_path / "picture.xyz")
    assert not list(tmp_path.iterdir())


def test_names_are_brief():
    assert brief("one\ttwo\n three") == "one two three"
    assert brief("x" * 36) == "x" * 36 and brief("x" * 37) == "x" * 35 + "…"


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"matplotlib: pip install 'recsys-engine\[plot\]'"):
        plots.plot_history(trained("BPR"))
