"""The benchmarks, small; the main job as a user runs it, in a process of its own."""

import sys

import numpy as np
import pytest
import run_benchmark
import scipy.sparse as sp
from run_benchmark import report

from recsys.kernels import _als


def test_main_job_on_the_twin(tmp_path):
    options = ("--scale", 0.005, "--no-peers", "--iterations", 2, "--factors", 16)
    done = run_benchmark.run("lastfm360k.py", *options, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("SYNTHETIC data: lastfm-360K synthetic twin (scale 0.005")
    text = "\n".join(lines)
    for part in (
        "s an iteration on all users (median)",
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


def test_rating_predictions(run, tmp_path):
    rng = np.random.default_rng(0)
    at = np.unique(rng.integers(0, [60, 40], (900, 2)), axis=0)
    ratings = 1 + (at.sum(axis=1) + rng.integers(0, 2, len(at))) % 5
    np.savez(tmp_path / "ratings.npz", user=at[:, 0], item=at[:, 1], rating=ratings)
    options = ("ratings.npz", "--setting", "default", "16 factors", "--folds", 2)
    out = run("costs.py", "ratings", *options, "--json", "rows.json").stdout
    rows = [row for row in report(tmp_path / "rows.json") if row["by"] == "recsys"]
    assert [row["setting"] for row in rows] == ["default", "16 factors"]
    for row in rows:
        assert 0 < row["rmse"] < 3 and row["seconds"] > 0
        assert f"| {row['setting']} | recsys | {row['rmse']:.4f} |" in out


def test_what_measuring_costs(run, tiny):
    options = (tiny, "--data", "lastfm-2k", "--rounds", 1, "--threads", 1, "--no-peers")
    out = run("costs.py", "evaluation", *options).stdout
    seconds = report(tiny / "results" / "evaluation.json")["seconds"]["lastfm-2k"]
    assert len(seconds) == 9 and all(min(each) > 0 for each in seconds.values())
    assert "| 10 metrics at 10, 20 and 100 / lists alone " in out


def test_reading_tables(run):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    lines = run("costs.py", "tables", "--scale", 0.001, "--only", "csv").stdout.splitlines()
    assert lines[0].startswith("SYNTHETIC data: ")
    seconds, _, peak, before = (float(cell) for cell in lines[-1].split("|")[2:6])
    assert seconds >= 0 and peak >= before > 0


def test_main_job_on_real_data(run, data_folder):
    data = ("--data", data_folder / "lastfm-2k.npz", "--no-peers", "--iterations", 10)
    artists = ("--artist", "jay-z", "--artist", "Joy Division")
    text = run("lastfm360k.py", *data, *artists).stdout
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
def test_main_job_refuses_before_it_trains(run, options, message):
    done = run("lastfm360k.py", "--scale", 0.001, *options, status=1)
    assert message in done.stderr
    assert "training" not in done.stdout


def test_kernels(run, tmp_path):
    options = ("--quick", "--factors", 17, "--threads", 1)
    text = run("kernels.py", *options).stdout
    lines = [line.split("|") for line in text.splitlines() if line.startswith("|")][2:]
    assert len(lines) == 2 * 12  # dtypes x kernels
    for line in lines:
        dtype, difference = line[2].strip(), float(line[-2])
        assert difference < (1e-4 if dtype == "float32" else 1e-11)
    assert (tmp_path / "results" / "kernels.md").read_text(encoding="utf-8").count("\n|") == 26


def test_peers_side_by_side(run, tmp_path):
    options = ("--scale", 0.002, "--no-peers", "--factors", 8, "--rounds", 2, "--models", "als")
    text = run("peers.py", *options).stdout
    assert "recsys cg" in text and "recsys cholesky" in text
    races = report(tmp_path / "results" / "peers.json")["races"]
    assert [race["solver"] for race in races] == ["cg", "cholesky"]


def test_epochs_side_by_side(run, tmp_path):
    at = np.argwhere(np.random.default_rng(0).random((50, 40)) < 0.3)
    np.savez(tmp_path / "stars.npz", user=at[:, 0], item=at[:, 1], rating=at.sum(axis=1) % 5)
    models = ("--models", "bpr", "warp", "logistic", "ratings", "--ratings", "stars.npz")
    options = ("--scale", 0.002, "--no-peers", "--factors", 8, "--rounds", 2, *models)
    text = run("peers.py", *options).stdout
    races = report(tmp_path / "results" / "peers.json")["races"]
    assert [(race["model"], list(race["traces"])) for race in races] == [
        ("bpr", ["recsys BPR", "recsys BPR hogwild"]),
        ("warp", ["recsys WARP"]),
        ("logistic", ["recsys LogisticMF"]),
        ("ratings", ["recsys ALS", "recsys SGD"]),
    ]
    for race in races:
        for who, trace in race["traces"].items():
            assert len(trace["seconds"]) == 2 and min(trace["seconds"]) > 0
            assert f"| 8 | {who} " in text


def test_peers_refuses_before_it_measures(run, tmp_path):
    options = ("peers.py", "--scale", 0.002)
    done = run(*options, "--ratings", "nowhere.npz", status=2)
    assert "nowhere.npz: there is no such file" in done.stderr
    done = run(*options, "--lightfm", tmp_path / "python", status=1)
    assert "it cannot import lightfm" in done.stderr


def test_serving(run, tmp_path):
    options = ("--scale", 0.002, "--threads", 1, "--no-peers", "--rounds", 1, "--factors", 8)
    text = run("serving.py", "lists", *options).stdout
    assert "one user at a time" in text and "share of the floor" in text
    tasks = report(tmp_path / "results" / "serving.json")["tasks"]
    assert len(tasks) == 3 and all(task["seconds_a_list"]["recsys"] > 0 for task in tasks)


def test_neighbors(run, tmp_path):
    options = ("--scale", 0.002, "--no-peers", "--rounds", 2, "--k", 5)
    assert "| BM25, k = 5 |" in run("serving.py", "neighbors", *options).stdout
    written = report(tmp_path / "results" / "neighbors.json")
    assert len(written["seconds"]["recsys"]) == 2 and written["in_common"] is None


EXPERIMENTS = (
    "peers.py",
    "--scale",
    0.002,
    "--threads",
    1,
    "--no-peers",
    "--experiments",
    "--only",
)


def cells_of(text):
    """The cells after the name of what is measured, by it."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return {row[1]: row[2:4] for row in rows if len(row) > 2}


def test_experiments_keep_what_was_measured_before(run):
    run(*EXPERIMENTS, "isa-64")
    rows = cells_of(run(*EXPERIMENTS, "memory", "cholesky-64").stdout)
    *others, best = _als.AVAILABLE_ISAS
    assert {f"Cholesky, f = 64: {isa} / {best}" for isa in others} < rows.keys()  # the first run
    assert rows["fit's peak memory above the caller's matrix, f = 64"][0].endswith(" MB")
    missing = rows["Cholesky, f = 64: implicit / ours"]
    assert missing == ["not measured", "implicit is not installed"]


def test_experiments_with_epochs(run, benchmarks, monkeypatch):
    ratings = sp.random_array((60, 40), density=0.2, rng=np.random.default_rng(0), format="coo")
    monkeypatch.setattr(benchmarks("costs"), "synthetic_ratings", lambda: ratings)
    rows = cells_of(run(*EXPERIMENTS, "bpr-64", "warp-64", "logistic-64", "explicit-64").stdout)
    assert rows["BPR, f = 64, an epoch: ours deterministic / ours hogwild"][0].endswith("x")
    rate, note = rows["ExplicitSGD, f = 64, ratings"]
    assert rate.endswith(" M/s") and note.startswith("synthetic ratings: 0.00 M, ")
    assert rows["recsys LogisticMF, f = 64, for each factor row looked at"][0].endswith(" ns")
    missing = rows["WARP, f = 64, an epoch: LightFM / ours"]
    assert missing == ["not measured", "lightfm is not installed (see --lightfm)"]
    assert "ExplicitALS, f = 64, an iteration: cmfrec / ours" in rows


def test_experiments_with_lists(run):
    rows = cells_of(run(*EXPERIMENTS, "serving", "neighbors").stdout)
    assert rows["recommend, one user at a time, f = 64, a list"][0].endswith(" ms")
    missing = [row for name, row in rows.items() if "implicit / ours" in name]
    assert missing == 4 * [["not measured", "implicit is not installed"]]


def test_take_turns_within_a_budget(benchmarks):
    asked = []

    def turn_of(name, seconds):
        return lambda: asked.append(name) or seconds

    turns = {"slow": turn_of("slow", 50.0), "fast": turn_of("fast", 1.0)}
    taken = benchmarks("harness").take_turns(turns, 3, budget=60.0)
    assert taken == {"slow": [50.0], "fast": [1.0, 1.0, 1.0]}
    assert asked == ["slow", "fast", "fast", "fast"]


def test_rows_looked_at(benchmarks):
    """2 users and 3 items; users draw n, items 2 n, at most as many as there are columns."""
    matrix = sp.csr_array([[1, 1, 0], [0, 1, 0]])
    looked_at = benchmarks("contenders").looked_at
    assert looked_at(matrix, lambda n, columns: np.minimum(2 * n, columns)) == (3 + 5) + (3 + 4)


def test_synthetic_ratings(benchmarks):
    ratings = benchmarks("costs").synthetic_ratings(count=20_000)
    assert ratings.shape == (6040, 3706) and ratings.nnz == 20_000
    ratings.sum_duplicates()
    assert ratings.nnz == 20_000 and set(ratings.data) == {1, 2, 3, 4, 5}


LIGHTFM = """
import sys

import numpy as np


class LightFM:
    def __init__(self, no_components, loss):
        self.f, self.epochs = no_components, 0

    def fit_partial(self, interactions, epochs, num_threads):
        self.shape = interactions.shape
        self._run_epoch(interactions, num_threads, loss="warp")

    def _run_epoch(self, interactions, num_threads, loss):
        if interactions.nnz == 1:
            sys.exit("one entry is too few")
        self.epochs += 1

    def get_user_representations(self):
        return np.zeros(self.shape[0]), np.ones((self.shape[0], self.f), np.float32)

    def get_item_representations(self):
        biases = np.arange(self.shape[1], dtype=np.float32)
        return biases, np.full((self.shape[1], self.f), self.epochs, np.float32)
"""


@pytest.fixture
def lightfm_peer(benchmarks, tmp_path, monkeypatch):
    """With something in LightFM's place that learns the number of epochs."""
    (tmp_path / "lightfm.py").write_text(LIGHTFM, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return benchmarks("lightfm_peer")


def test_lightfm_in_a_process_of_its_own(benchmarks, lightfm_peer):
    counts = sp.csr_array([[3, 1, 0, 0], [0, 1, -1, 0]])
    python = lightfm_peer.find(None)
    peer = lightfm_peer.LightFM(python, counts, 1, no_components=2, loss="warp")
    try:
        assert peer.name == "lightfm WARP" and peer.terms == 3
        assert all(peer.turn() >= 0 for _ in range(3))
        model = benchmarks("contenders").list_maker(counts, *peer.factors())
    finally:
        peer.close()
    np.testing.assert_array_equal(model.score(np.array([0, 1]), np.array([0, 3])), [6, 9])
    assert model.recommend(0, N=2)[0].tolist() == [3, 2]


def test_lightfm_says_why_it_ended(lightfm_peer):
    counts = sp.csr_array([[1, 0]])
    peer = lightfm_peer.LightFM(sys.executable, counts, 1, no_components=2, loss="warp")
    try:
        with pytest.raises(RuntimeError, match="one entry is too few"):
            peer.turn()
    finally:
        peer.close()


@pytest.fixture
def experiments(benchmarks, tmp_path, monkeypatch):
    """experiments.py, with a folder of its own for what it writes."""
    module = benchmarks("experiments")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{module.MARKS[0]}\nold\n{module.MARKS[1]}\nafter\n", "utf-8")
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(module, "PICTURE", tmp_path / "performance.svg")
    return module


MACHINE = {
    "cpu": "a CPU",
    "cpus": 2,
    "threads": 1,
    "recsys": "0.1.0",
    "versions": {"numpy": "2.0"},
    "config": ["instruction set: avx2 (available: baseline, avx2)"],
}


def measured(Row):
    """A report with a comparison that counts, one at a higher objective, and others."""
    rows = [
        Row("CG(3), f = 64: implicit / ours", 2.5, "x"),
        Row("Cholesky, f = 64: irspack / ours", 3.5, "x", valid=False),
        Row("f = 256: ours exact / ours CG(3)", 1.5, "x"),
        Row("WARP: LightFM / ours", None, "x", "lightfm is not installed"),
    ]
    experiment = {"measured": "2026-01-02 03:04:05 +0000", "rows": [vars(row) for row in rows]}
    data = {"name": "twin", "synthetic": True, "users": 3, "items": 2, "entries": 4}
    return {"dataset": data, "machine": MACHINE, "experiments": {"cg-64": experiment}}


def test_experiments_in_docs(experiments):
    experiments.update_docs(measured(experiments.Row))
    text = experiments.PAGE.read_text("utf-8")
    assert text.startswith(f"before\n{experiments.MARKS[0]}\n") and text.endswith("\nafter\n")
    assert "SYNTHETIC data: twin, 3 users x 2 items, 4 entries" in text and "old" not in text
    assert "Measured 2026-01-02 by" in text and "| 2.50x" in text and "| not measured |" in text


def test_the_picture_of_experiments(experiments):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    written = measured(experiments.Row)
    ratios = experiments.ratios(written["experiments"])
    assert ratios == [("CG(3), f = 64", "implicit", 2.5)]
    experiments.update_docs(written)
    first = experiments.PICTURE.read_text("utf-8")
    assert "CG(3), f = 64" in first and "irspack" not in first
    experiments.update_docs(written)
    assert experiments.PICTURE.read_text("utf-8") == first


def test_docs_of_experiments_without_measuring(run):
    done = run("peers.py", "--update-docs", status=1)
    assert "results/experiments.json is no report of experiments" in done.stderr


def test_docs_have_the_marks_of_experiments(benchmarks):
    module = benchmarks("experiments")
    text = module.PAGE.read_text(encoding="utf-8")
    assert 0 < text.find(module.MARKS[0]) < text.find(module.MARKS[1])


def test_approximate_lists(run, tmp_path):
    pytest.importorskip("faiss", reason="faiss is not installed")
    options = ("--scale", 0.005, "--threads", 1, "--factors", 16, "--rounds", 1, "--iterations", 2)
    sweep = ("--expansion-search", 8, 400, "--queries", 200, "--singles", 5)
    text = run("serving.py", "ann", *options, *sweep).stdout
    points = report(tmp_path / "results" / "ann.json")["points"]
    for kind in ("recommend", "similar"):
        line = [p for p in points if p["kind"] == kind and p["backend"] in (None, "faiss")]
        assert [p["expansion_search"] for p in line] == [None, 8, 400]
        assert line[0]["recall"] == 1 and 0.5 < line[1]["recall"] <= line[2]["recall"]
        assert all(p["together"] > 0 and p["alone"] > 0 for p in line)
    pictured = (tmp_path / "results" / "ann.png").is_file()
    assert pictured or "no picture: matplotlib is not installed" in text
