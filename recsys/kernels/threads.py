"""How many threads to use, and what has to be done so that using them is safe."""

from __future__ import annotations

import logging
import math
import operator
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from . import _als

logger = logging.getLogger("recsys")

_MOST = 4096  # threads: more would not help anybody, and could not be started
_WORTH = 1e6  # FLOP: some tens of microseconds, what a sleeping thread takes to be there
_after_fork = False
_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")


class _Limit:
    """Of BLAS's threads: who is inside, and what takes the limit back."""

    def __init__(self) -> None:
        self.lock, self.inside, self.undo = threading.Lock(), 0, ExitStack()


_limit = _Limit()


def _forked() -> None:
    global _after_fork, _limit
    _after_fork, _limit = True, _Limit()  # another thread of the parent may have held the lock


# An OpenMP runtime that ran in the parent waits, in a forked child, for threads that are not there.
if _als.OPENMP and hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def resolve_num_threads(num_threads: int) -> int:
    """The number of threads to use.

    Parameters
    ----------
    num_threads : int
        A number of threads, or 0 for as many as this process may really use: the CPUs in its
        affinity mask, its control group's CPU limit, ``OMP_NUM_THREADS`` and
        ``threadpoolctl.threadpool_limits``, whichever is least.

    Returns
    -------
    int
        At least 1. Always 1 in a serial build, and in a process forked from this one's parent.

    Raises
    ------
    TypeError
        If `num_threads` is not an integer.
    ValueError
        If `num_threads` is negative, or more than 4096.
    """
    try:
        wanted = operator.index(num_threads)
    except TypeError:
        raise TypeError(
            f"num_threads must be an integer, got {num_threads!r}; 0 means all that are available"
        ) from None
    if wanted < 0 or isinstance(num_threads, bool):
        raise ValueError(
            f"num_threads must be 0 (all that are available) or more, got {num_threads!r}"
        )
    if wanted > _MOST:
        raise ValueError(f"num_threads must be at most {_MOST}, got {num_threads!r}")
    if not _als.OPENMP:
        return 1
    if _after_fork:
        if wanted != 1:
            logger.info("forked process: using 1 thread, OpenMP cannot restart its own here")
        return 1
    return wanted or max(1, min(_limits().values()))


def threads_worth(num_threads: int, flop: float) -> int:
    """As many of the threads as have enough to do in `flop` operations to be worth their waking."""
    return max(1, min(resolve_num_threads(num_threads), int(flop / _WORTH)))


def in_threads(
    work: Callable[[_Piece], _Result], pieces: Iterable[_Piece], num_threads: int
) -> list[_Result]:
    """``[work(piece) for piece in pieces]`` by threads of Python's: for work of NumPy's, which lets
    go of the GIL, on pieces of some milliseconds. What the first piece that fails raises is raised.
    NumPy's floating point errors are dealt with as the caller has it.
    """
    pieces = list(pieces)
    threads = min(resolve_num_threads(num_threads), len(pieces))
    if threads < 2:
        return [work(piece) for piece in pieces]
    errors = np.geterr()

    def with_errors(piece: _Piece) -> _Result:
        with np.errstate(**errors):
            return work(piece)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(with_errors, pieces))


def threads_in_words(num_threads: int) -> str:
    """How many threads `resolve_num_threads` says, and why."""
    count = resolve_num_threads(num_threads)
    if not _als.OPENMP:
        why = "a build without OpenMP"
    elif _after_fork:
        why = "in a forked process"
    elif num_threads:
        why = "as asked for"
    else:
        limits = _limits()
        why = f"limit: {min(limits, key=limits.get)}"
    return f"{count} ({why})"


def _limits() -> dict[str, int]:
    return {
        "the CPUs this process may run on": _affinity(),
        "the CPU limit of its container": _cgroup_cpus(),
        "OMP_NUM_THREADS or another limit of OpenMP": _als.max_threads(),
    }


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _cgroup_cpus(root: str = "/sys/fs/cgroup") -> int:
    """Whole CPUs this control group may use (version 2, then 1), a large number if unlimited."""
    try:
        quota, period = Path(root, "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = Path(root, "cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path(root, "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return 1 << 20
    if quota in ("max", "-1"):
        return 1 << 20
    return max(1, math.ceil(int(quota) / int(period)))


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread: its spinning workers would take CPUs from ours, and the bits of a
    decomposition would depend on how many there are.

    The limit is the whole process's. Of threads that are inside together the first sets it and the
    last takes it back: each for itself, they would leave what another one had set.
    """
    limit = _limit
    with limit.lock:
        if not limit.inside:
            limit.undo.enter_context(_controller().limit(limits=1, user_api="blas"))
        limit.inside += 1
    try:
        yield
    finally:
        with limit.lock:
            limit.inside -= 1
            if not limit.inside:
                limit.undo.close()
