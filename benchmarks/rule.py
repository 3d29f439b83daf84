"""What weights chosen from the data are worth: ImplicitALS untuned, and at its best w0 and lambda.

Each data set of quality_data.py is there as it is, with half of its entries and with half of its
items (--parts), of as many users as make it at most ENTRIES entries. A walk over a grid of w0 and
lambda, from the middle of each to the best neighbour until there is none, finds the best NDCG@20 of
the test items; all fits are of 64 factors. Settings are compared on the test items, so that regret
is if anything overstated.

    python benchmarks/rule.py ../shared/data --update-docs
    python benchmarks/rule.py ../shared/data --data lastfm-2k --parts whole entries items
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import quality_data
import scipy.sparse as sp
from defaults import PAGE
from harness import (
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
from quality_data import Data

from recsys import ImplicitALS, evaluation

ENTRIES = 200_000
MIDDLE = (0.0, math.log2(0.005))  # log2 of w0 / (mean confidence sqrt(density)), and of lambda
METRIC = "ndcg@20"
MARKS = ("<!-- rule:begin -->", "<!-- rule:end -->")
PARTS = {"whole": (1.0, 1.0), "entries": (0.5, 1.0), "items": (1.0, 0.5)}  # shares of these

Setting = tuple[float, float]  # as MIDDLE


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
    model.fit(data.train, show_progress=False)
    lists = evaluation.evaluate(
        model, data.train, data.test, metrics="ndcg", k=20, show_progress=False
    )
    return float(lists.mean[METRIC])


def walk(measure: Callable[[Setting], float]) -> dict[Setting, float]:
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


def measured(data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """What the rule is worth on a data set, and each setting of the walk."""
    common = {"num_threads": options.threads, "random_state": options.seed}
    untuned = ImplicitALS(**common)
    by_rule = worth(untuned, data)
    m, n = np.count_nonzero(np.diff(data.train.indptr)), data.train.shape[1]

    def measure(setting: Setting) -> float:
        model = ImplicitALS(
            unobserved_weight=untuned.unobserved_weight_ * 2.0 ** setting[0],
            regularization=2.0 ** setting[1],
            regularization_exponent=1.0,
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


# ---- the table ---------------------------------------------------------------------------------


def regret(row: dict[str, Any]) -> float:
    """In percent; below 0 where the walk has found nothing as good."""
    return 100 * (1 - row["rule"] / max(value for _, _, value in row["walk"]))


def cells(name: str, row: dict[str, Any]) -> list[str]:
    w0, lambda_, best = max(row["walk"], key=lambda each: each[2])
    return [
        name,
        f"{row['users']:,} x {row['items']:,}",
        f"{row['entries']:,}",
        f"{row['w0']:.3f}, {row['lambda']:.4f}",
        f"{row['rule']:.4f}",
        f"{row['w0'] * 2**w0:.3f}, {2**lambda_:.4f}",
        f"{best:.4f}",
        f"{regret(row):.1f} %",
    ]


def table(rows: dict[str, Any]) -> str:
    header = (
        "data", "users x items", "entries", "w0, lambda", "NDCG@20", "best w0, lambda", "NDCG@20",
        "regret",
    )  # fmt: skip
    lines = [cells(name, row) for name, row in rows.items()]
    every = [regret(row) for row in rows.values()]
    mean = ["mean", *[""] * 6, f"{sum(every) / len(every):.1f} %"]
    return markdown_table(header, [*lines, mean])


# ---- the run -----------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    quality_data.add_options(
        parser, "CPU, number of threads, scale and seed", data=quality_data.ALL_NAMES
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["whole"], help="of each")
    add_seed(parser)
    add_threads(parser)
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write the table into docs/{PAGE.name}"
    )
    parser.add_argument("--output", type=Path, default=Path("results/rule.json"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    facts = machine_facts(options.threads)
    same = {name: facts[name] for name in ("cpu", "threads")}
    same |= {"scale": options.scale, "seed": options.seed}
    experiments = earlier_experiments(options.output, same)
    for name in options.data:
        whole = quality_data.load(name, options.folder, options.scale)
        for part in options.parts if whole is not None else ():
            data = part_of(whole, part, options.seed)
            row = measured(data, options)
            experiments[data.name] = {"measured": now(), "on": same, **row}
            print(", ".join(cells(data.name, row)), flush=True)
            write_report(options.output, machine=facts, experiments=experiments)
    if not experiments:
        raise SystemExit(f"none of the data sets is in {options.folder}")
    text = table(experiments)
    print(text)
    if options.update_docs:
        measured_on = days(row["measured"] for row in experiments.values())
        how = f"--scale {options.scale:g} --threads {options.threads}"
        command = f"`python benchmarks/rule.py FOLDER {how} --update-docs`"
        replace_between(PAGE, MARKS, f"{machine_line(facts)}; {measured_on}, {command}.\n\n{text}")


if __name__ == "__main__":
    run(main)
