"""Scores and lists, by Arrow and the top-N kernel.

Lists are never made by joining every user with every item: users are divided between tasks, the
items come to each as a run of tiles, and a running list of the best is kept. No task holds more
than its users, their lists and one tile, and the driver holds none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from recsys import kernels
from recsys.spark.stage import comes_and_goes, slots
from recsys.spark.tasks import matrix

_TILE = 1 << 15  # items that are looked at together
_PIECE_BYTES = 160_000  # that travel as one: ten thousand of them come in one Arrow batch
_TASK_BYTES = 1 << 28  # of the queries of a task and their lists
_KEPT_BYTES = 12  # of one in a list, from tile to tile
_MERGED_BYTES = 80  # of one in a list, while a tile is looked at
_BLOCK_BYTES = 1 << 28  # of the lists that are made together
_SENT_TOGETHER = 256  # copies of a piece in a batch, 40 MB
_TASK_QUERIES = 1 << 11  # fewer are not worth a task of their own
_PACKED = "task int, is_item int, data binary"


def dot(f: int) -> Any:
    """A function of two columns of features: their inner product, NaN where one is null."""

    @F.arrow_udf("float")
    def product(x: pa.Array, y: pa.Array) -> pa.Array:
        both = np.flatnonzero(x.is_valid().to_numpy(False) & y.is_valid().to_numpy(False))
        scores = np.full(len(x), np.nan, np.float32)
        rows = (matrix(side.take(pa.array(both)), f) for side in (x, y))
        scores[both] = np.einsum("kf,kf->k", *rows)
        return pa.array(scores)

    return product


def best(
    queries: DataFrame,
    listed: DataFrame,
    n: int,
    f: int,
    names: tuple[str, str],
    block_size: int,
) -> DataFrame:
    """(names[0], recommendations: array of (names[1], rating)), best first.

    Parameters
    ----------
    queries, listed : DataFrame
        id, features; of queries, if there is such a column, skip: array of ids not to be listed.
    n : int
        A list is shorter where fewer are listed.
    f : int
        Of features.
    names : (str, str)
    block_size : int
        Queries whose lists are made together, if these are not long.
    """
    kinds = [side.schema["id"].dataType for side in (queries, listed)]
    schema = T.StructType(
        [
            T.StructField(names[0], kinds[0]),
            T.StructField(
                "recommendations",
                T.ArrayType(
                    T.StructType(
                        [T.StructField(names[1], kinds[1]), T.StructField("rating", T.FloatType())]
                    )
                ),
            ),
        ]
    )
    count, there = _counts(queries, listed)
    n = min(n, max(there, 1))
    tasks = _tasks(queries.sparkSession, count, 4 * f + _KEPT_BYTES * n)
    rows = max(1, _PIECE_BYTES // (4 * f + 16))
    packed = queries.mapInArrow(_packer(tasks, 0, rows), _PACKED).unionAll(
        listed.mapInArrow(_packer(tasks, 1, rows), _PACKED)
    )
    by_task = packed.repartitionById(tasks, "task").sortWithinPartitions("is_item")
    return by_task.select("is_item", "data").mapInArrow(_lister(n, f, names, block_size), schema)


def _counts(queries: DataFrame, listed: DataFrame) -> tuple[int, int]:
    """How many there are of both, by one job."""
    sides = queries.select(F.lit(1).alias("asks")), listed.select(F.lit(0).alias("asks"))
    asks = F.col("asks")
    row = sides[0].unionAll(sides[1]).agg(F.count_if(asks == 1), F.count_if(asks == 0)).first()
    return int(row[0]), int(row[1])


def _tasks(spark: SparkSession, count: int, query_bytes: int) -> int:
    """As many as run at a time, more for more queries than these can hold, fewer for few."""
    at_a_time, _ = slots(spark)
    if comes_and_goes(spark):  # what is there now says nothing
        at_a_time = max(at_a_time, int(spark.conf.get("spark.sql.shuffle.partitions")))
    worthwhile = min(at_a_time, -(-count // _TASK_QUERIES))
    return max(1, worthwhile, -(-count * query_bytes // _TASK_BYTES))


def _packer(tasks: int, is_item: int, rows: int) -> Any:
    """Rows as Arrow bytes: queries to one task each, what is listed to all of them."""

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        number = TaskContext.get().partitionId()
        for batch in batches:
            for begin in range(0, batch.num_rows, rows):
                data = _to_bytes(batch.slice(begin, rows))
                to = range(tasks) if is_item else [number % tasks]
                number += 1
                for first in range(0, len(to), _SENT_TOGETHER):
                    yield _addressed(data, is_item, to[first : first + _SENT_TOGETHER])

    return pack


def _addressed(data: bytes, is_item: int, to: Sequence[int]) -> pa.RecordBatch:
    columns = [
        pa.array(to, pa.int32()),
        pa.array([is_item] * len(to), pa.int32()),
        pa.array([data] * len(to), pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, ["task", "is_item", "data"])


def _to_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _lister(n: int, f: int, names: tuple[str, str], block_size: int) -> Any:
    def make(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        queries: list[pa.Table] = []
        waiting: list[pa.Table] = []
        running = None
        for is_item, data in _rows(batches):
            table = pa.ipc.open_stream(data).read_all()
            if not is_item:
                queries.append(table)
                continue
            if not queries:
                return
            running = running or _Running(pa.concat_tables(queries), n, f, block_size)
            waiting.append(table)
            if sum(each.num_rows for each in waiting) >= _TILE:
                running.add(pa.concat_tables(waiting))
                waiting = []
        if running is not None:
            if waiting:
                running.add(pa.concat_tables(waiting))
            yield from running.lists(names)

    return make


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Buffer]]:
    for batch in batches:
        for is_item, data in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
            yield is_item, data.as_buffer()


class _Running:
    """The best of the tiles so far, of a task's queries."""

    def __init__(self, queries: pa.Table, n: int, f: int, block_size: int) -> None:
        self.ids, self.n, self.f = queries.column("id"), n, f
        self.block_size = min(block_size, max(1, _BLOCK_BYTES // (_MERGED_BYTES * n)))
        self.queries = _features(queries, f)
        self.skip = (
            _one(queries.column("skip").combine_chunks()) if queries.num_columns > 2 else None
        )
        self.places = np.full((len(self.queries), n), -1, np.int64)
        self.scores = np.full((len(self.queries), n), -np.inf, np.float32)
        self.listed: list[pa.ChunkedArray] = []
        self.count = 0

    def add(self, tile: pa.Table) -> None:
        items = _features(tile, self.f)
        order = kernels.norm_order(items, kernels.norms(items))
        skip = self._skipped(_one(tile.column("id").combine_chunks()))
        n = min(self.n, len(items))
        for begin in range(0, len(self.queries), self.block_size):
            at = slice(begin, begin + self.block_size)
            queries = self.queries[at]
            skip_rows = None if skip is None else np.arange(begin, begin + len(queries))
            rows, scores = kernels.topk(
                queries, items, n, order=order, skip=skip, skip_rows=skip_rows, num_threads=1
            )
            places = np.where(rows < 0, -1, rows + self.count)
            both = np.concatenate([self.scores[at], scores], axis=1)
            which = np.concatenate([self.places[at], places], axis=1)
            kept = np.lexsort((which, both), axis=-1)[:, : -self.n - 1 : -1]
            self.scores[at] = np.take_along_axis(both, kept, axis=1)
            self.places[at] = np.take_along_axis(which, kept, axis=1)
        self.listed.append(tile.column("id"))
        self.count += len(items)

    def _skipped(self, ids: pa.Array) -> tuple[np.ndarray, np.ndarray] | None:
        """Of a tile with these ids, what is not to be listed, as rows of `kernels.topk`."""
        if self.skip is None:
            return None
        lengths = pc.fill_null(pc.list_value_length(self.skip), 0).to_numpy()
        places = pc.fill_null(pc.index_in(self.skip.flatten(), ids), -1).to_numpy()
        rows = np.repeat(np.arange(len(lengths)), lengths)[places >= 0]
        pairs = np.unique(rows * len(ids) + places[places >= 0])
        indptr = np.searchsorted(pairs, np.arange(len(lengths) + 1) * len(ids))
        return indptr.astype(np.int64), (pairs % len(ids)).astype(np.int32)

    def lists(self, names: tuple[str, str]) -> Iterator[pa.RecordBatch]:
        ids = pa.chunked_array([chunk for column in self.listed for chunk in column.chunks])
        for begin in range(0, len(self.queries), self.block_size):
            at = slice(begin, begin + self.block_size)
            filled = self.places[at] >= 0
            offsets = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
            chosen = ids.take(pa.array(self.places[at][filled])).combine_chunks()
            scores = pa.array(self.scores[at][filled])
            pairs = pa.StructArray.from_arrays([_one(chosen), scores], [names[1], "rating"])
            whose = _one(self.ids.slice(begin, self.block_size).combine_chunks())
            yield pa.RecordBatch.from_arrays(
                [whose, pa.ListArray.from_arrays(pa.array(offsets), pairs)],
                [names[0], "recommendations"],
            )


def _one(column: Any) -> pa.Array:
    """A column in one piece."""
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _features(table: pa.Table, f: int) -> np.ndarray:
    return matrix(_one(table.column("features").combine_chunks()), f)
