"""defaults.py: its runs, small; its arithmetic; what it writes into docs/."""

import functools

from run_benchmark import report


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


def row_of(who, ndcg, settings=1, data="d"):
    measured = {"ndcg@20": {"mean": ndcg}}
    at = "2026-01-02 03:04:05 +0000"
    return {"who": who, "data": data, "measured": measured, "tried": [{}] * settings, "at": at}


def test_regret_is_the_share_of_the_best_that_is_missing(benchmarks):
    regrets = benchmarks("defaults").regrets
    untuned = "LogisticMF()"
    rows = [row_of(untuned, 0.3), row_of("LogisticMF", 0.4, 6)]
    # On e tuning has found nothing better, on f nothing but the defaults was tried.
    rows += [row_of(untuned, 0.3, data="e"), row_of("LogisticMF", 0.2, 6, data="e")]
    rows += [row_of(untuned, 0.3, data="f"), row_of("LogisticMF", 0.3, data="f")]
    # Defaults of which no other row is a part: each of these tells something.
    rows += [row_of("BPR()", 0.3), row_of("BPR, hard", 0.4), row_of("BPR, uniform", 0.35, 6)]
    table = regrets({"rows": rows, "data": dict.fromkeys("def")})
    for expected in ([untuned, "25.0", "0.0", "-", "12.5"], ["BPR()", "25.0", "-", "-", "25.0"]):
        [line] = [line for line in table.splitlines() if line.startswith(f"| {expected[0]} ")]
        assert [cell.strip() for cell in line.strip("|").split("|")] == expected


def test_regrets_come_from_the_leaderboard(run, tiny):
    done = run("defaults.py", "untuned", status=1)
    assert "quality.json is no report of quality.py" in done.stderr
    who = "ItemNeighbors()", "ItemNeighbors, BM25"
    run("quality.py", tiny, "--no-peers", "--data", "lastfm-2k", "--settings", 2, "--who", *who)
    table = run("defaults.py", "untuned").stdout
    [line] = [line for line in table.splitlines() if line.startswith("| ItemNeighbors() ")]
    assert 0 <= float(line.split("|")[2]) < 100


def test_docs_have_the_marks(benchmarks):
    defaults = benchmarks("defaults")
    for command, (begin, end) in defaults.MARKS.items():
        page = (defaults.DOCS / defaults.PAGES[command]).read_text(encoding="utf-8")
        assert 0 < page.find(begin) < page.find(end)


def test_searches(run, tiny):
    options = ("--data", "lastfm-2k", "gowalla", "--trials", 2, "--seeds", 0, 1, "--threads", 1)
    done = run("defaults.py", "search", tiny, *options)
    written = report(tiny / "results" / "defaults-search.json")["experiments"]["lastfm-2k"]
    ways = [(each["way"], each["seed"]) for each in written["searches"]]
    assert ways == [("one by one", 0), ("tune", 0), ("one by one", 1), ("tune", 1)]
    for each in written["searches"]:
        assert 0 < each["validation"] < 1 and 0 < each["test"] < 1
        assert each["whole"] == 2 and each["cpu"] > 0 and each["seconds"] > 0
    [line] = [line for line in done.stdout.splitlines() if line.startswith("| lastfm-2k ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    values = [
        [each["validation"] for each in written["searches"] if each["way"] == way]
        for way in ("one by one", "tune")
    ]
    assert cells[3] == " / ".join(f"{sum(of) / 2:.4f}" for of in values)
    assert f"gowalla.npz is not in {tiny}: left out" in done.stdout
