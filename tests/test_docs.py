"""The programs in README.md and docs/ run as they are printed.

Blocks marked ``python`` are run, those of a file one after the other; ``py`` marks what is not
recsys, or needs what a test does not have. The walk through lastfm runs when the pages are built.
"""

import importlib
import importlib.util
import re
from pathlib import Path

import every_model
import numpy as np
import pytest
from scipy import sparse

import recsys

ROOT = Path(__file__).parents[1]
# Packages that a page's programs need beside those of recsys itself
NEEDS = {
    "README.md": ["pandas"],
    "docs/data.md": ["pandas"],
    "docs/evaluation.md": ["pandas"],
    "docs/features.md": ["pandas"],
    "docs/integrations.md": ["sklearn"],
    "docs/plots.md": ["matplotlib"],
    "docs/quickstart.md": ["pandas", "matplotlib"],
    "docs/serving.md": ["pyarrow"],
    "docs/tuning.md": ["optuna", "matplotlib"],
}


def blocks(name):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.M | re.S)


EVERY = ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))]
# Run once, by tests of their own that look at what is left.
LOOKED_AT = {"README.md", "docs/quickstart.md", "docs/evaluation.md"}
PAGES = [name for name in EVERY if blocks(name) and name not in LOOKED_AT]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a page in a folder of its own; returns what its programs have named."""
    monkeypatch.chdir(tmp_path)

    def run(name):
        for package in NEEDS.get(name, []):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{name} needs {package}, which is not installed")
        plays = sparse.csr_matrix(every_model.counts(200, 60))
        found = {"recsys": recsys, "np": np, "plays": plays, "stars": plays}
        for block in blocks(name):
            exec(block, found)
        return found

    return run


@pytest.mark.parametrize("name", PAGES)
def test_page(run, name):
    run(name)


def test_readme(run, tmp_path):
    found = run("README.md")
    assert found["model"].user_factors.shape == (3, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["plays.safetensors"]
    assert set(found["artists"]) <= {"Nina Simone", "Joy Division"}


def test_quickstart(run, tmp_path):
    found = run("docs/quickstart.md")
    assert {path.name for path in tmp_path.iterdir()} == {"loss.png", "plays.safetensors"}
    assert len(found["artists"]) == 2 and set(found["artists"]) <= set(found["data"].items)


def test_evaluation(run):
    assert run("docs/evaluation.md")["model"].best_iteration is not None


PUBLIC = ("", "datasets", "evaluation", "interactions", "models", "plots", "serving", "tuning")


@pytest.mark.parametrize("module", PUBLIC)
def test_reference_has_all_public_names(module):
    pages = (ROOT / "docs/api").glob(f"{module or '*'}.md")
    reference = "\n".join(path.read_text("utf-8") for path in pages)
    names = set(importlib.import_module(f"recsys.{module}".rstrip(".")).__all__) - {"__version__"}
    assert names <= set(re.findall(r"\w+", reference))


@pytest.mark.parametrize("name", EVERY)
def test_links(name):
    """Files that a page links to are there, also for those who read it on GitHub."""
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{name} links to {target}"


def test_the_page_of_metrics_has_all():
    table = (ROOT / "docs/evaluation.md").read_text("utf-8").partition("## Metrics")[2]
    named = set(re.findall(r"`(\w+)`", table.partition("\n## ")[0]))
    metrics = {**recsys.evaluation.USER_METRICS, **recsys.evaluation.OVERALL_METRICS}
    assert metrics.keys() - named == set()
