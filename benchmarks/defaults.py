"""The experiments behind the defaults: models untuned, and at the best of other settings.

A model's regret on a data set is the share of the NDCG of its best setting that its defaults lack
there. All have f = 64 factors where nothing else is said, or are neighbourhoods. The data sets are
those of leaderboard.py.

`weights`: what w0 and lambda chosen from the data are worth to ImplicitALS. Each data set is there
as it is, with half of its entries and with half of its items (--parts), of as many users as make it
at most ENTRIES entries. A walk over a grid of w0 and lambda, from the middle of each to the best
neighbour until there is none, finds the best NDCG@20. These are compared on the test items, as in
published tables, so that regret is if anything overstated.

`factors`: what 8 to 128 factors are worth to ImplicitALS and to LogisticMF. Both learn a part of
the training data and are measured on the rest of it. ImplicitALS is there with w0 and lambda from
the data, and with those that were best on the leaderboard at 64 factors; LogisticMF has lambda 30
and draws 10 cells for each entry.

`untuned`: what the defaults of every model lack of the best that tuning has found on the
leaderboard, where settings are chosen on a part of the training data; from the report of
quality.py.

`search`: what `recsys.tuning.tune` of ImplicitALS costs and finds in 25 trials. Each data set is
searched twice, in turns: as `tune` does it, and "one by one", each trial on all users with all
threads, which is what remains of it without batches of trials side by side and without a part of
the users first. The search sees a part of the training data and settings are compared on the rest
of it, by NDCG@20; the model that is found learns from both, and is measured on the test items,
once.

    python benchmarks/defaults.py weights ../shared/data --update-docs
    python benchmarks/defaults.py weights ../shared/data --data lastfm-2k --parts whole entries
    python benchmarks/defaults.py factors ../shared/data --threads 1
    python benchmarks/defaults.py untuned --update-docs
    python benchmarks/defaults.py search ../shared/data --data lastfm-2k --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import leaderboard
import numpy as np
import scipy.sparse as sp
from harness import (
    DOCS,
    add_seed,
    add_threads,
    days,
    earlier_experiments,
    machine_facts,
    machine_line,
    markdown_table,
    now,
    replace_between,
    run,
    write_report,
)
from leaderboard import Data, Report, ndcg, values_of
from quality_models import CONTENDERS

from recsys import ImplicitALS, LogisticMF, tuning
from recsys.tuning import halving, measuring

PAGES = {"weights": "defaults.md", "untuned": "defaults.md", "search": "tuning.md"}
MARKS = {
    "weights": ("<!-- rule:begin -->", "<!-- rule:end -->"),
    "untuned": ("<!-- untuned:begin -->", "<!-- untuned:end -->"),
    "search": ("<!-- searches:begin -->", "<!-- searches:end -->"),
}

# ---- weights from the data ----------------------------------------------------------------------

ENTRIES = 200_000
MIDDLE = (0.0, math.log2(0.005))  # log2 of w0 / (mean confidence sqrt(density)), and of lambda
PARTS = {"whole": (1.0, 1.0), "entries": (0.5, 1.0), "items": (1.0, 0.5)}  # shares of these

Weights = tuple[float, float]  # as MIDDLE


def part_of(data: Data, part: str, seed: int) -> Data:
    """A share of the entries of training, of the items, and of the users."""
    random = np.random.default_rng(seed)
    entries, items = PARTS[part]
    n_users, n_items = data.train.shape
    users = random.permutation(n_users)
    users = np.sort(users[: round(n_users * ENTRIES / (data.train.nnz * entries * items))])
    columns = np.sort(random.choice(n_items, round(items * n_items), replace=False))
    train, test = (sp.coo_array(each[users][:, columns]) for each in (data.train, data.test))
    kept = random.random(train.nnz) < entries
    at = tuple(coordinates[kept] for coordinates in train.coords)
    train = sp.csr_array((train.data[kept], at), train.shape)
    there = np.unique(train.indices)
    name = data.name if part == "whole" else f"{data.name}, half of its {part}"
    return Data(name, train[:, there], sp.csr_array(test)[:, there], data.synthetic)


def worth(model: ImplicitALS, data: Data) -> float:
    return ndcg(model.fit(data.train, show_progress=False), data, 20)


def walk(measure: Callable[[Weights], float]) -> dict[Weights, float]:
    """What was measured on the way from MIDDLE, by steps of 4 times, then of twice as much."""
    best = MIDDLE
    found = {best: measure(best)}
    for step in (2.0, 1.0):
        while True:
            for way in ((0, step), (0, -step), (step, 0), (-step, 0)):
                near = best[0] + way[0], best[1] + way[1]
                if near not in found:
                    found[near] = measure(near)
            further = max(found, key=found.__getitem__)
            if further == best:
                break
            best = further
    return found


def measure_weights(data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """What the rule is worth on a data set, and each setting of the walk."""
    common = {"num_threads": options.threads, "random_state": options.seed}
    untuned = ImplicitALS(**common)
    by_rule = worth(untuned, data)
    m, n = np.count_nonzero(np.diff(data.train.indptr)), data.train.shape[1]

    def measure(setting: Weights) -> float:
        model = ImplicitALS(
            unobserved_weight=untuned.unobserved_weight_ * 2.0 ** setting[0],
            regularization=2.0 ** setting[1],
            regularization_exponent=1.0,
            bias=untuned.item_biases is not None,
            **common,
        )
        return worth(model, data)

    return {
        "users": int(m),
        "items": int(n),
        "entries": int(data.train.nnz),
        "rule": by_rule,
        "w0": untuned.unobserved_weight_,
        "lambda": untuned.regularization_,
        "walk": [[*setting, value] for setting, value in walk(measure).items()],
    }


def regret_of_rule(row: dict[str, Any]) -> float:
    """In percent; below 0 where the walk has found nothing as good."""
    return 100 * (1 - row["rule"] / max(value for _, _, value in row["walk"]))


def rule_cells(name: str, row: dict[str, Any]) -> list[str]:
    w0, lambda_, best = max(row["walk"], key=lambda each: each[2])
    return [
        name,
        f"{row['users']:,} x {row['items']:,}",
        f"{row['entries']:,}",
        f"{row['w0']:.3f}, {row['lambda']:.4f}",
        f"{row['rule']:.4f}",
        f"{row['w0'] * 2**w0:.3f}, {2**lambda_:.4f}",
        f"{best:.4f}",
        f"{regret_of_rule(row):.1f} %",
    ]


def rule_table(rows: dict[str, Any]) -> str:
    header = (
        "data", "users x items", "entries", "w0, lambda", "NDCG@20", "best w0, lambda", "NDCG@20",
        "regret",
    )  # fmt: skip
    lines = [rule_cells(name, row) for name, row in rows.items()]
    every = [regret_of_rule(row) for row in rows.values()]
    last = ["mean", *[""] * 6, f"{mean(every):.1f} %"]
    return markdown_table(header, [*lines, last])


def main_weights(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    same = {name: facts[name] for name in ("cpu", "threads")}
    same |= {"scale": options.scale, "seed": options.seed}
    experiments = earlier_experiments(options.output, same)
    for whole in leaderboard.present(options.data, options.folder, options.scale):
        for part in options.parts:
            data = part_of(whole, part, options.seed)
            row = measure_weights(data, options)
            experiments[data.name] = {"measured": now(), "on": same, **row}
            print(", ".join(rule_cells(data.name, row)), flush=True)
            write_report(options.output, machine=facts, experiments=experiments)
    if not experiments:
        raise SystemExit(f"none of the data sets is in {options.folder}")
    text = rule_table(experiments)
    print(text)
    if options.update_docs:
        measured = days(row["measured"] for row in experiments.values())
        how = "FOLDER", f"--scale {options.scale:g}", f"--threads {options.threads}"
        write_docs("weights", how, f"{machine_line(facts)}; {measured}", text)


# ---- every model, untuned -----------------------------------------------------------------------

TUNED = {  # whose best a model's defaults are held against; all of 64 factors or of none
    "ImplicitALS()": [
        *("ImplicitALS", "ImplicitALS, biases", "ImplicitALS, log, plain lambda"),
        *("ImplicitALS, linear, plain lambda", "ImplicitALS, scaled, plain lambda"),
    ],
    "ItemNeighbors()": ["ItemNeighbors, BM25", "ItemNeighbors, TF-IDF", "ItemNeighbors, cosine"],
    "LogisticMF()": ["LogisticMF"],
    "BPR()": ["BPR, uniform", "BPR, popular", "BPR, adaptive", "BPR, hard"],
    'BPR(loss="warp")': ["WARP"],
}


def regrets(report: Report) -> str:
    """Of each model with a row of its defaults: what these lack of its tuned rows' best, in %.

    A row for which nothing but the defaults was tried says nothing of them.
    """
    values, data = values_of(report), list(report["data"])
    told = {
        (row["who"], row["data"])
        for row in report["rows"]
        if len(row["tried"]) > 1 or row.get("setting") or CONTENDERS[row["who"]].untuned is None
    }
    rows = []
    for who, rivals in TUNED.items():
        untuned = values.get(who, {})
        line: list[str | None] = [who]
        lacks = []
        for name in data:
            tuned = [values[each][name] for each in rivals if (each, name) in told]
            if name not in untuned or not tuned:
                line.append(None)
                continue
            best = max(*tuned, untuned[name])
            lacks.append(100 * (1 - untuned[name] / best))
            line.append(f"{lacks[-1]:.1f}")
        rows.append([*line, f"{mean(lacks):.1f}" if lacks else None])
    return markdown_table(("%", *data, "mean"), rows)


def main_untuned(options: argparse.Namespace) -> None:
    try:
        report = json.loads(options.report.read_text(encoding="utf-8"))
        text = regrets(report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{options.report} is no report of quality.py ({error})") from None
    print(text)
    if options.update_docs:
        measured = days(row["at"] for row in report["rows"])
        write_docs("untuned", (), f"{machine_line(report['machine'])}; {measured}", text)


# ---- the number of factors ----------------------------------------------------------------------

BEST = {"lastfm-2k": (0.1, 0.01), "citeulike-a": (0.003, 0.02), "gowalla": (0.03, 0.003)}
FACTORS = (8, 16, 32, 64, 128)


def of_factors(name: str, factors: int, **common: Any) -> list[ImplicitALS | LogisticMF]:
    w0, lambda_ = BEST[name]
    return [
        ImplicitALS(factors, **common),
        ImplicitALS(
            factors,
            unobserved_weight=w0,
            regularization=lambda_,
            regularization_exponent=1.0,
            **common,
        ),
        LogisticMF(factors, negatives=10, regularization=30.0, **common),
    ]


def factors_line(data: Data, factors: int, **common: Any) -> list[str]:
    """NDCG@20 and CPU seconds of each."""
    cells = [data.name, str(factors)]
    for model in of_factors(data.name, factors, **common):
        began = time.process_time()
        model.fit(data.train, show_progress=False)
        seconds = time.process_time() - began
        cells.append(f"{ndcg(model, data, 20):.4f}, {seconds:.1f} s")
    return cells


def main_factors(options: argparse.Namespace) -> None:
    common = {"num_threads": options.threads, "random_state": options.seed}
    rows = []
    for data in leaderboard.present(options.data, options.folder):
        for factors in options.factors:
            rows.append(factors_line(data.inner(), factors, **common))
            print(*rows[-1], flush=True)
    header = ("data", "f", "ImplicitALS()", "ImplicitALS, best w0 and lambda", "LogisticMF")
    print(markdown_table(header, rows))


# ---- what a search finds ------------------------------------------------------------------------

SEARCHED = (
    *("lastfm-2k", "lastfm-15k", "citeulike-a", "retailrocket", "electronics", "anime", "ml-1m"),
    "gowalla",
)
TRIALS, K = 25, 20
WAYS = ("one by one", "tune")


def one_search(way: str, data: Data, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One search; both measures and both kinds of seconds, without the last fit on all data."""
    inner = data.inner()
    fixed = {"factors": 64, "num_threads": options.threads}
    began, began_cpu = time.perf_counter(), time.process_time()
    found = tuning.tune(
        ImplicitALS,
        inner.train,
        inner.test,
        trials=options.trials,
        metric=f"ndcg@{K}",
        fixed=fixed,
        random_state=seed,
        refit=False,
        show_progress=False,
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    model = ImplicitALS(**found.best_params).fit(data.train, show_progress=False)
    states = [trial.state for trial in found.trials]
    return {
        "way": way,
        "seed": seed,
        "seconds": seconds,
        "cpu": cpu,
        "whole": states.count("complete") + states.count("pruned"),
        "validation": found.best_value,
        "test": ndcg(model, data, K),
    }


def both_ways(data: Data, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All searches of a data set, the two ways in turns."""
    searches = []
    for seed in options.seeds:
        with patch.object(measuring, "SMALL", 0), patch.object(halving, "LEAST", float("inf")):
            searches.append(one_search(WAYS[0], data, seed, options))
        searches.append(one_search(WAYS[1], data, seed, options))
        for each in searches[-2:]:
            print(data.name, *each.values(), flush=True)
    return searches


MEASURES = {"validation": ".4f", "test": ".4f", "cpu": ".1f", "seconds": ".1f"}


def searches_table(experiments: Iterable[dict[str, Any]]) -> str:
    """Means over the seeds; of two numbers the first is that of "one by one"."""
    header = ("data", "entries", "on all users", "validation", "test", "CPU s", "s")
    rows = []
    for each in experiments:
        by_way = [[one for one in each["searches"] if one["way"] == way] for way in WAYS]
        row = [each["data"], f"{each['entries']:,}"]
        row.append(f"{mean(one['whole'] for one in by_way[1]):.0f}")
        for name, form in MEASURES.items():
            row.append(" / ".join(f"{mean(one[name] for one in of):{form}}" for of in by_way))
        rows.append(row)
    return markdown_table(header, rows)


def main_search(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    same = {name: facts[name] for name in ("cpu", "threads")}
    same |= {"trials": options.trials, "seeds": options.seeds}
    experiments = earlier_experiments(options.output, same)
    for data in leaderboard.present(options.data, options.folder):
        experiments[data.name] = {
            "measured": now(),
            "on": same,
            "data": data.name,
            "entries": data.inner().train.nnz,
            "searches": both_ways(data, options),
        }
        # After each one, so that an interrupted run keeps what it has.
        write_report(options.output, machine=facts, experiments=experiments)
    rows = [experiments[name] for name in SEARCHED if name in experiments]
    if not rows:
        raise SystemExit(f"nothing was measured, and {options.output} holds nothing of this kind")
    text = searches_table(rows)
    print(f"{text}\nwrote {options.output}")
    if options.update_docs:
        measured = days(each["measured"] for each in rows)
        write_docs("search", ("FOLDER",), f"{machine_line(facts)}; {measured}", text)


# ---- the run ------------------------------------------------------------------------------------


def write_docs(command: str, how: tuple[str, ...], head: str, text: str) -> None:
    line = " ".join(("python benchmarks/defaults.py", command, *how))
    text = f"{head}, `{line} --update-docs`.\n\n{text}"
    replace_between(DOCS / PAGES[command], MARKS[command], text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    weights = commands.add_parser("weights", help="what ImplicitALS takes from the data")
    same = "CPU, number of threads, scale and seed"
    leaderboard.add_options(weights, same, data=leaderboard.ALL_NAMES)
    weights.add_argument("--parts", nargs="+", choices=PARTS, default=["whole"], help="of each")
    weights.set_defaults(main=main_weights)
    untuned = commands.add_parser("untuned", help="what the defaults of every model lack")
    untuned.add_argument(
        "--report", type=Path, default=Path("results/quality.json"), help="default: %(default)s"
    )
    untuned.set_defaults(main=main_untuned)
    factors = commands.add_parser("factors", help="what more factors are worth")
    leaderboard.add_options(factors, "", data=BEST)
    factors.add_argument("--factors", type=int, nargs="+", default=FACTORS)
    factors.set_defaults(main=main_factors)
    search = commands.add_parser("search", help="what a search costs and finds")
    leaderboard.add_options(search, "CPU, number of threads, trials and seeds", data=SEARCHED)
    search.add_argument("--trials", type=int, default=TRIALS, help="default: %(default)s")
    search.add_argument("--seeds", type=int, nargs="+", default=[0], help="of searches; default: 0")
    search.set_defaults(main=main_search)
    for each in (weights, factors):
        add_seed(each)
    for each in (weights, factors, search):
        add_threads(each)
    for name, each in (("weights", weights), ("untuned", untuned), ("search", search)):
        told = f"write the table into docs/{PAGES[name]}"
        each.add_argument("--update-docs", action="store_true", help=told)
    for name, each in (("weights", weights), ("search", search)):
        path = Path(f"results/defaults-{name}.json")
        each.add_argument("--output", type=Path, default=path, help="default: %(default)s")
    return parser.parse_args()


def main() -> None:
    options = parse()
    options.main(options)


if __name__ == "__main__":
    run(main)
