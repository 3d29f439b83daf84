"""Ranks as threads of one process: a fit over the same connections, with no engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recsys.distributed.blocks import split
from recsys.distributed.fit import Fitted, Place, Store, fit
from recsys.distributed.problem import ITEM, USER, Problem

_MOST = 1 << 16  # entries in a piece


def fit_in_threads(
    users: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    n_blocks: tuple[int, int],
    world: int,
    problem: Problem,
    *,
    num_threads: int = 1,
    store: Store | None = None,
    every: int = 0,
) -> Fitted:
    """Fit with `world` ranks, each a thread; all keys, users and items in ascending order.

    Parameters
    ----------
    users, items : (n,) int64
        Keys of the entries.
    values : (n,) float32
    n_blocks : (int, int)
    world : int
    problem : Problem
    num_threads : int
        Of each rank.
    store, every
        As in `Place`.
    """
    sides = (users, items), (items, users)
    pieces: list[tuple[list, list]] = [([], []) for _ in range(world)]
    for side, (rows, columns) in enumerate(sides):
        for rank, piece in split(rows, columns, values, n_blocks[side], world, _MOST):
            pieces[rank][side].append(piece)
    secret = os.urandom(32)

    def work(rank: int, all_gather: Callable[[str], Sequence[str]]) -> Fitted:
        place = Place(
            rank, world, "127.0.0.1", all_gather, secret, num_threads, store=store, every=every
        )
        return fit(place, pieces[rank], n_blocks, problem)

    return _together(in_threads(world, work))


def in_threads(world: int, work: Callable[[int, Callable[[str], Sequence[str]]], Any]) -> list[Any]:
    """What `work(rank, all_gather)` returns for each rank; raises what the first one raised."""
    texts: list[str] = [""] * world
    barrier = threading.Barrier(world)
    results: list[Any] = [None] * world
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        def all_gather(text: str) -> Sequence[str]:
            texts[rank] = text
            barrier.wait()
            return list(texts)

        try:
            results[rank] = work(rank, all_gather)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next(
            (e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0]
        )
    return results


def _together(parts: list[Fitted]) -> Fitted:
    keys, factors = [], []
    for side in (USER, ITEM):
        all_keys = np.concatenate([part.keys[side] for part in parts])
        order = np.argsort(all_keys)
        keys.append(all_keys[order])
        factors.append(np.concatenate([part.factors[side] for part in parts])[order])
    return Fitted((keys[0], keys[1]), (factors[0], factors[1]), parts[0].report)
