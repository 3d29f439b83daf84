"""What more factors are worth to ImplicitALS and to LogisticMF: which of them gets by with few.

Both learn a part of the training data and are measured on the rest of it. ImplicitALS is there with
w0 and lambda from the data, and with those that were best on the leaderboard at 64 factors;
LogisticMF draws 10 cells for each entry. quality_data.py has the data sets.

    python benchmarks/factors.py ../shared/data --threads 1
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import quality_data
from harness import add_seed, add_threads, markdown_table, run
from quality_data import Data

from recsys import ImplicitALS, LogisticMF, evaluation

BEST = {"lastfm-2k": (0.1, 0.01), "citeulike-a": (0.003, 0.02), "gowalla": (0.03, 0.003)}
FACTORS = (8, 16, 32, 64, 128)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    quality_data.add_options(parser, "", data=BEST)
    parser.add_argument("--factors", type=int, nargs="+", default=FACTORS)
    add_seed(parser)
    add_threads(parser)
    return parser.parse_args()


def models(name: str, factors: int, **common: Any) -> list[ImplicitALS | LogisticMF]:
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


def line(data: Data, factors: int, **common: Any) -> list[str]:
    """NDCG@20 and CPU seconds of each."""
    cells = [data.name, str(factors)]
    for model in models(data.name, factors, **common):
        began = time.process_time()
        model.fit(data.train, show_progress=False)
        seconds = time.process_time() - began
        lists = evaluation.evaluate(
            model, data.train, data.test, metrics="ndcg", k=20, show_progress=False
        )
        cells.append(f"{lists.mean['ndcg@20']:.4f}, {seconds:.1f} s")
    return cells


def main() -> None:
    options = parse()
    common = {"num_threads": options.threads, "random_state": options.seed}
    rows = []
    for name in options.data:
        data = quality_data.load(name, options.folder, options.scale)
        for factors in options.factors if data is not None else ():
            rows.append(line(data.inner(), factors, **common))
            print(*rows[-1], flush=True)
    header = ("data", "f", "ImplicitALS()", "ImplicitALS, best w0 and lambda", "LogisticMF")
    print(markdown_table(header, rows))


if __name__ == "__main__":
    run(main)
