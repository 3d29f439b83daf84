"""A fitted model: factors by id in DataFrames, and what is asked of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pyspark.ml.base import Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType

from recsys import ExplicitALS, ImplicitALS, checks
from recsys.distributed import ITEM, USER
from recsys.interactions import Ids
from recsys.models import internal
from recsys.spark import lists
from recsys.spark.files import ModelReader, ModelWriter
from recsys.spark.ids import check_frame, check_type
from recsys.spark.params import ALSModelParams, SchemeParams, cold_start, setter, value_of


class Summary(NamedTuple):
    """What a fit tells of itself.

    Attributes
    ----------
    seconds : list of float
        Of each iteration, since the last checkpoint that was gone on from.
    losses : list of float
        The objective after each, with `computeLoss` or `acceleration`.
    momentum : list of float
        beta of each, with `acceleration`; 0: without, or taken back.
    resumed : int
        Iterations that came from a checkpoint.
    retried, jittered : int
        Rows, on rank 0, that were solved again in double, and with a larger diagonal.
    bytes_sent : int
        By rank 0.
    spent : dict
        Seconds of rank 0 by step.
    """

    seconds: list[float]
    losses: list[float]
    momentum: list[float]
    resumed: int
    retried: int
    jittered: int
    bytes_sent: int
    spent: dict[str, float]

    @classmethod
    def of(cls, report: dict[str, Any]) -> Summary:
        return cls(
            report["seconds"], report["losses"], report["momentum"], report["first"],
            report["retried"], report["jittered"], report["bytes_sent"], report["spent"],
        )  # fmt: skip


class ALSModel(Model, ALSModelParams, SchemeParams, MLReadable, MLWritable):
    """What `ALS.fit` returns; takes the place of `pyspark.ml.recommendation.ALSModel`.

    Attributes
    ----------
    rank : int
    userFactors, itemFactors : DataFrame
        id, of the type of the column it came from, and features, array<float>: with `bias`
        [x, b_u + mean, 1] of users and [y, 1, b_i] of items, so that scores are inner products.
    summary : Summary or None
        None of a model that was loaded.
    """

    implicitPrefs = Param(
        Params._dummy(), "implicitPrefs", "of the fit", typeConverter=TypeConverters.toBoolean
    )
    alpha = Param(Params._dummy(), "alpha", "of the fit", typeConverter=TypeConverters.toFloat)
    regParam = Param(
        Params._dummy(), "regParam", "of the fit", typeConverter=TypeConverters.toFloat
    )

    mean = Param(
        Params._dummy(), "mean", "of all scores, with bias", typeConverter=TypeConverters.toFloat
    )
    nonnegative = Param(
        Params._dummy(), "nonnegative", "of the fit", typeConverter=TypeConverters.toBoolean
    )

    def __init__(
        self,
        rank: int,
        userFactors: DataFrame,
        itemFactors: DataFrame,
        summary: Summary | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(
            userCol="user", itemCol="item", predictionCol="prediction", coldStartStrategy="nan"
        )
        self._setDefault(
            confidence="linear", unobservedWeight=1.0, bias=False, mean=0.0, nonnegative=False
        )
        self.rank, self.summary = rank, summary
        self.userFactors, self.itemFactors = userFactors, itemFactors

    setUserCol = setter("userCol")
    setItemCol = setter("itemCol")
    setColdStartStrategy = setter("coldStartStrategy")
    setPredictionCol = setter("predictionCol")
    setBlockSize = setter("blockSize")

    @property
    def _width(self) -> int:
        """Numbers in `features`."""
        return self.rank + (2 if self.getOrDefault(self.bias) else 0)

    def __repr__(self) -> str:
        return f"ALSModel: uid={self.uid}, rank={self.rank}"

    # ---- scores --------------------------------------------------------------------------------

    def _transform(self, dataset: DataFrame) -> DataFrame:
        check_frame(dataset, "transform")
        drop = cold_start(self.getColdStartStrategy()) == "drop"
        name, scored = self.getPredictionCol(), dataset
        if name in dataset.columns:
            raise ValueError(
                f"predictionCol={name!r}: the frame has this column already; drop it, or call "
                "setPredictionCol"
            )
        sides = (
            (self.getUserCol(), "userCol", self.userFactors, "__user"),
            (self.getItemCol(), "itemCol", self.itemFactors, "__item"),
        )
        for column, what, factors, alias in sides:
            check_type(dataset, column, what, factors)
            table = factors.select(F.col("id").alias(f"{alias}_id"), F.col("features").alias(alias))
            condition = scored[column] == table[f"{alias}_id"]
            scored = scored.join(table, condition, "left").drop(f"{alias}_id")
        score = lists.dot(self._width)(F.col("__user"), F.col("__item"))
        answer = scored.withColumn(name, score).drop("__user", "__item")
        return answer.where(~F.isnan(F.col(name))) if drop else answer

    # ---- lists ---------------------------------------------------------------------------------

    def recommendForAllUsers(self, numItems: int, exclude: DataFrame | None = None) -> DataFrame:
        """The best items of every user.

        Parameters
        ----------
        numItems : int
            At least 1; a list is shorter where there are fewer items.
        exclude : DataFrame, optional
            Pairs, in columns `userCol` and `itemCol`, that are not to be listed: what the model was
            fitted on, say. Those that it does not know are of no effect.

        Returns
        -------
        DataFrame
            (userCol, recommendations), the latter an array of (itemCol, rating), best first.

        Raises
        ------
        TypeError, ValueError
            `numItems` is not an integer of at least 1; `exclude` is no DataFrame; a column is
            missing or of another type than the model's ids.
        """
        return self._lists(self.userFactors, USER, numItems, "numItems", exclude)

    def recommendForAllItems(self, numUsers: int, exclude: DataFrame | None = None) -> DataFrame:
        """The best users of every item, likewise."""
        return self._lists(self.itemFactors, ITEM, numUsers, "numUsers", exclude)

    def recommendForUserSubset(
        self, dataset: DataFrame, numItems: int, exclude: DataFrame | None = None
    ) -> DataFrame:
        """As `recommendForAllUsers`, of the users in a column `userCol`, each once; those that the
        model does not know are left out."""
        check_frame(dataset, "recommendForUserSubset")
        some = self._some(dataset, self.getUserCol(), "userCol", self.userFactors)
        return self._lists(some, USER, numItems, "numItems", exclude)

    def recommendForItemSubset(
        self, dataset: DataFrame, numUsers: int, exclude: DataFrame | None = None
    ) -> DataFrame:
        """As `recommendForAllItems`, of the items in a column `itemCol`."""
        check_frame(dataset, "recommendForItemSubset")
        some = self._some(dataset, self.getItemCol(), "itemCol", self.itemFactors)
        return self._lists(some, ITEM, numUsers, "numUsers", exclude)

    def _some(self, dataset: DataFrame, column: str, what: str, factors: DataFrame) -> DataFrame:
        check_type(dataset, column, what, factors)
        ids = dataset.select(dataset[column].alias("some")).distinct()
        return factors.join(ids, factors["id"] == ids["some"], "left_semi")

    def _lists(
        self, queries: DataFrame, of: int, n: int, what: str, exclude: DataFrame | None
    ) -> DataFrame:
        checks.integer(what, n, 1)
        names = self.getUserCol(), self.getItemCol()
        listed = self.itemFactors
        if of == ITEM:
            names, listed = names[::-1], self.userFactors
        if exclude is not None:
            check_frame(exclude, "exclude=")
            queries = self._without(queries, listed, exclude, names)
        return lists.best(queries, listed, n, self._width, names, self.getBlockSize())

    def _without(
        self, queries: DataFrame, listed: DataFrame, exclude: DataFrame, names: tuple[str, str]
    ) -> DataFrame:
        """Queries with an array of what they are not to be given."""
        for name, factors in zip(names, (queries, listed), strict=True):
            check_type(exclude, name, "exclude", factors)
        kinds = [side.schema["id"].dataType for side in (queries, listed)]
        of, skip = (exclude[name].cast(kind) for name, kind in zip(names, kinds, strict=True))
        pairs = exclude.select(of.alias("of"), skip.alias("skip")).dropna()
        arrays = pairs.groupBy("of").agg(F.collect_list("skip").alias("skip"))
        joined = queries.join(arrays, queries["id"] == arrays["of"], "left")
        return joined.select("id", "features", "skip")

    # ---- elsewhere -----------------------------------------------------------------------------

    def to_recsys(self) -> ImplicitALS | ExplicitALS:
        """The model in this process, ids included: with `implicitPrefs` a `recsys.ImplicitALS`, of
        ratings a `recsys.ExplicitALS`.

        Its factors are collected here: 4 bytes a factor of every user and item. What the model was
        trained on is not, so that lists have to be asked for with ``filter_seen=False``, or with
        the entries of their users. Who is folded into an `ImplicitALS` has `regParam` as its
        lambda, not multiplied by the number of entries, see "Coming from Spark ALS".
        """
        bias, mean = self.getOrDefault(self.bias), self.getOrDefault(self.mean)
        model = self._unfitted(bias)
        sides = (self.userFactors, self.itemFactors)
        (users, x), (items, y) = (_collected(each, self._width) for each in sides)
        if bias:
            x, y, f = x.astype(np.float64), y.astype(np.float64), self.rank
            biases = {"user_biases": x[:, f] - mean, "item_biases": y[:, f + 1], "mean": mean}
            internal.start_from(model, x[:, :f], y[:, :f], **biases)
        else:
            internal.start_from(model, x, y)
        internal.name_rows(
            model, Ids.of(users), Ids.of(items), (self.getUserCol(), self.getItemCol())
        )
        return model

    def _unfitted(self, bias: bool) -> ImplicitALS | ExplicitALS:
        if not self.isDefined(self.implicitPrefs):
            raise ValueError(
                "the model does not say what it was fitted to, as MLlib has saved it: set "
                "implicitPrefs, alpha and regParam, model.set(model.implicitPrefs, True)"
            )
        common = {
            "bias": bias, "regularization": self.getOrDefault(self.regParam),
            "nonnegative": self.getOrDefault(self.nonnegative),
        }  # fmt: skip
        if not self.getOrDefault(self.implicitPrefs):
            return ExplicitALS(self.rank, **common)
        return ImplicitALS(
            self.rank, alpha=self.getOrDefault(self.alpha) or 1.0,
            confidence=self.getOrDefault(self.confidence), epsilon=value_of(self, "epsilon"),
            unobserved_weight=self.getOrDefault(self.unobservedWeight), **common,
        )  # fmt: skip

    def write(self) -> MLWriter:
        """Saves in MLlib's layout: metadata, userFactors, itemFactors."""
        return ModelWriter(self)

    @classmethod
    def read(cls) -> MLReader:
        return ModelReader(cls)


def _collected(factors: DataFrame, width: int) -> tuple[list, np.ndarray]:
    table = factors.orderBy("id").toArrow().combine_chunks()
    features = table.column("features").combine_chunks()
    values = features.flatten().to_numpy()
    ids = table.column("id").to_pylist()
    if isinstance(factors.schema["id"].dataType, TimestampType):  # as collect() gives them
        ids = [each.astimezone().replace(tzinfo=None) for each in ids]
    return ids, np.ascontiguousarray(values).reshape(-1, width)
