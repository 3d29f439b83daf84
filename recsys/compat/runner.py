"""Running a program that imports another package on ours."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Callable
from pathlib import Path


def run(package: str, description: str, bind: Callable[[], None]) -> int | None:
    """The command line ``python -m package script.py [arguments]``, or ``-m module [arguments]``.

    Parameters
    ----------
    package : str
        Ours, by its name.
    description : str
        What is said of it by ``--help``.
    bind : callable
        Makes its modules those that the program is going to import.

    Returns
    -------
    int or None
        For `sys.exit`: 2 where the command line makes no sense, None after the program.
    """
    usage = f"""usage: python -m {package} script.py [arguments]
       python -m {package} -m module [arguments]"""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.stdout.write(f"{description}\n{usage}\n")
        return 0 if len(sys.argv) > 1 else 2
    problem = _run_module(bind) if sys.argv[1] == "-m" else _run_script(Path(sys.argv[1]), bind)
    if problem is None:
        return None
    sys.stderr.write(f"{problem}\n{usage}\n")
    return 2


def _run_script(script: Path, bind: Callable[[], None]) -> str | None:
    if not script.is_file():
        return f"there is no script {str(script)!r}"
    bind()
    sys.argv = sys.argv[1:]
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(str(script), run_name="__main__")
    return None


def _run_module(bind: Callable[[], None]) -> str | None:
    if len(sys.argv) < 3:
        return "-m needs the name of a module"
    bind()
    name = sys.argv[2]
    try:
        there = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # its package is there, but not what that imports
        there = False
    if not there:
        return f"there is no module {name!r}"
    sys.argv = sys.argv[2:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return None
