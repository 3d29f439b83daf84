"""tuning.py: its run, small; its table."""

from run_benchmark import report


def test_both_ways(run, tiny):
    options = ("--data", "lastfm-2k", "gowalla", "--trials", 2, "--seeds", 0, 1, "--threads", 1)
    done = run("tuning.py", tiny, *options)
    written = report(tiny / "results" / "tuning.json")["experiments"]["lastfm-2k"]
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
