"""Columns of values and of times, a batch at a time, and what is wrong with their rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from numbers import Real
from typing import Any

import numpy as np

from recsys.interactions.id_values import as_objects


class Faults:
    """Rows of one column that are not as they should be: how many, and which is the first."""

    def __init__(self, name: str) -> None:
        self.name, self.rows = name, 0
        self._noted: dict[str, tuple[int, int, Any]] = {}

    def note(self, what: str, bad: np.ndarray, values: Any = None) -> None:
        """That rows of the next batch are bad; `values` to show the first of them."""
        if not bad.any():
            return
        at = int(np.argmax(bad))
        count, row, shown = self._noted.get(what, (0, self.rows + at, None))
        if not count and values is not None:
            shown = values[at]
        self._noted[what] = (count + int(bad.sum()), row, shown)

    def __contains__(self, what: str) -> bool:
        return what in self._noted

    def check(self, hints: dict[str, str]) -> None:
        """Raise ValueError for what was noted; `hints` say what to do about each thing."""
        for what, (count, row, shown) in self._noted.items():
            got = "" if shown is None else f" ({shown:g})"
            raise ValueError(
                f"column {self.name!r} is {what} in {count} row{'s' * (count > 1)}, first in row "
                f"{row}{got}; {hints[what]}"
            )


MISSING, NEGATIVE, INFINITE = "missing", "negative", "not finite"  # what a row can be
_HINTS = {
    INFINITE: "expected finite numbers: remove such rows or replace their values",
    NEGATIVE: "expected none: allow_negative=True takes them, as dislikes",
}


class Values:
    """Numbers: counts, ratings."""

    def __init__(self, name: str, allow_negative: bool) -> None:
        self._faults, self._allow_negative = Faults(name), allow_negative
        self._parts: list[np.ndarray] = []

    def add(self, batch: Any) -> None:
        values = _numbers(batch, self._faults)
        self._faults.note(INFINITE, ~np.isfinite(values), values)
        if not self._allow_negative:
            self._faults.note(NEGATIVE, values < 0, values)
        self._faults.rows += len(values)
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        self._parts.append(narrow if np.array_equal(narrow, values) else values)

    def check(self, drop: str) -> None:
        self._faults.check({MISSING: drop.format(self._faults.name), **_HINTS})

    def finish(self) -> np.ndarray:
        """All of them, float32 where that holds each exactly, else float64."""
        return joined(self._parts)


class Times:
    """Moments: numbers or datetime64, those with a zone in UTC."""

    def __init__(self, name: str) -> None:
        self._faults = Faults(name)
        self._parts: list[np.ndarray] = []

    def add(self, batch: Any) -> None:
        times = _moments(batch, self._faults)
        if times.dtype.kind == "f":
            self._faults.note(INFINITE, ~np.isfinite(times), times)
        self._faults.rows += len(times)
        if MISSING in self._faults:
            return
        if self._parts and (times.dtype.kind == "M") != (self._parts[0].dtype.kind == "M"):
            raise TypeError(f"column {self._faults.name!r} mixes numbers and dates")
        self._parts.append(times)

    def check(self, drop: str) -> None:
        self._faults.check({MISSING: drop.format(self._faults.name), **_HINTS})

    def finish(self) -> np.ndarray:
        return joined(self._parts)


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """One array of all parts, which are taken off the list on the way."""
    end = sum(map(len, parts))
    whole = np.empty(end, np.result_type(*parts))
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole


def _numbers(batch: Any, faults: Faults) -> np.ndarray:
    """As float64, zeros where missing."""
    if isinstance(batch, np.ndarray):
        if batch.dtype.kind in "biuf":
            return batch.astype(np.float64, copy=False)
        raise _no_numbers(faults, batch.dtype, batch)
    import narwhals.stable.v2 as nw

    if not (batch.dtype.is_numeric() or batch.dtype == nw.Boolean):
        raise _no_numbers(faults, batch.dtype, batch)
    batch = batch.cast(nw.Float64)
    if batch.null_count():
        faults.note(MISSING, batch.is_null().to_numpy())
        batch = batch.fill_null(0.0)
    return batch.to_numpy().astype(np.float64, copy=False)


def _no_numbers(faults: Faults, dtype: Any, batch: Any) -> TypeError:
    values = batch if isinstance(batch, np.ndarray) else batch.to_list()
    at = next((n for n, value in enumerate(values) if not isinstance(value, Real)), 0)
    shown = f", such as {str(values[at])[:40]!r} in row {faults.rows + at}" if len(values) else ""
    return TypeError(
        f"column {faults.name!r} is of type {dtype}{shown}; expected numbers: convert it first, "
        "with pandas.to_numeric or the like"
    )


def _moments(batch: Any, faults: Faults) -> np.ndarray:
    if isinstance(batch, np.ndarray):
        if batch.dtype == object and all(isinstance(when, date) for when in batch):
            batch = np.array([moment(when) for when in batch])
        if batch.dtype.kind == "M":
            faults.note(MISSING, np.isnat(batch))
        if batch.dtype.kind in "iufM":
            return batch
        raise _no_moments(faults, batch.dtype, batch)
    import narwhals.stable.v2 as nw

    if batch.dtype == nw.Datetime:
        if batch.dtype.time_zone is not None:
            batch = batch.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    elif batch.dtype == nw.Date:
        batch = batch.cast(nw.Datetime("ms"))
    elif not batch.dtype.is_numeric():
        raise _no_moments(faults, batch.dtype, batch)
    if batch.null_count():
        faults.note(MISSING, batch.is_null().to_numpy())
        return np.zeros(len(batch))  # `check` will raise
    return batch.to_numpy()


def moment(when: date) -> np.datetime64:
    """A date or datetime of Python's, which may have a zone, in UTC."""
    if when != when:  # pandas.NaT
        return np.datetime64("NaT", "us")
    if isinstance(when, datetime) and when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(when, "us")


def _no_moments(faults: Faults, dtype: Any, batch: Any) -> TypeError:
    shown = f", such as {batch[0]!r} in row {faults.rows}" if len(batch) else ""
    return TypeError(
        f"column {faults.name!r} is of type {dtype}{shown}; expected dates, or numbers such as "
        "seconds: convert it with pandas.to_datetime or the like first"
    )


def as_column(name: str, values: Any, ids: bool = False) -> Any:
    """A 1-D array, or a narwhals Series of what is another library's."""
    if isinstance(values, str | bytes):
        raise TypeError(
            f"{name} must be an array, list or series; got {values!r}. The columns of a table are "
            "named in Interactions.from_frame"
        )
    if not isinstance(values, np.ndarray | list | tuple):
        import narwhals.stable.v2 as nw

        values = nw.from_native(values, series_only=True, pass_through=True)
        if isinstance(values, nw.Series):
            return values
    if ids and not isinstance(values, np.ndarray):
        return as_objects(values)
    try:
        array = np.asarray(values)
    except ValueError:  # NumPy's own tells of shapes
        raise ValueError(f"{name} must be 1-D, an element an event; got lists in a list") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, an element an event; got shape {array.shape}")
    return array
