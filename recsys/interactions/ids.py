"""Ids of users or items, and the rows they stand for."""

from __future__ import annotations

import difflib
import functools
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from recsys import csr
from recsys.interactions.id_values import (
    BELOW,
    as_objects,
    int64,
    is_integer,
    kind_of,
    of_other_kinds,
)
from recsys.kernels import texts

NAMED = 5  # unknown ids that an error lists
_NEAR = 50  # ids that are compared letter by letter with an unknown one
_MADE_ANEW = "_index", "_ascending"
_SCALARS = str, bytes, int  # never several ids
_WHOLE = {"string": "strings", "integer": "integers", "object": "objects that are neither"}


class UnknownIdError(KeyError):
    """Ids that are not there. Its message is readable, where KeyError's own is in quotes."""

    def __str__(self) -> str:
        return str(self.args[0])


class IdKindError(UnknownIdError, TypeError):
    """Ids of another kind than all there are, such as "7" where ids are integers."""


class Ids(ABC):
    """The id of each row, and the row of each id; it never changes. `Ids.of` makes one.

    Attributes
    ----------
    kind : {"string", "integer", "object"}
        What the ids are. Strings are held as one block of UTF-8 and integers as int64, which can
        be mapped into memory; ids of any other hashable type cannot be written to files.
    """

    kind: ClassVar[str]

    @staticmethod
    def of(values: Iterable[Hashable]) -> Ids:
        """Ids of rows 0, 1, 2, ...

        Parameters
        ----------
        values : iterable of str, of int, or of other hashable objects
            No two the same.

        Raises
        ------
        TypeError
            More than one kind of id; None, NaN, floats or booleans; something not hashable.
        ValueError
            An id that comes twice, or an integer that 64 bits do not hold.
        """
        array = as_objects(values)
        kind = kind_of(array)
        if kind == "string":
            ids: Ids = StringIds.of_objects(array)
        elif kind == "integer":
            ids = IntegerIds(int64(array))
        else:
            ids = ObjectIds(array)
        ids.check_unique()
        return ids

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray]) -> Ids:
        """What `arrays` gave, from a file: checked, as long as that needs no index."""
        if "integers" in arrays:
            return IntegerIds(arrays["integers"])
        return StringIds(arrays["offsets"], arrays["letters"])

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """For a file: ``integers``, or the ``offsets`` and ``letters`` of strings.

        Raises
        ------
        TypeError
            They are neither integers nor strings.
        """

    @abstractmethod
    def take(self, rows: Any) -> np.ndarray:
        """The ids of rows, of int64 or objects, in the shape of `rows`.

        A row of -1, an empty place in a list, is None among strings and objects, and -1 among
        integers.
        """

    @abstractmethod
    def check_unique(self) -> None:
        """ValueError if an id comes twice."""

    @abstractmethod
    def _find(self, wanted: np.ndarray) -> np.ndarray:
        """The row of each of a 1-D array of objects, -1 where there is none."""

    def _single(self, wanted: Any) -> int | None:
        """The row of a single id where that is quick to tell, else None."""
        return None

    def rows(self, wanted: Any, name: str = "ids") -> np.ndarray:
        """The rows of ids.

        Parameters
        ----------
        wanted : an id, or an array, list or series of them
            A tuple is one id where ids are tuples.
        name : str
            What the error calls them.

        Returns
        -------
        ndarray of int64, in the shape of `wanted` (no dimension for a single id)

        Raises
        ------
        UnknownIdError
            A KeyError that lists up to five ids which are not there, and what is spelled like them.
        IdKindError
            Some are of another kind than the ids; an UnknownIdError and a TypeError.
        """
        row = self._single(wanted)  # one user's list is asked for far more often than many
        if row is not None:
            return np.array(row)
        rows = self.find(wanted, name)
        if (rows < 0).any():
            raise UnknownIdError(self._unknown(self.as_given(wanted)[rows < 0], name))
        return rows

    def find(self, wanted: Any, name: str = "ids", *, any_kind: bool = False) -> np.ndarray:
        """As `rows`, with -1 for an id that is not there; of another kind it may only be with
        `any_kind`."""
        array = self.as_given(wanted)
        flat = array.reshape(-1)
        other = flat[:0] if any_kind or not len(self) else of_other_kinds(flat, self.kind)
        if len(other):
            raise IdKindError(
                f"{name} holds {other[0]!r} ({type(other[0]).__name__}), of another kind than the "
                f"{len(self)} ids, which are {_WHOLE[self.kind]}, such as {self[0]!r}"
                f"{self._meant(other)}"
            )
        return self._find(flat).reshape(array.shape)

    def subset(self, rows: Any) -> Ids:
        """The ids of some rows, in that order."""
        return Ids.of(self.take(rows))

    def extended(self, values: Iterable[Hashable]) -> Ids:
        """These, and further ones after them.

        Raises
        ------
        TypeError, ValueError
            They are of another kind, or as `of`.
        """
        further = Ids.of(values)
        if not (len(self) and len(further)):
            return self if len(self) else further
        if further.kind != self.kind:
            raise TypeError(
                f"ids are of more than one kind: {self[0]!r} ({self.kind}), {further[0]!r} "
                f"({further.kind}); turn all of them into strings"
            )
        there = self.find(further) >= 0
        if there.any():
            twice = further[int(np.argmax(there))]
            raise ValueError(f"the id {twice!r} comes twice; expected each once")
        return self._and(further)

    @abstractmethod
    def _and(self, further: Any) -> Ids:
        """These and others of the same kind, none of them the same."""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, rows: Any) -> Any:
        """The id of a row, or those of an array, list or slice of rows."""
        if isinstance(rows, slice | list | np.ndarray):
            return self.take(np.arange(len(self))[rows])
        return self.take([range(len(self))[rows]]).tolist()[0]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.take(np.arange(len(self))).tolist())

    def __contains__(self, value: object) -> bool:
        array = np.empty(1, object)
        array[0] = value
        return bool(self._find(array)[0] >= 0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ids):
            return NotImplemented
        return self is other or (self.kind == other.kind and list(self) == list(other))

    __hash__ = None

    def __getstate__(self) -> dict[str, Any]:
        # What finds rows is made anew where it is needed: it is larger than the ids.
        return {name: value for name, value in vars(self).items() if name not in _MADE_ANEW}

    def __repr__(self) -> str:
        first = ", ".join(repr(self[row]) for row in range(min(3, len(self))))
        return f"<{len(self)} {self.kind} ids: {first}{', ...' if len(self) > 3 else ''}>"

    def as_given(self, wanted: Any) -> np.ndarray:
        """Ids as an array of objects; one without dimensions of a single id."""
        if isinstance(wanted, _SCALARS):
            return np.array(wanted, object)
        single = not hasattr(wanted, "__iter__")
        if single or (isinstance(wanted, Hashable) and self._is_one(wanted)):
            array = np.empty((), object)
            array[()] = wanted
            return array
        return as_objects(wanted, flat=False)

    def labels(self, asked_for: Any) -> np.ndarray:
        """Ids that were asked about, as answers show them: `as_given`, all integers as int64."""
        return self.as_given(asked_for)

    def _is_one(self, wanted: Hashable) -> bool:
        """Whether something with elements, such as a tuple, is one id."""
        return wanted in self or (len(self) > 0 and isinstance(wanted, type(self[0])))

    def _meant(self, missing: np.ndarray) -> str:
        """The end of an error: what may have been meant, if anything."""
        near = {hint for value in missing[:NAMED] if (hint := self._nearest(value)) is not None}
        return f"; did you mean {', '.join(sorted(map(repr, near)))}?" if near else ""

    def _unknown(self, missing: np.ndarray, name: str) -> str:
        shown = list(dict.fromkeys(map(repr, missing)))
        message = f"{name} not known: {', '.join(shown[:NAMED])}"
        if len(shown) > NAMED:
            message += f", and {len(shown) - NAMED} more"
        meant = self._meant(missing)
        if meant:
            return message + meant
        example = f", such as {self[0]!r}" if len(self) else ""
        return f"{message}; there are {len(self)} {self.kind} ids{example}"

    def _nearest(self, value: Any) -> Hashable | None:
        """An id that may have been meant."""
        return None


class StringIds(Ids):
    """Strings: that of row i is the UTF-8 ``letters[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n + 1,)
    letters : ndarray of uint8
        Both may be read-only, and are not copied.
    """

    kind = "string"

    def __init__(self, offsets: np.ndarray, letters: np.ndarray) -> None:
        ends = len(offsets) and offsets[0] == 0 and offsets[-1] == len(letters)
        if not ends or (np.diff(offsets) < 0).any():
            raise ValueError("offsets of strings must rise from 0 to the number of letters")
        self._offsets, self._letters = offsets, letters

    @classmethod
    def of_objects(cls, values: np.ndarray) -> StringIds:
        parts = [value.encode() for value in values]
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(parts), np.uint8))

    @classmethod
    def of_arrow(cls, array: Any) -> StringIds:
        """A pyarrow LargeStringArray without nulls, whose memory is shared."""
        _, offsets, letters = array.buffers()
        if not len(array):
            return cls(np.zeros(1, np.int64), np.empty(0, np.uint8))
        offsets = np.frombuffer(offsets, np.int64, len(array) + 1, 8 * array.offset)
        begin, end = int(offsets[0]), int(offsets[-1])
        if letters is None:  # nothing but empty strings
            return cls(offsets, np.empty(0, np.uint8))
        return cls(offsets - begin, np.frombuffer(letters, np.uint8, end - begin, begin))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def arrays(self) -> dict[str, np.ndarray]:
        return {"offsets": self._offsets, "letters": self._letters}

    def take(self, rows: Any) -> np.ndarray:
        rows = np.asarray(rows)
        if rows.size <= len(self):
            return texts(self._offsets, self._letters, rows)
        # More rows than ids: places of the same row share its text, some 70 bytes
        if rows.min() < -1 or rows.max() >= len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        rows_of_all = np.append(np.arange(len(self)), -1)
        return texts(self._offsets, self._letters, rows_of_all).take(rows)

    def _and(self, further: StringIds) -> StringIds:
        offsets = np.append(self._offsets, self._offsets[-1] + further._offsets[1:])
        both = StringIds(offsets, np.append(self._letters, further._letters))
        rows = range(len(self), len(both))
        # What finds rows is there already, and would take far longer to make
        vars(both)["_index"] = self._index | dict(zip(further, rows, strict=True))
        return both

    def subset(self, rows: Any) -> StringIds:
        rows = np.asarray(rows, np.int64)
        offsets, at = csr.row_entries(self._offsets, rows)
        return StringIds(offsets, self._letters[at])

    def check_unique(self) -> None:
        _check_no_twice(self._index, len(self), self)

    def _single(self, wanted: Any) -> int | None:
        return self._index.get(wanted) if type(wanted) is str else None

    def _find(self, wanted: np.ndarray) -> np.ndarray:
        index = self._index
        return np.array([index.get(v, -1) if isinstance(v, str) else -1 for v in wanted], np.int64)

    @functools.cached_property
    def _index(self) -> dict[Hashable, int]:
        return {value: row for row, value in enumerate(self)}

    def _nearest(self, value: Any) -> str | None:
        """By letters in any order first, which takes no loop; then by difflib among a few."""
        text = str(value)
        if not isinstance(value, str):
            return text if text in self else None
        lengths = np.diff(self._offsets)
        slack = max(2, len(text) // 4)
        near = np.flatnonzero(np.abs(lengths - len(text.encode())) <= slack)
        if len(near) > _NEAR:
            _, at = csr.row_entries(self._offsets, near)
            owner = np.repeat(np.arange(len(near)), lengths[near])
            counts = np.zeros((len(near), 32), np.int16)
            np.add.at(counts, (owner, self._letters[at] & 31), 1)  # & 31: in either case
            wanted = np.bincount(np.frombuffer(text.encode(), np.uint8) & 31, minlength=32)
            apart = np.abs(counts - wanted).sum(axis=1)
            near = near[np.argsort(apart, kind="stable")[:_NEAR]]
        options = {name.casefold(): name for name in self.take(near)}
        match = difflib.get_close_matches(text.casefold().strip(), options, n=1)
        return options[match[0]] if match else None


class IntegerIds(Ids):
    """Integers, an int64 array that is not copied."""

    kind = "integer"

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"integers": self._values}

    def take(self, rows: Any) -> np.ndarray:
        if not isinstance(rows, np.ndarray):
            rows = np.asarray(rows, np.int64)
        if not len(self):
            return np.full(rows.shape, -1)
        flat = rows.reshape(-1)
        values = self._values.take(flat)
        np.putmask(values, flat < 0, -1)
        return values.reshape(rows.shape)

    def labels(self, asked_for: Any) -> np.ndarray:
        if type(asked_for) is int:
            return np.array(asked_for)
        labels = self.as_given(asked_for)
        integers = labels.size and all(isinstance(v, int | np.integer) for v in labels.reshape(-1))
        return labels.astype(np.int64) if integers else labels

    def check_unique(self) -> None:
        ordered, _ = self._ascending
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(twice):
            raise ValueError(f"the id {ordered[twice[0]]} comes twice; expected each once")

    def subset(self, rows: Any) -> Ids:
        return IntegerIds(self._values[rows])

    def _and(self, further: IntegerIds) -> IntegerIds:
        return IntegerIds(np.append(self._values, further._values))

    def _single(self, wanted: Any) -> int | None:
        if type(wanted) is not int:
            return None
        ordered, rows = self._ascending
        at = bisect_left(ordered.data, wanted)  # NumPy would make an array of the integer
        return rows.item(at) if at < len(rows) and ordered.item(at) == wanted else None

    def _find(self, wanted: np.ndarray) -> np.ndarray:
        whole = np.array([is_integer(v) and -BELOW <= v < BELOW for v in wanted], bool)
        places = np.full(len(wanted), -1, np.int64)
        if not len(self):
            return places
        values = wanted[whole].astype(np.int64)
        ordered, rows = self._ascending
        at = ordered.searchsorted(values).clip(max=len(self) - 1)
        places[whole] = np.where(ordered[at] == values, rows[at], -1)
        return places

    @functools.cached_property
    def _ascending(self) -> tuple[np.ndarray, np.ndarray]:
        """The integers in ascending order, and the row of each."""
        rows = np.argsort(self._values, kind="stable")
        return self._values[rows], rows

    def _nearest(self, value: Any) -> int | None:
        text = str(value).strip().removesuffix(".0")
        number = int(text) if text.lstrip("-").isdecimal() and not is_integer(value) else None
        return number if number in self else None


class ObjectIds(Ids):
    """Any other hashable objects, a 1-D array of them."""

    kind = "object"

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def arrays(self) -> dict[str, np.ndarray]:
        raise TypeError(
            f"ids of type {type(self._values[0]).__name__} cannot be written to a file; expected "
            "strings or integers: turn them into strings before they become Interactions"
        )

    def take(self, rows: Any) -> np.ndarray:
        rows = np.asarray(rows, np.int64)
        with_none = np.append(self._values, None)
        out = np.empty(rows.shape, object)
        out[...] = with_none[rows]
        return out

    def _and(self, further: ObjectIds) -> ObjectIds:
        return ObjectIds(np.append(self._values, further._values))

    def check_unique(self) -> None:
        _check_no_twice(self._index, len(self), self)

    def _find(self, wanted: np.ndarray) -> np.ndarray:
        index = self._index
        return np.array([index.get(v, -1) if isinstance(v, Hashable) else -1 for v in wanted], int)

    @functools.cached_property
    def _index(self) -> dict[Hashable, int]:
        return {value: row for row, value in enumerate(self._values)}


def _check_no_twice(index: dict[Hashable, int], count: int, ids: Ids) -> None:
    if len(index) == count:
        return
    twice = next(value for row, value in enumerate(ids) if index[value] != row)
    raise ValueError(f"the id {twice!r} comes twice; expected each once")


def ids_of_rows(name: str, ids: Iterable[Hashable] | None, count: int, noun: str) -> Ids:
    """The ids of so many rows, which errors call `noun`; None: their numbers."""
    if ids is None:
        return IntegerIds(np.arange(count))
    labels = ids if isinstance(ids, Ids) else Ids.of(ids)
    if len(labels) != count:
        raise ValueError(f"{name} has {len(labels)} ids, user_items has {count} {noun}")
    return labels
