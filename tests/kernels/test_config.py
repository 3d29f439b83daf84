"""Instruction sets and show_config."""

import io
import os
import subprocess
import sys

import pytest

import recsys
from recsys.kernels import _als, current_isa, use_isa


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", _als.AVAILABLE_ISAS)
def test_environment_chooses(name):
    for spelled in (name, name.upper()):
        done = run("import recsys; recsys.show_config()", RECSYS_ISA=spelled)
        assert f"instruction set: {name} " in done.stdout


@pytest.mark.parametrize("name", ["avx1024", *sorted({*_als.ISA_NAMES} - {*_als.AVAILABLE_ISAS})])
def test_environment_asks_for_what_is_not_there(name):
    done = run("import recsys", RECSYS_ISA=name)
    assert done.returncode != 0
    assert f"ValueError: RECSYS_ISA='{name}'" in done.stderr
    assert "available here: baseline" in done.stderr


def test_best_is_the_default():
    assert run("import recsys; recsys.show_config()", RECSYS_ISA="").stdout.count(
        f"instruction set: {_als.AVAILABLE_ISAS[-1]} "
    )


def test_use_isa_is_undone_after_an_error():
    before = current_isa()
    with pytest.raises(KeyError), use_isa("baseline"):
        assert current_isa() == "baseline"
        raise KeyError
    assert current_isa() == before


def test_show_config_tells_the_facts():
    text = io.StringIO()
    recsys.show_config(text)
    for fact in (recsys.__version__, "OpenMP", "threads", "compiler", "NumPy", "SciPy"):
        assert fact in text.getvalue()


def test_import_is_quick_and_light():
    code = (
        "import sys, numpy; from time import process_time as t; b = t(); import recsys; e = t();"
        "print(e - b); print('scipy' in sys.modules, 'tqdm' in sys.modules)"
    )
    lines = min(run(code).stdout.split("\n") for _ in range(3))
    assert float(lines[0]) < 0.3
    assert lines[1] == "False False"
