"""The gate for input: what passes here is safe to hand to the kernels.

Every function returns its argument in the one form the rest of the package works with, or raises
one error: what was got, what was expected, how to fix it. What the caller owns is never changed.
"""

from __future__ import annotations

import difflib
import logging
import math
import numbers
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

# Entries looked at together: enough to be fast, and temporaries stay in the low megabytes
_BLOCK = 1 << 19
_INT32_MAX = 2**31 - 1
ANYONE = _INT32_MAX  # a bound for numbers of users or items that need not be a model's
_BUILD_CSR = (
    "build one with scipy.sparse.csr_matrix((counts, (users, items)), shape=(n_users, n_items))"
)
_said: set[str] = set()


# ---- the user-item matrix ----------------------------------------------------------------------


def interactions(
    user_items: Any,
    dtype: np.dtype,
    *,
    may_be_empty: bool = False,
    name: str = "user_items",
) -> sparse.csr_array:
    """Bring a user-item matrix into canonical form.

    Parameters
    ----------
    user_items : scipy sparse matrix or array, n_users x n_items
        Counts, ratings or any other real numbers; any SciPy format, integer width and entry order.
        Read-only and memory-mapped arrays are fine. It is never changed.
    dtype : np.dtype
        Type of the values returned, float32 or float64.
    may_be_empty : bool, default False
        Whether a matrix without entries will do.
    name : str, default "user_items"
        What errors call the matrix.

    Returns
    -------
    scipy.sparse.csr_array
        `data` of `dtype`, `indices` int32 and strictly increasing in each row, `indptr` int64;
        entries stored more than once are summed, stored zeros are kept. Arrays of the caller that
        already have this form are shared, not copied: treat the result as read-only.

    Raises
    ------
    TypeError
        Not a SciPy sparse matrix, or values that are not real numbers.
    ValueError
        Not two-dimensional, empty, too large for int32 indices, inconsistent index arrays, or
        NaN, infinite or (for float32) too large values.
    """
    from scipy import sparse  # 0.1 s that `import recsys` need not pay

    if not sparse.issparse(user_items):
        raise _not_sparse(user_items, name)
    _check_shape(user_items.shape, name)
    if np.dtype(user_items.dtype).kind not in "biuf":
        raise TypeError(
            f"{name} holds values of dtype {user_items.dtype}; expected integers, floats or "
            f"booleans. Convert it with {name}.astype(np.float32)"
        )
    if user_items.format in ("csr", "csc", "bsr"):
        _check_compressed(user_items, name)
    elif user_items.format == "coo":
        _check_coordinates(user_items, name)
    if user_items.format != "csr":
        _say_conversion(user_items.format, name)
        # Widened first: int8 counts of one entry must not wrap around when they are summed.
        wide = np.promote_types(user_items.dtype, dtype)
        user_items = user_items.astype(wide, copy=False).tocsr()
        _check_compressed(user_items, name)

    indptr = _array(user_items.indptr, np.int64)
    if indptr[-1] == 0 and not may_be_empty:
        raise ValueError(
            f"{name} has no stored entries, so there is nothing to learn from; expected at "
            "least one. Look at the filter or join that produced it"
        )
    # Left in the caller's width until the range is known: a narrowing copy would hide large values.
    indices = np.asarray(user_items.indices)
    data = _finite(np.asarray(user_items.data), dtype, indptr, indices, name)
    if _is_canonical(indptr, indices):
        indices = _array(indices, np.int32)
    else:
        data, indices, indptr = _summed(data, indices, indptr, user_items.shape)
        data = _finite(data, dtype, indptr, indices, name)
    return assemble(data, indices, indptr, user_items.shape)


def assemble(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    """A csr_array around arrays known to be canonical, without copying or rechecking them."""
    from scipy import sparse

    # The constructor would bring indptr and indices to one integer type, copying one of them.
    matrix = sparse.csr_array(shape, dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def canonical(matrix: Any) -> sparse.csr_array:
    """A CSR matrix of our own as `interactions` returns one; `matrix` is used up."""
    matrix.sum_duplicates()
    indices = matrix.indices.astype(np.int32, copy=False)
    indptr = matrix.indptr.astype(np.int64, copy=False)
    return assemble(matrix.data, indices, indptr, matrix.shape)


def row_blocks(indptr: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Split a CSR matrix into runs of whole rows of about half a million entries each.

    Yields
    ------
    (rows, entries) : tuple of slice
        The rows of the block and its span in `data` and `indices`.
    """
    n_rows, row = len(indptr) - 1, 0
    while row < n_rows:
        stop = int(np.searchsorted(indptr, indptr[row] + _BLOCK, side="right")) - 1
        stop = min(max(stop, row + 1), n_rows)
        yield slice(row, stop), slice(int(indptr[row]), int(indptr[stop]))
        row = stop


def entry_name(position: int, indptr: np.ndarray, indices: np.ndarray) -> str:
    """Name a stored entry by its place in the matrix: ``row 3, column 7``."""
    row = int(np.searchsorted(indptr, position, side="right")) - 1
    return f"row {row}, column {int(indices[position])}"


def _not_sparse(user_items: Any, name: str) -> TypeError:
    if isinstance(user_items, np.ndarray):
        fix = (
            f"convert it with scipy.sparse.csr_matrix({name})"
            if user_items.ndim == 2
            else _BUILD_CSR
        )
        got = f"a dense {user_items.ndim}-D array of shape {user_items.shape}"
    else:
        kind = type(user_items)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        fix = _BUILD_CSR
        if hasattr(user_items, "user_items"):
            fix = f"pass {name}.user_items, a matrix"
        elif hasattr(user_items, "columns"):
            fix = "Interactions.from_frame takes tables of events by id"
        got = f"{module}{kind.__qualname__}"
    return TypeError(f"{name} must be a SciPy sparse matrix; got {got}: {fix}")


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) != 2:
        raise ValueError(
            f"{name} must be 2-D, users and items; got shape {shape}. "
            "For a single one use a matrix of one row: reshape((1, -1))"
        )
    if min(shape) == 0:
        raise ValueError(
            f"{name} is empty: its shape is {shape}, expected at "
            "least one of each. Look at the filter or join that produced it"
        )
    if max(shape) > _INT32_MAX:
        raise ValueError(
            f"{name} is {shape[0]} x {shape[1]}; expected at most {_INT32_MAX} of "
            "each. Number users and items 0, 1, 2, ... instead of using ids or hashes as positions"
        )


def _check_compressed(matrix: Any, owner: str) -> None:
    """Check the index arrays of CSR, CSC or BSR before any native code follows them."""
    block = getattr(matrix, "blocksize", (1, 1))
    lengths = (matrix.shape[0] // block[0], matrix.shape[1] // block[1])
    major, minor = lengths[::-1] if matrix.format == "csc" else lengths
    indptr, indices = np.asarray(matrix.indptr), np.asarray(matrix.indices)
    for name, array in (("indptr", indptr), ("indices", indices)):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise TypeError(
                f"{owner}.{name} must be a 1-D array of integers; got {array.ndim}-D of dtype "
                f"{array.dtype}. Rebuild the matrix: {_BUILD_CSR}"
            )
    if len(indptr) != major + 1:
        raise ValueError(
            f"{owner}.indptr has {len(indptr)} values; expected {major + 1}, one more than the "
            f"{major} rows. Rebuild the matrix: {_BUILD_CSR}"
        )
    falls = np.flatnonzero(indptr[1:] < indptr[:-1])
    if indptr[0] != 0 or len(falls):
        what = f"falls after row {falls[0]}" if len(falls) else f"starts at {indptr[0]}"
        raise ValueError(
            f"{owner}.indptr {what}; expected it to start at 0 and never to fall. "
            f"Rebuild the matrix: {_BUILD_CSR}"
        )
    if not indptr[-1] == len(indices) == len(matrix.data):
        raise ValueError(
            f"{owner}.indptr ends at {indptr[-1]}, with {len(indices)} indices and "
            f"{len(matrix.data)} values; expected three equal numbers. "
            f"If the arrays were over-allocated, call {owner}.prune()"
        )
    _check_range(f"{owner}.indices", indices, minor)


def _check_coordinates(matrix: Any, owner: str) -> None:
    if not len(matrix.row) == len(matrix.col) == len(matrix.data):
        raise ValueError(
            f"{owner} has {len(matrix.row)} row numbers, {len(matrix.col)} column numbers and "
            f"{len(matrix.data)} values; expected as many of each. Rebuild it: {_BUILD_CSR}"
        )
    _check_range(f"{owner}.row", np.asarray(matrix.row), matrix.shape[0])
    _check_range(f"{owner}.col", np.asarray(matrix.col), matrix.shape[1])


def _check_range(name: str, values: np.ndarray, count: int) -> None:
    for begin in range(0, len(values), _BLOCK):
        block = values[begin : begin + _BLOCK]
        if block.min() < 0 or block.max() >= count:
            at = int(np.flatnonzero((block < 0) | (block >= count))[0])
            raise ValueError(
                f"{name}[{begin + at}] is {block[at]}; expected 0 to {count - 1} for a "
                "matrix of this shape. Pass the right shape when building it, and number users "
                "and items from 0"
            )


def _say_conversion(fmt: str, name: str) -> None:
    if fmt not in _said:
        _said.add(fmt)
        logger.warning(
            "%s is in %s format: it is converted to CSR in every call; "
            "call .tocsr() once to save that (said once)",
            name,
            fmt.upper(),
        )


def _array(values: np.ndarray, dtype: type | np.dtype) -> np.ndarray:
    """`values` as a plain, contiguous, aligned array: shared where it already is one."""
    return np.require(np.asarray(values), dtype=dtype, requirements=["C", "A"])


def _finite(
    data: np.ndarray, dtype: np.dtype, indptr: np.ndarray, indices: np.ndarray, name: str
) -> np.ndarray:
    """`data` in `dtype` (shared where it already is), after checking that all of it is finite."""
    shared = data.dtype == dtype and data.flags.c_contiguous and data.flags.aligned
    out = data if shared else np.empty(len(data), dtype)
    for begin in range(0, len(data), _BLOCK):
        span = slice(begin, begin + _BLOCK)
        if not shared:
            with np.errstate(over="ignore"):
                out[span] = data[span]
        finite = np.isfinite(out[span])
        if not finite.all():
            at = begin + int(np.argmin(finite))
            fix = (
                f"it does not fit {dtype}: scale the values down or use dtype=np.float64"
                if np.isfinite(data[at])
                else "expected finite numbers: remove such entries or replace their values"
            )
            raise ValueError(f"{name} holds {data[at]} at {entry_name(at, indptr, indices)}; {fix}")
    return out


def _is_canonical(indptr: np.ndarray, indices: np.ndarray) -> bool:
    """Whether the indices strictly increase in every row (flags on the matrix may be stale)."""
    for begin in range(1, len(indices), _BLOCK):
        stop = min(begin + _BLOCK, len(indices))
        drops = begin + np.flatnonzero(indices[begin:stop] <= indices[begin - 1 : stop - 1])
        # A drop is in order exactly where a row begins.
        if not np.array_equal(indptr[np.searchsorted(indptr, drops)], drops):
            return False
    return True


def _summed(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted copies of the arrays, with entries stored more than once added up."""
    from scipy import sparse

    # SciPy sorts in place only where both index arrays have one type.
    width = np.int32 if len(indices) <= _INT32_MAX else np.int64
    own = sparse.csr_array(shape, dtype=data.dtype)
    own.data, own.indices, own.indptr = data.copy(), indices.astype(width), indptr.astype(width)
    own.has_sorted_indices = own.has_canonical_format = False
    with np.errstate(over="ignore"):
        own.sum_duplicates()
    return own.data, _array(own.indices, np.int32), _array(own.indptr, np.int64)


# ---- parameters --------------------------------------------------------------------------------


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
    expected = "a finite number"
    if above is not None:
        expected += f" greater than {above:g}"
    if least is not None:
        expected += f" of at least {least:g}"
    if below is not None:
        expected += f"{'' if above is None and least is None else ' and'} less than {below:g}"
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not real:
        raise TypeError(f"{name} must be {expected}; got {value!r} ({type(value).__name__})")
    good = math.isfinite(value)
    good = good and (above is None or value > above) and (least is None or value >= least)
    good = good and (below is None or value < below)
    if not good:
        raise ValueError(f"{name} must be {expected}; got {value}")
    return float(value)


def flag(name: str, value: Any) -> None:
    """Check that `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False; got {value!r} ({type(value).__name__})")


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
    unknown = np.unique(array[(array < 0) | (array >= count)])
    if len(unknown):
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
        array = _array(array, dtype)
    step = max(1, _BLOCK // array.shape[1])
    for begin in range(0, len(array), step):
        finite = np.isfinite(array[begin : begin + step]).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"{name} must be finite in {dtype}; row {begin + int(np.argmin(finite))} is not"
            )
    return array
