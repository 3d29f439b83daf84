"""The program with all its commands."""

from recsys.cli import about, benchmark, lists, measure, search, train  # noqa: F401
from recsys.cli.command import app

__all__ = ["app"]
