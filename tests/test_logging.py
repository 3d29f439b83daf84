"""What the logger "recsys" is told, and that nothing else speaks."""

import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from cases import CASES
from every_model import EVERY, FACTORS, counts, fitted, make, trained

import recsys
from recsys.evaluation import random_split
from recsys.kernels import Factors, current_isa, half_sweep, make_sides, threads, threads_in_words

TRAIN, HELD_OUT = random_split(counts(60, 40), 0.3, random_state=0)


@pytest.fixture
def said(caplog):
    """Gives the messages of a level and above, from now on or since they were last asked for."""

    def listen(level):
        caplog.set_level(level, logger="recsys")
        caplog.clear()
        return take

    def take():
        messages = caplog.messages
        caplog.clear()
        return messages

    return listen


def test_the_library_installs_no_handler_and_says_nothing_unasked():
    program = (
        "import logging, sys; sys.path.insert(0, 'tests')\n"
        "from every_model import EVERY, fitted\n"
        "for name in EVERY: fitted(name).recommend(0)\n"
        "assert not logging.getLogger('recsys').handlers and not logging.root.handlers\n"
        "assert logging.getLogger('recsys').level == logging.NOTSET\n"
    )
    root = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", EVERY)
def test_fit(name, said):
    messages = said(logging.INFO)
    model = fitted(name, num_threads=1)
    first, *others = messages()
    assert first == (
        f"{model!r} learns from 40 users x 30 items, {counts().nnz} entries, float32; threads: 1 "
        f"(as asked for); {current_isa()}"
    )
    last = others[-1]
    if name in FACTORS:
        assert re.fullmatch(r"\w+ has learned in 3 iterations, \S+ s in all", last)
    else:
        found = {"EASE": "900 weights, off by ", "SLIM": "weights in "}
        neighbors = "{:,} neighbours in "
        words = found.get(name) or neighbors.format(model.similarity.nnz)
        assert "has found " in last and words in last
    assert any("EASE inverts 30 x 30: " in message for message in others) == (name == "EASE")
    assert all("\n" not in message for message in others)
    ways = [message for message in others if " solves " in message]
    grids = [message for message in others if "grid" in message]
    assert len(ways) == (2 if "ALS" in name else 0)
    assert len(grids) == (1 if name.startswith(("BPR", "ExplicitSGD")) else 0)


def test_nothing_is_counted_for_nobody(monkeypatch):
    monkeypatch.setattr(recsys.kernels, "row_paths", None)
    monkeypatch.setattr(recsys.kernels, "threads_in_words", None)
    assert fitted("ImplicitALS").history


def test_going_on(said):
    model = trained("BPR")
    messages = said(logging.INFO)
    model.fit(counts(), warm_start=True, show_progress=False)
    first, *_, last = messages()
    assert first.endswith("; goes on after iteration 3") and "learned in 6 iterations" in last


def test_solvers(said):
    messages = said(logging.INFO)
    fitted("ImplicitALS cg", factors=40)
    users, items = (message for message in messages() if " solves " in message)
    n = np.diff(counts().indptr)
    empty, few = np.count_nonzero(n == 0), np.count_nonzero((n > 0) & (n <= 16))
    assert users == f"ImplicitALS solves users by cg: {few} batch, {empty} empty"
    assert items.startswith("ImplicitALS solves items by cg: ")


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        ({}, (40, 30), "a grid of one cell, for one thread"),
        ({}, (70, 400), "a grid of 2 bands of users x 4 groups of items: 2 rounds an epoch"),
        ({"schedule": "hogwild"}, (40, 30), "no grid: all threads write where they like"),
    ],
)
@pytest.mark.parametrize("name", ["BPR", "ExplicitSGD"])
def test_grids(name, options, shape, words, said):
    messages = said(logging.INFO)
    fitted(name, counts(*shape), num_threads=1, **options)
    assert any(words in message for message in messages()[1:3])


def test_early_stopping(said):
    messages = said(logging.INFO)
    model = make("BPR", epochs=40, learning_rate=0.3)
    model.fit(
        TRAIN, validation=HELD_OUT, validate_every=1, patience=2, metric="recall@5",
        show_progress=False,
    )  # fmt: skip
    *_, stopped, best, last = messages()
    done = len(model.history)
    why = "no better recall@5 in the last 2 validations"
    assert stopped == f"BPR stopped after iteration {done}: {why}"
    assert best == f"BPR takes its best iteration, {model.best_iteration}"
    assert f"learned in {done} iterations" in last
    model.fit(TRAIN, callback=lambda *_: True, show_progress=False)
    assert messages()[-2] == "BPR stopped by the callback after iteration 1"


def test_details(said):
    messages = said(logging.DEBUG)
    model = fitted("ExplicitALS")
    told = [message for message in messages() if message.startswith("ExplicitALS: iteration ")]
    assert len(told) == 3 and f"train_rmse {model.history[0].train_rmse:.4g}" in told[0]
    model.fold_in(counts()[:2])
    model.recommend(0, counts()[:1], fold_in=True)
    assert messages() == [
        f"ExplicitALS folds in 2 users of {counts()[:2].nnz} entries",
        f"ExplicitALS folds in 1 users of {counts()[:1].nnz} entries",
    ]


def test_rows_solved_again(said):
    matrix = CASES["huge confidences"]().astype(np.float32)
    users, _ = make_sides(matrix, 1.0, 0.0, 1.0)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 32)).astype(np.float32) for n in matrix.shape)
    messages = said(logging.DEBUG)
    retried = half_sweep(users, Factors(y), None, Factors(x)).retried
    assert retried and messages() == [
        f"{retried} of {users.n_rows} rows solved again in double precision, 0 of them with a "
        "larger diagonal"
    ]


def test_threads(monkeypatch):
    monkeypatch.setattr(threads._als, "OPENMP", 201511)
    monkeypatch.setattr(threads, "_affinity", lambda: 8)
    monkeypatch.setattr(threads, "_cgroup_cpus", lambda: 3)
    monkeypatch.setattr(threads._als, "max_threads", lambda: 8)
    assert threads_in_words(0) == "3 (limit: the CPU limit of its container)"
    assert threads_in_words(5) == "5 (as asked for)"
    monkeypatch.setattr(threads, "_affinity", lambda: 3)
    assert threads_in_words(0) == "3 (limit: the CPUs this process may run on)"
    monkeypatch.setattr(threads._als, "max_threads", lambda: 1)
    assert threads_in_words(0) == "1 (limit: OMP_NUM_THREADS or another limit of OpenMP)"
    monkeypatch.setattr(threads, "_after_fork", True)
    assert threads_in_words(0) == "1 (in a forked process)"
    monkeypatch.setattr(threads._als, "OPENMP", 0)
    assert threads_in_words(4) == "1 (a build without OpenMP)"


def test_where_things_come_from(said, tmp_path):
    messages = said(logging.INFO)
    path = tmp_path / "plays.csv"
    path.write_text("user,item,count\nme,song,3\n")
    dataset = recsys.datasets.read_interactions(path)
    assert messages() == [f"read {dataset!r} from {path}: {dataset.report}"]
    model = trained("BPR")
    model.save(tmp_path / "a.model")
    recsys.load(tmp_path / "a.model")
    where = f"{tmp_path / 'a.model'}, saved by recsys {recsys.__version__}"
    assert messages() == [f"loaded {model!r} from {where}"]


def test_a_parsed_copy_is_named(said, tmp_path):
    source = tmp_path / "plays.tsv"
    source.write_text("\t".join(["a" * 40, "", "somebody", "3"]) + "\n")
    messages = said(logging.INFO)
    for _ in range(2):
        recsys.datasets.lastfm360k(source, cache_dir=tmp_path / "kept", show_progress=False)
    first, second = messages()
    assert first.startswith("read Dataset('lastfm-360K', 1 users x 1 items")
    assert f" from {source}: " in first
    assert second.startswith("taken from ") and second.endswith(f"the parsed copy of {source}")
