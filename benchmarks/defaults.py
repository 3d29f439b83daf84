"""The experiment behind ImplicitALS's defaults of solver, regularization and bias.

Recall@20 and NDCG@20 (full ranking, training items left out, recall over all test items) of both
solvers, or with and without biases, over a grid of regularization, all else at its default, on
whichever data sets are there.
lastfm-2k: a random fifth of the entries is held out (seed 0); gowalla: its own split.

    python benchmarks/defaults.py ../shared/data
    python benchmarks/defaults.py ../shared/data --solver cholesky --bias no yes
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import recsys
from recsys import evaluation

K = 20


def lastfm(path: Path) -> tuple[sp.csr_array, sp.csr_array]:
    with np.load(path) as data:
        plays = sp.csr_array((data["plays"], data["indices"], data["indptr"]), data["shape"])
    held_in = np.random.default_rng(0).random(plays.nnz) < 0.8
    rows = np.repeat(np.arange(plays.shape[0]), np.diff(plays.indptr))
    parts = (
        sp.csr_array((plays.data[keep], (rows[keep], plays.indices[keep])), plays.shape)
        for keep in (held_in, ~held_in)
    )
    return tuple(parts)


def gowalla(path: Path) -> tuple[sp.csr_array, sp.csr_array]:
    with np.load(path) as data:
        parts = (
            sp.csr_array(
                (
                    np.ones(len(data[f"{part}_indices"]), np.float32),
                    data[f"{part}_indices"],
                    data[f"{part}_indptr"],
                ),
                data["shape"],
            )
            for part in ("train", "test")
        )
        return tuple(parts)


DATA_SETS = {"lastfm-2k.npz": lastfm, "gowalla.npz": gowalla}


def evaluate(model: Any, train: sp.csr_array, test: sp.csr_array) -> tuple[float, float]:
    """Mean recall and NDCG over the users with test items."""
    options = {"metrics": ("recall", "ndcg"), "k": K, "show_progress": False}
    mean = evaluation.evaluate(model, train, test, **options).mean
    return mean[f"recall@{K}"], mean[f"ndcg@{K}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of lastfm-2k.npz and gowalla.npz")
    parser.add_argument(
        "--regularization", type=float, nargs="+", default=[3.0, 10.0, 20.0, 30.0, 60.0, 100.0]
    )
    parser.add_argument("--solver", nargs="+", default=["cholesky", "cg"])
    parser.add_argument("--bias", choices=["no", "yes"], nargs="+", default=["no"])
    options = parser.parse_args()
    print("| data | solver | bias | regularization | Recall@20 | NDCG@20 | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, read in DATA_SETS.items():
        if not (options.folder / name).exists():
            print(f"{name} is not in {options.folder}: left out")
            continue
        train, test = read(options.folder / name)
        grid = itertools.product(options.solver, options.bias, options.regularization)
        for solver, bias, regularization in grid:
            began = time.perf_counter()
            model = recsys.ImplicitALS(
                regularization=regularization, bias=bias == "yes", solver=solver, random_state=0
            ).fit(train, show_progress=False)
            seconds = time.perf_counter() - began
            recall, ndcg = evaluate(model, train, test)
            print(
                f"| {name} | {solver} | {bias} | {regularization:g} | {recall:.4f} | {ndcg:.4f} "
                f"| {seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
