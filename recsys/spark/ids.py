"""Ids of any type as int64 keys, and what is wrong with a frame of entries, said before a fit.

Integers are their own keys. All others are hashed by Spark, so that strings never enter Python; the
table of keys and ids is joined to the factors at the end. Two ids with one key are found, and
hashed again with another salt.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from recsys.checks import nearest

_INTEGRAL = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
_FRACTIONAL = (T.FloatType, T.DoubleType, T.DecimalType)
_HASHED = (
    T.StringType, T.DateType, T.TimestampType, T.TimestampNTZType, T.BooleanType, T.BinaryType,
)  # fmt: skip
_SALTS = 5


class Prepared(NamedTuple):
    """Entries by key, and how keys become ids again."""

    entries: DataFrame  # user bigint, item bigint, value float
    ids: tuple[DataFrame | None, DataFrame | None]  # key bigint, id; None: the id is the key
    types: tuple[T.DataType, T.DataType]  # of ids
    rows: int


def check_frame(dataset: Any, what: str) -> None:
    """TypeError for what is not a DataFrame of Spark, of either kind of session."""
    if not hasattr(dataset, "sparkSession"):
        kind = type(dataset)
        raise TypeError(
            f"{what} takes a DataFrame of Spark; got {kind.__module__}.{kind.__name__}: call "
            "spark.createDataFrame first"
        )


def column(dataset: DataFrame, name: str, what: str) -> T.DataType:
    """The type of a column; ValueError if there is none of that name."""
    try:
        return dataset.select(dataset[name]).schema[0].dataType
    except Exception as error:  # of either kind of session, by its own class
        if name in dataset.columns:
            raise
        raise ValueError(
            f"{what}={name!r}: there is no such column; the frame has {', '.join(dataset.columns)}"
            f"{nearest(name, dataset.columns)}"
        ) from error


def id_type(dataset: DataFrame, name: str, what: str) -> T.DataType:
    """The type that ids of a column have in a model; ValueError if there cannot be any."""
    kind = column(dataset, name, what)
    if isinstance(kind, _FRACTIONAL):
        return T.LongType()
    if isinstance(kind, _INTEGRAL + _HASHED):
        return kind
    raise ValueError(
        f"{what}={name!r} is of type {kind.simpleString()}; expected integers, strings, dates or "
        "another type of single values"
    )


def check_type(dataset: DataFrame, name: str, what: str, factors: DataFrame) -> None:
    """Raise ValueError unless a column's ids are of the type of a model's, of whatever width."""
    kind, known = id_type(dataset, name, what), factors.schema["id"].dataType
    families = (_INTEGRAL, T.StringType)
    alike = any(isinstance(kind, each) and isinstance(known, each) for each in families)
    if not alike and kind != known:
        got, expected = column(dataset, name, what).simpleString(), known.simpleString()
        raise ValueError(
            f"{what}={name!r} is of type {got}, and the model's ids are of type {expected}: cast "
            f"it, frame.withColumn({name!r}, frame[{name!r}].cast({expected!r})), or take the "
            "column that the model was fitted on"
        )


def prepare(dataset: DataFrame, user: str, item: str, rating: str) -> Prepared:
    """Check a frame of entries, and give its ids keys.

    Parameters
    ----------
    dataset : DataFrame
    user, item, rating : str
        Columns; rating "" stands for 1.0 everywhere.

    Raises
    ------
    ValueError
        A column is missing or of a type that cannot be used; the frame is empty; ids are null or
        fractional; ratings are null or not finite.
    """
    names, whats = (user, item), ("userCol", "itemCol")
    types = [id_type(dataset, name, what) for name, what in zip(names, whats, strict=True)]
    value = F.lit(1.0).cast("float")
    if rating:
        kind = column(dataset, rating, "ratingCol")
        if not isinstance(kind, T.NumericType):
            raise ValueError(
                f"ratingCol={rating!r} is of type {kind.simpleString()}; expected numbers. Cast "
                "it, or set ratingCol to '' for a rating of 1.0 everywhere"
            )
        value = dataset[rating].cast("float")
    count = _check(dataset, names, whats, value, rating)
    keyed = [_keyed(dataset, name) for name in names]
    entries = dataset.select(
        keyed[0][0].alias("user"), keyed[1][0].alias("item"), value.alias("value")
    )
    return Prepared(entries, (keyed[0][1], keyed[1][1]), (types[0], types[1]), count)


def _check(
    dataset: DataFrame, names: tuple[str, str], whats: tuple[str, str], value: Any, rating: str
) -> int:
    """One look at all entries; how many there are."""
    aggregates = {"count": F.count(F.lit(1)), "bad": F.count_if(~_finite(value))}
    for name, what in zip(names, whats, strict=True):
        aggregates[f"{what} null"] = F.count_if(dataset[name].isNull())
        if _is_fractional(dataset, name):
            fraction = dataset[name].isNotNull() & ~_whole(dataset[name])
            aggregates[f"{what} fraction"] = F.count_if(fraction)
            aggregates[f"{what} example"] = F.max(F.when(fraction, dataset[name].cast("string")))
    totals = dataset.agg(
        *(expression.alias(name) for name, expression in aggregates.items())
    ).first()
    if not totals["count"]:
        raise ValueError("the frame is empty: there is nothing to fit")
    for name, what in zip(names, whats, strict=True):
        if totals[f"{what} null"]:
            raise ValueError(
                f"{what}={name!r} is null in {totals[f'{what} null']} of {totals['count']} rows: "
                f"drop them, dataset.dropna(subset=[{name!r}])"
            )
        if f"{what} fraction" in aggregates and totals[f"{what} fraction"]:
            raise ValueError(
                f"{what}={name!r} has fractions in {totals[f'{what} fraction']} of "
                f"{totals['count']} rows, {totals[f'{what} example']} for one; ids are integers, "
                "strings or dates: cast it"
            )
    if totals["bad"]:
        raise ValueError(
            f"ratingCol={rating!r} is null, NaN or infinite in {totals['bad']} of "
            f"{totals['count']} rows: drop or fill them"
        )
    return int(totals["count"])


def _finite(value: Any) -> Any:
    return value.isNotNull() & ~F.isnan(value) & (F.abs(value) < float("inf"))


def _whole(value: Any) -> Any:
    """Whether a fractional number is an integer of 64 bits."""
    real = value.cast("double")
    return ~F.isnan(real) & (F.abs(real) < 2.0**63) & (F.floor(real) == real)


def _is_fractional(dataset: DataFrame, name: str) -> bool:
    return isinstance(dataset.select(dataset[name]).schema[0].dataType, _FRACTIONAL)


def _keyed(dataset: DataFrame, name: str) -> tuple[Any, DataFrame | None]:
    """The key of a column's ids, and the table that leads back."""
    column_ = dataset[name]
    if not isinstance(dataset.select(column_).schema[0].dataType, _HASHED):
        return column_.cast("long"), None
    distinct = dataset.select(column_.alias("id")).distinct().persist()
    try:
        for salt in range(_SALTS):
            keyed = distinct.select(F.xxhash64(F.lit(salt), "id").alias("key"), "id")
            counts = keyed.agg(
                F.count(F.lit(1)).alias("ids"), F.countDistinct("key").alias("keys")
            ).first()
            if counts["ids"] == counts["keys"]:
                return F.xxhash64(F.lit(salt), column_), keyed
    except BaseException:
        distinct.unpersist()
        raise
    distinct.unpersist()
    raise ValueError(f"the ids of {name!r} cannot be told apart by 64-bit hashes, {_SALTS} tried")
