"""Estimators and models in files, in MLlib's layout: metadata, userFactors, itemFactors."""

from __future__ import annotations

from typing import Any

from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter
from pyspark.sql import SparkSession
from pyspark.sql import functions as F


class ParamsWriter(MLWriter):
    """Writes the Params of an estimator or model, over classic sessions and Spark Connect."""

    def __init__(self, instance: Any, metadata: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.instance, self.metadata = instance, metadata

    def save(self, path: str) -> None:
        """Save to a folder.

        Raises
        ------
        AnalysisException
            The folder has such files already, and `overwrite` was not called.
        """
        if self.shouldOverwrite and hasattr(self.sparkSession, "_jsparkSession"):
            self._handleOverwrite(path)  # empties the folder, which Spark Connect cannot
        self.saveImpl(path)

    def saveImpl(self, path: str) -> None:
        text = DefaultParamsWriter._get_metadata_to_save(
            self.instance, self.sparkSession, self.metadata
        )
        one = self.sparkSession.range(0, 1, 1, 1)  # a frame of Python's rows would start Python
        one.select(F.lit(text).alias("value")).write.mode(self._mode).text(f"{path}/metadata")

    @property
    def _mode(self) -> str:
        return "overwrite" if self.shouldOverwrite else "error"


class ModelWriter(ParamsWriter):
    """Writes an `ALSModel`."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, {"rank": model.rank})

    def saveImpl(self, path: str) -> None:
        super().saveImpl(path)
        for name in ("userFactors", "itemFactors"):
            getattr(self.instance, name).write.mode(self._mode).parquet(f"{path}/{name}")


class EstimatorReader(DefaultParamsReader):
    """Reads what `ParamsWriter` wrote of an estimator."""

    def load(self, path: str) -> Params:
        metadata = self.loadMetadata(path, SparkSession.active())
        saved = metadata["class"]
        if "rank" in metadata:
            raise ValueError(
                f"what is saved in {path} is a model, {saved}: read it by ALSModel.load"
            )
        if saved.startswith("org.apache.spark."):
            theirs = saved.replace("org.apache.spark", "pyspark")
            raise ValueError(
                f"what is saved in {path} is a {saved}, and estimators are read by the class that "
                f"saved them: theirs = {theirs}.load(...), and where that is an ALS "
                "ALS(**{param.name: value for param, value in theirs.extractParamMap().items()})"
            )
        return super().load(path)


class ModelReader(MLReader):
    """Reads what `ModelWriter` wrote; `make` is called with rank and both sides."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def load(self, path: str) -> Params:
        spark = SparkSession.active()
        metadata = DefaultParamsReader.loadMetadata(path, spark)
        if "rank" not in metadata:
            saved = metadata["class"]
            raise ValueError(
                f"what is saved in {path} is no ALSModel but a {saved}: read it by "
                f"{saved.rpartition('.')[2]}.load"
            )
        sides = (spark.read.parquet(f"{path}/{name}") for name in ("userFactors", "itemFactors"))
        model = self.make(int(metadata["rank"]), *sides)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
