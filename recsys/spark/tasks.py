"""What runs in Spark's Python workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recsys import distributed
from recsys.distributed import ITEM, USER, CheckpointError, Place, Problem, split
from recsys.distributed.mesh import PeerGaveUpError
from recsys.memory import available_memory
from recsys.spark.store import ArrowStore


class Layout(NamedTuple):
    """How many tasks fit together, and with what."""

    workers: int
    threads: int  # of each; 0: all there are
    cores: int | None = None  # that Spark sets aside for each; None: spark.task.cpus


class Settings(NamedTuple):
    """What the tasks of a fit are told, and where it runs."""

    problems: tuple[Problem, ...]
    n_blocks: tuple[int, int]
    layout: Layout
    secret: bytes
    checkpoints: str | None
    every: int
    plane: str = "barrier"


def cut(
    batches: Iterator[pa.RecordBatch], n_blocks: tuple[int, int], world: int, many: int, most: int
) -> Iterator[pa.RecordBatch]:
    """Entries as pieces for the ranks: (rank, side, data)."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count >= many:
            yield _cut(waiting, n_blocks, world, most)
            waiting, count = [], 0
    if count:
        yield _cut(waiting, n_blocks, world, most)


def _cut(
    batches: list[pa.RecordBatch], n_blocks: tuple[int, int], world: int, most: int
) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches)
    users, items, values = (column.to_numpy() for column in table.columns)
    ranks, sides, data = [], [], []
    for side, (rows, columns) in enumerate(((users, items), (items, users))):
        for rank, piece in split(rows, columns, values, n_blocks[side], world, most):
            ranks.append(rank)
            sides.append(side)
            data.append(piece)
    columns = [
        pa.array(ranks, pa.int32()),
        pa.array(sides, pa.int32()),
        pa.array(data, pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, ["rank", "side", "data"])


def work(
    batches: Iterator[pa.RecordBatch], settings: Settings, most: int
) -> Iterator[pa.RecordBatch]:
    """A rank of some fits: of each its log, then its factors.

    What would be raised again by another attempt is written into the log; Spark would try four
    times, and tell of one task that lost another.
    """
    from pyspark import BarrierTaskContext

    context = BarrierTaskContext.get()
    infos, rank = context.getTaskInfos(), context.partitionId()
    world = settings.layout.workers
    if len(infos) != world:
        raise RuntimeError(
            f"{len(infos)} of the {world} tasks of a fit were started: part of what it made was "
            "lost, and can only be made again by all of them"
        )
    hosts = [info.address.rsplit(":", 1)[0] for info in infos]
    place = Place(
        rank,
        world,
        hosts[rank],
        context.allGather,
        settings.secret,
        num_threads=settings.layout.threads,
        memory=available_memory() // hosts.count(hosts[rank]),
        store=None if settings.checkpoints is None else ArrowStore(settings.checkpoints),
        every=settings.every,
    )
    try:
        fits = distributed.fit_each(place, pieces_of(batches), settings.n_blocks, settings.problems)
        for model, (keys, factors, report) in enumerate(fits):
            yield _log(model, {"rank": rank, **vars(report)})
            bias = settings.problems[model].bias
            yield from factors_by_key(model, keys, factors, bias, report.mean, most)
    except (CheckpointError, FloatingPointError, MemoryError, PeerGaveUpError, ValueError) as error:
        yield _log(None, {"rank": rank, "error": type(error).__name__, "message": str(error)})


def factors_by_key(
    model: int,
    keys: tuple[np.ndarray, np.ndarray],
    factors: tuple[np.ndarray, np.ndarray],
    bias: bool,
    mean: float,
    most: int,
) -> Iterator[pa.RecordBatch]:
    """Both sides, so many rows in a batch."""
    for side in (USER, ITEM):
        for begin in range(0, len(keys[side]), most):
            at = slice(begin, begin + most)
            rows = factors[side][at]
            yield _rows(model, side, keys[side][at], _with_bias(side, rows, mean) if bias else rows)


def _with_bias(side: int, rows: np.ndarray, mean: float) -> np.ndarray:
    """[x, b + mean, 1] of users' [x, b], [y, 1, b] of items': their products are scores."""
    factors, bias = rows[:, :-1], rows[:, -1]
    columns = (bias + np.float32(mean), 1) if side == USER else (1, bias)
    return np.column_stack(
        [factors, *(np.broadcast_to(np.float32(c), bias.shape) for c in columns)]
    )


def pieces_of(batches: Iterator[pa.RecordBatch]) -> tuple[list, list]:
    """What a rank was sent by user and by item."""
    pieces: tuple[list, list] = ([], [])
    for batch in batches:
        for side, data in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
            pieces[side].append(data.as_buffer())
    return pieces


def _log(model: int | None, entry: dict[str, Any]) -> pa.RecordBatch:
    return _batch(
        pa.array([model], pa.int32()),
        pa.array([None], pa.int32()),
        pa.array([None], pa.int64()),
        pa.array([None], pa.list_(pa.float32())),
        pa.array([json.dumps(entry, default=float)], pa.string()),
    )


def _rows(model: int, side: int, keys: np.ndarray, factors: np.ndarray) -> pa.RecordBatch:
    return _batch(
        pa.array(np.full(len(keys), model, np.int32)),
        pa.array(np.full(len(keys), side, np.int32)),
        pa.array(keys),
        lists(factors),
        pa.nulls(len(keys), pa.string()),
    )


def _batch(*columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns), ["model", "side", "key", "features", "log"])


def lists(factors: np.ndarray) -> pa.ListArray:
    """One list a row."""
    n, f = factors.shape
    flat = pa.array(np.ascontiguousarray(factors).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(np.arange(0, n * f + 1, f, dtype=np.int32)), flat)


def matrix(features: pa.Array, f: int) -> np.ndarray:
    """What `lists` made, with no nulls in it."""
    return np.ascontiguousarray(features.flatten().to_numpy(), np.float32).reshape(-1, f)
