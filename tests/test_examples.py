"""The examples as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import recsys

FOLDER = Path(__file__).parents[1] / "examples"


def run(script, *options, cwd):
    # The same recsys as here, also where it was found by a relative path.
    paths = [str(Path(recsys.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, str(FOLDER / script), *map(str, options)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


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
