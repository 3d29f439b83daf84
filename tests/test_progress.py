"""Bars: where they are shown, and what every long job shows."""

import functools
import http.server
import io
import sys
import threading
import types

import numpy as np
import pytest
from every_model import FACTORS, counts, make, trained

import recsys
from recsys.datasets.download import fetch
from recsys.datasets.lastfm_tsv import read_tsv
from recsys.evaluation import evaluate, random_split
from recsys.progress import progress_bar
from recsys.tuning import tune


class Terminal(io.StringIO):
    def isatty(self):
        return True


class OutStream(io.StringIO):
    """Stands for the one of a Jupyter kernel."""


def written(monkeypatch, stream, job):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream())
        job()
        return sys.stderr.getvalue()


def bar(show):
    with progress_bar(show, total=2, desc="working") as shown:
        shown.update(2)


def test_where_bars_are_shown(monkeypatch):
    kernel = types.SimpleNamespace(OutStream=OutStream)
    for stream, notebook in [(Terminal, False), (OutStream, True), (Terminal, True)]:
        monkeypatch.setitem(sys.modules, "ipykernel.iostream", kernel if notebook else None)
        assert "working: 100%" in written(monkeypatch, stream, lambda: bar(True)), stream
        assert written(monkeypatch, stream, lambda: bar(False)) == ""
    assert written(monkeypatch, io.StringIO, lambda: bar(True)) == ""  # output that is captured


TRAIN, TEST = random_split(counts(60, 40), 0.3, random_state=0)


@pytest.mark.parametrize("name", FACTORS)
def test_fit(name, monkeypatch):
    model = make(name)

    def fit(**how):
        return lambda: model.fit(TRAIN, validation=TEST, validate_every=1, **how)

    text = written(monkeypatch, Terminal, fit())
    last = text.split("\r")[-1]
    entry, metric = model.history[-1], "rmse" if name.startswith("Explicit") else "ndcg@10"
    assert f"{type(model).__name__}: 100%" in last and "3/3" in last and "it/s" in last
    assert f"{metric}={entry.validation:.6g}" in last
    assert entry.loss is None or f"loss={entry.loss:.6g}" in last
    assert written(monkeypatch, Terminal, fit(show_progress=False)) == ""
    assert written(monkeypatch, io.StringIO, fit()) == ""


def jobs(tmp_path):
    model = trained("BPR")
    own = recsys.BPR(2, epochs=1).fit(TRAIN, show_progress=False)
    path = tmp_path / "plays.tsv"
    path.write_text(f"{'a' * 40}\t{'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}\tname\t3\n")
    search = {"trials": 2, "fixed": {"factors": 2, "epochs": 1}, "refit": False}
    return {
        "recommend_all": (lambda **how: model.recommend_all(3, **how), "40/40"),
        "evaluate": (lambda **how: evaluate(own, TRAIN, TEST, k=3, **how), " users/s"),
        "tune": (lambda **how: tune(recsys.BPR, TRAIN, TEST, **search, **how), "BPR: 100%"),
        "read_tsv": (
            lambda show_progress=True: read_tsv(path, "text", show_progress),
            "reading plays.tsv: 100%",
        ),
    }


@pytest.mark.parametrize("name", ["recommend_all", "evaluate", "tune", "read_tsv"])
def test_other_jobs(name, monkeypatch, tmp_path):
    job, words = jobs(tmp_path)[name]
    assert words in written(monkeypatch, Terminal, job)
    assert "ndcg@10=" in written(monkeypatch, Terminal, job) or name != "tune"
    assert written(monkeypatch, Terminal, lambda: job(show_progress=False)) == ""
    assert written(monkeypatch, io.StringIO, job) == ""


def test_neighbors_are_silent(monkeypatch):
    model = make("ItemNeighbors")
    assert written(monkeypatch, Terminal, lambda: model.fit(counts())) == ""
    assert np.isfinite(model.similarity.data).all()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *said):
        """Nothing, as stderr is looked at."""


def test_downloads(monkeypatch, tmp_path):
    pytest.importorskip("pooch", reason="needs pooch")
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "plays.bin").write_bytes(b"x" * 3_000_000)
    handler = functools.partial(Quiet, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/plays.bin"

        def download(show_progress=True):
            fetch(url, tmp_path / "plays.bin", lambda path: None, show_progress)

        try:
            text = written(monkeypatch, Terminal, download)
            assert "plays.bin: 100%" in text and "3.00M/3.00M" in text and "B/s" in text
            assert (tmp_path / "plays.bin").stat().st_size == 3_000_000
            assert written(monkeypatch, Terminal, lambda: download(show_progress=False)) == ""
            assert written(monkeypatch, io.StringIO, download) == ""
        finally:
            server.shutdown()
            thread.join()
