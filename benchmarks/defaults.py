"""The experiments behind the defaults: models untuned, and at the best of other settings.

A model's regret on a data set is the share of the NDCG of its best setting that its defaults lack
there. Settings are compared on the test items, as published tables do, so that regret is if
anything overstated. All have f = 64 factors where nothing else is said, or are neighbourhoods. The
data sets are those of quality_data.py.

`weights`: what w0 and lambda chosen from the data are worth to ImplicitALS. Each data set is there
as it is, with half of its entries and with half of its items (--parts), of as many users as make it
at most ENTRIES entries. A walk over a grid of w0 and lambda, from the middle of each to the best
neighbour until there is none, finds the best NDCG@20.

`factors`: what 8 to 128 factors are worth to ImplicitALS and to LogisticMF. Both learn a part of
the training data and are measured on the rest of it. ImplicitALS is there with w0 and lambda from
the data, and with those that were best on the leaderboard at 64 factors; LogisticMF draws 10 cells
for each entry.

`models`: what other models have by default, beside a list of settings (MODELS).

    python benchmarks/defaults.py weights ../shared/data --update-docs
    python benchmarks/defaults.py weights ../shared/data --data lastfm-2k --parts whole entries
    python benchmarks/defaults.py factors ../shared/data --threads 1
    python benchmarks/defaults.py models ../shared/data --update-docs
    python benchmarks/defaults.py models ../shared/data --model BPR WARP --data lastfm-2k
    python benchmarks/defaults.py models ../shared/data --quick
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import quality_data
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
from quality import evaluate, facts_of
from quality_data import Data, ndcg
from quality_report import in_words, words

import recsys
from recsys import ImplicitALS, LogisticMF

PAGE = DOCS / "defaults.md"
MARKS = {
    "weights": ("<!-- rule:begin -->", "<!-- rule:end -->"),
    "models": ("<!-- defaults:begin -->", "<!-- defaults:end -->"),
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
    mean = ["mean", *[""] * 6, f"{sum(every) / len(every):.1f} %"]
    return markdown_table(header, [*lines, mean])


def main_weights(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    same = {name: facts[name] for name in ("cpu", "threads")}
    same |= {"scale": options.scale, "seed": options.seed}
    experiments = earlier_experiments(options.output, same)
    for whole in quality_data.present(options.data, options.folder, options.scale):
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
        how = f"--scale {options.scale:g} --threads {options.threads}"
        write_docs("weights", how, f"{machine_line(facts)}; {measured}", text)


# ---- the other models ---------------------------------------------------------------------------

JUDGED_BY = "ndcg@10"
QUICK = {"iterations": 1, "epochs": 1}

Setting = dict[str, Any]
Row = dict[str, Any]


class Tried(NamedTuple):
    """A model, and what is tried of it beside its defaults."""

    make: type
    settings: list[Setting]
    always: Setting


MODELS = {
    "LogisticMF": Tried(
        recsys.LogisticMF,
        [
            {"alpha": 3.0, "regularization": 20.0},
            {"alpha": 30.0, "regularization": 90.0},
        ],
        {},
    ),
    "BPR": Tried(
        recsys.BPR,
        [
            {"learning_rate": 0.05, "regularization": 0.01, "negatives": 1},
            {"regularization": 0.01},
            {"regularization": 0.005},
            {"regularization": 0.002, "negatives": 30},
            {"regularization": 0.01, "sampler": "hard", "negatives": 5},
        ],
        {},
    ),
    "WARP": Tried(
        recsys.BPR,
        [
            {"regularization": 0.01},
            {"learning_rate": 0.02, "regularization": 0.05},
        ],
        {"loss": "warp"},
    ),
    "ItemNeighbors": Tried(
        recsys.ItemNeighbors,
        [
            {"k": 20},
            {"k": 300},
            {"K1": 1.2},
            {"K1": 1.2, "B": 0.75},
            {"orientation": "history"},
            {"weighting": "tfidf"},
            {"weighting": "cosine"},
            {"weighting": "tfidf", "normalize_rows": True},
            {"weighting": "cosine", "normalize_rows": True},
            {"weighting": "cosine", "normalize_rows": True, "k": 20},
        ],
        {},
    ),
}


def measure(name: str, data: Data, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What each setting of a model is worth, the defaults first."""
    tried = MODELS[name]
    rows = []
    for setting in [{}, *(tried.settings[:1] if options.quick else tried.settings)]:
        model = tried.make(num_threads=options.threads, **tried.always, **setting)
        short = QUICK if options.quick else {}
        fixed = short | {"random_state": options.seed}
        model.set_params(**{key: fixed[key] for key in fixed.keys() & model.get_params().keys()})
        began = time.perf_counter()
        model.fit(data.train, show_progress=False)
        seconds = time.perf_counter() - began
        mean = evaluate(model, data).mean
        rows.append({"setting": setting, "mean": mean, "seconds": seconds})
        print(f"  {named(setting)}: {JUDGED_BY} {mean[JUDGED_BY]:.4f}, {seconds:.1f} s", flush=True)
    return rows


def named(setting: Setting) -> str:
    return words(setting) if setting else "defaults"


def best_of(row: Row) -> dict[str, Any]:
    return max(row["tried"], key=lambda each: each["mean"][JUDGED_BY])


def regret(row: Row) -> float:
    """In percent."""
    return 100 * (1 - row["tried"][0]["mean"][JUDGED_BY] / best_of(row)["mean"][JUDGED_BY])


def tables(rows: list[Row]) -> str:
    """The data sets; every model's regret on each; for each model, what was tried."""
    facts = {row["data"]: row["facts"] for row in rows}
    parts = ["\n".join(f"- {data}: {in_words(facts[data])}." for data in facts)]
    header = ("model", "data", "NDCG@10", "best", "regret", "Recall@20 / NDCG@20", "fit, s", "best")
    parts.append(markdown_table(header, map(cells, rows)))
    for name in dict.fromkeys(row["model"] for row in rows):
        of_model = [row for row in rows if row["model"] == name]
        header = (f"NDCG@10 of {name}", *(row["data"] for row in of_model))
        parts.append(markdown_table(header, each_setting(of_model)))
    return "\n\n".join(parts)


def cells(row: Row) -> list[str]:
    untuned, best = row["tried"][0], best_of(row)
    recall, ndcg = (f"{untuned['mean'][name]:.4f}" for name in ("recall@20", "ndcg@20"))
    return [
        row["model"],
        row["data"],
        f"{untuned['mean'][JUDGED_BY]:.4f}",
        f"{best['mean'][JUDGED_BY]:.4f}",
        f"{regret(row):.1f} %",
        f"{recall} / {ndcg}",
        f"{untuned['seconds']:.1f}",
        named(best["setting"]),
    ]


def each_setting(rows: list[Row]) -> Iterator[list[str | None]]:
    """A line for each setting, a column for each data set."""
    of = [
        {named(each["setting"]): each["mean"][JUDGED_BY] for each in row["tried"]} for row in rows
    ]
    for setting in dict.fromkeys(itertools.chain(*of)):
        yield [setting, *(f"{each[setting]:.4f}" if setting in each else None for each in of)]


def main_models(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    same = {name: facts[name] for name in ("cpu", "threads")}
    same |= {name: getattr(options, name) for name in ("quick", "scale", "seed")}
    experiments = earlier_experiments(options.output, same)
    for data in quality_data.present(options.data, options.folder, options.scale):
        for name in options.model:
            print(f"{name} on {data.name}", flush=True)
            experiments[f"{name} on {data.name}"] = {
                "measured": now(),
                "on": same,
                "model": name,
                "data": data.name,
                "facts": facts_of(data),
                "tried": measure(name, data, options),
            }
            # After each one, so that an interrupted run keeps what it has.
            write_report(options.output, machine=facts, experiments=experiments)
    order = itertools.product(MODELS, quality_data.ALL_NAMES)
    keys = [f"{name} on {data_name}" for name, data_name in order]
    rows = [experiments[each] for each in keys if each in experiments]
    if not rows:
        raise SystemExit(f"nothing was measured, and {options.output} holds nothing of this kind")
    text = tables(rows)
    print(f"{text}\nwrote {options.output}")
    if options.update_docs:
        measured = days(row["measured"] for row in rows)
        write_docs("models", "", f"{machine_line(facts)}; {measured}", text)


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
        LogisticMF(factors, negatives=10, **common),
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
    for data in quality_data.present(options.data, options.folder):
        for factors in options.factors:
            rows.append(factors_line(data.inner(), factors, **common))
            print(*rows[-1], flush=True)
    header = ("data", "f", "ImplicitALS()", "ImplicitALS, best w0 and lambda", "LogisticMF")
    print(markdown_table(header, rows))


# ---- the run ------------------------------------------------------------------------------------


def write_docs(command: str, how: str, head: str, text: str) -> None:
    line = " ".join(("python benchmarks/defaults.py", command, "FOLDER", how)).strip()
    text = f"{head}, `{line} --update-docs`.\n\n{text}"
    replace_between(PAGE, MARKS[command], text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    weights = commands.add_parser("weights", help="what ImplicitALS takes from the data")
    same = "CPU, number of threads, scale and seed"
    quality_data.add_options(weights, same, data=quality_data.ALL_NAMES)
    weights.add_argument("--parts", nargs="+", choices=PARTS, default=["whole"], help="of each")
    weights.set_defaults(main=main_weights, quick=False, kind="defaults-weights")
    models = commands.add_parser("models", help="what other models have as their defaults")
    quality_data.add_options(models, same, model=MODELS, data=quality_data.ALL_NAMES)
    models.add_argument(
        "--quick", action="store_true", help="a trial: one setting, one iteration or epoch"
    )
    models.set_defaults(main=main_models, kind="defaults")
    factors = commands.add_parser("factors", help="what more factors are worth")
    quality_data.add_options(factors, "", data=BEST)
    factors.add_argument("--factors", type=int, nargs="+", default=FACTORS)
    factors.set_defaults(main=main_factors, quick=False, update_docs=False)
    for each in (weights, models, factors):
        add_seed(each)
        add_threads(each)
    for each in (weights, models):
        each.add_argument(
            "--update-docs", action="store_true", help=f"write the tables into docs/{PAGE.name}"
        )
        each.add_argument("--output", type=Path, help="default: results/defaults*.json")
    options = parser.parse_args()
    if options.quick and options.update_docs:
        parser.error("--quick is a trial, its figures are not for docs/")
    kind = "-quick" if options.quick else ""
    if hasattr(options, "output"):
        options.output = options.output or Path(f"results/{options.kind}{kind}.json")
    return options


def main() -> None:
    options = parse()
    options.main(options)


if __name__ == "__main__":
    run(main)
