"""The experiment behind LogisticMF's defaults.

Recall@20 and NDCG@20 on the data sets of `defaults.py`, in its way, for pairs of alpha and
regularization, all else at its default.

    python benchmarks/logistic_defaults.py ../shared/data
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from defaults import DATA_SETS, evaluate

import recsys

PAIRS = ("3,20", "10,10", "10,30", "10,45", "30,30", "30,60", "30,90", "60,120")


def pair(text: str) -> tuple[float, float]:
    alpha, regularization = map(float, text.split(","))
    return alpha, regularization


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of lastfm-2k.npz and gowalla.npz")
    parser.add_argument(
        "--pairs",
        type=pair,
        nargs="+",
        default=[pair(text) for text in PAIRS],
        metavar="ALPHA,REGULARIZATION",
        help=f"default: {' '.join(PAIRS)}",
    )
    parser.add_argument("--learning-rate", type=float, default=recsys.LogisticMF().learning_rate)
    parser.add_argument("--negatives", type=int, default=recsys.LogisticMF().negatives)
    parser.add_argument("--iterations", type=int, default=recsys.LogisticMF().iterations)
    options = parser.parse_args()
    print("| data | alpha | regularization | Recall@20 | NDCG@20 | seconds |")
    print("|---|---|---|---|---|---|")
    for name, read in DATA_SETS.items():
        if not (options.folder / name).exists():
            print(f"{name} is not in {options.folder}: left out")
            continue
        train, test = read(options.folder / name)
        for alpha, regularization in options.pairs:
            model = recsys.LogisticMF(
                alpha=alpha,
                regularization=regularization,
                learning_rate=options.learning_rate,
                negatives=options.negatives,
                iterations=options.iterations,
                random_state=0,
            )
            began = time.perf_counter()
            model.fit(train, show_progress=False)
            seconds = time.perf_counter() - began
            recall, ndcg = evaluate(model, train, test)
            print(
                f"| {name} | {alpha:g} | {regularization:g} | {recall:.4f} | {ndcg:.4f} "
                f"| {seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
