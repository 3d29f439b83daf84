"""Which instruction set is in use, and what this build and this machine are."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np

from recsys._version import __version__

from . import _als
from .threads import resolve_num_threads, threads_in_words


def _choose(name: str) -> str:
    if name in _als.AVAILABLE_ISAS:
        return name
    if name in _als.ISA_NAMES:
        why = "this CPU, its operating system or this build lacks it"
    else:
        why = "there is no such instruction set"
    raise ValueError(
        f"RECSYS_ISA={name!r}: {why}; available here: {', '.join(_als.AVAILABLE_ISAS)}. "
        "Leave RECSYS_ISA unset for the best one"
    )


_isa = _choose(os.environ.get("RECSYS_ISA", "").lower() or _als.AVAILABLE_ISAS[-1])


def current_isa() -> str:
    """The instruction set the kernels use: ``baseline``, ``avx2`` or ``avx512``."""
    return _isa


def kernel_options(num_threads: int) -> dict[str, Any]:
    """What every kernel is told."""
    return {"isa": _isa, "num_threads": resolve_num_threads(num_threads)}


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use another instruction set for a while (tests and benchmarks; not thread-safe)."""
    global _isa
    before, _isa = _isa, _choose(name)
    try:
        yield
    finally:
        _isa = before


def configuration() -> dict[str, str | int]:
    """What this installation is and uses, by name."""
    import scipy

    return {
        "recsys": __version__,
        "instruction set": f"{_isa} (available: {', '.join(_als.AVAILABLE_ISAS)})",
        "OpenMP": f"yes ({_als.OPENMP})" if _als.OPENMP else "no (serial build)",
        "threads": threads_in_words(0),
        "compiler": _als.COMPILER,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "platform": platform.platform(),
    }


def show_config(file: TextIO | None = None) -> None:
    """Write what this installation is and uses, one fact a line.

    Parameters
    ----------
    file : text file, optional
        Where to write; standard output by default.
    """
    lines = (f"{name + ':':<17}{value}\n" for name, value in configuration().items())
    (file or sys.stdout).write("".join(lines))
