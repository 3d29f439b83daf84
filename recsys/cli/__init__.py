"""The command line, ``recsys`` or ``python -m recsys``: each command is a call or two of the
library, whose errors come out as one line. Needs the extra `cli`."""

from __future__ import annotations

import sys

from recsys.cli.exit_status import INTERRUPTED


def main() -> None:
    """Run the command that the arguments name, and exit."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError:
        sys.exit("error: the command line needs typer and rich: pip install 'recsys-engine[cli]'")
    try:
        from recsys.cli.app import app

        app(prog_name="recsys")
    except KeyboardInterrupt:  # before the command began
        sys.exit(INTERRUPTED)
