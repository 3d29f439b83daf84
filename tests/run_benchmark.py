"""Runs a benchmark or an example as a user does: in a process of its own, with our recsys."""

import json
import os
import subprocess
import sys
from pathlib import Path

import recsys

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run(script, *options, cwd, check=True, folder=FOLDER):
    command = [sys.executable, str(folder / script), *map(str, options)]
    # The same recsys as here, also where it was found by a relative path.
    paths = [str(Path(recsys.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    env.pop("PYTHONSAFEPATH", None)  # a script imports its neighbours
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def report(path):
    return json.loads(path.read_text(encoding="utf-8"))
