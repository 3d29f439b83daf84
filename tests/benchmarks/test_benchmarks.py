"""The benchmarks as a user runs them: in a process of their own, small."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import recsys

FOLDER = Path(__file__).parents[2] / "benchmarks"


def run(script, *options, cwd, check=True):
    command = [sys.executable, str(FOLDER / script), *map(str, options)]
    # The same recsys as here, also where it was found by a relative path.
    paths = [str(Path(recsys.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    env.pop("PYTHONSAFEPATH", None)  # a script imports its neighbours
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def report(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_main_job_on_the_twin(tmp_path):
    options = ("--scale", 0.005, "--no-peers", "--iterations", 2, "--factors", 16)
    lines = run("lastfm360k.py", *options, cwd=tmp_path).stdout.splitlines()
    assert lines[0].startswith("SYNTHETIC data: lastfm-360K synthetic twin (scale 0.005")
    text = "\n".join(lines)
    for part in (
        "s an iteration (median)",
        "NumPy reference",
        "times ours",
        "nearest to synthetic artist",
        "and is recommended:",
        "peak memory of the fit:",
        "where the time goes:",
    ):
        assert part in text

    written = report(tmp_path / "results" / "lastfm360k.json")
    assert written["dataset"]["synthetic"] is True
    assert "--scale 0.005" in written["command"]
    losses = written["traces"]["recsys cholesky"]["losses"]
    assert len(losses) == 2 and losses[1] < losses[0]
    assert written["numpy_reference"]["max_difference"] < 1e-4
    assert written["memory"]["fit_mb"] > 0
    pictured = (tmp_path / "results" / "lastfm360k.png").is_file()
    assert pictured or "no picture: matplotlib is not installed" in text


def test_rating_predictions(tmp_path):
    rng = np.random.default_rng(0)
    at = np.unique(rng.integers(0, [60, 40], (900, 2)), axis=0)
    ratings = 1 + (at.sum(axis=1) + rng.integers(0, 2, len(at))) % 5
    np.savez(tmp_path / "ratings.npz", user=at[:, 0], item=at[:, 1], rating=ratings)
    options = ("ratings.npz", "--setting", "default", "16 factors", "--folds", 2)
    out = run("ratings.py", *options, "--json", "rows.json", cwd=tmp_path).stdout
    rows = [row for row in report(tmp_path / "rows.json") if row["by"] == "recsys"]
    assert [row["setting"] for row in rows] == ["default", "16 factors"]
    for row in rows:
        assert 0 < row["rmse"] < 3 and row["seconds"] > 0
        assert f"| {row['setting']} | recsys | {row['rmse']:.4f} |" in out


def test_main_job_on_real_data(tmp_path, data_folder):
    data = ("--data", data_folder / "lastfm-2k.npz", "--no-peers", "--iterations", 10)
    artists = ("--artist", "jay-z", "--artist", "Joy Division")
    text = run("lastfm360k.py", *data, *artists, cwd=tmp_path).stdout
    assert text.startswith("real data: lastfm-2k.npz, 1,892 users x 17,632 items")
    jay_z, joy_division = text.split("nearest to ")[1:]
    assert jay_z.startswith("Jay-Z") and joy_division.startswith("Joy Division")
    assert sum(name in jay_z for name in ("Kanye West", "Nas", "Ludacris", "50 Cent")) >= 2
    assert sum(name in joy_division for name in ("New Order", "The Smiths", "The Cure")) >= 2


@pytest.mark.parametrize(
    "options, message",
    [
        (("--artist", "No Such Artist"), "no artist is named 'No Such Artist'"),
        (("--artist", "synthetic artist 00000"), "did you mean 'synthetic artist 0"),
        (("--user", "-1"), "--user -1: rows go from 0 to "),
        (("--data", "nowhere.npz"), "--data and --scale (the synthetic twin) exclude each other"),
    ],
)
def test_main_job_refuses_before_it_trains(tmp_path, options, message):
    done = run("lastfm360k.py", "--scale", 0.001, *options, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert "training" not in done.stdout


def test_kernels(tmp_path):
    options = ("--quick", "--factors", 17, "--threads", 1)
    text = run("kernels.py", *options, cwd=tmp_path).stdout
    lines = [line.split("|") for line in text.splitlines() if line.startswith("|")][2:]
    assert len(lines) == 2 * 10  # dtypes x kernels
    for line in lines:
        dtype, difference = line[2].strip(), float(line[-2])
        assert difference < (1e-4 if dtype == "float32" else 1e-11)
    assert (tmp_path / "results" / "kernels.md").read_text(encoding="utf-8").count("\n|") == 22


def test_peers_side_by_side(tmp_path):
    options = ("--scale", 0.002, "--no-peers", "--factors", 8, "--rounds", 2)
    text = run("peers.py", *options, cwd=tmp_path).stdout
    assert "recsys cg" in text and "recsys cholesky" in text
    races = report(tmp_path / "results" / "peers.json")["races"]
    assert [race["solver"] for race in races] == ["cg", "cholesky"]


def test_serving(tmp_path):
    options = ("--scale", 0.002, "--no-peers", "--rounds", 1, "--factors", 8)
    text = run("serving.py", *options, cwd=tmp_path).stdout
    assert "one user at a time" in text and "share of the floor" in text
    tasks = report(tmp_path / "results" / "serving.json")["tasks"]
    assert len(tasks) == 3 and all(task["seconds"]["recsys"] > 0 for task in tasks)


def test_bars_keep_what_was_measured_before(tmp_path):
    options = ("--scale", 0.002, "--no-peers", "--bars", "--only")
    run("peers.py", *options, "isa-64", cwd=tmp_path)
    text = run("peers.py", *options, "memory", "cholesky-64", cwd=tmp_path).stdout
    assert "Cholesky, f = 64: baseline / AVX-512" in text  # from the first run
    assert "fit's peak memory above the caller's matrix" in text
    [line] = [line for line in text.splitlines() if "f = 64: implicit / ours" in line]
    assert "not measured" in line and "implicit is not installed" in line


@pytest.fixture
def benchmarks(monkeypatch):
    """Imports a module of benchmarks/: no package, its scripts find one another by name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def test_verdicts(benchmarks):
    Row = benchmarks("bars").Row
    assert Row("", 9.5, "x", "at least", 5, 9).verdict() == "aim met"
    assert Row("", 5, "x", "at least", 5, 9).verdict() == "met"
    assert Row("", 4.9, "x", "at least", 5, 9).verdict() == "**not met**"
    assert Row("", 9.5, "x", "at least", 5, 9, valid=False).verdict() == "**not met**"
    assert Row("", 0.2, "%", "at most", 0.5, 0.1).verdict() == "met"
    assert Row("", None, "x", "at least", 5, 9).verdict() == "not measured"
    assert Row("", 2.0, "x", None).verdict() == "measured"


def test_readme_table_is_replaced_between_its_marks(benchmarks, tmp_path, monkeypatch):
    peers = benchmarks("peers")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{peers.MARKS[0]}\nold\n{peers.MARKS[1]}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(peers, "README", readme)
    peers.update_readme("new", {"one": {"measured": "2026-01-02 03:04:05 +0000"}})
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{peers.MARKS[0]}\n") and text.endswith("\nafter\n")
    assert "new" in text and "old" not in text and "Measured 2026-01-02" in text


def test_readme_has_the_marks():
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert 0 < text.find("<!-- bars:begin -->") < text.find("<!-- bars:end -->")


def test_approximate_lists(tmp_path):
    pytest.importorskip("faiss", reason="faiss is not installed")
    options = ("--scale", 0.005, "--factors", 16, "--rounds", 1, "--iterations", 2)
    sweep = ("--expansion-search", 8, 400, "--queries", 200, "--singles", 5)
    text = run("ann.py", *options, *sweep, cwd=tmp_path).stdout
    points = report(tmp_path / "results" / "ann.json")["points"]
    for kind in ("recommend", "similar"):
        own = [p for p in points if p["kind"] == kind and p["backend"] in (None, "faiss")]
        assert [p["expansion_search"] for p in own] == [None, 8, 400]
        assert own[0]["recall"] == 1 and 0.5 < own[1]["recall"] <= own[2]["recall"]
        assert all(p["together"] > 0 and p["alone"] > 0 for p in own)
    pictured = (tmp_path / "results" / "ann.png").is_file()
    assert pictured or "no picture: matplotlib is not installed" in text


def test_logistic_factorization(tmp_path):
    options = ("--scale", 0.002, "--rounds", 2, "--no-peers", "--factors", 8, "--negatives", 3)
    text = run("logistic.py", *options, cwd=tmp_path).stdout
    written = report(tmp_path / "results" / "logistic.json")
    assert len(written["seconds"]["recsys"]) == 2 and written["nanoseconds"]["recsys"] > 0
    assert "rows looked at" in text


def test_defaults_of_logistic_factorization(tmp_path, data_folder):
    (tmp_path / "lastfm-2k.npz").symlink_to(data_folder / "lastfm-2k.npz")
    options = ("--pairs", "10,30", "--iterations", 1, "--negatives", 1)
    lines = run("logistic_defaults.py", tmp_path, *options, cwd=tmp_path).stdout.splitlines()
    assert lines[2].startswith("| lastfm-2k.npz | 10 | 30 | 0.")
    assert lines[3] == f"gowalla.npz is not in {tmp_path}: left out"
