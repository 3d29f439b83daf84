"""What a search costs and finds: `recsys.tuning.tune` of ImplicitALS, 25 trials, f = 64.

Each data set of leaderboard.py is searched twice, in turns: as `tune` does it, and "one by one",
each trial on all users with all threads, which is what remains of it without batches of trials side
by side and without a part of the users first. The search sees a part of the training data and
settings are compared on the rest of it, by NDCG@20; the model that is found learns from both, and
is measured on the test items, once.

    python benchmarks/tuning.py ../shared/data --update-docs
    python benchmarks/tuning.py ../shared/data --data lastfm-2k --seeds 0 1 2 --threads 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import leaderboard
from harness import (
    DOCS,
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
from leaderboard import Data, ndcg

from recsys import ImplicitALS, tuning
from recsys.tuning import halving, measuring

PAGE = DOCS / "tuning.md"
MARKS = ("<!-- searches:begin -->", "<!-- searches:end -->")
DATA = ("lastfm-2k", "lastfm-15k", "citeulike-a", "retailrocket", "electronics", "anime", "ml-1m",
        "gowalla")  # fmt: skip
FACTORS, TRIALS, K = 64, 25, 20
WAYS = ("one by one", "tune")


def search(way: str, data: Data, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One search; both measures and both kinds of seconds, without the last fit on all data."""
    inner = data.inner()
    fixed = {"factors": FACTORS, "num_threads": options.threads}
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


def both(data: Data, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All searches of a data set, the two ways in turns."""
    searches = []
    for seed in options.seeds:
        with patch.object(measuring, "SMALL", 0), patch.object(halving, "LEAST", float("inf")):
            searches.append(search(WAYS[0], data, seed, options))
        searches.append(search(WAYS[1], data, seed, options))
        for each in searches[-2:]:
            print(data.name, *each.values(), flush=True)
    return searches


MEASURES = {"validation": ".4f", "test": ".4f", "cpu": ".1f", "seconds": ".1f"}


def table(experiments: Iterable[dict[str, Any]]) -> str:
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


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    leaderboard.add_options(parser, "CPU, number of threads, trials and seeds", data=DATA)
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"default: {TRIALS}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of searches; default: 0")
    add_threads(parser)
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write the table into docs/{PAGE.name}"
    )
    parser.add_argument("--output", type=Path, default=Path("results/tuning.json"))
    return parser.parse_args()


def main() -> None:
    options = parse()
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
            "searches": both(data, options),
        }
        # After each one, so that an interrupted run keeps what it has.
        write_report(options.output, machine=facts, experiments=experiments)
    rows = [experiments[name] for name in DATA if name in experiments]
    if not rows:
        raise SystemExit(f"nothing was measured, and {options.output} holds nothing of this kind")
    text = table(rows)
    print(f"{text}\nwrote {options.output}")
    if options.update_docs:
        line = f"{machine_line(facts)}; {days(each['measured'] for each in rows)}"
        command = "`python benchmarks/tuning.py FOLDER --update-docs`"
        replace_between(PAGE, MARKS, f"{line}, {command}.\n\n{text}")


if __name__ == "__main__":
    run(main)
