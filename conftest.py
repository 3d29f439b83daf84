"""Lets the tests meet the recsys that is installed, not the sources beside them.

`python -m pytest`, and each `python -c` that a test starts here, look into the current folder
first, where recsys has no compiled kernels (or old ones). An installation that leads back here
(`pip install -e`, PYTHONPATH) is left as it is.
"""

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def _is_root(entry: str) -> bool:
    return Path(entry).resolve() == ROOT


elsewhere = [entry for entry in sys.path if not _is_root(entry)]
named = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
if PathFinder.find_spec("recsys", elsewhere) and not any(map(_is_root, named)):
    sys.path[:] = elsewhere
    os.environ["PYTHONSAFEPATH"] = "1"
