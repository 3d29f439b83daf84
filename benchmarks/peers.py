"""Seconds an iteration or epoch, ours and the installed peers', taking turns in one run.

Peers: implicit, irspack, cmfrec (pip install 'recsys-engine[peers]'), and LightFM in a Python of
its own (lightfm_peer.py says how). Implicit ALS comes with its objective, which is the same for
all; contenders.py says how each is made to minimize it, and how other models are made alike. With
--experiments, instead, everything in experiments.py is measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import contenders
import experiments
import lightfm_peer
from contenders import Cmfrec, Ours, Problem, installed, race_epochs, stepping_peers
from experiments import Bench
from harness import (
    Trace,
    add_data_options,
    add_no_peers,
    earlier_experiments,
    interleave,
    machine_facts,
    machine_line,
    markdown_table,
    now,
    open_data,
    read_experiments,
    run,
    write_json,
)

EXPERIMENTS = "results/experiments.json"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_options(parser)
    parser.add_argument(
        "--models",
        nargs="+",
        choices=("als", *contenders.EPOCH_RACES),
        default=["als", *contenders.EPOCH_RACES],
        help="default: all",
    )
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128], help="default: 64 128")
    parser.add_argument(
        "--solvers",
        nargs="+",
        choices=("cg", "cholesky"),
        default=["cg", "cholesky"],
        help="of implicit ALS; default: both",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        nargs="+",
        default=[1.0],
        help='of implicit ALS, confidence "scaled", c = alpha r; default: 1',
    )
    parser.add_argument(
        "--regularization",
        type=float,
        default=experiments.REGULARIZATION,
        help="lambda of implicit ALS; default: 0.01, as implicit's",
    )
    parser.add_argument("--rounds", type=int, default=3, help="iterations of each; default: 3")
    parser.add_argument(
        "--budget",
        type=float,
        default=experiments.BUDGET,
        help="seconds after which a slow solver makes no further iteration; default: 60",
    )
    add_no_peers(parser)
    lightfm_peer.add_option(parser)
    parser.add_argument(
        "--ratings",
        type=Path,
        metavar="PATH",
        help="for the models of ratings, an npz of arrays user, item and rating; default: "
        "synthetic ratings, as many as in MovieLens 1M",
    )
    parser.add_argument(
        "--experiments", action="store_true", help="measure all that experiments.py has"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=tuple(experiments.EXPERIMENTS),
        metavar="NAME",
        help="with --experiments: these alone; the others keep the figures that --output "
        f"holds of the same data and machine: {', '.join(experiments.EXPERIMENTS)}",
    )
    parser.add_argument(
        "--update-docs",
        action="store_true",
        help="write table and picture into docs/; without --experiments from what --output holds",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="default: results/experiments.json with --experiments, else results/peers.json",
    )
    options = parser.parse_args()
    if options.only and not options.experiments:
        parser.error("--only goes with --experiments")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.no_peers and options.lightfm:
        parser.error("--no-peers and --lightfm exclude each other")
    if options.ratings and not options.ratings.is_file():
        parser.error(f"--ratings {options.ratings}: there is no such file")
    return options


def main() -> None:
    options = parse()
    if options.update_docs and not options.experiments:
        experiments.update_docs(read_experiments(Path(options.output or EXPERIMENTS)))
        return
    dataset = open_data(options)
    facts = machine_facts(options.threads)
    print(machine_line(facts))
    bench = Bench(
        dataset,
        [] if options.no_peers else installed(),
        facts["threads"],
        options.seed,
        None if options.no_peers else lightfm_peer.find(options.lightfm),
        options.ratings,
    )
    if options.experiments:
        measure_experiments(bench, facts, options)
    else:
        compare(bench, facts, options)


# ---- side by side --------------------------------------------------------------------------------


def compare(bench: Bench, facts: dict[str, Any], options: argparse.Namespace) -> None:
    races = compare_solvers(bench, options) if "als" in options.models else []
    races += compare_epochs(bench, options)
    path = Path(options.output or "results/peers.json")
    write_json(path, bench.dataset, facts, regularization=options.regularization, races=races)
    print(f"wrote {path}")


def compare_solvers(bench: Bench, options: argparse.Namespace) -> list[dict[str, Any]]:
    lines, races = [], []
    for alpha in options.alpha:
        problem = Problem(
            bench.dataset.user_items, "scaled", alpha, options.regularization, options.threads
        )
        for f in options.factors:
            for solver in options.solvers:
                traces = race(problem, bench.peers, f, solver, options)
                lines += lines_of(traces, alpha, f)
                setting = {"model": "als", "alpha": alpha, "factors": f, "solver": solver}
                races.append(setting | {"traces": as_dicts(traces)})
    header = ("f", "alpha", "who", "s an iteration", "times ours", "iterations", "objective")
    print(markdown_table(header, lines))
    print(
        f'confidence "scaled", lambda {options.regularization:g}; objective over all cells, after '
        "so many iterations; CG is CG(3)"
    )
    if "cmfrec" in bench.peers:
        print("cmfrec starts from its own random factors and does not take turns")
    return races


def compare_epochs(bench: Bench, options: argparse.Namespace) -> list[dict[str, Any]]:
    lines, races = [], []
    for model, racers_of in contenders.EPOCH_RACES.items():
        for f in options.factors if model in options.models else ():
            racers = racers_of(bench, f)
            traces = race_epochs(racers, options.rounds)
            ours = traces[racers[0].name].seconds_an_iteration
            for each in racers:
                seconds = traces[each.name].seconds_an_iteration
                terms = f"{each.terms / 1e6:.2f} M", f"{1e9 * seconds / each.terms:.1f}"
                lines.append([f, each.name, f"{seconds:.3f}", f"{seconds / ours:.2f}", *terms])
            races.append({"model": model, "factors": f, "traces": as_dicts(traces)})
    if lines:
        header = ("f", "who", "s an epoch", "times the first", "terms", "ns a term")
        print(markdown_table(header, lines))
        print("terms: steps, ratings, or factor rows looked at in logistic factorization")
    return races


def as_dicts(traces: dict[str, Trace]) -> dict[str, Any]:
    return {name: trace.as_dict() for name, trace in traces.items()}


def race(
    problem: Problem, peers: list[str], f: int, solver: str, options: argparse.Namespace
) -> dict[str, Trace]:
    racers = [Ours(problem, f, solver, options.seed)]
    racers += stepping_peers(problem, peers, f, solver, options.seed)
    traces = interleave(racers, options.rounds, problem.objective, options.budget)
    if "cmfrec" in peers and not problem.has_dislikes:
        trace = Cmfrec(problem, f, solver, options.seed).run(options.rounds, problem.objective)
        traces[trace.name] = trace
    return traces


def lines_of(traces: dict[str, Trace], alpha: float, f: int) -> list[list[str]]:
    ours = next(iter(traces.values()))
    return [
        [
            str(f),
            f"{alpha:g}",
            trace.name,
            f"{trace.seconds_an_iteration:.3f}",
            f"{trace.seconds_an_iteration / ours.seconds_an_iteration:.2f}",
            str(len(trace.seconds)),
            f"{trace.losses[-1]:.7g}",
        ]
        for trace in traces.values()
    ]


# ---- the experiments -----------------------------------------------------------------------------


def measure_experiments(bench: Bench, facts: dict[str, Any], options: argparse.Namespace) -> None:
    path, dataset = Path(options.output or EXPERIMENTS), bench.dataset
    same = {"name": dataset.name, "cpu": facts["cpu"], "threads": facts["threads"]}
    wanted = options.only or list(experiments.EXPERIMENTS)
    measured = {
        name: kept for name, kept in earlier_experiments(path, same).items() if name not in wanted
    }
    for name in wanted:
        print(f"measuring {name}", file=sys.stderr)
        measured[name] = {
            "measured": now(),
            "on": same,
            **experiments.as_dict(experiments.EXPERIMENTS[name](bench)),
        }
        # After each one, so that an interrupted run keeps what it has.
        write_json(path, dataset, facts, experiments=measured)
    print(f"{experiments.table(measured)}\nwrote {path}")
    if options.update_docs:
        experiments.update_docs(read_experiments(path))


if __name__ == "__main__":
    run(main)
