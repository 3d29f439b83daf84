"""The three steps of a fit on Spark, by the DataFrame API alone; see shuffle.py for another way.

    entries --cut--> pieces --shuffle--> [barrier stage: the whole fit] --shuffle--> factors

The barrier stage must not be the last one: Spark retries it only if others read what it wrote. If
an executor is lost after the fit, Spark starts only the lost tasks again, which would wait for the
others for ever: a task that is not among all of them fails, and Spark then starts the whole stage.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from recsys.distributed import Problem, steps, supersteps
from recsys.memory import available_memory
from recsys.spark.shuffle import ShuffleEngine
from recsys.spark.store import ArrowStore, brief, check_address
from recsys.spark.tasks import Layout, Settings

logger = logging.getLogger("recsys")

SCHEMA = "model int, side int, key bigint, features array<float>, log string"
_PIECES = "rank int, side int, data binary"
_CUT_AT = 1 << 19  # entries that are cut together
_PIECE = 1 << 13  # entries in a piece, 160 KB: ten thousand of them come in one Arrow batch
_OUT = 1 << 12  # rows of factors in a batch
_one_at_a_time = threading.Lock()  # two barrier stages could each wait for the other's slots

_DYNAMIC = "spark.dynamicAllocation.enabled"
_ENCRYPTED = (
    "spark.network.crypto.enabled", "spark.ssl.rpc.enabled",
    "spark.authenticate.enableSaslEncryption",
)  # fmt: skip

_DEFINITE = {
    "CheckpointError": OSError,
    "FloatingPointError": FloatingPointError,
    "MemoryError": MemoryError,
    "NotDeterministicError": ValueError,
    "ValueError": ValueError,
}


def fit(
    entries: DataFrame, settings: Settings, stored: StorageLevel, between: StorageLevel
) -> list[tuple[DataFrame, dict]]:
    """Of each problem factors by (side, key), stored on the executors, and what is reported of it.

    Parameters
    ----------
    entries : DataFrame
    settings : Settings
    stored, between : StorageLevel
        Of factors, and of what the shuffle plane stores meanwhile.

    Raises
    ------
    FloatingPointError, MemoryError, OSError, ValueError
        What a task raised that would be raised again.
    RuntimeError
        Spark gave up.
    """
    pieces = entries.mapInArrow(cutter(settings.n_blocks, settings.layout.workers), _PIECES)
    with _all_ended_by_ctrl_c(entries.sparkSession), _no_folder_left(settings.checkpoints):
        if settings.plane == "barrier":
            return _in_one_stage(pieces, settings, stored)
        return [_by_shuffles(pieces, each, settings, stored, between) for each in settings.problems]


@contextmanager
def _all_ended_by_ctrl_c(spark: SparkSession) -> Iterator[None]:
    """Where Ctrl-C ends the wait for Spark, the session's jobs end too.

    pyspark means to cancel them, but asks for that by the very connection that waits for a job's
    result, which fails: another thread has a connection of its own. That failure is all that
    pyspark 4.1 lets out, in the place of the KeyboardInterrupt.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Py4JError":
            with ThreadPoolExecutor(1) as another:
                failed = another.submit(spark.interruptAll).exception()
            if failed is not None:
                logger.warning("the jobs of this session could not be ended: %s", failed)
        raise


@contextmanager
def _no_folder_left(checkpoints: str | None) -> Iterator[None]:
    """A fit that has failed does not go on: its checkpoints, which no other fit reads, go too."""
    try:
        yield
    except BaseException:
        if checkpoints is not None:
            try:
                ArrowStore(checkpoints).clear()
            except (OSError, ValueError) as error:  # a driver may not see it
                logger.info("the checkpoints in %s stay there: %s", checkpoints, brief(error))
        raise


def _in_one_stage(
    pieces: DataFrame, settings: Settings, level: StorageLevel
) -> list[tuple[DataFrame, dict]]:
    world = settings.layout.workers
    with _one_at_a_time:
        fitted = (
            pieces.repartitionById(world, "rank")
            .select("side", "data")
            .mapInArrow(worker(settings), SCHEMA, barrier=True, **_profile(settings.layout.cores))
            .repartition(max(settings.n_blocks), "side", "key")
            .persist(level)
        )
        # What is lost of them, copies and all, is made again: not so after a local checkpoint
        logs = fitted.where("log is not null").select("model", "log").collect()
    reports = [(row["model"], json.loads(row["log"])) for row in logs]
    failed = [report for _, report in reports if "error" in report]
    if failed:
        worst = min(failed, key=lambda each: (each["error"] not in _DEFINITE, each["rank"]))
        raise _DEFINITE.get(worst["error"], RuntimeError)(worst["message"])
    of_first = {model: report for model, report in reports if report["rank"] == 0}
    return [
        (fitted.where(f"model = {model}"), of_first[model])
        for model in range(len(settings.problems))
    ]


def _by_shuffles(
    pieces: DataFrame,
    problem: Problem,
    settings: Settings,
    stored: StorageLevel,
    between: StorageLevel,
) -> tuple[DataFrame, dict]:
    layout = settings.layout
    lasting = storage_level(None, layout.workers > 1)
    engine = ShuffleEngine(
        pieces, layout.workers, between, lasting, settings.every,
        _spark_folder(pieces.sparkSession) is not None, _profile(layout.cores),
    )  # fmt: skip
    job = steps.Job(problem, settings.n_blocks, layout.workers, layout.threads, available_memory)
    try:
        job, report, calls = supersteps.fit(job, engine)
        factors = engine.factors(job, calls, SCHEMA, _OUT)
        fitted = factors.repartition(max(settings.n_blocks), "side", "key").persist(stored)
        fitted.count()
    finally:
        engine.close()
    return fitted, vars(report)


# ---- before the stage --------------------------------------------------------------------------


def layout(
    spark: SparkSession,
    workers: int | None,
    threads: int | None,
    n_blocks: tuple[int, int],
    plane: str = "barrier",
) -> Layout:
    """How many tasks; ValueError where Spark could not run them all at the same time, and has to.

    Where executors come and go there are as many tasks as blocks."""
    at_a_time, is_local = slots(spark)
    cpus = int(_setting(spark, "spark.task.cpus", "1"))
    cores = threads if threads != cpus and _schedules_by_stage(spark) else None
    if cores is not None:
        at_a_time = max(1, at_a_time * cpus // cores)
    if workers is None and comes_and_goes(spark):
        workers = max(n_blocks)
    elif workers is None:
        # in one process one task with all its threads has nobody to send factors to
        workers = 1 if is_local else min(at_a_time, max(n_blocks))
        threads = threads or (at_a_time if is_local else cpus)
    elif workers > at_a_time and plane == "barrier":
        raise ValueError(
            f"numWorkers={workers}, but Spark can run only {at_a_time} tasks at a time here: lower "
            "it, or add executors"
        )
    default = max(1, at_a_time // workers) if is_local else cpus
    return Layout(workers, threads or default, cores)


def _schedules_by_stage(spark: SparkSession) -> bool:
    """Whether tasks of one stage may take more cores than those of others."""
    return _setting(spark, "spark.master", "").startswith(("spark://", "yarn", "k8s://"))


def _profile(cores: int | None) -> dict[str, Any]:
    """What `mapInArrow` is told of the cores of a task."""
    if cores is None:
        return {}
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    return {"profile": ResourceProfileBuilder().require(TaskResourceRequests().cpus(cores)).build}


def choose_plane(spark: SparkSession, wanted: str, checkpoint_dir: str | None) -> str:
    """ "barrier" or "shuffle", by what is wanted ("auto": either) and what Spark allows.

    Raises
    ------
    ValueError
        Spark does not allow the plane that is wanted, or this has no use for `checkpoint_dir`.
    """
    forbids = "" if wanted == "shuffle" else _forbids_barriers(spark)
    if forbids and wanted == "barrier":
        raise ValueError(f"{forbids}: leave plane at 'auto', or start an application without it")
    plane = "shuffle" if forbids or wanted == "shuffle" else "barrier"
    if forbids:
        logger.info("%s: factors go through Spark's own shuffles, which takes longer", forbids)
    if plane == "shuffle" and checkpoint_dir is not None:
        raise ValueError(
            f"checkpointDir={checkpoint_dir!r} is not used by the shuffle plane"
            f"{', which is taken as ' + forbids if forbids else ''}: unset it, and call "
            "SparkContext.setCheckpointDir, which is"
        )
    return plane


def _forbids_barriers(spark: SparkSession) -> str:
    """Which setting does, and why; "" if none does."""
    if comes_and_goes(spark):
        return f"{_DYNAMIC} is true, and Spark then refuses barrier stages"
    for name in _ENCRYPTED:
        if _is_on(spark, name):
            return f"{name} is true, and tasks would send each other factors unencrypted"
    return ""


def _is_on(spark: SparkSession, name: str) -> bool:
    return _setting(spark, name, "false").lower() == "true"


def _setting(spark: SparkSession, name: str, default: str) -> str:
    return str(spark.conf.get(name, default))


def slots(spark: SparkSession) -> tuple[int, bool]:
    """Tasks that can run at the same time, and whether all of Spark is one process."""
    master = _setting(spark, "spark.master", "")
    is_local = master == "local" or master.startswith("local[")
    context = getattr(spark, "_jsc", None)
    if context is None:  # Spark Connect does not say, but cuts ranges into so many
        return max(1, spark.range(1 << 16).selectExpr("spark_partition_id()").distinct().count()), (
            is_local
        )
    context = context.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    if not context.maxNumConcurrentTasks(profile) and not comes_and_goes(spark):
        spark.range(1).count()  # returns when the first executor is there
    return int(context.maxNumConcurrentTasks(profile)), is_local


def comes_and_goes(spark: SparkSession) -> bool:
    """Whether Spark starts executors as they are needed, and may have none."""
    return _is_on(spark, _DYNAMIC)


def storage_level(name: str | None, executors_can_be_lost: bool) -> StorageLevel:
    """By its name; None: on disk at least, and twice where an executor can be lost."""
    if name is None:
        name = "MEMORY_AND_DISK_2" if executors_can_be_lost else "MEMORY_AND_DISK"
    return getattr(StorageLevel, name.replace("_SER", ""))  # what Python stores always is


def _spark_folder(spark: SparkSession) -> str | None:
    """The application's folder for checkpoints; None over Spark Connect."""
    if getattr(spark, "_jsc", None) is None:
        return None
    return spark.sparkContext.getCheckpointDir()


def checkpoint_folder(spark: SparkSession, folder: str | None, every: int) -> str | None:
    """A folder of its own for a fit, or None; ValueError for one that nothing can write to."""
    if every < 1:
        return None
    folder = folder or _spark_folder(spark)
    if folder is None:
        logger.info(
            "no checkpoints: there is no folder for them, see checkpointDir; a fit that loses an "
            "executor begins again"
        )
        return None
    check_address(folder)
    return f"{folder.rstrip('/')}/recsys-{uuid.uuid4().hex}"


# ---- in the executors --------------------------------------------------------------------------
# These functions travel to processes that may not have recsys, and find that out for themselves.


def cutter(n_blocks: tuple[int, int], world: int) -> Any:
    """Cuts entries into pieces for the ranks."""
    missing = _missing()

    def cut(batches: Iterator[Any]) -> Iterator[Any]:
        try:
            from recsys.spark import tasks
        except ImportError as error:
            raise ImportError(missing.format(error=error)) from None
        yield from tasks.cut(batches, n_blocks, world, _CUT_AT, _PIECE)

    return cut


def worker(settings: Settings) -> Any:
    """The task of the barrier stage."""
    missing = _missing()

    def work(batches: Iterator[Any]) -> Iterator[Any]:
        try:
            from recsys.spark import tasks
        except ImportError as error:
            raise ImportError(missing.format(error=error)) from None
        yield from tasks.work(batches, settings, _OUT)

    return work


def _missing() -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        "recsys cannot be imported where Spark's executors run Python ({error}): install "
        f"recsys-engine[spark] for Python {version} there, or ship an environment that has it "
        "(spark.archives)"
    )


def secret() -> bytes:
    """Of one fit."""
    return os.urandom(32)
