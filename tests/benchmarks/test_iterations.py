"""iterations.py: its runs, small; its arithmetic; what it writes into docs/."""

import functools

import numpy as np
import pytest
from run_benchmark import report

SHORT = {"SETTINGS": {"defaults": {}, "f = 3": {"factors": 3}}, "ITERATIONS": 4, "SHOWN": (2, 3)}
SHORT |= {"PLAIN_SHOWN": (2, 4)}


@pytest.fixture
def iterations(benchmarks, monkeypatch):
    module = benchmarks("iterations")
    for name, value in SHORT.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_lists(run, tiny, iterations):
    events = np.load(tiny / "lastfm-2k.npz")
    np.savez(tiny / "steam.npz", **{name: events[name] for name in ("shape", "indptr", "indices")})
    users, items = np.meshgrid(np.arange(20), np.arange(15), indexing="ij")
    stars = 1 + (users + items).ravel() % 5
    np.savez(tiny / "ml-1m.npz", user=users.ravel(), item=items.ravel(), rating=stars)
    arguments = ("lists", tiny, "--seeds", "2", "--data", "lastfm-2k", "gowalla", "steam")
    done = run("iterations.py", *arguments)
    assert f"gowalla.npz is not in {tiny}: left out" in done.stdout
    written = report(tiny / "results" / "iterations-lists.json")["experiments"]
    assert list(written) == ["lastfm-2k", "steam", "ratings"]
    for name in ("lastfm-2k", "steam"):
        each = written[name]
        assert len(each["plain"]) == len(each["ours"]) == 2
        assert list(each["ours"][0]["ndcg@20"]) == ["2", "3"]
        assert all(0 < value <= 1 for value in each["ours"][0]["ndcg@20"].values())
        assert all(np.diff(fit["losses"]).max() < 0 for fit in each["plain"] + each["ours"])
        assert each["reached"].keys() == iterations.SETTINGS.keys()
        assert f"| {name} " in done.stdout
    assert "`ExplicitALS`, ratings of ml-1m, likewise:" in done.stdout


def test_losses(run, tiny):
    arguments = ("losses", "--scale", "0.001", "--rounds", "4", "--factors", "4", "--no-peers")
    done = run("iterations.py", *arguments)
    traces = report(tiny / "results" / "iterations-losses.json")["traces"]
    assert list(traces) == ["recsys", "recsys, plain"]
    assert all(len(each["losses"]) == len(each["seconds"]) == 4 for each in traces.values())
    assert traces["recsys"]["losses"][-1] < traces["recsys, plain"]["losses"][-1]
    assert "| recsys, plain " in done.stdout and "1.00x" in done.stdout


def test_samples(run, iterations):
    done = run("iterations.py", "samples", "--scale", 0.01, status=1)
    assert "entries to learn from are too few for samples" in done.stderr
    fit = {"ndcg@20": {"3": 0.25}, "losses": [4e6, 3e6, 2e6], "seconds": [5.0, 1.0, 1.0]}
    table = iterations.samples_table({"defaults; samples": fit})
    cells = [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]]
    assert cells[:4] == ["defaults", "samples", "4", "1"]
    assert cells[4:] == ["4e+06", "3e+06", "2e+06", "3", "7", "0.2500"]


def test_where_an_objective_is_reached(iterations):
    assert iterations.reached([9.0, 5.0, 4.0], 5.0) == 2
    assert iterations.reached([9.0, 5.0 + 1e-6, 4.0], 5.0) == 2  # float32 rounds
    assert iterations.reached([9.0, 5.0], 4.9) is None
    assert iterations.shown(None) == "-" and iterations.shown(3) == "3"


def test_docs_have_the_marks(iterations):
    page = iterations.PAGE.read_text(encoding="utf-8")
    for begin, end in iterations.MARKS.values():
        assert 0 < page.find(begin) < page.find(end)


def test_a_week_of_days(run, tiny, monkeypatch, benchmarks):
    models = benchmarks("iterations").WEEK_MODELS
    monkeypatch.setitem(
        models, "ImplicitALS", functools.partial(models["ImplicitALS"], 4, regularization=5)
    )
    monkeypatch.setitem(models, "BPR", functools.partial(models["BPR"], 4, epochs=3))
    told = run(
        "iterations.py", "week", tiny, "--models", "ImplicitALS", "BPR", "--rounds", 1
    ).stdout
    [row] = [line.split("|") for line in told.splitlines() if line.startswith("| ImplicitALS")]
    first, week, whole = map(float, row[2:5])
    assert 0 < first < week <= 1 and week > 0.9 * whole
    found = report(tiny / "results" / "week.json")["found"]
    assert set(found) == {"lastfm-2k, ImplicitALS", "lastfm-2k, BPR"}
