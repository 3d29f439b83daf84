"""Item-item neighbours: seconds of a BM25 fit of ours and of implicit's, taking turns.

Ours is fitted as implicit's is: raw sums of the history's neighbours, k of them for each item.
The share of neighbours in common is over a sample of items.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import machine
import numpy as np
from harness import (
    Trace,
    add_no_peers,
    markdown_table,
    open_data,
    parser_of_turns,
    run,
    take_turns,
    timed,
    write_json,
)
from peer_models import installed

from recsys import ItemNeighbors

K = 100
SAMPLE = 3000  # items whose neighbours are compared


def parse() -> argparse.Namespace:
    parser = parser_of_turns(__doc__, "results/neighbors")
    add_no_peers(parser)
    parser.add_argument("--k", type=int, default=K, help=f"neighbours of an item; default: {K}")
    return parser.parse_args()


def race(counts, k: int, threads: int, rounds: int, peers: Sequence[str]) -> dict[str, Any]:
    """By name, the model and the trace of its fits."""
    how = {"weighting": "bm25", "K1": 1.2, "B": 0.75, "orientation": "history"}  # as implicit
    ours = ItemNeighbors(k, num_threads=threads, **how)
    models, turns = {"recsys": ours}, {"recsys": timed(lambda: ours.fit(counts))}
    if "implicit" in peers:
        from implicit.nearest_neighbours import BM25Recommender

        models["implicit"] = peer = BM25Recommender(K=k, num_threads=threads)
        turns["implicit"] = timed(lambda: peer.fit(counts, show_progress=False))
    with warnings.catch_warnings(action="ignore"):  # implicit's, of its own conversions
        seconds = take_turns(turns, rounds)
    return {name: (models[name], Trace(name, taken)) for name, taken in seconds.items()}


def common(one, other, seed: int) -> float:
    """Share of the other's neighbours that are among ours."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, one.shape[0], SAMPLE)
    found = [np.intersect1d(one[[i]].indices, other[[i]].indices).size for i in rows]
    return sum(found) / max(sum(other[[i]].nnz for i in rows), 1)


def main() -> None:
    options = parse()
    dataset = open_data(options)
    facts = machine.facts(options.threads)
    print(machine.one_line(facts))
    counts = dataset.user_items.copy()  # implicit takes no read-only arrays
    peers = [] if options.no_peers else installed()
    found = race(counts, options.k, options.threads, options.rounds, peers)
    medians = {name: trace.seconds_an_iteration for name, (_, trace) in found.items()}
    rows = [
        [name, f"{value:.2f} s", f"{value / medians['recsys']:.2f}x"]
        for name, value in medians.items()
    ]
    print(markdown_table([f"BM25, k = {options.k}", "a fit", "of ours"], rows))
    shared = None
    if "implicit" in found:
        ours, theirs = (found[name][0].similarity.tocsr() for name in ("recsys", "implicit"))
        shared = common(ours, theirs, options.seed)
        print(f"neighbours in common: {100 * shared:.2f} %")
    seconds = {name: trace.seconds for name, (_, trace) in found.items()}
    write_json(
        options.output.with_suffix(".json"), dataset, facts, seconds=seconds, in_common=shared
    )


if __name__ == "__main__":
    sys.exit(run(main))
