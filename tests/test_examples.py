"""The examples as a user runs them."""

import functools
from pathlib import Path

import pytest
import run_benchmark

run = functools.partial(
    run_benchmark.run, folder=Path(__file__).parents[1] / "examples", check=False
)


def test_milvus(tmp_path):
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    data = tmp_path / "counts.csv"
    rows = [
        f"user {u},Sigur Rós {i},{1 + u * i % 5}" for u in range(30) for i in range(u % 3, 40, 3)
    ]
    data.write_text("\n".join(["user,item,count", *rows]), encoding="utf-8")
    done = run("milvus.py", "--data", data, "--factors", 4, "--listeners", 10, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the model's own list is the same") == 2
    assert done.stdout.count("Sigur Rós") == 20
    assert [p.name for p in tmp_path.iterdir()] == ["counts.csv"]
    done = run("milvus.py", "--data", data, "--user", 30, cwd=tmp_path)
    assert done.returncode == 1 and "expected 0 to 29" in done.stderr


def test_mlflow(tmp_path):
    for name in ("mlflow", "pandas"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    done = run("mlflow_model.py", "--factors", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the model's own lists are the same" in done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines()[2:5]] == [
        ["0", "1"], ["0", "2"], ["0", "3"],
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())
