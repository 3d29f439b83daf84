"""features.py: the whole run, small."""

import numpy as np
import pytest
import scipy.sparse as sp
from run_benchmark import report


@pytest.fixture
def hybrid(tmp_path):
    """Users and items of three kinds; the last items are cold."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 60)[:, None] == np.arange(45) % 3
    whole = sp.csr_matrix(kinds & (rng.random(kinds.shape) < 0.8)).tocoo()
    part = rng.choice(["train", "valid", "test"], whole.nnz, p=[0.6, 0.2, 0.2]).astype("U12")
    part[whole.col >= 35], part[whole.col >= 40] = "cold_valid", "cold_test"
    part[whole.row >= 56] = "user_test"
    described = sp.csr_matrix(np.eye(3)[np.arange(45) % 3] * rng.integers(1, 30, (45, 1)))
    people = sp.csr_matrix(np.eye(3)[np.argmax(kinds[:, :3], axis=1)])
    arrays = {"cold_valid_items": np.arange(35, 40), "cold_test_items": np.arange(40, 45)}
    arrays["cold_test_users"] = np.arange(56, 60)
    parts = {"item_features": described, "user_features": people}
    for name in ("train", "valid", "test", "cold_valid", "cold_test", "user_test", *parts):
        ours = part == name
        entries = np.ones(ours.sum()), (whole.row[ours], whole.col[ours])
        matrix = parts.get(name, sp.csr_matrix(entries, whole.shape))
        arrays |= {f"{name}_indices": matrix.indices, f"{name}_indptr": matrix.indptr}
        arrays |= {f"{name}_data": matrix.data, f"{name}_shape": matrix.shape}
    (tmp_path / "hybrid").mkdir()
    np.savez(tmp_path / "hybrid" / "lastfm-2k.npz", **arrays)
    return tmp_path


def test_whole_run(run, hybrid):
    output = hybrid / "out.json"
    options = (hybrid, "--quick", "--factors", 4, "--output", output)
    done = run("features.py", *options)
    assert "ml-1m: no file" in done.stdout
    written = report(output)
    rows = {row["who"]: row for row in written["rows"]}
    for name in ("TF-IDF profile", "ImplicitALS", "BPR", "LogisticMF"):
        assert 0 < rows[name]["cold"] <= 1 and 0 < rows[name]["warm"] <= 1
    # Five items of three kinds: at random 0.6 or so.
    assert rows["ImplicitALS"]["cold"] > 0.9 and rows["TF-IDF profile"]["cold"] > 0.9
    assert rows["ImplicitALS, features afterwards"]["cold"] > 0.9
    strangers = rows["ImplicitALS, tuned"]["strangers"]
    assert 0 < strangers["joint"] <= 1 and "Users of lastfm-2k without events" in done.stdout
    plain, boosted, _ = rows["ImplicitALS, tuned"]["mixed"]
    assert plain["share"] <= boosted["share"]
    assert "| lastfm-2k | 2 " in done.stdout.replace("  ", " ")
    compared = written["differences"]["lastfm-2k"]
    assert list(compared) == ["ImplicitALS", "ImplicitALS, tuned", "BPR", "BPR, WARP"]
    for name, difference in compared.items():
        gain = rows[name]["warm"] - rows[f"{name}, features afterwards"]["warm"]
        assert difference["mean"] == pytest.approx(gain, abs=1e-12)
        assert difference["low"] <= gain <= difference["high"]
    few = rows["BPR, by few likes"]
    assert 2 <= few["users"] <= 4 and "whom training has not seen, by 1 / 3 / 10" in done.stdout
    assert all(0 < each[way] <= 1 for each in few["newcomers"] for way in ("features", "both"))
    assert len(rows["ImplicitALS, by counts"]["counts"]) == 4

    done = run("features.py", *options)
    assert "BPR on lastfm-2k is there" in done.stdout and report(output)["rows"] == written["rows"]
    assert "| ImplicitALS, tuned " in run("features.py", *options, "--report-only").stdout
    assert "is a trial" in run("features.py", *options, "--update-docs", status=2).stderr
