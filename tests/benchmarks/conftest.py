"""What the tests of the benchmarks share."""

import functools
import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from run_benchmark import FOLDER


@pytest.fixture
def benchmarks(monkeypatch):
    """Imports a module of benchmarks/: no package, its scripts find one another by name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)  # a script imports its neighbours
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture
def run(benchmarks, tmp_path, monkeypatch, capsys):
    """Runs a script in this process, in a folder of its own; checks its exit status and returns
    what it printed."""
    harness = benchmarks("harness")
    quick = functools.partial(harness.measure_peaks, tries=1)
    monkeypatch.setattr(harness, "measure_peaks", quick)

    def run_script(script, *options, status=0):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script, *map(str, options)])
        module, done, said = benchmarks(script.removesuffix(".py")), 0, ""
        try:
            module.main()
        except SystemExit as exit:
            done, said = (1, exit.code) if isinstance(exit.code, str) else (exit.code or 0, "")
        out, err = capsys.readouterr()
        assert done == status, err + said
        return SimpleNamespace(stdout=out, stderr=err + said)

    return run_script


@pytest.fixture
def tiny(tmp_path):
    """A folder with a lastfm-2k.npz of 60 users with tastes: 2 groups of 20 items."""
    rng = np.random.default_rng(0)
    likely = np.where(np.arange(60)[:, None] % 2 == np.arange(40) % 2, 0.6, 0.05)
    plays = sp.csr_array((rng.random((60, 40)) < likely) * rng.integers(1, 100, (60, 40)))
    np.savez(
        tmp_path / "lastfm-2k.npz",
        shape=plays.shape,
        indptr=plays.indptr,
        indices=plays.indices,
        plays=plays.data,
    )
    return tmp_path
