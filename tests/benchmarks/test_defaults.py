"""defaults.py: its runs, small; its arithmetic; what it writes into docs/."""

import functools

import pytest
from run_benchmark import report

DEFAULTS = {"model": "M", "data": "d", "measured": "2026-01-02 03:04:05 +0000"}


def tried(setting, ndcg):
    mean = {"ndcg@10": ndcg, "recall@20": 0.25, "ndcg@20": 0.5}
    return {"setting": setting, "mean": mean, "seconds": 1.5}


def test_models(run, tiny, benchmarks):
    done = run("defaults.py", "models", tiny, "--quick", "--data", "lastfm-2k", "gowalla")
    written = report(tiny / "results" / "defaults-quick.json")["experiments"]
    models = list(benchmarks("defaults").MODELS)
    assert list(written) == [f"{name} on lastfm-2k" for name in models]
    for name in models:
        rows = written[f"{name} on lastfm-2k"]["tried"]
        assert [bool(row["setting"]) for row in rows] == [False, True]
        assert all(0 < row["mean"]["ndcg@10"] < 1 and row["seconds"] > 0 for row in rows)
        assert f"| {name} " in done.stdout
    assert f"gowalla.npz is not in {tiny}: left out" in done.stdout
    # What is not measured again stays.
    options = ("--quick", "--data", "lastfm-2k", "--model", models[-1])
    run("defaults.py", "models", tiny, *options)
    again = report(tiny / "results" / "defaults-quick.json")["experiments"]
    assert again.keys() == written.keys()
    assert again[f"{models[0]} on lastfm-2k"] == written[f"{models[0]} on lastfm-2k"]


def test_weights(run, tiny, benchmarks, monkeypatch):
    defaults = benchmarks("defaults")
    short = functools.partial(defaults.ImplicitALS, 4, iterations=2)
    monkeypatch.setattr(defaults, "ImplicitALS", short)
    options = ("--data", "lastfm-2k", "gowalla", "--parts", "whole", "entries")
    done = run("defaults.py", "weights", tiny, *options)
    written = report(tiny / "results" / "defaults-weights.json")["experiments"]
    assert list(written) == ["lastfm-2k", "lastfm-2k, half of its entries"]
    for name, row in written.items():
        assert len(row["walk"]) >= 5 and 0 < row["rule"] < 1
        assert all(0 < value < 1 for _, _, value in row["walk"])
        best = max(value for _, _, value in row["walk"])
        [line] = [line for line in done.stdout.splitlines() if line.startswith(f"| {name} ")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[4] == f"{row['rule']:.4f}" and cells[6] == f"{best:.4f}"
        assert cells[7] == f"{100 * (1 - row['rule'] / best):.1f} %"
    assert f"gowalla.npz is not in {tiny}: left out" in done.stdout


def test_factors(run, tiny):
    done = run("defaults.py", "factors", tiny, "--data", "lastfm-2k", "--factors", 2, 4)
    lines = [line.split("|")[2:] for line in done.stdout.splitlines() if line.startswith("| last")]
    assert [int(line[0]) for line in lines] == [2, 4]
    assert all(0 < float(cell.split(",")[0]) < 1 for line in lines for cell in line[1:4])


def test_a_walk_ends_where_no_neighbour_is_better(benchmarks):
    walk = benchmarks("defaults").walk
    found = walk(lambda at: -abs(at[0] - 3) - abs(at[1] + 9.6))
    best = max(found, key=found.get)
    assert abs(best[0] - 3) <= 0.5 and abs(best[1] + 9.6) <= 0.5


def test_regret_is_the_share_of_the_best_that_is_missing(benchmarks):
    defaults = benchmarks("defaults")
    row = {**DEFAULTS, "tried": [tried({}, 0.3), tried({"alpha": 2.0}, 0.4), tried({"k": 3}, 0.1)]}
    assert defaults.regret(row) == pytest.approx(25)
    assert defaults.best_of(row)["setting"] == {"alpha": 2.0}
    row["facts"] = {"users": 1, "items": 1, "train": 1, "test": 1, "synthetic": False}
    lines = defaults.tables([row]).splitlines()
    [line] = [line for line in lines if line.startswith("| M ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["M", "d", "0.3000", "0.4000", "25.0 %", "0.2500 / 0.5000", "1.5", "alpha 2.0"]


def test_every_setting_is_one_of_the_model(benchmarks):
    for name, model in benchmarks("defaults").MODELS.items():
        untuned = model.make(**model.always).get_params()
        for setting in model.settings:
            assert setting.keys() <= untuned.keys(), name
            assert any(untuned[key] != value for key, value in setting.items()), name


def test_docs_have_the_marks(benchmarks):
    defaults = benchmarks("defaults")
    page = defaults.PAGE.read_text(encoding="utf-8")
    for begin, end in defaults.MARKS.values():
        assert 0 < page.find(begin) < page.find(end)
