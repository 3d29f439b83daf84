"""The experiment behind the defaults: each model untuned, and at its best of the settings below.

A model's regret on a data set is the share of the NDCG@10 of its best setting that its defaults
lack there. Settings are compared on the test items, as published tables do, so that regret is if
anything overstated. All have f = 64 factors, or are neighbourhoods. The data sets are those of
quality_data.py.

    python benchmarks/defaults.py ../shared/data --update-docs
    python benchmarks/defaults.py ../shared/data --model BPR WARP --data lastfm-2k
    python benchmarks/defaults.py ../shared/data --quick
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import quality_data
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
from quality_data import Data
from quality_report import in_words, words

import recsys

PAGE = DOCS / "defaults.md"
MARKS = ("<!-- defaults:begin -->", "<!-- defaults:end -->")
JUDGED_BY = "ndcg@10"
QUICK = {"iterations": 1, "epochs": 1}

Setting = dict[str, Any]
Row = dict[str, Any]


class Tried(NamedTuple):
    """A model, and what is tried of it beside its defaults."""

    make: type
    settings: list[Setting]
    always: Setting


def frequency(unobserved_weight: float, regularization: float, **others: Any) -> Setting:
    """lambda scaled by frequency, after Rendle et al. 2022; w0 against confidences of about 1.7."""
    weights = {"alpha": 1.0, "unobserved_weight": unobserved_weight}
    return {**weights, "regularization": regularization, "regularization_exponent": 1.0, **others}


MODELS = {
    "ImplicitALS": Tried(
        recsys.ImplicitALS,
        [
            {"bias": True},
            {"iterations": 15},
            {"solver": "cg"},
            {"alpha": 20.0},
            {"alpha": 10.0, "regularization": 20.0},
            {"alpha": 20.0, "regularization": 80.0},
            {"alpha": 40.0, "regularization": 400.0},
            {"confidence": "linear", "alpha": 40.0, "regularization": 100.0},
            frequency(0.002, 0.02),
            frequency(0.027, 0.005),
            frequency(0.027, 0.005, bias=True),
            frequency(0.05, 0.03),
            frequency(0.1, 0.01),
            frequency(0.4, 0.01),
        ],
        {},
    ),
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


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    quality_data.add_options(
        parser, "CPU and number of threads", model=MODELS, data=quality_data.ALL_NAMES
    )
    parser.add_argument(
        "--quick", action="store_true", help="a trial: one setting, one iteration or epoch"
    )
    add_seed(parser)
    add_threads(parser)
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write the tables into docs/{PAGE.name}"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="default: results/defaults.json, with --quick results/defaults-quick.json",
    )
    options = parser.parse_args()
    if options.quick and options.update_docs:
        parser.error("--quick is a trial, its figures are not for docs/")
    kind = "-quick" if options.quick else ""
    options.output = options.output or Path(f"results/defaults{kind}.json")
    return options


# ---- measuring ---------------------------------------------------------------------------------


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


# ---- tables ------------------------------------------------------------------------------------


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


# ---- the run -----------------------------------------------------------------------------------


def main() -> None:
    options = parse()
    facts = machine_facts(options.threads)
    same = {name: facts[name] for name in ("cpu", "threads")}
    same |= {name: getattr(options, name) for name in ("quick", "scale", "seed")}
    experiments = earlier_experiments(options.output, same)
    for data_name in options.data:
        data = quality_data.load(data_name, options.folder, options.scale)
        if data is None:
            continue
        for name in options.model:
            print(f"{name} on {data_name}", flush=True)
            experiments[f"{name} on {data_name}"] = {
                "measured": now(),
                "on": same,
                "model": name,
                "data": data_name,
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
        command = "`python benchmarks/defaults.py FOLDER --update-docs`"
        head = f"{machine_line(facts)}; {measured}, {command}."
        text = f"{head}\n\n{text}"
        replace_between(PAGE, MARKS, text)


if __name__ == "__main__":
    run(main)
