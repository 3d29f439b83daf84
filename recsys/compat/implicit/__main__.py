"""``python -m recsys.compat.implicit script.py [arguments]``: a program that says
``import implicit``, run on recsys."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from recsys.compat.implicit.bind import bind

USAGE = "usage: python -m recsys.compat.implicit script.py [arguments]"


def main() -> int | None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__ + "\n" + USAGE)
        return 0 if len(sys.argv) > 1 else 2
    script = Path(sys.argv[1])
    if not script.is_file():
        print(f"there is no script {str(script)!r}\n{USAGE}", file=sys.stderr)
        return 2
    bind()
    sys.argv = sys.argv[1:]
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(str(script), run_name="__main__")
    return None


if __name__ == "__main__":
    sys.exit(main())
