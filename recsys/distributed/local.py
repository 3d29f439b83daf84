"""Ranks within one process, with no engine: as threads over connections, or step by step."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recsys.distributed import steps, supersteps
from recsys.distributed.blocks import split
from recsys.distributed.fit import Fitted, Place, Store, fit
from recsys.distributed.pieces import ITEMS_MATRIX, REPORT, STATE, USERS_MATRIX, Inbox, Piece
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
    pieces = _split(users, items, values, n_blocks, world)
    secret = os.urandom(32)

    def work(rank: int, all_gather: Callable[[str], Sequence[str]]) -> Fitted:
        place = Place(
            rank, world, "127.0.0.1", all_gather, secret, num_threads, store=store, every=every
        )
        return fit(place, pieces[rank], n_blocks, problem)

    return _together(in_threads(world, work))


def fit_in_steps(
    users: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    n_blocks: tuple[int, int],
    world: int,
    problem: Problem,
    *,
    num_threads: int = 1,
) -> Fitted:
    """As `fit_in_threads`, by `supersteps.fit`: each step of each rank after the other."""
    engine = _Steps(_split(users, items, values, n_blocks, world))
    job, report, calls = supersteps.fit(steps.Job(problem, n_blocks, world, num_threads), engine)
    parts = []
    for rank in range(world):
        keys, factors = steps.finish(job, calls, rank, engine.inbox(rank))
        parts.append(Fitted(keys, factors, report))
    return _together(parts)


class _Steps:
    """See `supersteps.Engine`: pieces in lists, last first."""

    def __init__(self, entries: list[tuple[list, list]]) -> None:
        self.entries, self.world = entries, len(entries)
        self.pieces: list[Piece] = []
        self.matrices: list[Piece] = []

    def inbox(self, rank: int, matrix: int | None = None) -> Inbox:
        mine = [piece for piece in self.matrices if piece.kind == matrix]
        return Inbox(piece for piece in (*self.pieces, *mine)[::-1] if piece.rank == rank)

    def build(self, job: steps.Job) -> Inbox:
        def build(job: steps.Job, rank: int, inbox: Inbox) -> Any:
            return steps.build(job, rank, self.entries[rank])

        self._run(steps.guarded(job, build), None)
        return self._reports()

    def step(self, before: Any, after: Any, matrix: int | None) -> Inbox:
        if before is not None:
            self._run(before, None)
        self._run(after, matrix)
        return self._reports()

    def keep_matrices(self) -> None:
        kinds = USERS_MATRIX, ITEMS_MATRIX
        self.matrices = [piece for piece in self.pieces if piece.kind in kinds]
        self.pieces = [piece for piece in self.pieces if piece.kind == STATE]

    def made(self, number: int) -> None:
        pass

    def _run(self, step: Any, matrix: int | None) -> None:
        self.pieces = [
            piece for rank in range(self.world) for piece in step(rank, self.inbox(rank, matrix))
        ]

    def _reports(self) -> Inbox:
        reports = Inbox(piece for piece in self.pieces if piece.kind == REPORT)
        self.pieces = [piece for piece in self.pieces if piece.kind != REPORT]
        return reports


def _split(
    users: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    n_blocks: tuple[int, int],
    world: int,
) -> list[tuple[list, list]]:
    """For each rank, what it is sent by user and by item."""
    pieces: list[tuple[list, list]] = [([], []) for _ in range(world)]
    for side, (rows, columns) in enumerate(((users, items), (items, users))):
        for rank, piece in split(rows, columns, values, n_blocks[side], world, _MOST):
            pieces[rank][side].append(piece)
    return pieces


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
