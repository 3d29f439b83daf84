"""Asking models: seconds of ours and of implicit, taking turns, and what approximate lists lose.

    python benchmarks/serving.py lists
    python benchmarks/serving.py neighbors
    python benchmarks/serving.py ann

`lists`: recommending and comparing on the same factors, which come from two iterations on the data.
The floor of a long list of users is the matrix product at this machine's peak, of a single user
reading the item factors once. `neighbors`: a BM25 fit. Ours is fitted as implicit's is: raw sums of
the history's neighbours, k of them for each item; the share of neighbours in common is over a
sample of items. `ann`: recall@10 of approximate lists against the exact kernel, and queries a
second; every query is asked in one call, as a nightly job would, and a few hundred one at a time,
as a server would.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from contenders import implicit_with_factors, installed
from harness import (
    Trace,
    add_data_options,
    add_no_peers,
    installed_version,
    machine_facts,
    machine_line,
    markdown_table,
    measure_peaks,
    open_data,
    run,
    single_blas,
    take_turns,
    timed,
    write_json,
    write_picture,
)

import recsys
from recsys import plots
from recsys.serving import AnnIndex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USERS, ITEMS, SINGLES = 20_000, 5_000, 200
K = 100  # neighbours of an item
SAMPLE = 3000  # items whose neighbours are compared
LIBRARIES = {"faiss": "faiss-cpu", "usearch": "usearch"}  # backends, and who brings them
N = 10


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="lists | neighbors | ann")
    lists = subparser(what, "lists", "seconds of recommend and similar_items", "results/serving")
    neighbors = subparser(what, "neighbors", "seconds of a BM25 fit", "results/neighbors")
    ann = subparser(what, "ann", "recall and speed of approximate lists", "results/ann")
    for each in (lists, neighbors):
        add_no_peers(each)
    neighbors.add_argument("--k", type=int, default=K, help=f"neighbours of an item; default: {K}")
    lists.add_argument("--factors", type=int, default=64, help="default: 64")
    lists.add_argument(
        "--alpha",
        type=float,
        help='train with confidence "linear" and this alpha, as 40, which makes the norms of '
        "factors more alike, so that fewer items are left unlooked at; default: ours",
    )
    ann.add_argument("--factors", type=int, default=64, help="default: 64")
    ann.add_argument("--iterations", type=int, default=5, help="of training; default: 5")
    ann.add_argument("--queries", type=int, default=5000, help="of each kind; default: 5000")
    ann.add_argument("--singles", type=int, default=300, help="asked alone; default: 300")
    ann.add_argument("--connectivity", type=int, default=16, help="default: 16")
    ann.add_argument("--expansion-build", type=int, default=200, help="default: 200")
    ann.add_argument(
        "--expansion-search",
        type=int,
        nargs="+",
        default=[16, 32, 64, 128, 256, 512],
        help="the sweep; default: 16 32 64 128 256 512",
    )
    return parser.parse_args()


def subparser(commands: Any, name: str, about: str, output: str) -> argparse.ArgumentParser:
    """For contenders that take turns; `output`: where the report goes."""
    parser = commands.add_parser(name, help=about, description=about)
    add_data_options(parser)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; default: 3")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(output),
        metavar="PATH",
        help=f"where the report (.json) goes, and a picture (.png) if any; default: {output}",
    )
    return parser


def main() -> None:
    options = parse()
    backends = [name for name, package in LIBRARIES.items() if installed_version(package)]
    if options.what == "ann" and not backends:
        raise SystemExit(
            "no backend is installed: pip install 'recsys-engine[ann]' or 'recsys-engine[usearch]'"
        )
    dataset = open_data(options)
    facts = machine_facts(options.threads)
    print(machine_line(facts))
    counts = dataset.user_items.copy()  # implicit takes no read-only arrays
    if options.what == "ann":
        content = compare_approximate(counts, dataset.name, backends, options)
    else:
        peers = [] if options.no_peers else installed()
        compare = compare_lists if options.what == "lists" else compare_neighbors
        content = compare(counts, peers, options)
    write_json(options.output.with_suffix(".json"), dataset, facts, **content)


# ---- lists ---------------------------------------------------------------------------------------


def compare_lists(counts: Any, peers: list[str], options: argparse.Namespace) -> dict[str, Any]:
    peaks = measure_peaks(options.threads)
    how = (
        {}
        if options.alpha is None
        else {"confidence": "linear", "alpha": options.alpha, "regularization": 80.0}
    )
    model = trained(counts, options.threads, options.seed, factors=options.factors, **how)
    rows, report = [], []
    pair = 2 * options.factors * counts.shape[1]
    for name, (lists, traces) in race_lists(
        counts, model, options.rounds, options.seed, peers
    ).items():
        seconds = {who: trace.seconds_an_iteration for who, trace in traces.items()}
        ours, theirs = seconds["recsys"], seconds.get("implicit")
        one = "one user" in name
        floor = 2 * pair / 1e9 / peaks.read_gbs if one else pair / 1e9 / peaks.sgemm_gflops
        rows.append(
            [
                name,
                f"{1e3 * ours:.3f} ms",
                None if theirs is None else f"{1e3 * theirs:.3f} ms",
                None if theirs is None else f"{theirs / ours:.2f}x",
                f"{100 * floor / ours:.0f} %",
            ]
        )
        report.append({"task": name, "lists": lists, "seconds_a_list": seconds, "floor": floor})
    head = ["task", "recsys, a list", "implicit, a list", "implicit / recsys", "share of the floor"]
    print(markdown_table(head, rows))
    return {"model": repr(model), "tasks": report, "peaks": peaks}


def tasks(model, peer, counts, rng) -> dict[str, tuple[int, dict[str, Callable[[], object]]]]:
    """By name: how many lists, and who makes them how."""
    n_users, n_items = counts.shape
    users = np.sort(rng.permutation(n_users)[:USERS])
    items = np.sort(rng.permutation(n_items)[:ITEMS])
    singles = users[:: max(1, len(users) // SINGLES)]
    rows = counts[users]
    by_task = {
        f"recommend, {len(users):,} users": (
            len(users),
            {"recsys": lambda: model.recommend(users)},
        ),
        "recommend, one user at a time": (
            len(singles),
            {"recsys": lambda: [model.recommend(user) for user in singles]},
        ),
        f"similar_items, {len(items):,} items": (
            len(items),
            {"recsys": lambda: model.similar_items(items)},
        ),
    }
    if peer is not None:
        calls = (
            lambda: peer.recommend(users, rows),
            lambda: [peer.recommend(user, counts[user]) for user in singles],
            lambda: peer.similar_items(items),
        )
        for (_, contenders), call in zip(by_task.values(), calls, strict=True):
            contenders["implicit"] = call
    return by_task


def race_lists(
    counts, model: recsys.ImplicitALS, rounds: int, seed: int, peers: Sequence[str]
) -> dict[str, tuple[int, dict[str, Trace]]]:
    """By task: how many lists, and the traces of their makers, in seconds a list."""
    by_task = {}
    with single_blas():
        peer = implicit_with_factors(model, model.num_threads) if "implicit" in peers else None
        for task, (lists, calls) in tasks(model, peer, counts, np.random.default_rng(seed)).items():
            taken = take_turns({who: timed(call) for who, call in calls.items()}, rounds)
            a_list = {who: [each / lists for each in seconds] for who, seconds in taken.items()}
            by_task[task] = lists, {who: Trace(who, each) for who, each in a_list.items()}
    return by_task


def trained(counts, threads: int, seed: int, **options: Any) -> recsys.ImplicitALS:
    model = recsys.ImplicitALS(iterations=2, random_state=seed, num_threads=threads, **options)
    return model.fit(counts, show_progress=False)


# ---- neighbours ----------------------------------------------------------------------------------


def compare_neighbors(counts: Any, peers: list[str], options: argparse.Namespace) -> dict[str, Any]:
    fits = race_neighbors(counts, options.k, options.threads, options.rounds, peers)
    medians = {name: trace.seconds_an_iteration for name, (_, trace) in fits.items()}
    rows = [
        [name, f"{value:.2f} s", f"{value / medians['recsys']:.2f}x"]
        for name, value in medians.items()
    ]
    print(markdown_table([f"BM25, k = {options.k}", "a fit", "of ours"], rows))
    shared = None
    if "implicit" in fits:
        ours, theirs = (fits[name][0].similarity.tocsr() for name in ("recsys", "implicit"))
        shared = common(ours, theirs, options.seed)
        print(f"neighbours in common: {100 * shared:.2f} %")
    seconds = {name: trace.seconds for name, (_, trace) in fits.items()}
    return {"seconds": seconds, "in_common": shared}


def race_neighbors(
    counts, k: int, threads: int, rounds: int, peers: Sequence[str]
) -> dict[str, Any]:
    """By name, the model and the trace of its fits."""
    how = {"weighting": "bm25", "K1": 1.2, "B": 0.75, "orientation": "history"}  # as implicit
    ours = recsys.ItemNeighbors(k, num_threads=threads, **how)
    models, turns = {"recsys": ours}, {"recsys": timed(lambda: ours.fit(counts))}
    if "implicit" in peers:
        from implicit.nearest_neighbours import BM25Recommender

        models["implicit"] = peer = BM25Recommender(K=k, num_threads=threads)
        turns["implicit"] = timed(lambda: peer.fit(counts, show_progress=False))
    with warnings.catch_warnings(action="ignore"):  # implicit's, of its own conversions
        seconds = take_turns(turns, rounds)
    return {name: (models[name], Trace(name, taken)) for name, taken in seconds.items()}


def common(one, other, seed: int) -> float:
    """Share of the other's neighbours that are among ours."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, one.shape[0], SAMPLE)
    shared = [np.intersect1d(one[[i]].indices, other[[i]].indices).size for i in rows]
    return sum(shared) / max(sum(other[[i]].nnz for i in rows), 1)


# ---- approximate lists ---------------------------------------------------------------------------


def compare_approximate(
    counts: Any, name: str, backends: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    model = recsys.ImplicitALS(
        options.factors,
        iterations=options.iterations,
        random_state=options.seed,
        num_threads=options.threads,
    ).fit(counts)
    points: list[Point] = []
    for kind in ("recommend", "similar"):
        points += measure_recall(kind, model, build(model, kind, backends, options), options)
    print(table(points))
    title = f"{name}, {options.factors} factors"
    write_picture(options.output.with_suffix(".png"), lambda: plot(points, title))
    libraries = {each: installed_version(LIBRARIES[each]) for each in backends}
    return {"points": [asdict(point) for point in points], "by": libraries}


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


def measure_recall(kind: str, model, indexes: dict, options: argparse.Namespace) -> list[Point]:
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
                line = [p for p in points if p.kind == kind and p.backend == name]
                axis.plot(
                    [p.recall for p in line],
                    [getattr(p, way) for p in line],
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


if __name__ == "__main__":
    run(main)
