"""Rating prediction: the error of named settings over folds, and the time a fit takes.

The ratings are cut into folds at random (seed 0). Each fold is predicted by a model trained on
the others; errors are roots of mean squares, of predictions clipped to the scale, and averaged
over folds. cmfrec, if it is installed, fits the same folds in between where the model is
ExplicitALS, with the same factors, regularization and iterations.

    python benchmarks/ratings.py ../shared/data/ml-1m.npz
    python benchmarks/ratings.py ../shared/data/ml-1m.npz --setting default --json ratings.json
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from contenders import cmfrec_model

import recsys

SETTINGS = {
    "default": recsys.ExplicitALS(random_state=0),
    "no biases": recsys.ExplicitALS(bias=False, random_state=0),
    "16 factors": recsys.ExplicitALS(16, random_state=0),
    "128 factors": recsys.ExplicitALS(128, regularization=0.075, random_state=0),
    "128 factors, cg": recsys.ExplicitALS(128, regularization=0.075, solver="cg", random_state=0),
    "128 factors, no biases": recsys.ExplicitALS(128, bias=False, iterations=30, random_state=0),
    "256 factors, no biases": recsys.ExplicitALS(256, bias=False, iterations=30, random_state=0),
    "sgd, default": recsys.ExplicitSGD(random_state=0),
    "sgd, as Surprise by default": recsys.ExplicitSGD(100, random_state=0),
    "sgd, 128 factors": recsys.ExplicitSGD(
        128, learning_rate=0.01, learning_rate_decay=0.02, regularization=0.06, epochs=80,
        init_scale=0.1, random_state=0,
    ),
    "sgd, 256 factors": recsys.ExplicitSGD(
        256, learning_rate=0.01, learning_rate_decay=0.1, regularization=0.05, epochs=200,
        init_scale=0.1, random_state=0,
    ),
}  # fmt: skip

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ours(
    model: recsys.ExplicitALS | recsys.ExplicitSGD, train: sp.coo_array, threads: int
) -> Predict:
    model.set_params(num_threads=threads).fit(train.tocsr(), show_progress=False)
    return model.predict


def cmfrec(model: recsys.ExplicitALS, train: sp.coo_array, threads: int) -> Predict:
    peer = cmfrec_model(model, threads, model.iterations)
    peer.fit(sp.coo_matrix(train))
    return peer.predict


MAKERS = {"recsys": ours, "cmfrec": cmfrec}


def can(peer: str, model: object) -> bool:
    return peer == "recsys" or isinstance(model, recsys.ExplicitALS)


def rmse(predicted: np.ndarray, ratings: np.ndarray, scale: tuple[float, float]) -> float:
    errors = np.clip(np.asarray(predicted, np.float64), *scale) - ratings
    return float(np.sqrt(np.mean(errors**2)))


def read(path: Path) -> sp.coo_array:
    """An npz of arrays user, item and rating, in its order."""
    with np.load(path) as data:
        users, items = data["user"], data["item"]
        ratings = data["rating"].astype(np.float32)
    shape = int(users.max()) + 1, int(items.max()) + 1
    return sp.coo_array((ratings, (users, items)), shape=shape)


def synthetic(seed: int = 0, count: int = 1_000_209) -> sp.coo_array:
    """As many ratings, users and items as MovieLens 1M, a few of them having most of the ratings;
    to measure time on, not errors."""
    users, items = 6040, 3706
    rng = np.random.default_rng(seed)
    # Twice as many draws as ratings: some are of pairs that were there before.
    sides = []
    for n, spread in ((users, 0.8), (items, 1.2)):
        share = rng.lognormal(0, spread, n)
        sides.append(rng.choice(n, 2 * count, p=share / share.sum()))
    pairs = np.unique(sides[0] * items + sides[1])
    pairs = rng.permutation(pairs)[:count]
    ratings = rng.integers(1, 6, count).astype(np.float32)
    return sp.coo_array((ratings, np.divmod(pairs, items)), shape=(users, items))


def measure(
    data: sp.coo_array, names: list[str], peers: list[str], folds: int, threads: int
) -> list[dict]:
    users, items = data.coords
    ratings, scale = data.data, (data.data.min(), data.data.max())
    shuffled = np.random.default_rng(0).permutation(len(users))
    rows = {(name, peer): [] for name in names for peer in peers if can(peer, SETTINGS[name])}
    for test in np.array_split(shuffled, 5)[:folds]:
        kept = np.ones(len(users), bool)
        kept[test] = False
        train = sp.coo_array((ratings[kept], (users[kept], items[kept])), shape=data.shape)
        for name, peer in rows:
            began = time.perf_counter()
            predict = MAKERS[peer](SETTINGS[name], train, threads)
            seconds = time.perf_counter() - began
            error = rmse(predict(users[test], items[test]), ratings[test], scale)
            rows[name, peer].append((error, seconds))
    return [
        {
            "setting": name,
            "by": peer,
            "rmse": float(np.mean([error for error, _ in got])),
            "seconds": float(np.median([seconds for _, seconds in got])),
        }
        for (name, peer), got in rows.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="npz of arrays user, item and rating")
    parser.add_argument("--setting", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--folds", type=int, choices=range(1, 6), default=5, help="default: 5")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    peers = [peer for peer in MAKERS if importlib.util.find_spec(peer)]
    data = read(options.data)
    rows = measure(data, options.setting, peers, options.folds, options.threads)
    print("| setting | by | RMSE | seconds |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| {row['setting']} | {row['by']} | {row['rmse']:.4f} | {row['seconds']:.2f} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
