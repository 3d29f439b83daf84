"""A fit by Spark's own shuffles, where barrier stages are refused; by the DataFrame API alone.

    entries --cut--> pieces --shuffle--> [build] --> [sign] --> matrices, state
    state --send--> rows that others need --shuffle--> [solve, with a matrix] --> state, and so on

Each half-sweep is a job. A rank's state and matrix are rows of one partition, so that it takes as
many partitions as there are ranks, and no slots all at once. What the driver collects are sums.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from recsys.distributed.pieces import ITEMS_MATRIX, REPORT, STATE, USERS_MATRIX, Inbox, Piece
from recsys.distributed.steps import Job
from recsys.spark import step_tasks

logger = logging.getLogger("recsys")

_PIECES = "rank int, kind int, source int, name string, at bigint, data binary"
_CUT_LINEAGE = 10  # iterations, where no interval is given
_ADAPTIVE = "spark.sql.adaptive.enabled"
_planning = threading.Lock()  # so that no fit restores what another one has set


class ShuffleEngine:
    """See `supersteps.Engine`.

    Parameters
    ----------
    entries : DataFrame
        (rank, side, data) as `stage.cutter` makes them.
    level : StorageLevel
        Of matrices and state.
    lasting : StorageLevel
        Of the state where its lineage is cut.
    every : int
        Iterations from one cut to the next; less than 1: a default.
    folder : bool
        Whether Spark has a folder for checkpoints.
    profile : dict
        What `mapInArrow` is told of the cores of a task.
    """

    def __init__(
        self,
        entries: DataFrame,
        world: int,
        level: StorageLevel,
        lasting: StorageLevel,
        every: int,
        folder: bool,
        profile: dict[str, Any],
    ) -> None:
        self.entries, self.world, self.profile = entries, world, profile
        self.level, self.lasting, self.folder = level, lasting, folder
        self.every = every if every > 0 else _CUT_LINEAGE
        self.made_by: DataFrame | None = None  # what the last step made, stored
        self.stored: list[DataFrame] = []
        self.matrices: DataFrame | None = None

    def build(self, job: Job) -> Inbox:
        by_rank = self.entries.repartitionById(self.world, "rank").select("side", "data")
        return self._run(by_rank.mapInArrow(_builder(job), _PIECES, **self.profile))

    def step(self, before: Any, after: Any, matrix: int | None) -> Inbox:
        pieces = self._state()
        if before is not None:
            pieces = pieces.mapInArrow(_runner(before), _PIECES, **self.profile)
            if matrix is not None:
                pieces = pieces.unionAll(self.matrices.where(f"kind = {matrix}"))
            pieces = pieces.repartitionById(self.world, "rank")
        return self._run(pieces.mapInArrow(_runner(after), _PIECES, **self.profile))

    def keep_matrices(self) -> None:
        self.matrices = self.made_by.where(f"kind in ({USERS_MATRIX}, {ITEMS_MATRIX})")
        self.stored.append(self.made_by)

    def made(self, number: int) -> None:
        if number % self.every:
            return
        before = self.made_by
        if self.folder:
            self.made_by = before.checkpoint(eager=True)
        else:
            self.made_by = before.localCheckpoint(eager=True, storageLevel=self.lasting)
        self._release(before)
        logger.debug("the lineage is cut after iteration %d", number)

    def factors(self, job: Job, calls: tuple, schema: str, most: int) -> DataFrame:
        """By `steps.finish`: rows as the barrier stage makes them, but for its log."""
        return self._state().mapInArrow(_finisher(job, calls, most), schema, **self.profile)

    def close(self) -> None:
        """Let go of everything that is stored."""
        for frame in (self.made_by, *self.stored):
            if frame is not None:
                frame.unpersist()

    def _state(self) -> DataFrame:
        return self.made_by.where(f"kind = {STATE}")

    def _run(self, frame: DataFrame) -> Inbox:
        """Store what a step makes, in the place of what the one before it made; its reports."""
        before = self.made_by
        with _planned_once(frame.sparkSession):
            frame = frame.persist(self.level)
        try:
            rows = frame.where(f"kind = {REPORT}").collect()
        except BaseException:
            frame.unpersist()
            raise
        self.made_by = frame
        self._release(before)
        return Inbox(Piece(*row) for row in rows)

    def _release(self, frame: DataFrame | None) -> None:
        if frame is not None and all(frame is not kept for kept in self.stored):
            frame.unpersist()


@contextmanager
def _planned_once(spark: SparkSession) -> Iterator[None]:
    """What is persisted here has a plan that is not adaptive.

    Of one that is Spark writes, for each job, as text what it was to be and what it came to be, and
    in both the plans of all that is read: with each half-sweep twice as much, gigabytes after ten
    iterations.
    """
    with _planning:
        usual = spark.conf.get(_ADAPTIVE)
        spark.conf.set(_ADAPTIVE, "false")
        try:
            yield
        finally:
            spark.conf.set(_ADAPTIVE, usual)


# ---- in the executors --------------------------------------------------------------------------


def _builder(job: Job) -> Any:
    return partial(step_tasks.build, job)


def _runner(step: Any) -> Any:
    return partial(step_tasks.run, step)


def _finisher(job: Job, calls: tuple, most: int) -> Any:
    return partial(step_tasks.finish, job, calls, most)
