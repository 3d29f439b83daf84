"""The experiment behind the weights that ImplicitALS chooses from the data.

Each data set of quality_data.py is there as it is, with half of its entries and with half of its
items, all with as many users as make it at most ENTRIES entries. On each, a walk over a grid of w0
and lambda, from the middle to the best neighbour until there is none, finds the best NDCG@20 of the
test items. A rule says log2 of both from statistics of the training matrix, linearly; it is fitted
by weighted least squares to the settings near the best, without the data set it is judged on and
what was made of it.

    python benchmarks/rule.py ../shared/data
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import quality_data
import scipy.sparse as sp
from quality_data import Data

from recsys import ImplicitALS, evaluation

ENTRIES = 200_000
CENTER = (0.0, math.log2(0.005))  # log2 of w0 / (mean confidence sqrt(density)), and of lambda
METRIC = "ndcg@20"


def part(data: Data, name: str, users: np.ndarray, items: np.ndarray, share: float) -> Data:
    rng = np.random.default_rng(0)
    train = sp.csr_array(data.train[users][:, items])
    test = sp.csr_array(data.test[users][:, items])
    if share < 1:
        train = train.tocoo()
        kept = rng.random(train.nnz) < share
        at = train.coords[0][kept], train.coords[1][kept]
        train = sp.csr_array((train.data[kept], at), train.shape)
    there = np.unique(train.indices)
    return Data(name, sp.csr_array(train[:, there]), sp.csr_array(test[:, there]))


def parts_of(data: Data) -> Iterator[Data]:
    rng = np.random.default_rng(0)
    n_users, n_items = data.train.shape
    everybody = rng.permutation(n_users)
    for name, item_share, share in (("", 1.0, 1.0), ("/entries", 1.0, 0.5), ("/items", 0.5, 1.0)):
        items = np.sort(rng.choice(n_items, round(item_share * n_items), replace=False))
        left = data.train.nnz * item_share * share
        count = min(n_users, round(n_users * ENTRIES / left))
        yield part(data, data.name + name, np.sort(everybody[:count]), items, share)


def statistics(train: sp.csr_array) -> dict[str, float]:
    by_user = np.diff(train.indptr)
    by_item = np.bincount(train.indices, minlength=train.shape[1])
    users, items = (by_user > 0).sum(), (by_item > 0).sum()
    n = train.nnz
    return {
        "users": int(users),
        "items": int(items),
        "entries": n,
        "density": n / (users * items),
        "per_user": n / users,
        "per_item": n / items,
        "met_user": float((by_user.astype(float) ** 2).sum() / n),
        "met_item": float((by_item.astype(float) ** 2).sum() / n),
        "median_user": float(np.median(by_user[by_user > 0])),
        "median_item": float(np.median(by_item[by_item > 0])),
    }


def mean_confidence(train: sp.csr_array) -> float:
    from recsys.models.confidence import signed_confidence

    return float(np.abs(signed_confidence(train, "log", 1.0, None).data).mean())


def worth(data: Data, at: tuple[float, float], mean: float, density: float, **other: Any) -> float:
    model = ImplicitALS(
        alpha=1.0,
        unobserved_weight=mean * math.sqrt(density) * 2.0 ** at[0],
        regularization=2.0 ** at[1],
        regularization_exponent=1.0,
        num_threads=1,
        random_state=0,
        **other,
    ).fit(data.train, show_progress=False)
    found = evaluation.evaluate(
        model, data.train, data.test, metrics="ndcg", k=20, show_progress=False
    )
    return float(found.mean[METRIC])


def walk(data: Data) -> dict[str, Any]:
    facts = statistics(data.train)
    mean = mean_confidence(data.train)
    tried: dict[tuple[float, float], float] = {}

    def measured(at: tuple[float, float]) -> float:
        if at not in tried:
            tried[at] = worth(data, at, mean, facts["density"])
        return tried[at]

    best = CENTER
    measured(best)
    for step in (2.0, 1.0):
        while True:
            around = [
                (best[0] + step * dx, best[1] + step * dy)
                for dx, dy in ((0, 1), (0, -1), (1, 0), (-1, 0))
            ]
            if max(map(measured, around)) <= tried[best]:
                break
            best = max(tried, key=tried.__getitem__)
    return {"facts": facts, "mean": mean, "tried": [[*at, value] for at, value in tried.items()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    quality_data.add_options(parser, "settings", data=quality_data.ALL_NAMES)
    parser.add_argument("--output", type=Path, default=Path("results/rule.json"))
    options = parser.parse_args()
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    options.output.parent.mkdir(exist_ok=True)
    for turn in range(3):
        for name in options.data:
            data = quality_data.load(name, options.folder, options.scale)
            if data is None:
                continue
            each = list(parts_of(data))[turn]
            if each.name in results:
                continue
            began = time.perf_counter()
            results[each.name] = walk(each)
            tried = results[each.name]["tried"]
            top = max(tried, key=lambda row: row[2])
            print(
                each.name, {k: round(v, 5) for k, v in results[each.name]["facts"].items()},
                "best", top, "center", tried[0][2], len(tried), round(time.perf_counter() - began),
                flush=True,
            )
            options.output.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
