"""The gate for parameters; `recsys.csr` is the one for matrices.

Every function returns its argument in the one form the rest of the package works with, or raises
one error: what was got, what was expected, how to fix it. What the caller owns is never changed.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

_BLOCK = 1 << 19  # values looked at together
ANYONE = 2**31 - 1  # a bound for numbers of users or items that need not be a model's


def nearest(value: object, options: Iterable[str]) -> str:
    """The end of an error message: ``; did you mean 'cholesky'?``, or nothing if none is near."""
    match = difflib.get_close_matches(str(value).lower(), list(options), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""


def integer(name: str, value: Any, minimum: int) -> int:
    """`value` as an int of at least `minimum`; TypeError or ValueError otherwise."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"{name} must be an integer of at least {minimum}; got {value!r} "
            f"({type(value).__name__})"
        )
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}; got {value}")
    return int(value)


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a finite float, > `above`, >= `least` and < `below` where those are given.

    TypeError or ValueError otherwise.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    good = real and math.isfinite(value)
    good = good and (above is None or value > above) and (least is None or value >= least)
    if good and (below is None or value < below):
        return float(value)

    expected = "a finite number"
    if above is not None:
        expected += f" greater than {above:g}"
    if least is not None:
        expected += f" of at least {least:g}"
    if below is not None:
        expected += f"{'' if above is None and least is None else ' and'} less than {below:g}"
    if not real:
        raise TypeError(f"{name} must be {expected}; got {value!r} ({type(value).__name__})")
    raise ValueError(f"{name} must be {expected}; got {value}")


def flag(name: str, value: Any, also: str = "") -> None:
    """Check that `value` is True or False; `also` describes what else the caller accepts."""
    if not isinstance(value, bool | np.bool_):
        got = f"got {value!r} ({type(value).__name__})"
        raise TypeError(f"{name} must be True or False{also}; {got}")


def choice(name: str, value: Any, options: tuple[str, ...], also: str = "") -> None:
    """Check that `value` is one of `options`; `also` describes what else the caller accepts."""
    if not isinstance(value, str) or value not in options:
        expected = " or ".join([*map(repr, options), *([also] if also else [])])
        raise ValueError(f"unknown {name} {value!r}; expected {expected}{nearest(value, options)}")


def floating_dtype(value: Any) -> np.dtype:
    """`value` as np.dtype, which must be float32 or float64 (ValueError otherwise)."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = None
    # np.dtype(None) is float64
    if value is None or dtype is None or dtype not in map(np.dtype, (np.float32, np.float64)):
        raise ValueError(f"dtype must be np.float32 or np.float64; got {value!r}")
    return dtype


def random_state(value: Any) -> None:
    """Check what `random_generator` accepts, without drawing from it."""
    known = isinstance(value, np.random.Generator | np.random.RandomState | numbers.Integral)
    if value is not None and (not known or isinstance(value, bool)):
        raise TypeError(
            "random_state must be None, an integer, a numpy.random.Generator or a "
            f"numpy.random.RandomState; got {value!r} ({type(value).__name__})"
        )
    if isinstance(value, numbers.Integral):
        integer("random_state", value, 0)


def random_generator(value: Any) -> np.random.Generator:
    """A generator from None (fresh entropy), an int, a Generator or a legacy RandomState."""
    random_state(value)
    if isinstance(value, np.random.RandomState):
        value = value.randint(0, 2**32, size=4, dtype=np.uint32)
    return np.random.default_rng(value)


# ---- arguments of a fitted model ---------------------------------------------------------------


def row_numbers(name: str, ids: Any, count: int) -> np.ndarray:
    """`ids`, one row number or a 1-D array of them, as int64 of the same 0 or 1 dimensions.

    Raises
    ------
    TypeError
        `ids` are not integers (a whole matrix is not wanted, only row numbers).
    ValueError
        More than one dimension.
    IndexError
        Some are negative or not below `count`; names up to five of them.
    """
    array = np.asarray(ids)
    if array.ndim == 1 and array.size == 0:
        return np.empty(0, np.int64)
    wanted = f"{name} must be a row number or a 1-D array of row numbers"
    if array.dtype.kind not in "iu":
        got = array.dtype if array.dtype.kind != "O" else type(ids).__name__
        known = "of at least 0" if count == ANYONE else f"from 0 to {count - 1}"
        raise TypeError(f"{wanted} (integers {known}); got {got}")
    if array.ndim > 1:
        raise ValueError(f"{wanted}; got an array of shape {array.shape}. Flatten it with .ravel()")
    if not array.ndim and 0 <= int(array) < count:  # a list for one: each ufunc takes a microsecond
        return array.astype(np.int64)
    beyond = (array < 0) | (array >= count)
    if beyond.any():
        unknown = np.unique(array[beyond])
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        if count == ANYONE:
            raise IndexError(f"{name} holds {shown}; expected at least 0 and less than 2^31 - 1")
        raise IndexError(
            f"{name} not known to the model: {shown}; it was trained on 0 to {count - 1}"
        )
    return array.astype(np.int64)


def one_row_number(name: str, value: Any, count: int) -> int:
    """As `row_numbers`, of a single one."""
    row = row_numbers(name, value, count)
    if row.ndim:
        raise TypeError(f"{name} must be a single row number; got an array of {row.size}")
    return int(row)


def columns(name: str, shape: tuple[int, int], count: int, noun: str) -> None:
    """Check that a matrix has one column for each of a model's `count` items or users."""
    if shape[1] != count:
        hint = f". It looks transposed: pass {name}.T" if shape[0] == count else ""
        raise ValueError(
            f"{name} has shape {shape}; expected one column for each of the model's "
            f"{count} {noun}{hint}"
        )


def factor_matrix(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """Factors a user assigned, as a C-contiguous 2-D array of `dtype` (shared if it is one)."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} must be 2-D, one row of factors each, and not empty; got shape {array.shape}"
        )
    with np.errstate(over="ignore"):
        array = np.require(array, dtype, ["C", "A"])
    step = max(1, _BLOCK // array.shape[1])
    for begin in range(0, len(array), step):
        finite = np.isfinite(array[begin : begin + step]).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"{name} must be finite in {dtype}; row {begin + int(np.argmin(finite))} is not"
            )
    return array
