"""Recommending and comparing: seconds of ours and of implicit, taking turns, on the same factors.

Factors come from two iterations on the data. The floor of a long list of users is the matrix
product at this machine's peak, of a single user reading the item factors once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
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
    single_blas,
    take_turns,
    timed,
    write_json,
)
from peer_models import installed

import recsys

USERS, ITEMS, SINGLES = 20_000, 5_000, 200


def parse() -> argparse.Namespace:
    parser = parser_of_turns(__doc__, "results/serving")
    add_no_peers(parser)
    parser.add_argument("--factors", type=int, default=64, help="default: 64")
    parser.add_argument(
        "--alpha",
        type=float,
        help='train with confidence "linear" and this alpha, as 40, which makes the norms of '
        "factors more alike, so that fewer items are left unlooked at; default: ours",
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


def race(
    counts, model: recsys.ImplicitALS, rounds: int, seed: int, peers: Sequence[str]
) -> dict[str, tuple[int, dict[str, Trace]]]:
    """By task: how many lists, and the traces of their makers, in seconds a list."""
    found = {}
    with single_blas():
        peer = the_peer(model, model.num_threads) if "implicit" in peers else None
        for task, (lists, calls) in tasks(model, peer, counts, np.random.default_rng(seed)).items():
            taken = take_turns({who: timed(call) for who, call in calls.items()}, rounds)
            a_list = {who: [each / lists for each in seconds] for who, seconds in taken.items()}
            found[task] = lists, {who: Trace(who, each) for who, each in a_list.items()}
    return found


def trained(counts, threads: int, seed: int, **options: Any) -> recsys.ImplicitALS:
    model = recsys.ImplicitALS(iterations=2, random_state=seed, num_threads=threads, **options)
    return model.fit(counts, show_progress=False)


def main() -> None:
    options = parse()
    dataset = open_data(options)
    facts = machine.facts(options.threads)
    peaks = machine.measure_peaks(options.threads)
    print(machine.one_line(facts))
    counts = dataset.user_items.copy()  # implicit takes no read-only arrays
    how = {} if options.alpha is None else {"confidence": "linear", "alpha": options.alpha}
    model = trained(counts, options.threads, options.seed, factors=options.factors, **how)
    peers = [] if options.no_peers else installed()
    rows, report = [], []
    pair = 2 * options.factors * counts.shape[1]
    for name, (lists, traces) in race(counts, model, options.rounds, options.seed, peers).items():
        seconds = {who: trace.seconds_an_iteration for who, trace in traces.items()}
        ours, theirs = seconds["recsys"], seconds.get("implicit")
        one = "one user" in name
        floor = 2 * pair / 1e9 / peaks.read_gbs if one else pair / 1e9 / peaks.sgemm_gflops
        rows.append(
            [
                name,
                f"{1e3 * ours:.3f} ms",
                None if theirs is None else f"{1e3 * theirs:.3f} ms",
                None if theirs is None else f"{theirs / ours:.2f}x",
                f"{100 * floor / ours:.0f} %",
            ]
        )
        report.append({"task": name, "lists": lists, "seconds_a_list": seconds, "floor": floor})
    head = ["task", "recsys, a list", "implicit, a list", "implicit / recsys", "share of the floor"]
    print(markdown_table(head, rows))
    write_json(
        options.output.with_suffix(".json"), dataset, facts, model=repr(model), tasks=report,
        peaks=peaks,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(main))
