"""``python -m recsys.compat.lightfm script.py [arguments]``, or ``-m module [arguments]``: a
program that says ``import lightfm``, run on recsys."""

from __future__ import annotations

import sys

from recsys.compat.lightfm.bind import bind
from recsys.compat.runner import run

if __name__ == "__main__":
    sys.exit(run("recsys.compat.lightfm", __doc__, bind))
