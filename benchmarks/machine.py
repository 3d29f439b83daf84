"""What a machine is and can do at best: facts, measured peaks, and the work of a half-sweep.

``python benchmarks/machine.py`` prints the facts and the peaks.
"""

from __future__ import annotations

import io
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import recsys
from recsys.kernels import resolve_num_threads

DISTRIBUTIONS = ("numpy", "scipy", "implicit", "irspack", "cmfrec")


def facts(num_threads: int = 0) -> dict[str, Any]:
    """CPU, memory, threads, instruction set and versions, for the head of a report."""
    config = io.StringIO()
    recsys.show_config(config)
    return {
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "threads": resolve_num_threads(num_threads),
        "recsys": recsys.__version__,
        "versions": {name: found for name in DISTRIBUTIONS if (found := version(name))},
        "config": config.getvalue().splitlines(),
    }


def version(distribution: str) -> str | None:
    """The installed version, None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def one_line(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    isa = next(line.split(":")[1] for line in machine["config"] if line.startswith("instruction"))
    return (
        f"{machine['cpu']}, {machine['threads']} of {machine['cpus']} CPUs, "
        f"{isa.split('(')[0].strip()}; recsys {machine['recsys']}, {versions}"
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return None


class Peaks(NamedTuple):
    """The best seen of some tries, with a given number of threads."""

    sgemm_gflops: float  # float32 product of two 2,048 x 2,048 matrices by NumPy's BLAS
    read_gbs: float  # dot product of a 256 MB float32 array with itself


def measure_peaks(num_threads: int = 0, tries: int = 5) -> Peaks:
    threads = resolve_num_threads(num_threads)
    n = 2048
    a = np.random.default_rng(0).random((n, n), dtype=np.float32)
    c = np.empty_like(a)
    with threadpool_limits(threads, "blas"):
        seconds = _best(lambda: np.matmul(a, a, out=c), tries)
    pieces = np.array_split(np.ones(1 << 26, dtype=np.float32), threads)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        reading = _best(lambda: list(pool.map(lambda x: np.dot(x, x), pieces)), tries)
    return Peaks(2e-9 * n**3 / seconds, 4e-9 * (1 << 26) / reading)


def _best(call: Callable[[], Any], tries: int) -> float:
    seconds = []
    for _ in range(tries):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


# ---- the work of a half-sweep ------------------------------------------------------------------

# How csrc/kernels/als.h chooses a row's path.
_BATCH_MOST = 64
_CG_FEWEST = 16
_LONG_ROW_BYTES = 1048576
_CG_PRIMAL_FACTORS = 256


def half_sweep_work(
    lengths: np.ndarray, columns: int, f: int, solver: str, cg_steps: int = 3
) -> tuple[float, float]:
    """FLOPs and bytes of one half-sweep in float32.

    FLOPs: a multiplication and an addition are two. A row of n entries takes n^2 f + n^3 / 3 where
    it is short (n x n system), n f^2 + f^3 / 3 where it is long (f x f system), (steps + 1) 4 n f
    by conjugate gradient; the Gramian of the fixed side takes f^2 a column, its rotation 2 f^2.
    Bytes: what has to move at least: the factors of each entry once with its index and confidence,
    each solved row once, the fixed side three times (Gramian, read and written rotated).

    Parameters
    ----------
    lengths : ndarray of int
        Entries of each row solved.
    columns : int
        Rows of the fixed side.
    """
    n = lengths.astype(np.float64)
    dual = n**2 * f + n**3 / 3
    primal = n * f**2 + f**3 / 3
    exact = np.where(n <= max(min(f, _BATCH_MOST), f * 5 // 8), dual, primal)
    flops = np.where(n > 0, exact, 0.0)
    if solver == "cg":
        stepped = n > _CG_FEWEST
        if f <= _CG_PRIMAL_FACTORS:
            stepped &= n * f * 4 <= _LONG_ROW_BYTES
        flops = np.where(stepped, (cg_steps + 1) * 4 * n * f, flops)
    moved = n.sum() * (4 * f + 8) + 4 * f * (len(n) + 3 * columns)
    dense = 3.0 * columns * f**2
    if solver == "cg":  # the rows it starts from are rotated too
        dense += 2.0 * len(n) * f**2
        moved += 8 * f * len(n)
    return float(flops.sum() + dense), float(moved)


if __name__ == "__main__":
    print(one_line(facts()))
    recsys.show_config(sys.stdout)
    print("peaks: {:.0f} GFLOP/s (sgemm), {:.1f} GB/s (reading)".format(*measure_peaks()))
