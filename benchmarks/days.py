"""What a week of `partial_fit` is worth beside a full refit, on data sets of quality_data.py.

The entries of training are cut at random into ten parts of equal size. A model is trained on three
of them, and learns from one of the others a day; at the end it has seen what the model has that is
trained on all ten at once. New users and items come as they come. NDCG@10 is on the test items.

    python benchmarks/days.py ../shared/data
    python benchmarks/days.py ../shared/data --data gowalla --models ImplicitALS --rounds 1
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import quality_data
from harness import (
    add_threads,
    machine_facts,
    machine_line,
    markdown_table,
    run,
    single_blas,
    write_report,
)
from quality_data import Data

import recsys
from recsys import csr, evaluation

MODELS = {"ImplicitALS": recsys.ImplicitALS, "LogisticMF": recsys.LogisticMF, "BPR": recsys.BPR}
NAMES = ("lastfm-2k", "gowalla")
PARTS, FIRST = 10, 3  # of the entries; how many there are on the first day
HEAD = ("", "first three tenths", "and a week", "all at once", "a day", "all at once")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="of the data sets")
    parser.add_argument("--data", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, help="of a day; default: as the model has it")
    add_threads(parser)
    parser.add_argument("--output", type=Path, default=Path("results/days.json"))
    return parser.parse_args()


def ndcg(model: Any, data: Data) -> float:
    found = evaluation.evaluate(model, data.train, data.test, "ndcg", 10, show_progress=False)
    return found.mean["ndcg@10"]


def week(name: str, data: Data, options: argparse.Namespace) -> dict[str, float]:
    """NDCG and seconds of one model."""
    part = np.random.default_rng(0).permutation(data.train.nnz) * PARTS // data.train.nnz

    def fitted(train: Any) -> tuple[Any, float]:
        model = MODELS[name](random_state=0, num_threads=options.threads)
        began = time.perf_counter()
        return model.fit(train, show_progress=False), time.perf_counter() - began

    model, _ = fitted(csr.keep(data.train, part < FIRST))
    found = {"first": ndcg(model, data)}
    began = time.perf_counter()
    for day in range(FIRST, PARTS):
        model.partial_fit(csr.keep(data.train, part == day), rounds=options.rounds)
    found["day_seconds"] = (time.perf_counter() - began) / (PARTS - FIRST)
    found["week"] = ndcg(model, data)
    whole, found["whole_seconds"] = fitted(data.train)
    return {**found, "whole": ndcg(whole, data)}


def main() -> None:
    options = parse()
    facts = machine_facts(options.threads)
    print(machine_line(facts))
    measured = {}
    for name in options.data:
        data = quality_data.load(name, options.folder)
        if data is None:
            continue
        rows = []
        for model in options.models:
            with single_blas():
                found = measured[f"{name}, {model}"] = week(model, data, options)
            values = [f"{found[key]:.4f}" for key in ("first", "week", "whole")]
            seconds = [f"{found[key]:.2f} s" for key in ("day_seconds", "whole_seconds")]
            rows.append((model, *values, *seconds))
        print(f"\n{markdown_table((name, *HEAD[1:]), rows)}")
    write_report(options.output, machine=facts, found=measured)


if __name__ == "__main__":
    sys.exit(run(main))
