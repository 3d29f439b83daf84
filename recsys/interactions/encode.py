"""Numbers for ids, in order of first appearance, a batch at a time.

Strings and integers go through Arrow's dictionary encoding where pyarrow is installed, which is
many times faster; the result is the same without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

import numpy as np

from recsys.interactions.columns import MISSING, Faults, joined
from recsys.interactions.id_values import as_objects, int64, kind_of
from recsys.interactions.ids import Ids, IntegerIds, ObjectIds, StringIds

_MERGE = 1 << 21  # ids of batches not merged yet, at least


def pyarrow_or_none() -> Any:
    """pyarrow, where it is installed."""
    try:
        import pyarrow
    except ImportError:
        return None
    return pyarrow


class Encoder:
    """The ids of one column.

    A batch in which some are missing is noted and not encoded.
    """

    def __init__(self, name: str) -> None:
        self.name, self._faults = name, Faults(name)
        self._example = ""
        self._numbers: _ByArrow | _ByDict | None = None

    def add(self, batch: Any) -> None:
        """Take in a narwhals Series, or a 1-D ndarray.

        Raises
        ------
        TypeError
            Floats, booleans, or another kind of id than before.
        """
        count = len(batch)
        if not count:
            return
        nulls = _nulls(batch)
        if nulls is not None:
            self._faults.note(MISSING, nulls)
        else:
            self._encode(batch)
        self._faults.rows += count

    @property
    def rows(self) -> int:
        """How many there were so far."""
        return self._faults.rows

    def check(self, drop: str) -> None:
        """ValueError where ids are missing; `drop` says how such rows are dropped."""
        self._faults.check({MISSING: drop.format(self.name)})

    def finish(self) -> tuple[np.ndarray, Ids]:
        """The number of each row's id, int32, and the ids; the encoder is used up."""
        if self._numbers is None:
            return np.empty(0, np.int32), StringIds(np.zeros(1, np.int64), np.empty(0, np.uint8))
        numbers, self._numbers = self._numbers, None
        return numbers.finish()

    def _encode(self, batch: Any) -> None:
        values = _values(batch)
        try:
            kind = _kind(values, self.rows)
        except TypeError as error:
            raise TypeError(f"column {self.name!r}: {error}") from None
        example = f"{as_objects(batch[:1])[0]!r} ({kind})"
        if self._numbers is None:
            by_arrow = kind != "object" and pyarrow_or_none() is not None
            self._numbers, self._example = (_ByArrow if by_arrow else _ByDict)(kind), example
        elif kind != self._numbers.kind:
            raise TypeError(
                f"column {self.name!r}: ids are of more than one kind: {self._example}, {example}; "
                "turn all of them into strings"
            )
        self._numbers.add(values)


class _ByArrow:
    """Strings or integers. The ids of batches are merged where they are as many as those known,
    so that each is looked at a few times, however many batches there are."""

    def __init__(self, kind: str) -> None:
        self.kind, self._arrow = kind, pyarrow_or_none()
        self._type = self._arrow.large_string() if kind == "string" else self._arrow.int64()
        self._known = self._arrow.array([], self._type)
        self._codes: list[np.ndarray] = []
        self._pending: list[Any] = []  # the ids of the last batches, to which their codes refer

    def add(self, values: Any) -> None:
        encoded = self._encoded(values)
        self._codes.append(encoded.indices.to_numpy())
        self._pending.append(encoded.dictionary)
        if sum(map(len, self._pending)) >= max(_MERGE, len(self._known)):
            self._merge()

    def finish(self) -> tuple[np.ndarray, Ids]:
        self._merge()
        if self.kind == "string":
            return joined(self._codes), StringIds.of_arrow(self._known)
        return joined(self._codes), IntegerIds(self._known.to_numpy())

    def _encoded(self, values: Any) -> Any:
        """With the ids that occur alone, as Arrow's `_type`."""
        if isinstance(values, np.ndarray):
            plain = int64(values) if self.kind == "integer" else values
            values = self._arrow.array(plain, self._type)
        if self._arrow.types.is_dictionary(values.type):
            used = values.indices.dictionary_encode()
            ids = values.dictionary.take(used.dictionary)
        else:
            used = values.dictionary_encode()
            ids = used.dictionary
        return self._arrow.DictionaryArray.from_arrays(used.indices, ids.cast(self._type))

    def _merge(self) -> None:
        merged = self._arrow.concat_arrays([self._known, *self._pending]).dictionary_encode()
        codes, begin = merged.indices.to_numpy(), len(self._known)
        for place, ids in enumerate(self._pending, len(self._codes) - len(self._pending)):
            self._codes[place] = codes[begin : begin + len(ids)][self._codes[place]]
            begin += len(ids)
        self._known, self._pending = merged.dictionary, []


class _ByDict:
    """Ids of any kind, by Python's dictionaries."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._known: defaultdict[Hashable, int] = defaultdict()
        self._known.default_factory = self._known.__len__
        self._codes: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        if values.dtype == object:
            self._codes.append(self._numbers(values.tolist()))
            return
        ids, first, place = np.unique(values, return_index=True, return_inverse=True)
        order = np.argsort(first)
        codes = np.empty(len(ids), np.int32)
        codes[order] = self._numbers(ids[order].tolist())
        self._codes.append(codes[place])

    def finish(self) -> tuple[np.ndarray, Ids]:
        ids = as_objects(self._known)
        if self.kind == "integer":
            return joined(self._codes), IntegerIds(int64(ids))
        known = StringIds.of_objects(ids) if self.kind == "string" else ObjectIds(ids)
        return joined(self._codes), known

    def _numbers(self, ids: list[Hashable]) -> np.ndarray:
        return np.fromiter(map(self._known.__getitem__, ids), np.int32, len(ids))


def _nulls(batch: Any) -> np.ndarray | None:
    """Which ids of a batch are missing; None where all are there."""
    if not isinstance(batch, np.ndarray):
        return batch.is_null().to_numpy() if batch.null_count() else None
    if batch.dtype != object or not any(
        id_type is type(None) or issubclass(id_type, float) for id_type in set(map(type, batch))
    ):
        return None
    nulls = np.array([v is None or (isinstance(v, float) and v != v) for v in batch], bool)
    return nulls if nulls.any() else None


def _values(batch: Any) -> Any:
    """A batch as an Arrow array of strings, an int64 array, or an array of objects."""
    if isinstance(batch, np.ndarray):
        return int64(batch) if batch.dtype.kind in "iu" else as_objects(batch)
    import narwhals.stable.v2 as nw

    if batch.dtype.is_integer():
        return int64(batch.to_numpy())
    arrow = pyarrow_or_none()
    if arrow is not None and batch.dtype in (nw.String, nw.Categorical, nw.Enum):
        try:
            values = batch.to_arrow()
        except (arrow.ArrowInvalid, arrow.ArrowTypeError):  # a few of them are no strings
            return as_objects(batch.to_list())
        if isinstance(values, arrow.ChunkedArray):
            values = values.combine_chunks()
        if arrow.types.is_dictionary(values.type) and values.dictionary.null_count:
            return as_objects(batch.to_list())
        inner = values.type.value_type if arrow.types.is_dictionary(values.type) else values.type
        if inner in (arrow.string(), arrow.large_string(), arrow.string_view()):
            return values
    return as_objects(batch.to_list())


def _kind(values: Any, first: int) -> str:
    if not isinstance(values, np.ndarray):
        return "string"
    return kind_of(values, first) if values.dtype == object else "integer"
