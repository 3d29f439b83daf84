"""What measuring costs: `evaluate` against the lists alone and against implicit, and `fit` with
validation against `fit` without, on the data sets of quality_data.py. All take turns.

The lists are those of ImplicitALS, f = 64, for every user with test items. implicit measures its
four metrics at 10, from the same factors; ours beside it are the same four.

    python benchmarks/evaluation.py ../shared/data
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import quality_data
from contenders import implicit_with_factors, installed
from harness import (
    Turn,
    add_no_peers,
    add_threads,
    machine_facts,
    machine_line,
    markdown_table,
    run,
    single_blas,
    take_turns,
    timed,
    write_report,
)
from quality_data import Data

import recsys
from recsys import csr, evaluation

METRICS = (
    "precision", "recall", "capped_recall", "hit_rate", "map", "ndcg", "mrr", "auc", "coverage",
    "gini",
)  # fmt: skip
CUTS = (10, 20, 100)
FOUR = ("micro_capped_recall", "map", "ndcg", "auc_catalogue")  # implicit's, under our names
QUIET = {"show_progress": False}
MODELS: dict[str, tuple[type[recsys.models.FactorModel], dict[str, Any]]] = {
    "ImplicitALS": (recsys.ImplicitALS, {}),
    "BPR": (recsys.BPR, {}),
    "LogisticMF": (recsys.LogisticMF, {}),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    quality_data.add_options(parser, "")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; default: 5")
    add_threads(parser)
    add_no_peers(parser)
    parser.add_argument("--output", type=Path, default=Path("results/evaluation.json"))
    return parser.parse_args()


def measuring(data: Data, threads: int, peers: bool) -> dict[str, Turn]:
    model = recsys.ImplicitALS(64, random_state=0, num_threads=threads).fit(data.train, **QUIET)
    users = np.flatnonzero(np.diff(data.test.indptr))
    arguments = model, data.train, data.test
    turns = {
        "lists alone": timed(lambda: model.recommend(users, N=max(CUTS) + 1)),
        "10 metrics at 10, 20 and 100": timed(
            lambda: evaluation.evaluate(*arguments, METRICS, CUTS, **QUIET)
        ),
        "4 metrics at 10": timed(lambda: evaluation.evaluate(*arguments, FOUR, 10, **QUIET)),
    }
    if peers:
        from implicit.evaluation import ranking_metrics_at_k

        peer = implicit_with_factors(model, threads)
        parts = [csr.scipy_matrix(part) for part in (data.train, data.test)]
        options = {"K": 10, "num_threads": threads, "show_progress": False}
        turns["implicit, 4 metrics at 10"] = timed(
            lambda: ranking_metrics_at_k(peer, *parts, **options)
        )
    return turns


def validating(name: str, data: Data, threads: int) -> dict[str, Turn]:
    """A fit at the defaults, alone and with validation after every fifth iteration."""
    cls, options = MODELS[name]

    def fit(**how: Any) -> None:
        cls(64, random_state=0, num_threads=threads, **options).fit(data.train, **how, **QUIET)

    return {
        f"{name}.fit": timed(fit),
        f"{name}.fit, validation": timed(lambda: fit(validation=data.test, patience=100)),
    }


def measure(data: Data, options: argparse.Namespace, peers: bool) -> dict[str, list[float]]:
    with single_blas():
        turns = measuring(data, options.threads, peers)
        groups = [turns, *(validating(name, data, options.threads) for name in MODELS)]
        taken = [take_turns(group, options.rounds) for group in groups]
    return {name: seconds for group in taken for name, seconds in group.items()}


def compared(seconds: dict[str, list[float]]) -> list[tuple[str, str]]:
    """The ratios that are asked about."""
    taken = {name: median(each) for name, each in seconds.items()}
    pairs = [
        ("10 metrics at 10, 20 and 100", "lists alone"),
        ("implicit, 4 metrics at 10", "4 metrics at 10"),
        *((f"{name}.fit, validation", f"{name}.fit") for name in MODELS),
    ]
    return [
        (f"{one} / {other}", f"{taken[one] / taken[other]:.2f}x")
        for one, other in pairs
        if one in taken
    ]


def main() -> None:
    options = parse()
    facts = machine_facts(options.threads)
    print(machine_line(facts))
    peers = not options.no_peers and bool(installed(["implicit"]))
    measured = {}
    for name in (each for each in quality_data.READERS if each not in quality_data.MORE):
        data = quality_data.load(name, options.folder)
        if data is None:
            continue
        measured[name] = seconds = measure(data, options, peers)
        rows = [(what, f"{median(each):.3f} s") for what, each in seconds.items()]
        print(f"\n{markdown_table((name, 'median'), [*rows, *compared(seconds)])}")
    write_report(options.output, machine=facts, seconds=measured)


if __name__ == "__main__":
    sys.exit(run(main))
