"""How many iterations models need: of least squares with momentum and a spectral start; of a week.

`lists`: on each data set what lists are worth after the fewer iterations of an accelerated fit,
beside those of a plain one after 15, and in how many an accelerated fit, or one with but one of
the two, has the objective that the plain one ends at, for several settings. Plain: no momentum,
drawn initial factors. Lists are measured on entries held out of the training part.

`losses`: loss against seconds of plain and default fits, implicit's and irspack's CG(3), taking
turns at iterations on lastfm-360K or its twin; confidence c = r and lambda 0.01, implicit's
defaults. The start of a fit is in its first iteration's seconds.

`samples`: objective, seconds and lists after the iterations on all users of lastfm-360K or its twin
that follow on samples, beside those that follow on singular vectors.

`week`: what a week of `partial_fit`, a few rounds a day, is worth beside a full refit. The entries
of training are cut at random into ten parts of equal size. A model is trained on three of them and
learns from one of the others a day; at the end it has seen what the model has that is trained on
all ten at once. New users and items come as they come. NDCG@10 is on the test items.

    python benchmarks/iterations.py lists ../shared/data --update-docs
    python benchmarks/iterations.py losses --scale 1 --update-docs
    python benchmarks/iterations.py samples --scale 1 --update-docs
    python benchmarks/iterations.py week ../shared/data
    python benchmarks/iterations.py week ../shared/data --data gowalla --models BPR --rounds 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contenders
import leaderboard
import numpy as np
import scipy.sparse as sp
from contenders import Problem, stepping_peers
from harness import (
    DOCS,
    Trace,
    add_data_options,
    add_no_peers,
    add_seed,
    add_threads,
    data_facts,
    days,
    earlier_experiments,
    headline,
    interleave,
    machine_facts,
    machine_line,
    markdown_table,
    now,
    open_data,
    replace_between,
    run,
    single_blas,
    write_json,
    write_picture,
    write_report,
)
from leaderboard import Data, ndcg

import recsys
from recsys import ExplicitALS, ImplicitALS, csr, plots
from recsys.models import samples
from recsys.models.alternating import AlternatingTrainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, PICTURE = DOCS / "performance.md", DOCS / "iterations.svg"
MARKS = {
    name: (f"<!-- iterations {name}:begin -->", f"<!-- iterations {name}:end -->")
    for name in ("lists", "losses", "samples")
}
PLAIN = {"acceleration": False, "init": "random"}
ITERATIONS = 15  # of a plain fit
DEFAULT, SAMPLED = samples.ITERATIONS, samples.AFTER_SAMPLES
SHOWN = (4, 5, 6, 7, 8, 10)  # iterations of a default fit after which lists are measured
PLAIN_SHOWN = (8, 15)  # and of a plain one
METRIC = "ndcg@20"
REGULARIZATION = 0.01  # of `losses`: implicit's default

SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "CG(3)": {"solver": "cg"},
    "biases": {"bias": True},
    "f = 16": {"factors": 16},
    "c = r, lambda 0.1": {"confidence": "scaled", "alpha": 1.0, "regularization": 0.1},
    "c = 1 + 40 r, lambda 100": {"confidence": "linear", "alpha": 40.0, "regularization": 100.0},
    "lambda by frequency": {
        "alpha": 1.0,
        "unobserved_weight": 0.05,
        "regularization": 0.03,
        "regularization_exponent": 1.0,
    },
}
WAYS = {
    "momentum": {"init": "random"},
    "spectral start": {"acceleration": False, "init": "spectral"},
    "both": {"init": "spectral"},
}


# ---- lists -------------------------------------------------------------------------------------


def worth(data: Data, iterations: int, after: tuple[int, ...], **options: Any) -> dict[str, Any]:
    """What lists are worth after so many iterations of a fit, and its objectives and seconds."""
    model, found = ImplicitALS(iterations=iterations, compute_loss=True, **options), {}

    def measure(iteration: int, *_: Any) -> None:
        if iteration in after:
            found[str(iteration)] = ndcg(model, data, 20)

    model.fit(data.train, callback=measure, show_progress=False)
    return {
        METRIC: found,
        "losses": [entry.loss for entry in model.history],
        "seconds": [entry.seconds for entry in model.history],
        "taken_back": sum(entry.taken_back for entry in model.history),
    }


def losses_of(make: type, data: sp.csr_array, iterations: int, **options: Any) -> list[float]:
    if make is ImplicitALS:
        options["compute_loss"] = True
    model = make(iterations=iterations, **options).fit(data, show_progress=False)
    return [entry.loss for entry in model.history]


def reached(losses: list[float], loss: float) -> int | None:
    """In how many iterations; float32 rounds."""
    return next((n for n, each in enumerate(losses, 1) if each <= loss * (1 + 1e-6)), None)


def measure_lists(data: Data, options: argparse.Namespace) -> dict[str, Any]:
    common = {"num_threads": options.threads}
    plain, ours = [], []
    for seed in range(options.seeds):
        again = common | {"random_state": options.seed + seed}
        plain.append(worth(data, ITERATIONS, PLAIN_SHOWN, **PLAIN, **again))
        ours.append(worth(data, max(SHOWN), SHOWN, init="spectral", **again))
    common["random_state"] = options.seed
    settings = {}
    for name, setting in SETTINGS.items():
        settings[name] = reach(ImplicitALS, data.train, **common, **setting)
        print(f"  {name}: {settings[name]}", flush=True)
    return {"plain": plain, "ours": ours, "reached": settings}


def reach(make: type, data: sp.csr_array, **options: Any) -> dict[str, int | None]:
    """In how many iterations each way has the objective of a plain fit."""
    end = losses_of(make, data, ITERATIONS, **options, **PLAIN)[-1]
    return {
        way: reached(losses_of(make, data, ITERATIONS, **options, **changes), end)
        for way, changes in WAYS.items()
    }


def measure_ratings(folder: Path, options: argparse.Namespace) -> dict[str, int | None] | None:
    """Of ExplicitALS, on MovieLens 1M."""
    path = folder / "ml-1m.npz"
    if not path.exists():
        return None
    with np.load(path) as data:
        stars = data["rating"].astype(np.float32)
        ratings = csr.canonical(
            sp.csr_array((stars, (data["user"], data["item"]))), np.dtype(np.float32)
        )
    return reach(ExplicitALS, ratings, random_state=options.seed, num_threads=options.threads)


def lists_tables(experiments: dict[str, Any]) -> str:
    """What lists are worth, and how soon the objective is reached, a line for each data set."""
    measured = {name: each for name, each in experiments.items() if "plain" in each}
    header = (
        f"NDCG@20, mean of {len(next(iter(measured.values()))['plain'])} seeds (sd)",
        *(f"plain, {n}" for n in PLAIN_SHOWN),
        *(f"default, {n}" for n in SHOWN),
        "seconds, plain 15 / default",
    )
    parts = [markdown_table(header, (list_cells(*each) for each in measured.items()))]
    head = ("iterations to the objective of 15 plain ones: " + " / ".join(WAYS), *SETTINGS)
    lines = [
        [name, *(" / ".join(map(shown, each["reached"][s].values())) for s in SETTINGS)]
        for name, each in measured.items()
    ]
    parts.append(markdown_table(head, lines))
    if ratings := experiments.get("ratings"):
        cells = " / ".join(map(shown, ratings["reached"].values()))
        parts.append(f"`ExplicitALS`, ratings of ml-1m, likewise: {cells}.")
    return "\n\n".join(parts)


def shown(number: int | None) -> str:
    return "-" if number is None else str(number)


def list_cells(name: str, experiment: dict[str, Any]) -> Iterator[str]:
    yield name
    plain, ours = experiment["plain"], experiment["ours"]
    for fits, iterations in ((plain, PLAIN_SHOWN), (ours, SHOWN)):
        for number in iterations:
            values = [fit[METRIC][str(number)] for fit in fits]
            spread = f" ({statistics.stdev(values):.4f})" if len(values) > 1 else ""
            yield f"{statistics.mean(values):.4f}{spread}"
    slow = statistics.median(sum(fit["seconds"]) for fit in plain)
    fast = statistics.median(sum(fit["seconds"][:DEFAULT]) for fit in ours)
    yield f"{slow / fast:.2f}x"


def main_lists(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    same = {name: facts[name] for name in ("cpu", "threads")}
    same |= {name: getattr(options, name) for name in ("scale", "seed", "seeds")}
    output = options.output or Path("results/iterations-lists.json")
    experiments = earlier_experiments(output, same)

    def keep(name: str, measured: dict[str, Any]) -> None:
        experiments[name] = {"measured": now(), "on": same, **measured}
        write_report(output, machine=facts, experiments=experiments)

    for data in leaderboard.present(options.data, options.folder, options.scale):
        print(data.name, flush=True)
        keep(data.name, measure_lists(data.inner(), options))
    if (ratings := measure_ratings(options.folder, options)) is not None:
        keep("ratings", {"reached": ratings})
    ordered = {
        name: experiments[name]
        for name in (*leaderboard.ALL_NAMES, "ratings")
        if name in experiments
    }
    if not ordered:
        raise SystemExit(f"none of the data sets is in {options.folder}")
    measured = days(each["measured"] for each in ordered.values())
    text = f"{machine_line(facts)}; {measured}.\n\n{lists_tables(ordered)}"
    print(f"\n{text}")
    if options.update_docs:
        replace_between(PAGE, MARKS["lists"], text)


# ---- losses ------------------------------------------------------------------------------------


class Fit:
    """A fit of ours, an iteration at a time, its start in the first."""

    def __init__(self, name: str, model: Any, user_items: Any) -> None:
        self.name, self.made = name, 0
        model._check_parameters()
        self.trainer = AlternatingTrainer(model, csr.canonical(user_items, np.dtype(np.float32)))

    def step(self) -> None:
        if not self.made:
            self.trainer.start(continues=False, features={})
        self.made += 1
        self.trainer.step(self.made)

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        state = self.trainer.state()
        return state["_user_factors"], state["_item_factors"]


def race(user_items: Any, options: argparse.Namespace) -> dict[str, Trace]:
    problem = Problem(user_items, "scaled", 1.0, REGULARIZATION, options.threads)
    settings = {
        "confidence": "scaled",
        "alpha": 1.0,
        "regularization": REGULARIZATION,
        "num_threads": options.threads,
        "random_state": options.seed,
    }
    fits = {"recsys": {}, "recsys, plain": PLAIN}
    racers = [
        Fit(name, ImplicitALS(options.factors, **settings, **how), user_items)
        for name, how in fits.items()
    ]
    names = [] if options.no_peers else contenders.installed(("implicit", "irspack"))
    racers += list(stepping_peers(problem, names, options.factors, "cg", options.seed))
    return interleave(racers, options.rounds, problem.objective)


def losses_table(traces: dict[str, Trace]) -> str:
    """Seconds to the objective that each contender ends at."""
    ours = traces["recsys"]
    lines = []
    for name, trace in traces.items():
        needed = ours.seconds_to(trace.losses[-1])
        made = ours.elapsed.index(needed) + 1 if needed is not None else None
        lines.append(
            (
                name,
                f"{trace.seconds_an_iteration:.3g}",
                f"{trace.losses[-1]:.6g}",
                f"{trace.elapsed[-1]:.3g}",
                None if needed is None else f"{needed:.3g} ({made} iterations)",
                None if needed is None else f"{trace.elapsed[-1] / needed:.2f}x",
            )
        )
    count = len(ours.losses)
    header = (
        f"{count} iterations of",
        "seconds an iteration",
        "objective at the end",
        "seconds",
        "recsys is there after",
        "times as fast",
    )
    return markdown_table(header, lines)


def picture(traces: list[Trace]) -> Figure:
    """How far each is above the lowest objective seen, against seconds."""
    lowest = min(min(trace.losses) for trace in traces)
    figure, [[axes]] = plots.subplots(size=(8, 4.5))
    for trace in traces:
        above = [100 * (loss / lowest - 1) for loss in trace.losses]
        axes.plot(trace.elapsed, above, marker="o", markersize=4, label=trace.name)
    axes.set(xlabel="seconds, the start included", yscale="log")
    axes.set_ylabel("objective above the lowest, %")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()
    return figure


def main_losses(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    dataset = open_data(options)
    traces = race(dataset.user_items, options)
    text = (
        f"{headline(data_facts(dataset))}; f = {options.factors}.\n"
        f"{machine_line(facts)}; {now()[:10]}.\n\n{losses_table(traces)}"
    )
    print(f"\n{text}")
    output = options.output or Path("results/iterations-losses.json")
    kept = {name: trace.as_dict() for name, trace in traces.items()}
    write_json(output, dataset, facts, traces=kept)
    path = PICTURE if options.update_docs else output.with_suffix(".svg")
    write_picture(path, lambda: picture(list(traces.values())))
    if options.update_docs:
        replace_between(PAGE, MARKS["losses"], text)


# ---- samples -----------------------------------------------------------------------------------

# By which fits begin, and after how many iterations their lists are what a fit would end with
BEGUN = {
    "samples": ({"init": "sample"}, SAMPLED),
    "singular vectors": ({"init": "spectral"}, DEFAULT),
    "drawn factors, plain": (PLAIN, ITERATIONS),
}
SAMPLED_SETTINGS = ("defaults", "c = r, lambda 0.1", "c = 1 + 40 r, lambda 100")


def main_samples(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    data = leaderboard.lastfm_large(options.scale)
    if samples.iterations_of(ImplicitALS(), data.train.shape[0], data.train.nnz) != SAMPLED:
        raise SystemExit(f"{data.train.nnz:,} entries to learn from are too few for samples")
    common = {"random_state": options.seed, "num_threads": options.threads}
    found = {}
    for setting in SAMPLED_SETTINGS:
        for begun, (how, last) in BEGUN.items():
            options_of_fit = {**SETTINGS[setting], **how, **common}
            found[f"{setting}; {begun}"] = worth(data, last, (last,), **options_of_fit)
            print(f"{setting}; {begun}: {found[f'{setting}; {begun}']}", flush=True)
    facts_of_data = {"synthetic": data.synthetic, "name": f"{data.name}, what is learned from"}
    facts_of_data |= {"users": data.train.shape[0], "items": data.train.shape[1]}
    head = f"{headline(facts_of_data | {'entries': data.train.nnz})}; f = 64."
    text = f"{head}\n{machine_line(facts)}; {now()[:10]}.\n\n{samples_table(found)}"
    print(f"\n{text}")
    write_report(
        options.output or Path("results/iterations-samples.json"), machine=facts, fits=found
    )
    if options.update_docs:
        replace_between(PAGE, MARKS["samples"], text)


def samples_table(found: dict[str, Any]) -> str:
    lines = []
    for name, fit in found.items():
        each, (lists,) = statistics.median(fit["seconds"][1:]), fit[METRIC].values()
        start, losses = fit["seconds"][0] - each, fit["losses"]
        shown = [f"{loss:.6g}" for loss in losses[:SAMPLED]] + [f"{losses[-1]:.6g}"]
        cells = (*name.split("; "), f"{start:.3g}", f"{each:.3g}", *shown, len(losses))
        lines.append((*cells, f"{sum(fit['seconds']):.3g}", f"{lists:.4f}"))
    head = ["c and lambda", "begins at", "start, s", "an iteration, s"]
    head += [f"objective after {number}" for number in range(1, SAMPLED + 1)]
    return markdown_table((*head, "at the end", "iterations", "seconds", "NDCG@20"), lines)


# ---- a week ------------------------------------------------------------------------------------

WEEK_MODELS = {
    "ImplicitALS": recsys.ImplicitALS,
    "LogisticMF": recsys.LogisticMF,
    "BPR": recsys.BPR,
}
WEEK_NAMES = ("lastfm-2k", "gowalla")
TENTHS, FIRST = 10, 3  # of the entries; how many there are on the first day
WEEK = ("first three tenths", "and a week", "all at once", "a day", "all at once")


def week(name: str, data: Data, options: argparse.Namespace) -> dict[str, float]:
    """NDCG and seconds of one model."""
    part = np.random.default_rng(0).permutation(data.train.nnz) * TENTHS // data.train.nnz

    def fitted(train: Any) -> tuple[Any, float]:
        model = WEEK_MODELS[name](random_state=0, num_threads=options.threads)
        began = time.perf_counter()
        return model.fit(train, show_progress=False), time.perf_counter() - began

    model, _ = fitted(csr.keep(data.train, part < FIRST))
    found = {"first": ndcg(model, data, 10)}
    began = time.perf_counter()
    for day in range(FIRST, TENTHS):
        model.partial_fit(csr.keep(data.train, part == day), rounds=options.rounds)
    found["day_seconds"] = (time.perf_counter() - began) / (TENTHS - FIRST)
    found["week"] = ndcg(model, data, 10)
    whole, found["whole_seconds"] = fitted(data.train)
    return {**found, "whole": ndcg(whole, data, 10)}


def main_week(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    print(machine_line(facts))
    measured = {}
    for data in leaderboard.present(options.data, options.folder):
        rows = []
        for model in options.models:
            with single_blas():
                found = measured[f"{data.name}, {model}"] = week(model, data, options)
            values = [f"{found[key]:.4f}" for key in ("first", "week", "whole")]
            seconds = [f"{found[key]:.2f} s" for key in ("day_seconds", "whole_seconds")]
            rows.append((model, *values, *seconds))
        print(f"\n{markdown_table((data.name, *WEEK), rows)}")
    write_report(options.output, machine=facts, found=measured)


# ---- the run -----------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    lists = commands.add_parser("lists", help="what lists are worth, and how soon")
    leaderboard.add_options(
        lists, "CPU, number of threads, scale and seeds", data=leaderboard.ALL_NAMES
    )
    add_seed(lists)
    add_threads(lists)
    lists.add_argument("--seeds", type=int, default=3, help="fits of each; default: 3")
    lists.set_defaults(main=main_lists)
    losses = commands.add_parser("losses", help="loss against seconds, beside others")
    add_data_options(losses)
    losses.add_argument("--factors", type=int, default=64, help="default: 64")
    losses.add_argument("--rounds", type=int, default=ITERATIONS, help=f"default: {ITERATIONS}")
    add_no_peers(losses)
    losses.set_defaults(main=main_losses)
    sampled = commands.add_parser("samples", help="fits that begin on samples, beside others")
    sampled.add_argument("--scale", type=float, default=1.0, help="of the data; default: 1")
    add_seed(sampled)
    add_threads(sampled)
    sampled.set_defaults(main=main_samples)
    a_week = commands.add_parser("week", help="a week of partial fits beside a full refit")
    leaderboard.add_options(a_week, "", data=WEEK_NAMES)
    a_week.add_argument("--models", nargs="+", choices=WEEK_MODELS, default=list(WEEK_MODELS))
    a_week.add_argument("--rounds", type=int, help="of a day; default: as the model has it")
    add_threads(a_week)
    a_week.add_argument("--output", type=Path, default=Path("results/week.json"))
    a_week.set_defaults(main=main_week)
    for each in (lists, losses, sampled):
        each.add_argument("--update-docs", action="store_true", help=f"write docs/{PAGE.name}")
        each.add_argument("--output", type=Path, help="default: results/iterations-*.json")
    return parser.parse_args()


def main() -> None:
    options = parse()
    options.main(options)


if __name__ == "__main__":
    run(main)
