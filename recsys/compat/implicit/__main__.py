"""``python -m recsys.compat.implicit script.py [arguments]``, or ``-m module [arguments]``: a
program that says ``import implicit``, run on recsys."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

from recsys.compat.implicit.bind import bind

USAGE = """usage: python -m recsys.compat.implicit script.py [arguments]
       python -m recsys.compat.implicit -m module [arguments]"""


def main() -> int | None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__ + "\n" + USAGE)
        return 0 if len(sys.argv) > 1 else 2
    return _run_module() if sys.argv[1] == "-m" else _run_script(Path(sys.argv[1]))


def _run_script(script: Path) -> int | None:
    if not script.is_file():
        return _refused(f"there is no script {str(script)!r}")
    bind()
    sys.argv = sys.argv[1:]
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(str(script), run_name="__main__")
    return None


def _run_module() -> int | None:
    if len(sys.argv) < 3:
        return _refused("-m needs the name of a module")
    bind()
    name = sys.argv[2]
    try:
        there = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # its package is there, but not what that imports
        there = False
    if not there:
        return _refused(f"there is no module {name!r}")
    sys.argv = sys.argv[2:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return None


def _refused(reason: str) -> int:
    print(f"{reason}\n{USAGE}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
