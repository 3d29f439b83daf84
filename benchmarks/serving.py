"""Recommending and comparing: seconds of ours and of implicit, taking turns, on the same factors.

Factors come from two iterations on the data. The floor of a long list of users is the matrix
product at this machine's peak, of a single user reading the item factors once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import machine
import numpy as np
from harness import (
    add_data_options,
    markdown_table,
    open_data,
    run,
    single_blas,
    take_turns,
    timed,
    write_json,
)

import recsys

USERS, ITEMS, SINGLES = 20_000, 5_000, 200


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_options(parser)
    parser.add_argument("--factors", type=int, default=64, help="default: 64")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; default: 3")
    parser.add_argument("--no-peers", action="store_true", help="only ours")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results/serving"),
        help="where the JSON report goes; default: results/serving",
    )
    return parser.parse_args()


def tasks(model, peer, counts, rng) -> dict[str, tuple[int, dict[str, Callable[[], object]]]]:
    """By name: how many lists, and who makes them how."""
    n_users, n_items = counts.shape
    users = np.sort(rng.permutation(n_users)[:USERS])
    items = np.sort(rng.permutation(n_items)[:ITEMS])
    singles = users[:: max(1, len(users) // SINGLES)]
    rows = counts[users]
    found = {
        f"recommend, {len(users):,} users": (
            len(users),
            {"recsys": lambda: model.recommend(users)},
        ),
        "recommend, one user at a time": (
            len(singles),
            {"recsys": lambda: [model.recommend(user) for user in singles]},
        ),
        f"similar_items, {len(items):,} items": (
            len(items),
            {"recsys": lambda: model.similar_items(items)},
        ),
    }
    if peer is not None:
        calls = (
            lambda: peer.recommend(users, rows),
            lambda: [peer.recommend(user, counts[user]) for user in singles],
            lambda: peer.similar_items(items),
        )
        for (_, contenders), call in zip(found.values(), calls, strict=True):
            contenders["implicit"] = call
    return found


def the_peer(model, threads: int):
    """implicit's model with our factors."""
    from implicit.cpu.als import AlternatingLeastSquares

    peer = AlternatingLeastSquares(factors=model.factors, num_threads=threads)
    peer.user_factors, peer.item_factors = model.user_factors.copy(), model.item_factors.copy()
    return peer


def main() -> None:
    options = parse()
    dataset = open_data(options)
    facts = machine.facts(options.threads)
    peaks = machine.measure_peaks(options.threads)
    print(machine.one_line(facts))
    counts = dataset.user_items.tocsr()
    model = recsys.ImplicitALS(
        options.factors, iterations=2, random_state=options.seed, num_threads=options.threads
    ).fit(counts)
    peer = None
    if not options.no_peers and machine.version("implicit"):
        peer = the_peer(model, options.threads)
    rows, report = [], []
    pair = 2 * options.factors * counts.shape[1]
    work = tasks(model, peer, counts, np.random.default_rng(options.seed))
    with single_blas():
        for name, (lists, calls) in work.items():
            turns = {who: timed(call) for who, call in calls.items()}
            taken = take_turns(turns, options.rounds)
            seconds = {who: statistics.median(values) for who, values in taken.items()}
            ours, theirs = seconds["recsys"], seconds.get("implicit")
            if "one user" in name:
                floor = lists * 2 * pair / 1e9 / peaks.read_gbs
            else:
                floor = lists * pair / 1e9 / peaks.sgemm_gflops
            rows.append(
                [
                    name,
                    f"{1e3 * ours / lists:.3f} ms",
                    None if theirs is None else f"{1e3 * theirs / lists:.3f} ms",
                    None if theirs is None else f"{theirs / ours:.2f}x",
                    f"{100 * floor / ours:.0f} %",
                ]
            )
            report.append({"task": name, "lists": lists, "seconds": seconds, "floor": floor})
    head = ["task", "recsys, a list", "implicit, a list", "implicit / recsys", "share of the floor"]
    print(markdown_table(head, rows))
    write_json(options.output.with_suffix(".json"), dataset, facts, tasks=report, peaks=peaks)


if __name__ == "__main__":
    sys.exit(run(main))
