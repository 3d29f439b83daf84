"""Ids as they come, in arrays, series and lists: as objects, and of which kind they are."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

BELOW = 2**63  # what 64 bits hold


def as_objects(values: Any, flat: bool = True) -> np.ndarray:
    """Any array, series or iterable of ids as an array of objects; 1-D where `flat`, so that
    tuples stay what they are."""
    if isinstance(values, np.ndarray) or hasattr(values, "__array__"):
        array = np.asarray(values)
        array = array.astype(object) if array.dtype != object else array
        return array.reshape(-1) if flat else array
    listed = list(values)
    array = np.empty(len(listed), object)
    for place, value in enumerate(listed):  # an assignment in one would look into tuples
        scalar = isinstance(value, np.ndarray) and not value.ndim
        array[place] = value[()] if scalar else value
    return array


def kind_of(values: np.ndarray, first: int = 0) -> str:
    """The kind of ids in a 1-D array of objects, which must all be of the same; `first` is the
    number of the first of them.

    Raises
    ------
    TypeError
        More than one kind, None, NaN, floats, booleans, something not hashable.
    """
    places = range(len(values))[::-1]
    types = dict(zip(map(type, values[::-1]), places, strict=True))  # type -> first place
    kinds = {}
    for id_type, place in sorted(types.items(), key=lambda each: each[1]):
        if id_type is type(None) or (
            issubclass(id_type, float | np.floating) and values[place] != values[place]
        ):
            raise TypeError(
                f"id {first + place} is {values[place]!r}; expected every id to be there"
            )
        real = issubclass(id_type, float | np.floating)
        if real or issubclass(id_type, bool | np.bool_) or not issubclass(id_type, Hashable):
            hint = ": drop rows without an id, then .astype('int64')" if real else ""
            raise TypeError(
                f"id {first + place} is {values[place]!r}, a {id_type.__name__}; expected strings, "
                f"integers or other hashable objects{hint}"
            )
        kinds[_kind(id_type)] = place
    if len(kinds) > 1:
        shown = ", ".join(f"{values[place]!r} ({kind})" for kind, place in kinds.items())
        raise TypeError(f"ids are of more than one kind: {shown}; turn all of them into strings")
    return next(iter(kinds), "string")


def _kind(id_type: type) -> str:
    if issubclass(id_type, str):
        return "string"
    return "integer" if issubclass(id_type, int | np.integer) else "object"


def of_other_kinds(values: np.ndarray, kind: str) -> np.ndarray:
    """Those of an array of objects that are of none of the types that ids of this kind have."""
    none_of_any = float, np.floating, bool, np.bool_, type(None)
    other = {
        each
        for each in set(map(type, values))
        if issubclass(each, none_of_any) or _kind(each) != kind
    }
    if not other:
        return values[:0]
    return values[np.array([type(value) in other for value in values], bool)]


def is_integer(value: object) -> bool:
    """Whether something may be an integer id."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def int64(values: np.ndarray) -> np.ndarray:
    """Integers, also Python's own, as int64; ValueError where that cannot hold one."""
    try:
        if values.dtype != np.uint64 or (values < BELOW).all():
            return values.astype(np.int64, copy=False)
        raise OverflowError
    except OverflowError:
        large = next(value for value in values if not -BELOW <= value < BELOW)
        raise ValueError(
            f"the id {large} does not fit into 64 bits with a sign; expected strings"
        ) from None
