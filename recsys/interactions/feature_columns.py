"""Columns of a table that describe users or items, as columns of a matrix.

A column is learned once (`learned`): its mean and deviation, or its words. What was learned says
which columns any other table gives (`entries`), so that new rows mean the same as old ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from recsys.interactions.ids import StringIds

KINDS = ("numbers", "categories", "labels", "text")
WEIGHTS = ("count", "idf")
_TOKEN = re.compile(r"\w+")


class Entries(NamedTuple):
    """Entries of some columns of a matrix: rows, columns counted from 0, and values."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray


class Words(NamedTuple):
    """What a column says of each row, one row after the other."""

    flat: list[str]
    lengths: np.ndarray  # of each row


@dataclass(frozen=True)
class NumberColumn:
    """A number, less its mean and over its standard deviation; 0 where it is missing.

    Attributes
    ----------
    name : str
    mean, deviation : float
        Of what was there when it was learned.
    missing : bool
        Whether some were missing then: a second column is 1 where one is.
    """

    name: str
    mean: float
    deviation: float
    missing: bool

    @property
    def names(self) -> list[str]:
        """Of the columns of the matrix."""
        return [self.name, f"{self.name} is missing"] if self.missing else [self.name]

    def entries(self, series: Any) -> tuple[Entries, int]:
        """What a column of a table gives, and how many of its values are unknown: none."""
        values = _numbers(self.name, series)
        gone = np.isnan(values)
        scaled = np.where(gone, 0.0, (values - self.mean) / self.deviation)
        rows = np.flatnonzero(scaled)
        entries = Entries(rows, np.zeros(len(rows), np.int64), scaled[rows])
        if self.missing:
            at = np.flatnonzero(gone)
            ones = np.ones(len(at), np.int64)
            entries = Entries(*map(np.append, entries, (at, ones, ones)))
        return entries, 0


@dataclass(frozen=True)
class WordColumn:
    """Words, each of them a column: a category, several labels, or the words of a text.

    Attributes
    ----------
    name, kind : str
        `kind` is one of "categories", "labels" and "text".
    separator : str
        Between the labels of a string.
    words : Ids
        In alphabetical order.
    weights : ndarray of float64 or None
        What an occurrence counts; None: 1.
    """

    name: str
    kind: str
    separator: str
    words: StringIds
    weights: np.ndarray | None

    @property
    def names(self) -> list[str]:
        """Of the columns of the matrix."""
        return [f"{self.name}={word}" for word in self.words]

    def entries(self, series: Any) -> tuple[Entries, int]:
        """What a column of a table gives, and how many of its words were not learned."""
        said = _words(self.name, self.kind, self.separator, series)
        distinct = list(dict.fromkeys(said.flat))
        place = dict(zip(distinct, self.words.find(distinct).tolist(), strict=True))
        columns = _coded(said.flat, place)
        rows = np.repeat(np.arange(len(said.lengths)), said.lengths)
        known = columns >= 0
        rows, columns = rows[known], columns[known]
        values = np.ones(len(rows)) if self.weights is None else self.weights[columns]
        return Entries(rows, columns, values), int((~known).sum())


FeatureColumn = NumberColumn | WordColumn


def learned_number(name: str, series: Any) -> NumberColumn | None:
    """What a column of numbers is learned to be; None if it says the same of every row."""
    values = _numbers(name, series)
    there = values[~np.isnan(values)]
    if not len(there):
        return None
    missing, deviation = len(there) < len(values), float(there.std())
    mean = float(there.mean())
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        if not missing:
            return None
        deviation = 1.0
    return NumberColumn(name, mean, deviation, missing)


def learned_words(
    name: str, kind: str, separator: str, series: Any, weight: str, min_count: int
) -> WordColumn | None:
    """What a column of words is learned to be; None if no word is left.

    A word is left out that fewer than `min_count` rows have, or all. With `weight` "idf" one
    counts ``log((1 + n) / (1 + d)) + 1``, d being how many of the n rows have it.
    """
    said = _words(name, kind, separator, series)
    distinct = sorted(dict.fromkeys(said.flat))
    codes = _coded(said.flat, {word: place for place, word in enumerate(distinct)})
    count = len(said.lengths)
    rows = np.repeat(np.arange(count), said.lengths)
    pairs = np.unique(rows * max(1, len(distinct)) + codes)
    held = np.bincount(pairs % max(1, len(distinct)), minlength=len(distinct))
    kept = (held >= min_count) & (held < count)
    if not kept.any():
        return None
    words = StringIds.of_objects(np.array(distinct, object)[kept])
    weights = idf(held[kept], count) if weight == "idf" else None
    return WordColumn(name, kind, separator, words, weights)


def idf(held: np.ndarray, count: int) -> np.ndarray:
    """log((1 + n) / (1 + d)) + 1 of columns that d of n rows have."""
    return np.log((1 + count) / (1 + held)) + 1


# ---- cells -------------------------------------------------------------------------------------


def _numbers(name: str, series: Any) -> np.ndarray:
    """float64, NaN where missing."""
    import narwhals.stable.v2 as nw

    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        hint = "convert it first"
        if len(series) and isinstance(series[0], list | tuple | set | np.ndarray | nw.Series):
            hint = "name it among labels="
        if series.dtype in (nw.String, nw.Categorical, nw.Enum):
            hint = "convert it, or name it among categories=, labels= or text="
        elif series.dtype in (nw.Date, nw.Datetime, nw.Duration):
            hint = "convert it into a number, such as the year"
        raise TypeError(
            f"column {name!r} is of type {series.dtype}{_example(series)}; expected numbers: {hint}"
        )
    values = series.cast(nw.Float64)
    if values.null_count():
        gone = values.is_null().to_numpy()
        values = np.where(gone, np.nan, values.fill_null(0.0).to_numpy())
    else:
        values = values.to_numpy().astype(np.float64, copy=False)
    if np.isinf(values).any():
        at = int(np.argmax(np.isinf(values)))
        raise ValueError(
            f"column {name!r} is not finite in {int(np.isinf(values).sum())} rows, first in row "
            f"{at}; expected finite numbers, missing ones being null or NaN"
        )
    return values


def _words(name: str, kind: str, separator: str, series: Any) -> Words:
    cells = series.to_list()
    parts: list[list[str]]
    if kind == "categories":
        return _one_each(name, cells)
    if kind == "text":
        _only(name, cells, str, "strings, as it is named among text=")
        parts = [_TOKEN.findall(cell.lower()) if _is_there(cell) else [] for cell in cells]
    else:
        parts = [_labels(name, cell, separator) for cell in cells]
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    return Words(list(chain.from_iterable(parts)), lengths)


def _one_each(name: str, cells: list[Any]) -> Words:
    there = np.fromiter(map(_is_there, cells), bool, len(cells))
    kinds = set(map(type, cells))
    for kind in kinds:
        if issubclass(kind, list | tuple | set | dict | np.ndarray):
            hint = "convert it first" if issubclass(kind, dict) else "name it among labels="
            raise TypeError(
                f"column {name!r} holds a {kind.__name__} in each row; expected one category: "
                f"{hint}"
            )
    values = [cell for cell, is_there in zip(cells, there, strict=True) if is_there]
    return Words([_as_word(name, value) for value in values], there.astype(np.int64))


def _labels(name: str, cell: Any, separator: str) -> list[str]:
    if isinstance(cell, str):
        return [part for each in cell.split(separator) if (part := each.strip())]
    if isinstance(cell, list | tuple | set | np.ndarray):
        return [_as_word(name, each) for each in cell if _is_there(each)]
    if _is_there(cell):
        raise TypeError(
            f"column {name!r} holds {cell!r} ({type(cell).__name__}); expected a list of labels, "
            f"or strings with {separator!r} between them, as it is named among labels="
        )
    return []


def _as_word(name: str, value: Any) -> str:
    """Categories as strings: 7.0, which 7 becomes where others are missing, is 7."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    hint = ", or name it among numbers=" if isinstance(value, float | np.floating) else ""
    raise TypeError(
        f"column {name!r} holds {value!r} ({type(value).__name__}); expected strings, whole "
        f"numbers or booleans: convert it first{hint}"
    )


def _only(name: str, cells: list[Any], kind: type, expected: str) -> None:
    for cell in cells:
        if not isinstance(cell, kind) and _is_there(cell):
            raise TypeError(
                f"column {name!r} holds {cell!r} ({type(cell).__name__}); expected {expected}"
            )


def _is_there(value: Any) -> bool:
    if isinstance(value, list | tuple | set | dict | np.ndarray):
        return True
    return value is not None and value == value and type(value).__name__ != "NAType"


def _coded(flat: list[str], place: dict[str, int]) -> np.ndarray:
    return np.fromiter(map(place.__getitem__, flat), np.int64, len(flat))


def _example(series: Any) -> str:
    return f", such as {series[0]!r} in row 0" if len(series) else ""
