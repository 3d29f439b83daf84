"""Item-item neighbours: seconds of a BM25 fit of ours and of implicit's, taking turns.

Ours is fitted as implicit's is: raw sums of the history's neighbours, k of them for each item.
The share of neighbours in common is over a sample of items.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import machine
import numpy as np
from harness import (
    add_data_options,
    markdown_table,
    open_data,
    run,
    take_turns,
    timed,
    write_json,
)

from recsys import ItemNeighbors

SAMPLE = 3000


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_options(parser)
    parser.add_argument("--k", type=int, default=100, help="neighbours of an item; default: 100")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; default: 3")
    parser.add_argument("--no-peers", action="store_true", help="only ours")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results/neighbors"),
        help="where the JSON report goes; default: results/neighbors",
    )
    return parser.parse_args()


def common(one, other, rng: np.random.Generator) -> float:
    """Share of the other's neighbours that are among ours."""
    rows = rng.integers(0, one.shape[0], SAMPLE)
    found = [np.intersect1d(one[[i]].indices, other[[i]].indices).size for i in rows]
    return sum(found) / max(sum(other[[i]].nnz for i in rows), 1)


def main() -> None:
    options = parse()
    dataset = open_data(options)
    facts = machine.facts(options.threads)
    print(machine.one_line(facts))
    counts = dataset.user_items.tocsr()
    how = {"weighting": "bm25", "orientation": "history", "normalize_rows": False}
    ours = ItemNeighbors(options.k, num_threads=options.threads, **how)
    turns = {"recsys": timed(lambda: ours.fit(counts))}
    if not options.no_peers and machine.version("implicit"):
        from implicit.nearest_neighbours import BM25Recommender

        peer = BM25Recommender(K=options.k, num_threads=options.threads)
        turns["implicit"] = timed(lambda: peer.fit(counts, show_progress=False))
    with warnings.catch_warnings(action="ignore"):  # implicit's, of its own conversions
        seconds = take_turns(turns, options.rounds)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    shared = None
    if "implicit" in turns:
        rng = np.random.default_rng(options.seed)
        shared = common(ours.similarity, peer.similarity.tocsr(), rng)
    rows = [
        [name, f"{value:.2f} s", f"{value / medians['recsys']:.2f}x"]
        for name, value in medians.items()
    ]
    print(markdown_table([f"BM25, k = {options.k}", "a fit", "of ours"], rows))
    if shared is not None:
        print(f"neighbours in common: {100 * shared:.2f} %")
    write_json(
        options.output.with_suffix(".json"), dataset, facts, seconds=seconds, in_common=shared
    )


if __name__ == "__main__":
    sys.exit(run(main))
