"""``python -m recsys.compat.implicit script.py [arguments]``, or ``-m module [arguments]``: a
program that says ``import implicit``, run on recsys."""

from __future__ import annotations

import sys

from recsys.compat.implicit.bind import bind
from recsys.compat.runner import run

if __name__ == "__main__":
    sys.exit(run("recsys.compat.implicit", __doc__, bind))
