"""Lists of pairwise models, ours and the peers': Recall@20 and NDCG@20 of named settings.

The data sets, splits and measures are those of `defaults.py`. Everybody has as many settings to
choose from, those of CONTENDERS, which are there to be edited; the second table has the best of
each by NDCG@20. Seconds are those of the fit (of LightFM's, the epochs alone). LightFM runs in a
Python of its own, see `lightfm_peer.py`.

    python benchmarks/pairwise.py ../shared/data
    python benchmarks/pairwise.py ../shared/data --quick
    python benchmarks/pairwise.py ../shared/data --data gowalla.npz --who "BPR, uniform"
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightfm_peer
import numpy as np
import scipy.sparse as sp
from defaults import DATA_SETS, K, evaluate
from harness import markdown_table, run
from peer_models import installed

import recsys

FACTORS = 64
QUICK_EPOCHS = 2


class Contender(NamedTuple):
    by: str  # recsys, implicit or lightfm
    epochs: int
    always: dict[str, Any]  # parameters that all settings have
    settings: list[dict[str, Any]]


OURS = [
    {"learning_rate": 0.02, "regularization": 0.002},
    {"learning_rate": 0.02, "regularization": 0.005},
    {"learning_rate": 0.05, "regularization": 0.002},
    {"learning_rate": 0.05, "regularization": 0.005},
]

# An epoch of implicit's or LightFM's is a step for each entry, of ours `negatives` steps.
CONTENDERS = {
    "BPR, uniform": Contender("recsys", 50, {"negatives": 30}, OURS),
    "BPR, popular": Contender("recsys", 60, {"negatives": 10, "sampler": "popular"}, OURS),
    "BPR, adaptive": Contender("recsys", 60, {"negatives": 10, "sampler": "adaptive"}, OURS),
    "BPR, hard": Contender("recsys", 60, {"negatives": 10, "sampler": "hard"}, OURS),
    "WARP": Contender(
        "recsys",
        60,
        {"loss": "warp"},
        [
            {"learning_rate": 0.005, "regularization": 0.01},
            {"learning_rate": 0.01, "regularization": 0.01},
            {"learning_rate": 0.01, "regularization": 0.03},
            {"learning_rate": 0.02, "regularization": 0.01},
        ],
    ),
    "implicit BPR": Contender(
        "implicit",
        600,
        {},
        [
            {"learning_rate": 0.01, "regularization": 0.01},
            {"learning_rate": 0.02, "regularization": 0.005},
            {"learning_rate": 0.02, "regularization": 0.01},
            {"learning_rate": 0.05, "regularization": 0.005},
        ],
    ),
    "LightFM WARP": Contender(
        "lightfm",
        60,
        {"loss": "warp"},
        [
            {"learning_rate": 0.02},
            {"learning_rate": 0.05},
            {"learning_rate": 0.02, "user_alpha": 1e-5, "item_alpha": 1e-5},
            {"learning_rate": 0.05, "user_alpha": 1e-5, "item_alpha": 1e-5},
        ],
    ),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of lastfm-2k.npz and gowalla.npz")
    parser.add_argument(
        "--data", nargs="+", choices=tuple(DATA_SETS), default=list(DATA_SETS), help="default: all"
    )
    parser.add_argument(
        "--who",
        nargs="+",
        choices=tuple(CONTENDERS),
        metavar="NAME",
        default=list(CONTENDERS),
        help=f"default: all, {'; '.join(CONTENDERS)}",
    )
    parser.add_argument("--no-peers", action="store_true", help="only ours")
    lightfm_peer.add_option(parser)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a trial: {QUICK_EPOCHS} epochs of the first setting of each",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="default: 0, all this process may use"
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")
    return parser.parse_args()


# ---- fits: of so many epochs; each returns a model that makes lists, and seconds ---------------


def fit(
    by: str, train: sp.csr_array, epochs: int, options: argparse.Namespace, **parameters: Any
) -> tuple[Any, float]:
    if by == "lightfm":
        return fit_lightfm(options.python, train, epochs, options.threads, **parameters)
    common = {"num_threads": options.threads, "random_state": 0}
    if by == "recsys":
        model = recsys.BPR(FACTORS, epochs=epochs, **common, **parameters)
    else:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        model = BayesianPersonalizedRanking(FACTORS, iterations=epochs, **common, **parameters)
        train = sp.csr_matrix(train, dtype=np.float32)
    began = time.perf_counter()
    model.fit(train, show_progress=False)
    return model, time.perf_counter() - began


def fit_lightfm(
    python: str, train: sp.csr_array, epochs: int, threads: int, **parameters: Any
) -> tuple[Any, float]:
    parameters = {"no_components": FACTORS, "random_state": 0, **parameters}
    peer = lightfm_peer.LightFM(python, train, threads, **parameters)
    try:
        seconds = sum(peer.turn() for _ in range(epochs))
        return peer.as_model(train), seconds
    finally:
        peer.close()


# ---- the tables --------------------------------------------------------------------------------


def measure(
    data: str, who: str, train: sp.csr_array, test: sp.csr_array, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """A row for each setting of one contender."""
    contender = CONTENDERS[who]
    epochs = min(contender.epochs, QUICK_EPOCHS) if options.quick else contender.epochs
    rows = []
    for setting in contender.settings[:1] if options.quick else contender.settings:
        parameters = contender.always | setting
        model, seconds = fit(contender.by, train, epochs, options, **parameters)
        recall, ndcg = evaluate(model, train, test)
        steps = epochs * parameters.get("negatives", 1)
        rows.append({"data": data, "who": who, "setting": setting, "steps": steps})
        rows[-1] |= {"recall": recall, "ndcg": ndcg, "seconds": seconds}
        print(line(cells(rows[-1])), flush=True)
    return rows


def line(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"


def cells(row: dict[str, Any]) -> list[str]:
    setting = ", ".join(f"{name} {value}" for name, value in row["setting"].items())
    measured = f"{row['recall']:.4f}", f"{row['ndcg']:.4f}", f"{row['seconds']:.1f}"
    return [row["data"], row["who"], setting, str(row["steps"]), *measured]


def best_of_each(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["data"], row["who"]
        if key not in best or row["ndcg"] > best[key]["ndcg"]:
            best[key] = row
    return list(best.values())


def main() -> None:
    options = parse()
    asked = {CONTENDERS[who].by for who in options.who}
    usable = {"recsys"}
    if "implicit" in asked and not options.no_peers:
        usable |= set(installed(["implicit"]))
    if "lightfm" in asked and not options.no_peers:
        options.python = lightfm_peer.find(options.lightfm)
        usable |= {"lightfm"} if options.python else set()
    options.threads = recsys.kernels.resolve_num_threads(options.threads)
    header = ("data", "who", "setting", "steps an entry", f"Recall@{K}", f"NDCG@{K}", "seconds")
    print(line(header), line(["---"] * len(header)), sep="\n")
    rows = []
    for name in options.data:
        if not (options.folder / name).exists():
            print(f"{name} is not in {options.folder}: left out")
            continue
        train, test = DATA_SETS[name](options.folder / name)
        for who in options.who:
            if CONTENDERS[who].by in usable:
                rows += measure(name, who, train, test, options)
    best = markdown_table(header, map(cells, best_of_each(rows)))
    print(f"\nThe best of each, f = {FACTORS}:\n\n{best}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    run(main)
