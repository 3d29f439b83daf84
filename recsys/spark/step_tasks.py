"""What runs in Spark's Python workers where a fit goes step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from recsys.distributed import steps
from recsys.distributed.pieces import Inbox, Piece
from recsys.spark import tasks

_TOGETHER = 64  # pieces in a batch, 10 MB


def build(job: steps.Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The first step, from the entries that a rank was sent."""

    def step(job: steps.Job, rank: int, _: Inbox) -> Iterator[Piece]:
        return steps.build(job, rank, tasks.pieces_of(batches))

    yield from _packed(steps.guarded(job, step)(_rank(), Inbox()))


def run(step: steps.Step, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Any other step."""
    rank = _rank()
    yield from _packed(step(rank, _inbox(batches, rank)))


def finish(
    job: steps.Job, calls: tuple, most: int, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Factors by key."""
    rank = _rank()
    keys, factors = steps.finish(job, calls, rank, _inbox(batches, rank))
    yield from tasks.factors_by_key(0, keys, factors, job.problem.bias, job.mean, most)


def _rank() -> int:
    from pyspark import TaskContext

    return TaskContext.get().partitionId()


def _inbox(batches: Iterator[pa.RecordBatch], rank: int) -> Inbox:
    inbox = Inbox()
    for batch in batches:
        *columns, data = batch.columns
        fields = zip(*(each.to_pylist() for each in columns), strict=True)
        for (to, kind, source, name, at), piece in zip(fields, data, strict=True):
            if to != rank:
                raise RuntimeError(f"what is for rank {to} has come to task {rank}")
            inbox.add(Piece(to, kind, source, name, at, memoryview(piece.as_buffer())))
    return inbox


def _packed(pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
    waiting: list[Piece] = []
    for piece in pieces:
        waiting.append(piece)
        if len(waiting) == _TOGETHER:
            yield _batch(waiting)
            waiting = []
    if waiting:
        yield _batch(waiting)


def _batch(pieces: list[Piece]) -> pa.RecordBatch:
    types = pa.int32(), pa.int32(), pa.int32(), pa.string(), pa.int64(), pa.binary()
    columns = zip(*pieces, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)],
        list(Piece._fields),
    )
