"""The programs in README.md and docs/ run as they are printed."""

import re
from pathlib import Path

import every_model

ROOT = Path(__file__).parents[1]


def program(name):
    """All Python blocks of a file, one after the other."""
    text = (ROOT / name).read_text("utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(program("README.md"), found)
    assert found["model"].user_factors.shape == (4, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["plays.model"]


def test_evaluation():
    found = {"plays": every_model.counts(200, 60)}
    exec(program("docs/evaluation.md"), found)
    assert found["model"].best_iteration is not None
