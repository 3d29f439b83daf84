"""The program itself: in a process of its own, in docs/command-line.md, its help."""

import os
import re
import shlex
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import recsys
from recsys import cli
from recsys.kernels.config import configuration

app = pytest.importorskip("recsys.cli.app", reason="needs typer and rich").app
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
PROGRAM = (sys.executable, "-m", "recsys")
NAMES = {command.name for command in app.registered_commands}


def start(*arguments, **options):
    paths = [str(Path(recsys.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "80"}
    pipe = subprocess.PIPE
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, **options)


def printed(page):
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_documentation(recsys_, folder, monkeypatch):
    pytest.importorskip("optuna")
    lines = printed(PAGE)
    assert {line[1] for line in lines} == NAMES
    (folder / "model.safetensors").unlink()  # the page makes one
    before = set(folder.iterdir())
    for program, *arguments in lines:
        assert program == "recsys"
        recsys_(*arguments)
    made = {path.name for path in set(folder.iterdir()) - before}
    models = {f"{name}.safetensors" for name in ("model", "described", "best")}
    assert made == models | {"out.parquet", "study.json"}


def test_config(as_json, recsys_):
    assert as_json("config") == configuration()
    assert f"{recsys.__version__}\n" in recsys_("config").stdout


@pytest.mark.parametrize("name", sorted(NAMES))
def test_help_fits_a_terminal(recsys_, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = recsys_(name, "--help").stdout
    assert f"Usage: recsys {name}" in text.replace("root", "recsys")
    assert "--verbose" in text and "--quiet" in text
    assert max(map(len, text.splitlines())) <= 80


def test_version(recsys_):
    assert recsys_("--version").stdout == f"recsys {recsys.__version__}\n"


def test_the_installed_program():
    found = metadata.entry_points(group="console_scripts", name="recsys")
    if not found:
        pytest.skip("recsys-engine runs from its sources here")
    assert next(iter(found)).load() is cli.main


def test_as_a_program(folder):
    done = start("similar", "model.safetensors", "Wire", "-N", "2")
    out, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, "") and len(out.splitlines()) == 4
    done = start("similar", "model.safetensors", "Wires")
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out) == (1, "")
    assert err == "error: items not known: 'Wires'; did you mean 'Wire'?\n"


def test_a_reader_that_goes_away(folder):
    with start("recommend", "model.safetensors", "-N", "10", "--json") as done:
        done.stdout.close()
        assert done.stderr.read() == ""
    assert done.returncode == 141


def test_interrupted(folder):
    plays = sp.random(3000, 2000, 0.01, format="csr", random_state=0, dtype=np.float32)
    sp.save_npz("plays.npz", plays)

    def heed():  # also where the tests are run by something that ignores Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    options = ("--iterations", 100_000, "-vv", "-o", "out.safetensors")
    done = start("train", "plays.npz", *options, preexec_fn=heed)
    while not done.stderr.readline().startswith("debug: ImplicitALS"):
        assert done.poll() is None
    done.send_signal(signal.SIGINT)
    _, err = done.communicate(timeout=60)
    assert done.returncode == 130
    assert re.search(r"^interrupted: the model of iteration \d+ is in out-interr", err, re.M)
    assert recsys.load("out-interrupted.safetensors").history
    assert not (folder / "out.safetensors").exists()


def test_a_file_that_may_not_grow(folder):
    """As a disk that is full, by a limit that the operating system sets."""
    resource = pytest.importorskip("resource")
    sp.save_npz("plays.npz", sp.random(2000, 2000, 0.005, format="csr", random_state=0))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, 1 << 15))

    options = ("--iterations", 1, "-q", "-o", "out.safetensors")
    done = start("train", "plays.npz", *options, preexec_fn=limit)
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out) == (1, "")
    assert err == "error: File too large: out.safetensors\n"
    assert not [path for path in folder.iterdir() if "out" in path.name]


def test_without_its_packages():
    code = "import sys; sys.modules['typer'] = None\nfrom recsys.cli import main\nmain()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the command line needs typer and rich: pip install 'recsys-engine[cli]'\n"
    )


@pytest.mark.parametrize("typed, ends", [("item", ["item-neighbors"]), ("", 9)])
def test_completion_of_models(typed, ends):
    from recsys.cli.parameters import begun

    found = begun(typed)
    assert found == ends or len(found) == ends


def test_import_recsys_leaves_it_alone():
    code = "import recsys, sys; print('recsys.cli' in sys.modules, 'typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "False"], done.stderr
