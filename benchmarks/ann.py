"""What approximate lists gain and lose: recall@10 against the exact kernel, and queries a second.

Factors come from a few iterations on the data. Every query is asked in one call, as a nightly job
would, and a few hundred one at a time, as a server would.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import machine
import numpy as np
from harness import (
    markdown_table,
    open_data,
    parser_of_turns,
    run,
    write_json,
    write_picture,
)

import recsys
from recsys import plots
from recsys.serving import AnnIndex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIBRARIES = {"faiss": "faiss-cpu", "usearch": "usearch"}  # backends, and who brings them
N = 10


@dataclass
class Point:
    """One setting of one contender; the exact kernel has no backend and no expansion."""

    kind: str
    backend: str | None
    expansion_search: int | None
    recall: float
    together: float  # queries a second in one call
    alone: float  # and one at a time
    build_seconds: float | None = None


def parse() -> argparse.Namespace:
    parser = parser_of_turns(__doc__, "results/ann")
    parser.add_argument("--factors", type=int, default=64, help="default: 64")
    parser.add_argument("--iterations", type=int, default=5, help="of training; default: 5")
    parser.add_argument("--queries", type=int, default=5000, help="of each kind; default: 5000")
    parser.add_argument("--singles", type=int, default=300, help="asked alone; default: 300")
    parser.add_argument("--connectivity", type=int, default=16, help="default: 16")
    parser.add_argument("--expansion-build", type=int, default=200, help="default: 200")
    parser.add_argument(
        "--expansion-search",
        type=int,
        nargs="+",
        default=[16, 32, 64, 128, 256, 512],
        help="the sweep; default: 16 32 64 128 256 512",
    )
    return parser.parse_args()


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the exact lists that was found, of lists of scores: an item that ties with the
    last of the exact list is as good, and many do whose few listeners are the same."""
    last = np.where(np.isfinite(exact), exact, np.inf).min(axis=1, keepdims=True)
    hits = np.isfinite(found) & (found >= last - 1e-5 * np.abs(last))
    return float(hits.sum() / max(np.isfinite(exact).sum(), 1))


def rate(call: Callable[[], object], queries: int) -> float:
    begin = time.perf_counter()
    call()
    return queries / (time.perf_counter() - begin)


def asker(who, kind: str) -> Callable:
    return who.recommend if kind == "recommend" else who.similar_items


def measure(kind: str, model, indexes: dict, options: argparse.Namespace) -> list[Point]:
    """The exact kernel and every index at every expansion, taking turns."""
    rng = np.random.default_rng(options.seed)
    among = len(model.user_factors if kind == "recommend" else model.item_factors)
    queries = rng.permutation(among)[: options.queries]
    singles = queries[: options.singles]
    exact = asker(model, kind)(queries, N=N)[1]
    settings = [(None, None)]
    settings += [(name, ef) for name in indexes for ef in options.expansion_search]
    rates: dict[tuple, list[tuple[float, float]]] = {setting: [] for setting in settings}
    recalls: dict[tuple, float] = {}
    for _ in range(options.rounds):
        for name, expansion in settings:
            if name is None:
                ask = asker(model, kind)
            else:
                index = indexes[name][0]
                index.expansion_search = expansion
                ask = asker(index, kind)
            if (name, expansion) not in recalls:
                recalls[name, expansion] = recall(ask(queries, N=N)[1], exact)
            together = rate(lambda ask=ask: ask(queries, N=N), len(queries))
            alone = rate(lambda ask=ask: [ask(int(one), N=N) for one in singles], len(singles))
            rates[name, expansion].append((together, alone))
    return [
        Point(
            kind,
            *setting,
            recalls[setting],
            *map(statistics.median, zip(*rates[setting], strict=True)),
            build_seconds=indexes[setting[0]][1] if setting[0] else None,
        )
        for setting in settings
    ]


def build(model, kind: str, backends: Sequence[str], options: argparse.Namespace) -> dict:
    """Indexes and the seconds they took."""
    indexes = {}
    for name in backends:
        begin = time.perf_counter()
        index = AnnIndex.build(
            model,
            name,
            kind,
            connectivity=options.connectivity,
            expansion_build=options.expansion_build,
            num_threads=options.threads,
        )
        indexes[name] = index, time.perf_counter() - begin
    return indexes


def table(points: Sequence[Point]) -> str:
    exact = {point.kind: point for point in points if point.backend is None}
    rows = []
    for point in points:
        base = exact[point.kind]
        rows.append(
            [
                point.kind,
                point.backend or "exact kernel",
                point.expansion_search,
                f"{point.recall:.3f}",
                f"{point.together:,.0f}",
                f"{point.together / base.together:.2f}x",
                f"{point.alone:,.0f}",
                f"{point.alone / base.alone:.2f}x",
                None if point.build_seconds is None else f"{point.build_seconds:.1f} s",
            ]
        )
    head = ["kind", "by", "expansion", f"recall@{N}", "queries/s in one call", "of exact"]
    return markdown_table([*head, "queries/s one at a time", "of exact", "build"], rows)


def plot(points: Sequence[Point], title: str) -> Figure:
    """Queries a second against recall, a picture for each kind and way of asking."""
    kinds = list(dict.fromkeys(point.kind for point in points))
    figure, grid = plots.subplots(len(kinds), 2, size=(11, 4.5 * len(kinds)))
    ways = {"together": "in one call", "alone": "one at a time"}
    for row, kind in zip(grid, kinds, strict=True):
        for axis, (way, words) in zip(row, ways.items(), strict=True):
            for name in dict.fromkeys(point.backend for point in points):
                own = [p for p in points if p.kind == kind and p.backend == name]
                axis.plot(
                    [p.recall for p in own],
                    [getattr(p, way) for p in own],
                    marker="*" if name is None else "o",
                    markersize=12 if name is None else 4,
                    linestyle="none" if name is None else "-",
                    label=name or "exact kernel",
                )
            axis.set(
                xlabel=f"recall@{N}", ylabel="queries a second", title=f"{kind}, {words}",
                yscale="log",
            )  # fmt: skip
            axis.grid(True, which="both")
            axis.legend()
    figure.suptitle(title)
    return figure


def main() -> None:
    options = parse()
    backends = [name for name, package in LIBRARIES.items() if machine.version(package)]
    if not backends:
        raise SystemExit(
            "no backend is installed: pip install 'recsys-engine[ann]' or 'recsys-engine[usearch]'"
        )
    dataset = open_data(options)
    facts = machine.facts(options.threads)
    print(machine.one_line(facts))
    model = recsys.ImplicitALS(
        options.factors,
        iterations=options.iterations,
        random_state=options.seed,
        num_threads=options.threads,
    ).fit(dataset.user_items)
    points: list[Point] = []
    for kind in ("recommend", "similar"):
        points += measure(kind, model, build(model, kind, backends, options), options)
    print(table(points))
    report = [asdict(point) for point in points]
    libraries = {name: machine.version(LIBRARIES[name]) for name in backends}
    write_json(options.output.with_suffix(".json"), dataset, facts, points=report, by=libraries)
    title = f"{dataset.name}, {options.factors} factors"
    write_picture(options.output.with_suffix(".png"), lambda: plot(points, title))


if __name__ == "__main__":
    sys.exit(run(main))
