"""The Params: those of pyspark's ALS, under their names and defaults, and some of our own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.recommendation import _ALSModelParams as ALSModelParams
from pyspark.ml.recommendation import _ALSParams as ALSParams

from recsys import checks
from recsys.checks import nearest

__all__ = ["ALSModelParams", "ALSParams", "MoreParams", "SchemeParams", "setter", "value_of"]

STORAGE_LEVELS = (
    "NONE", "DISK_ONLY", "DISK_ONLY_2", "DISK_ONLY_3", "MEMORY_ONLY", "MEMORY_ONLY_2",
    "MEMORY_ONLY_SER", "MEMORY_ONLY_SER_2", "MEMORY_AND_DISK", "MEMORY_AND_DISK_2",
    "MEMORY_AND_DISK_SER", "MEMORY_AND_DISK_SER_2", "MEMORY_AND_DISK_DESER", "OFF_HEAP",
)  # fmt: skip


# What Params are called elsewhere, without underscores
_MEANT = {
    "iterations": "maxIter", "niterations": "maxIter", "niter": "maxIter", "maxiter": "maxIter",
    "epochs": "maxIter", "nepochs": "maxIter", "factors": "rank", "nfactors": "rank",
    "components": "rank", "ncomponents": "rank", "regularization": "regParam", "reg": "regParam",
    "lambda": "regParam", "randomstate": "seed", "randomseed": "seed",
}  # fmt: skip


def _param(name: str, doc: str, convert: Callable[[Any], Any]) -> Any:
    return Param(Params._dummy(), name, doc, typeConverter=convert)


def _to_path(value: Any) -> str:
    """A str, of a pathlib.Path too."""
    return TypeConverters.toString(os.fspath(value) if isinstance(value, os.PathLike) else value)


class SchemeParams(Params):
    """What pyspark's ALS does not have, and a model remembers."""

    confidence = _param(
        "confidence",
        "with implicitPrefs: 'linear' (1 + alpha |r|, as MLlib), 'log' (1 + alpha log(1 + |r| / "
        "epsilon)) or 'scaled' (alpha |r|)",
        TypeConverters.toString,
    )
    epsilon = _param(
        "epsilon",
        "count at which 'log' bends, > 0; unset: each user's mean",
        TypeConverters.toFloat,
    )
    unobservedWeight = _param(
        "unobservedWeight", "weight of cells without an entry, >= 0", TypeConverters.toFloat
    )
    bias = _param("bias", "users and items have biases", TypeConverters.toBoolean)


class MoreParams(SchemeParams):
    """What pyspark's ALS does not have."""

    solver = _param(
        "solver", "'cholesky' (exact) or 'cg' (conjugate gradient)", TypeConverters.toString
    )
    cgSteps = _param("cgSteps", "steps of conjugate gradient, >= 1", TypeConverters.toInt)
    regularizationExponent = _param(
        "regularizationExponent",
        "nu: lambda = regParam (n + unobservedWeight columns)^nu; unset: regParam times the "
        "entries over 0 of a user or item, as MLlib",
        TypeConverters.toFloat,
    )
    acceleration = _param(
        "acceleration",
        "momentum: fewer iterations to the same objective, which is computed for it",
        TypeConverters.toBoolean,
    )
    numWorkers = _param(
        "numWorkers", "tasks that fit together; unset: as many as there are", TypeConverters.toInt
    )
    threadsPerWorker = _param(
        "threadsPerWorker", "threads of each; unset: the cores of its task", TypeConverters.toInt
    )
    checkpointDir = _param(
        "checkpointDir",
        "folder for checkpoints; unset: that of SparkContext.setCheckpointDir",
        _to_path,
    )
    plane = _param(
        "plane",
        "'barrier' (one stage, factors from memory to memory), 'shuffle' (Spark's own shuffles) or "
        "'auto' (the former where Spark allows it)",
        TypeConverters.toString,
    )
    wire = _param(
        "wire", "'float32' or 'bfloat16': how factors travel between tasks", TypeConverters.toString
    )
    splitHead = _param(
        "splitHead",
        "solve the items with most entries from sums over users, where that saves bytes",
        TypeConverters.toBoolean,
    )
    computeLoss = _param(
        "computeLoss", "compute the objective at every iteration", TypeConverters.toBoolean
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._setDefault(
            solver="cholesky", cgSteps=3, confidence="linear", unobservedWeight=1.0, bias=False,
            acceleration=False, plane="auto", wire="float32", splitHead=True, computeLoss=False,
        )  # fmt: skip


def setter(name: str) -> Callable[..., Any]:
    """The method that sets a Param."""

    def set_it(self: Any, value: Any) -> Any:
        return self._set(**{name: value})

    set_it.__name__ = set_it.__qualname__ = f"set{name[0].upper()}{name[1:]}"
    set_it.__doc__ = f"Sets the value of :py:attr:`{name}`."
    return set_it


def value_of(params: Params, name: str) -> Any:
    """The value of a Param or its default; None where it has neither."""
    param = params.getParam(name)
    return params.getOrDefault(param) if params.isDefined(param) else None


def refuse_unknown(params: Params, names: Iterable[str]) -> None:
    """Raise TypeError for the first name that no Param has."""
    for name in names:
        if name in ("item_features", "user_features"):
            raise TypeError(
                f"ALS on Spark takes no {name}: models in one process do, "
                f"recsys.ImplicitALS(...).fit(..., {name}=...)"
            )
        if not params.hasParam(name):
            meant = _MEANT.get(name.lower().strip("_").replace("_", ""))
            known = [param.name for param in params.params]
            hint = f"; did you mean {meant!r}?" if meant else nearest(name, known)
            hint = hint or f"; there are {', '.join(known)}"
            raise TypeError(f"ALS has no Param {name!r}{hint}")


def check(params: Params) -> None:
    """Raise one clear error if a value cannot be honoured."""

    def value(name: str) -> Any:
        return value_of(params, name)

    if value("userCol") == value("itemCol"):
        raise ValueError(
            f"userCol and itemCol are both {value('userCol')!r}: users and items are two columns; "
            "set userCol and itemCol"
        )
    for name, least in {"rank": 1, "maxIter": 0, "numUserBlocks": 1, "numItemBlocks": 1}.items():
        checks.integer(name, value(name), least)
    for name in ("cgSteps", "blockSize"):
        checks.integer(name, value(name), 1)
    for name in ("numWorkers", "threadsPerWorker"):
        if value(name) is not None:
            checks.integer(name, value(name), 1)
    interval = value("checkpointInterval")
    if interval != -1:
        checks.integer("checkpointInterval (or -1: no checkpoints)", interval, 1)
    checks.number("regParam", value("regParam"), least=0)
    checks.number("alpha", value("alpha"), least=0)
    if value("epsilon") is not None:
        checks.number("epsilon", value("epsilon"), above=0)
    checks.number("unobservedWeight", value("unobservedWeight"), least=0)
    if value("regularizationExponent") is not None:
        checks.number("regularizationExponent", value("regularizationExponent"))
    checks.choice("solver", value("solver"), ("cholesky", "cg"))
    checks.choice("confidence", value("confidence"), ("linear", "log", "scaled"))
    checks.choice("plane", value("plane"), ("auto", "barrier", "shuffle"))
    checks.choice("wire", value("wire"), ("float32", "bfloat16"))
    if value("bias") and value("wire") == "bfloat16":
        raise ValueError(
            "wire='bfloat16' is too coarse for biases: leave wire at 'float32', or bias at False"
        )
    cold_start(value("coldStartStrategy"))
    for name in ("intermediateStorageLevel", "finalStorageLevel"):
        checks.choice(name, value(name), STORAGE_LEVELS)
    if value("intermediateStorageLevel") == "NONE":
        raise ValueError("intermediateStorageLevel must not be NONE; leave it unset")


def cold_start(strategy: str) -> str:
    """The strategy, in lower case, as MLlib takes it in any."""
    lower = strategy.lower()
    checks.choice("coldStartStrategy", lower, ("nan", "drop"))
    return lower
