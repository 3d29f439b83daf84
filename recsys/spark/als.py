"""`pyspark.ml.recommendation.ALS`, solved by recsys's kernels."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark import keyword_only
from pyspark.ml.base import Estimator, _FitMultipleIterator
from pyspark.ml.param import Param
from pyspark.ml.util import DefaultParamsReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame

from recsys.distributed import ITEM, USER, Problem
from recsys.models.confidence import signed_confidence
from recsys.spark import stage
from recsys.spark.files import EstimatorReader, ParamsWriter
from recsys.spark.ids import Prepared, check_frame, prepare
from recsys.spark.model import ALSModel, Summary
from recsys.spark.params import ALSParams, MoreParams, check, refuse_unknown, setter, value_of
from recsys.spark.tasks import Settings

logger = logging.getLogger("recsys")

_OF_THE_MODEL = (
    "userCol", "itemCol", "predictionCol", "coldStartStrategy", "blockSize", "implicitPrefs",
    "alpha", "regParam", "confidence", "epsilon", "unobservedWeight", "bias", "nonnegative",
)  # fmt: skip
_OF_THE_STAGE = (
    "userCol", "itemCol", "ratingCol", "numUserBlocks", "numItemBlocks", "numWorkers",
    "threadsPerWorker", "checkpointDir", "checkpointInterval", "finalStorageLevel",
    "intermediateStorageLevel", "plane",
)  # fmt: skip
_SEED_BITS = 63


class ALS(Estimator, ALSParams, MoreParams, DefaultParamsReadable, MLWritable):
    """Alternating least squares on a Spark cluster.

    Takes the place of `pyspark.ml.recommendation.ALS`, whose Params it has under their names and
    with their defaults, and minimizes the same objectives: with `implicitPrefs` that of Hu, Koren
    and Volinsky (2008), else that of ALS-WR (Zhou et al. 2008), `regParam` being multiplied by the
    number of entries (with `implicitPrefs`: over 0) of a user or item.

    For given data, seed, numbers of blocks and instruction set the result is the same, bit for bit,
    whatever the number of executors, cores and restarts.

    Parameters
    ----------
    rank : int, default 10
    maxIter : int, default 10
        0 stops at the initial factors.
    regParam : float, default 0.1
    numUserBlocks, numItemBlocks : int, default 10
        Logical blocks, of which the tasks hold runs: they fix the order of sums, hence the bits.
        No more tasks fit together than there are blocks of users or items.
    implicitPrefs : bool, default False
    alpha : float, default 1.0
        Confidence is ``1 + alpha |r|``; ``r <= 0`` is a preference of 0.
    userCol, itemCol : str, default "user" and "item"
        Integers, strings, dates or another type of single values.
    ratingCol : str, default "rating"
        "": 1.0 everywhere. Entries of one user and item are added up.
    seed : int, default a hash of the name of the class
    nonnegative : bool, default False
        Factors are not negative; rows are then solved by coordinate descent, whatever `solver` is.
    checkpointInterval : int, default 10
        Iterations; -1: none.
    intermediateStorageLevel : str
        Of what the shuffle plane stores between half-sweeps; the barrier plane has nothing to.
    finalStorageLevel : str
        Of the factors; unset: MEMORY_AND_DISK, twice where an executor can be lost.
    coldStartStrategy : {"nan", "drop"}
    blockSize : int, default 4096
        Users whose lists are made together.
    solver : {"cholesky", "cg"}, default "cholesky"
    cgSteps : int, default 3
    confidence : {"linear", "log", "scaled"}, default "linear"
        As in `recsys.ImplicitALS`.
    epsilon : float, optional
        The count at which "log" bends; unset: each user's own mean.
    unobservedWeight : float, default 1.0
        With `implicitPrefs`.
    regularizationExponent : float, optional
        As in `recsys.ImplicitALS`; unset: MLlib's.
    bias : bool, default False
        Users and items have biases, and all scores a mean in common; see `ALSModel.userFactors`.
    acceleration : bool, default False
        Momentum, as in `recsys.ImplicitALS`: about half the iterations lead to the same objective,
        which is computed for it.
    numWorkers, threadsPerWorker : int, optional
        Tasks that fit together, and threads of each, for which Spark sets aside as many cores
        where it can (standalone, YARN, Kubernetes).
    checkpointDir : str or path, optional
        For the barrier plane; unset, and for the shuffle plane: that of
        `SparkContext.setCheckpointDir`.
    plane : {"auto", "barrier", "shuffle"}, default "auto"
        How factors get from task to task: within one barrier stage, from memory to memory, or by
        Spark's own shuffles, which takes longer. "auto": the former, unless executors come and go
        (``spark.dynamicAllocation.enabled``) or Spark's traffic is encrypted. Both give the same
        bits.
    wire : {"float32", "bfloat16"}, default "float32"
        How factors travel between tasks.
    splitHead : bool, default True
        Solve the items with most entries from sums over users, where that saves bytes.
    computeLoss : bool, default False
        Compute the objective at every iteration, for `ALSModel.summary`.
    """

    @keyword_only
    def __init__(
        self,
        *,
        rank: int = 10,
        maxIter: int = 10,
        regParam: float = 0.1,
        numUserBlocks: int = 10,
        numItemBlocks: int = 10,
        implicitPrefs: bool = False,
        alpha: float = 1.0,
        userCol: str = "user",
        itemCol: str = "item",
        seed: int | None = None,
        ratingCol: str = "rating",
        nonnegative: bool = False,
        checkpointInterval: int = 10,
        intermediateStorageLevel: str = "MEMORY_AND_DISK",
        finalStorageLevel: str = "MEMORY_AND_DISK",
        coldStartStrategy: str = "nan",
        blockSize: int = 4096,
        predictionCol: str = "prediction",
        solver: str = "cholesky",
        cgSteps: int = 3,
        confidence: str = "linear",
        epsilon: float | None = None,
        unobservedWeight: float = 1.0,
        regularizationExponent: float | None = None,
        bias: bool = False,
        acceleration: bool = False,
        numWorkers: int | None = None,
        threadsPerWorker: int | None = None,
        checkpointDir: str | os.PathLike[str] | None = None,
        plane: str = "auto",
        wire: str = "float32",
        splitHead: bool = True,
        computeLoss: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__()
        refuse_unknown(self, unknown)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(self, **values: Any) -> ALS:
        """Sets Params by name."""
        refuse_unknown(self, values)
        return self._set(**values)

    def setNumBlocks(self, value: int) -> ALS:
        """Sets both :py:attr:`numUserBlocks` and :py:attr:`numItemBlocks`."""
        return self._set(numUserBlocks=value, numItemBlocks=value)

    setRank = setter("rank")
    setMaxIter = setter("maxIter")
    setRegParam = setter("regParam")
    setNumUserBlocks = setter("numUserBlocks")
    setNumItemBlocks = setter("numItemBlocks")
    setImplicitPrefs = setter("implicitPrefs")
    setAlpha = setter("alpha")
    setUserCol = setter("userCol")
    setItemCol = setter("itemCol")
    setRatingCol = setter("ratingCol")
    setPredictionCol = setter("predictionCol")
    setNonnegative = setter("nonnegative")
    setSeed = setter("seed")
    setCheckpointInterval = setter("checkpointInterval")
    setIntermediateStorageLevel = setter("intermediateStorageLevel")
    setFinalStorageLevel = setter("finalStorageLevel")
    setColdStartStrategy = setter("coldStartStrategy")
    setBlockSize = setter("blockSize")
    setSolver = setter("solver")
    setCgSteps = setter("cgSteps")
    setConfidence = setter("confidence")
    setEpsilon = setter("epsilon")
    setUnobservedWeight = setter("unobservedWeight")
    setRegularizationExponent = setter("regularizationExponent")
    setBias = setter("bias")
    setAcceleration = setter("acceleration")
    setNumWorkers = setter("numWorkers")
    setThreadsPerWorker = setter("threadsPerWorker")
    setCheckpointDir = setter("checkpointDir")
    setPlane = setter("plane")
    setWire = setter("wire")
    setSplitHead = setter("splitHead")
    setComputeLoss = setter("computeLoss")

    def write(self) -> MLWriter:
        """Saves the Params."""
        return ParamsWriter(self)

    @classmethod
    def read(cls) -> MLReader:
        """Reads what was saved of an estimator, by this class or one derived from it."""
        return EstimatorReader(cls)

    def fit(self, dataset: DataFrame, params: Any = None, **unknown: Any) -> Any:
        """A model, or one for each of several maps of Params.

        Parameters
        ----------
        dataset : DataFrame
            Columns `userCol`, `itemCol` and, unless it is "", `ratingCol`.
        params : dict, or list or tuple of dict, optional
            Values by Param, in the place of the estimator's.

        Returns
        -------
        ALSModel or list of ALSModel

        Raises
        ------
        FloatingPointError, MemoryError, OSError, RuntimeError, TypeError, ValueError
            What is wrong with a Param, the frame or the checkpoint folder is said before anything
            is fitted.
        """
        refuse_unknown(self, unknown)
        for name in unknown:
            raise TypeError(
                f"fit takes Params by map; got {name}=: call fit(frame, {{als.{name}: ...}}), or "
                f"ALS({name}=...)"
            )
        return super().fit(dataset, params)

    def fitMultiple(
        self, dataset: DataFrame, paramMaps: Sequence[dict[Param, Any]]
    ) -> Iterator[tuple[int, ALSModel]]:
        """Models of several settings; what `CrossValidator` and the like call.

        Those that differ in what is learned alone (`regParam`, `alpha`, `rank`, `maxIter` and so
        on, not in columns, blocks, tasks or folders) are fitted one after the other by one barrier
        stage, which builds its blocks once. The shuffle plane builds them for each.

        Returns
        -------
        iterator of (index, model)
            Threads may share it; each model comes once, in no particular order.
        """
        estimators = [self.copy(each) for each in paramMaps]
        return _FitMultipleIterator(_Together(dataset, estimators).model, len(estimators))

    def _fit(self, dataset: DataFrame) -> ALSModel:
        [model] = _fit_together([self], dataset)
        return model


class _Together:
    """Fits estimators to one frame, those of one kind at once: when the first of their models is
    asked for, by whatever thread."""

    def __init__(self, dataset: DataFrame, estimators: list[ALS]) -> None:
        self.dataset, self.estimators = dataset, estimators
        kinds = [tuple(value_of(each, name) for name in _OF_THE_STAGE) for each in estimators]
        self.alike = [[at for at, other in enumerate(kinds) if other == kind] for kind in kinds]
        self.locks = {alike[0]: threading.Lock() for alike in self.alike}
        self.models: dict[int, ALSModel] = {}

    def model(self, index: int) -> ALSModel:
        alike = self.alike[index]
        with self.locks[alike[0]]:
            if index not in self.models:
                some = [self.estimators[at] for at in alike]
                self.models |= dict(zip(alike, _fit_together(some, self.dataset), strict=True))
            return self.models.pop(index)


def _fit_together(estimators: Sequence[ALS], dataset: DataFrame) -> list[ALSModel]:
    """Models of estimators that differ in nothing of `_OF_THE_STAGE`."""
    check_frame(dataset, "fit")
    for each in estimators:
        check(each)
    first, spark = estimators[0], dataset.sparkSession
    n_blocks = first.getNumUserBlocks(), first.getNumItemBlocks()
    folder, every = value_of(first, "checkpointDir"), first.getCheckpointInterval()
    plane = stage.choose_plane(spark, value_of(first, "plane"), folder)
    layout = stage.layout(
        spark, value_of(first, "numWorkers"), value_of(first, "threadsPerWorker"), n_blocks, plane
    )
    checkpoints = stage.checkpoint_folder(spark, folder, every) if plane == "barrier" else None
    prepared = prepare(dataset, first.getUserCol(), first.getItemCol(), first.getRatingCol())
    settings = Settings(
        tuple(map(_problem, estimators)),
        n_blocks,
        layout,
        stage.secret(),
        checkpoints,
        every,
        plane,
    )
    logger.info(
        "ALS on Spark learns from %s entries, in %d tasks with %d threads each (%s plane)",
        f"{prepared.rows:,}", layout.workers, layout.threads, plane,
    )  # fmt: skip
    level = first.getFinalStorageLevel() if first.isSet("finalStorageLevel") else None
    stored = stage.storage_level(level, layout.workers > 1)
    between = stage.storage_level(first.getIntermediateStorageLevel(), False)
    try:
        fits = stage.fit(prepared.entries, settings, stored, between)
        return [
            _model(each, [_by_id(fitted, prepared, side, stored) for side in (USER, ITEM)], report)
            for each, (fitted, report) in zip(estimators, fits, strict=True)
        ]
    finally:
        for table in prepared.ids:
            if table is not None:
                table.unpersist()


def _problem(estimator: ALS) -> Problem:
    def value(name: str) -> Any:
        return value_of(estimator, name)

    implicit = value("implicitPrefs")
    by_user_mean = implicit and value("confidence") == "log" and value("epsilon") is None
    signed = functools.partial(
        signed_confidence, scheme=value("confidence"), alpha=value("alpha"),
        epsilon=value("epsilon") or 1.0,  # counts come divided by the mean
    )  # fmt: skip
    return Problem(
        factors=value("rank"),
        iterations=value("maxIter"),
        seed=value("seed") & ((1 << _SEED_BITS) - 1),
        regularization=value("regParam"),
        exponent=value("regularizationExponent"),
        unobserved_weight=value("unobservedWeight") if implicit else 0.0,
        signed=signed if implicit else None,
        by_user_mean=by_user_mean,
        cg_steps=value("cgSteps") if value("solver") == "cg" else 0,
        bias=value("bias"),
        nonnegative=value("nonnegative"),
        acceleration=value("acceleration"),
        init_scale=1.0,  # rows of length 1, as MLlib begins with
        half=value("wire") == "bfloat16",
        loss=value("computeLoss"),
        split_head=value("splitHead"),
    )


def _model(estimator: ALS, factors: list[DataFrame], report: dict[str, Any]) -> ALSModel:
    users, items = factors
    model = ALSModel(estimator.getRank(), users, items, Summary.of(report))
    for name in _OF_THE_MODEL:
        if estimator.isDefined(name):
            model.set(model.getParam(name), value_of(estimator, name))
    model.set(model.mean, report["mean"])
    return model


def _by_id(fitted: DataFrame, prepared: Prepared, side: int, level: Any) -> DataFrame:
    """(id, features) of one side."""
    rows = fitted.where(fitted["side"] == side).select("key", "features")
    table = prepared.ids[side]
    if table is None:
        return rows.select(rows["key"].cast(prepared.types[side]).alias("id"), "features")
    return rows.join(table, "key").select("id", "features").persist(level)
