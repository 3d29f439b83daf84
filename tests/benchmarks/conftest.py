"""What the tests of the benchmarks share."""

import importlib
import sys

import pytest
from run_benchmark import FOLDER


@pytest.fixture
def benchmarks(monkeypatch):
    """Imports a module of benchmarks/: no package, its scripts find one another by name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
