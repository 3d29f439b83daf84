"""quality.py: the whole run, small; its references against plain formulas and published figures."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from run_benchmark import report

from recsys import evaluation

GOWALLA = {"metrics": ("recall", "ndcg"), "k": 20, "show_progress": False}


def test_whole_run(run, tiny, benchmarks):
    done = run("quality.py", tiny, "--quick", "--no-peers", "--data", "lastfm-2k")
    written = report(tiny / "results" / "quality-quick.json")
    rows = {row["who"]: row for row in written["rows"]}
    ours = [who for who, each in benchmarks("quality_models").CONTENDERS.items()
            if each.by in ("recsys", "NumPy")]  # fmt: skip
    assert list(rows) == ours and len(ours) > 10
    for who, row in rows.items():
        ndcg = row["measured"]["ndcg@20"]
        assert 0 < ndcg["low"] < ndcg["mean"] < ndcg["high"] < 1, who
        assert row["seconds"]["wall"] > 0 and row["seconds"]["cpu"] >= 0 and len(row["tried"]) == 1
        assert f"| {who} " in done.stdout
    # Defaults are fitted once, though they are two rows.
    assert rows["ImplicitALS()"]["seconds"] == rows["ImplicitALS"]["seconds"]
    # An item of the other group is liked by one in twenty: whoever sees groups is well above.
    assert rows["popularity"]["measured"]["ndcg@10"]["mean"] < 0.45
    assert rows["ImplicitALS"]["measured"]["ndcg@10"]["mean"] > 0.5
    best = written["against_best"]["lastfm-2k"]
    assert best.keys() == {"best", *ours} - {best["best"]}
    assert all(best[who]["ndcg@20"]["mean"] <= 0 for who in best.keys() - {"best"})
    pictured = (tiny / "results" / "quality-quick.svg").is_file()
    assert pictured or "no picture: matplotlib is not installed" in done.stdout


def test_settings_are_chosen_on_a_part_of_the_training_data(run, tiny):
    options = (tiny, "--data", "lastfm-2k", "--who", "ItemNeighbors, BM25", "popularity")
    run("quality.py", *options, "--no-peers")
    run("quality.py", *options[:-1], "--no-peers", "--tune-on-test")
    by_part, by_test = (
        next(row for row in report(tiny / "results" / name)["rows"] if row["chosen_on"])
        for name in ("quality.json", "quality-tuned-on-test.json")
    )
    assert (by_part["chosen_on"], by_test["chosen_on"]) == ("validation", "test")
    for row in (by_part, by_test):
        assert len(row["tried"]) == 6
        best = max(row["tried"], key=lambda each: each["mean"]["ndcg@20"])
        assert row["setting"] == best["setting"]
    # What the leaderboard has of a setting is not measured again.
    [same] = [each for each in by_test["tried"] if each["setting"] == by_part["setting"]]
    assert same["seconds"] == by_part["seconds"]
    shown = by_test["measured"]["ndcg@20"]["mean"]
    assert shown == max(each["mean"]["ndcg@20"] for each in by_test["tried"])
    assert by_part["measured"]["ndcg@20"]["mean"] <= shown


def test_a_run_goes_on_where_another_ended(run, tiny, benchmarks, monkeypatch):
    options = (tiny, "--no-peers", "--data", "lastfm-2k", "--who")

    def rows():
        return {row["who"]: row for row in report(tiny / "results" / "quality.json")["rows"]}

    run("quality.py", *options, "popularity", "EASE", "--settings", 1)
    first = rows()
    assert [len(row["tried"]) for row in first.values()] == [1, 1]
    done = run("quality.py", *options, "popularity", "EASE", "--settings", 2)
    assert "popularity on lastfm-2k is there" in done.stdout
    second = rows()
    assert second["popularity"] == first["popularity"]
    assert len(second["EASE"]["tried"]) == 2 and second["EASE"]["chosen_on"] == "validation"
    run("quality.py", *options, "popularity", "--again")
    third = rows()
    assert third["EASE"] == second["EASE"]
    assert third["popularity"]["seconds"] != first["popularity"]["seconds"]
    monkeypatch.setattr(benchmarks("quality"), "code_version", lambda: "recsys of tomorrow")
    done = run("quality.py", *options, "popularity")
    assert "is there" not in done.stdout and rows()["popularity"]["version"].endswith("tomorrow")
    assert "EASE" in run("quality.py", *options, "EASE", "--report-only").stdout


def test_refuses_before_it_measures(run, tmp_path):
    done = run("quality.py", tmp_path, "--quick", "--update-docs", status=2)
    assert "--quick is a trial" in done.stderr
    options = (tmp_path, "--data", "gowalla", "--no-peers")
    done = run("quality.py", *options, status=1)
    assert f"gowalla.npz is not in {tmp_path}: left out" in done.stdout
    assert "nothing was measured" in done.stderr


# ---- the parts ---------------------------------------------------------------------------------


def test_weights(benchmarks):
    counts = sp.csr_array(np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]]))
    found = benchmarks("quality_models").weights(counts).toarray()
    np.testing.assert_allclose(found[0], [np.log2(1.5), np.log2(2.5), 0], rtol=1e-6)
    np.testing.assert_array_equal(found[1:], [[0, 0, 1], [0, 0, 0]])


def test_names_beside_the_picture_keep_apart(benchmarks):
    spread = benchmarks("leaderboard").spread
    np.testing.assert_allclose(spread(np.array([0.9, 0.5, 0.1]), 0.1), [0.9, 0.5, 0.1])
    np.testing.assert_allclose(spread(np.array([0.5, 0.5, 0.5]), 0.1), [0.6, 0.5, 0.4])
    found = spread(np.array([0.6, 0.5, 0.5]), 0.1)
    np.testing.assert_allclose(found, [0.63333, 0.53333, 0.43333], atol=1e-5)


def row_of(who, ndcg, cpu=1.0, data="d", setting=None):
    measured = {"mean": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.01}
    return {
        "data": data,
        "who": who,
        "by": "recsys",
        "setting": setting or {},
        "tried": [{"setting": setting or {}, "mean": {"ndcg@20": ndcg}}],
        "measured": {name: measured for name in ("recall@20", "ndcg@20", "ndcg@10")},
        "seconds": {"cpu": cpu, "wall": 2 * cpu},
    }


def test_tables(benchmarks):
    module = benchmarks("leaderboard")
    facts = {"users": 2, "items": 3, "train": 4, "test": 1, "synthetic": False}
    scaled = {"regularization_exponent": 1.0, "unobserved_weight": 0.1, "regularization": 0.02}
    rows = [row_of("BPR()", 0.36), row_of("BPR, hard", 0.4), row_of("BPR, hard", 0.3, data="e"),
            row_of("ImplicitALS", 0.2, setting=scaled)]  # fmt: skip
    written = {"data": {"d": facts, "e": facts}, "rows": rows}

    def line(text, start):
        [found] = [line for line in text.splitlines() if line.startswith(f"| {start} ")]
        return [cell.strip() for cell in found.strip("|").split("|")]

    matrix = module.matrix(written)
    assert line(matrix, "BPR, hard") == ["BPR, hard", "**.4000**", "**.3000**", "100.0%"]
    assert line(matrix, "BPR()") == ["BPR()", ".3600", "-", "90.0% (of fewer)"]
    basic = module.basic(written)
    assert line(basic, "BPR, recsys, untuned")[1:] == [".3600", "-"]
    assert line(basic, "BPR, recsys, tuned")[1:] == ["**.4000**", "**.3000**"]
    shown = line(module.tables(written).split("### d")[1].split("###")[0], "ImplicitALS")
    assert shown[1:] == [".2000 (.1900 to .2100)"] * 2 + [".2000", "w0 0.1, lambda 0.02", "1",
                                                         "1.0", "2.0"]  # fmt: skip


def test_the_picture_names_those_that_no_better_one_is_as_fast_as(benchmarks):
    rows = [row_of("A", 0.5, 3.0), row_of("B", 0.4, 4.0), row_of("C", 0.3, 1.0)]
    assert [row["who"] for row in benchmarks("leaderboard").front(rows)] == ["A", "C"]


def test_docs_have_the_marks(benchmarks):
    folder = Path(benchmarks("leaderboard").DOCS)
    text = (folder / "quality.md").read_text(encoding="utf-8")
    for name in ("quality", "tuned-on-test"):
        assert 0 < text.find(f"<!-- {name}:begin -->") < text.find(f"<!-- {name}:end -->")


def test_every_contender_has_as_many_settings(benchmarks):
    models = benchmarks("quality_models")
    for who, contender in models.CONTENDERS.items():
        assert len(contender.settings) in (1, models.SETTINGS), who
        assert all(contender.settings.count(each) == 1 for each in contender.settings), who
        if contender.untuned is not None:
            untuned = models.CONTENDERS[contender.untuned]
            assert (contender.settings[:1], contender.always) == (untuned.settings, untuned.always)


def test_ease_is_left_out_where_it_is_too_large(benchmarks, monkeypatch):
    quality, nothing = benchmarks("quality"), sp.csr_array((10, 30_000))
    data = benchmarks("leaderboard").Data("large", nothing, nothing)
    options = argparse.Namespace(heavy=False)
    assert "30,000 items, more than 20,000: see --heavy" in quality.why_not("EASE", data, options)
    options.heavy = True
    monkeypatch.setattr(quality, "available_memory", lambda: 5 * 10**9)
    assert quality.why_not("EASE", data, options) is None
    monkeypatch.setattr(quality, "available_memory", lambda: 3 * 10**9)
    assert "it takes 4.1 GB, there are 3.0 GB" in quality.why_not("EASE", data, options)
    assert quality.why_not("popularity", data, options) is None


# ---- on real data ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recall", "ndcg"),
    [("Popularity", 0.0416, 0.0317), ("PublishedItemKNN", 0.1570, 0.1214)],
)
def test_published_figures_on_gowalla(benchmarks, data_folder, name, recall, ndcg):
    data = benchmarks("leaderboard").load("gowalla", data_folder)
    model = getattr(benchmarks("quality_models"), name)().fit(data.train)
    found = evaluation.evaluate(model, data.train, data.test, **GOWALLA).mean
    assert found["recall@20"] == pytest.approx(recall, abs=1e-3)
    assert found["ndcg@20"] == pytest.approx(ndcg, abs=1e-3)


def test_the_same_settings_as_implicit_give_lists_as_good(benchmarks, data_folder):
    """implicit's objective: confidence alpha r, CG(3); another start, so not the same bits."""
    pytest.importorskip("implicit", reason="implicit is not installed")
    models, data = benchmarks("quality_models"), benchmarks("leaderboard")
    lastfm = data.load("lastfm-2k", data_folder)
    bench, setting = models.Bench(1, 0), {"alpha": 7.0, "regularization": 30.0}
    found = []
    for who in ("ImplicitALS, scaled, plain lambda", "implicit ALS"):
        contender = models.CONTENDERS[who]
        model, _ = contender.fit(lastfm.train, bench, contender.always | setting)
        found.append(evaluation.evaluate(model, lastfm.train, lastfm.test, **GOWALLA))
    for difference in evaluation.compare(*found).values():
        assert abs(difference.mean) < 0.003 and difference.low < 0 < difference.high
