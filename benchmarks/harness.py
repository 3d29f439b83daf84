"""What the benchmarks share: data, turns, the machine and its peaks, reports, tables, pictures.

``python benchmarks/harness.py`` says what this machine is, and what it can do at best.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import recsys
from recsys import plots
from recsys.datasets import (
    Dataset,
    DatasetUnavailableError,
    lastfm360k,
    lastfm360k_twin,
    read_interactions,
)
from recsys.kernels import resolve_num_threads
from recsys.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTERRUPTED = 130  # exit status of a program that was interrupted
DOCS = Path(__file__).resolve().parents[1] / "docs"
_PEERS = ("recsys", "implicit", "irspack", "lightfm", "cmfrec")
COLOURS = {**dict(zip(_PEERS, plots.COLOURS, strict=False)), "numpy": plots.FAINT}  # in pictures

# ---- data --------------------------------------------------------------------------------------


def add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="a file of your own (.npz with a CSR, or .csv of user,item,count), or lastfm-360K as "
        "downloaded; default: lastfm-360K where it is found or can be downloaded, else its "
        "synthetic twin",
    )
    parser.add_argument(
        "--scale",
        type=float,
        metavar="S",
        help="use the synthetic twin, S times the size of lastfm-360K (0.01 for a trial), "
        "without looking for the real data; default: not set",
    )
    add_seed(parser)
    add_threads(parser)


def add_no_peers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-peers", action="store_true", help="only ours")


def add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers; default: 0")


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=int, default=0, help="default: 0, all this process may use"
    )


def open_data(options: argparse.Namespace) -> Dataset:
    """What the options ask for; says what it is, real or synthetic, in the first line printed."""
    if options.data is not None and options.scale is not None:
        raise SystemExit("--data and --scale (the synthetic twin) exclude each other")
    try:
        if options.data is not None:
            dataset, reason = _read(Path(options.data)), None
        else:
            dataset, reason = lastfm360k_or_twin(options.scale, options.seed)
    except (OSError, ValueError, ImportError) as error:
        raise SystemExit(f"cannot use that data: {error}") from error
    print(headline(data_facts(dataset)))
    if reason:
        print(f"the real data: {reason}")
    return dataset


def _read(path: Path) -> Dataset:
    lastfm = path.is_dir() or path.name.endswith((".hdf5", ".h5", ".tar.gz"))
    if lastfm or path.name.startswith("usersha1-"):
        return lastfm360k(path)
    return read_interactions(path)


def lastfm360k_or_twin(scale: float | None, seed: int) -> tuple[Dataset, str | None]:
    """lastfm-360K, or its twin where it cannot be had and where a `scale` is given; and why it is
    not the real one, if that was looked for."""
    if scale is not None:
        return lastfm360k_twin(scale, seed), None
    try:
        return lastfm360k(), None
    except DatasetUnavailableError as error:
        return lastfm360k_twin(1.0, seed), str(error)


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """A data set in a report."""
    n_users, n_items = dataset.shape
    sizes = {"users": n_users, "items": n_items, "entries": dataset.nnz}
    return {"name": dataset.name, "synthetic": dataset.synthetic, **sizes}


def headline(facts: Mapping[str, Any]) -> str:
    """A line about what `data_facts` gives, to be shown above every figure."""
    kind = "SYNTHETIC data" if facts["synthetic"] else "real data"
    return (
        f"{kind}: {facts['name']}, {facts['users']:,} users x {facts['items']:,} items, "
        f"{facts['entries']:,} entries"
    )


# ---- timing ------------------------------------------------------------------------------------


def single_blas() -> AbstractContextManager:
    """One BLAS thread, in every library loaded by now: peers that call BLAS in their own threads
    are many times slower without."""
    return threadpool_limits(1, "blas")


Turn = Callable[[], float]  # does what is to be timed, once; returns its seconds


def timed(call: Callable[[], Any]) -> Turn:
    def turn() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return turn


def take_turns(
    turns: Mapping[str, Turn], rounds: int, budget: float = float("inf")
) -> dict[str, list[float]]:
    """The seconds of each, one after the other, `rounds` times, so that a machine that slows down
    slows all of them down.

    One whose next turn would take it over `budget` seconds has no more; all have one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    order = [name for _ in range(rounds) for name in turns]
    with tqdm(order, disable=None, leave=False) as bar:
        for name in bar:
            taken = seconds[name]
            if taken and sum(taken) + taken[-1] > budget:
                continue
            bar.set_description(name)
            taken.append(turns[name]())
    return seconds


class Contender(Protocol):
    name: str

    def step(self) -> None:
        """One iteration."""

    def factors(self) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass
class Trace:
    """What one contender did, iteration by iteration."""

    name: str
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def seconds_an_iteration(self) -> float:
        return statistics.median(self.seconds)

    @property
    def elapsed(self) -> list[float]:
        return list(itertools.accumulate(self.seconds))

    def seconds_to(self, loss: float) -> float | None:
        """Seconds until the loss is at most `loss`; None if it never was."""
        pairs = zip(self.elapsed, self.losses, strict=True)
        return next((seconds for seconds, reached in pairs if reached <= loss), None)

    def as_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "losses": self.losses}


def interleave(
    contenders: Sequence[Contender],
    rounds: int,
    objective: Callable[[np.ndarray, np.ndarray], float],
    budget: float = float("inf"),
) -> dict[str, Trace]:
    """One iteration of each contender at a turn, see `take_turns`. The objective is computed after
    each iteration, outside the time."""
    traces = {contender.name: Trace(contender.name) for contender in contenders}

    def turn_of(contender: Contender) -> Turn:
        step = timed(contender.step)

        def turn() -> float:
            seconds = step()
            traces[contender.name].losses.append(objective(*contender.factors()))
            return seconds

        return turn

    turns = {contender.name: turn_of(contender) for contender in contenders}
    for name, seconds in take_turns(turns, rounds, budget).items():
        traces[name].seconds = seconds
    return traces


def losses_at_equal_iterations(one: Trace, other: Trace) -> tuple[float, float]:
    """The losses of both after as many iterations as both have made."""
    last = min(len(one.losses), len(other.losses)) - 1
    return one.losses[last], other.losses[last]


# ---- the machine -------------------------------------------------------------------------------

DISTRIBUTIONS = ("numpy", "scipy", "implicit", "irspack", "cmfrec")


def machine_facts(num_threads: int = 0) -> dict[str, Any]:
    """CPU, memory, threads, instruction set and versions, for the head of a report."""
    config = io.StringIO()
    recsys.show_config(config)
    return {
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "threads": resolve_num_threads(num_threads),
        "recsys": recsys.__version__,
        "versions": {name: number for name in DISTRIBUTIONS if (number := installed_version(name))},
        "config": config.getvalue().splitlines(),
    }


def installed_version(distribution: str) -> str | None:
    """The installed version, None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def machine_line(machine: dict[str, Any]) -> str:
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
    product = timed(lambda: np.matmul(a, a, out=c))
    with threadpool_limits(threads, "blas"):
        seconds = min(product() for _ in range(tries))
    pieces = np.array_split(np.ones(1 << 26, dtype=np.float32), threads)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        read = timed(lambda: list(pool.map(lambda x: np.dot(x, x), pieces)))
        reading = min(read() for _ in range(tries))
    return Peaks(2e-9 * n**3 / seconds, 4e-9 * (1 << 26) / reading)


# ---- reports -----------------------------------------------------------------------------------


def command_line() -> str:
    return " ".join(["python", *sys.argv])


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z")


def days(times: Iterable[str]) -> str:
    """The first and the last day of what `now` gave."""
    first, *others = sorted({time[:10] for time in times})
    return f"{first} to {others[-1]}" if others else first


def write_text(path: Path, text: str) -> None:
    """Write all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, dataset: Dataset, machine: dict[str, Any], **content: Any) -> None:
    write_report(path, dataset=data_facts(dataset), machine=machine, **content)


def write_report(path: Path, **content: Any) -> None:
    """As JSON, with the command that made it and the time."""
    report = {"command": command_line(), "written": now(), **content}
    write_text(path, json.dumps(report, indent=1, default=_json_number) + "\n")


def read_experiments(path: Path) -> dict[str, Any]:
    """A report that has experiments."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        report["experiments"].items()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SystemExit(f"{path} is no report of experiments ({error})") from error
    return report


def earlier_experiments(path: Path, same: dict[str, Any]) -> dict[str, Any]:
    """Those of an earlier report, if there is one, that were measured `on` the same."""
    if not path.exists():
        return {}
    kept = read_experiments(path)["experiments"]
    return {name: each for name, each in kept.items() if each.get("on") == same}


def replace_between(path: Path, marks: tuple[str, str], text: str) -> None:
    """Put a text between two lines of a file."""
    whole = path.read_text(encoding="utf-8")
    begin, end = (whole.find(mark) for mark in marks)
    if not 0 <= begin < end:
        raise SystemExit(f"{path} has no lines {marks[0]} and {marks[1]}, in this order")
    write_text(path, f"{whole[: begin + len(marks[0])]}\n{text}\n{whole[end:]}")
    print(f"wrote {path}")


def _json_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table with aligned columns; None is shown as a dash."""
    cells = [list(header)]
    cells += [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write_picture(path: Path, draw: Callable[[], Figure]) -> bool:
    """Write what `draw` makes in the style of recsys, and whether it could be: without matplotlib
    there is no picture."""
    if importlib.util.find_spec("matplotlib") is None:
        print("no picture: matplotlib is not installed (pip install 'recsys-engine[plot]')")
        return False
    with plots.style():
        figure = draw()
    path.parent.mkdir(parents=True, exist_ok=True)
    plots.save(figure, path)
    print(f"wrote {path}")
    return True


def plot_losses(traces: Iterable[Trace], title: str) -> Figure:
    """Loss against seconds, one line a contender."""
    figure, [[axes]] = plots.subplots(size=(8, 5))
    for trace in traces:
        axes.plot(trace.elapsed, trace.losses, marker="o", label=trace.name)
    axes.set(xlabel="seconds", ylabel="objective over all cells", title=title, yscale="log")
    axes.minorticks_on()
    axes.grid(True, which="both")
    axes.legend()
    return figure


def run(main: Callable[[], int | None]) -> None:
    """Call a benchmark's `main`; Ctrl-C ends it in one line."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def main() -> None:
    parser = argparse.ArgumentParser(description="What this machine is, and can do at best.")
    add_threads(parser)
    threads = parser.parse_args().threads
    print(machine_line(machine_facts(threads)))
    recsys.show_config(sys.stdout)
    peaks = measure_peaks(threads)
    print("peaks: {:.0f} GFLOP/s (sgemm), {:.1f} GB/s (reading)".format(*peaks))


if __name__ == "__main__":
    run(main)
