"""Matrices of entries, users x items in CSR: the gate they come in by, and what is done with them.

In canonical form a matrix is a `csr_array` of float32 or float64 whose `indices` are int32 and
strictly increasing in each row, and whose `indptr` is int64. All else in this module takes and
returns that. What the caller owns is never changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

# Entries looked at together: enough to be fast, and temporaries stay in the low megabytes
_BLOCK = 1 << 19
_INDEX_MAX = 2**31 - 1
_BUILD_CSR = (
    "build one with scipy.sparse.csr_matrix((counts, (users, items)), shape=(n_users, n_items))"
)
_said: set[str] = set()


# ---- the gate ----------------------------------------------------------------------------------


def canonical(
    user_items: Any,
    dtype: np.dtype | None = None,
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
    dtype : np.dtype, optional
        Type of the values returned, float32 or float64; by default float32 where that holds
        whatever the matrix's own type does.
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
    dtype = dtype or _narrowest(user_items.dtype)
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
        data, indices, indptr = _sorted_and_summed(data, indices, indptr, user_items.shape)
        data = _finite(data, dtype, indptr, indices, name)
    return assemble(data, indices, indptr, user_items.shape)


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
            f"{name} is empty: its shape is {shape}, expected at least one of each. Look at the "
            "filter or join that produced it"
        )
    if max(shape) > _INDEX_MAX:
        raise ValueError(
            f"{name} is {shape[0]} x {shape[1]}; expected at most {_INDEX_MAX} of "
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
            *(name, fmt.upper()),
        )


def _narrowest(dtype: np.dtype) -> np.dtype:
    """The narrower of float32 and float64 that holds all values of `dtype`."""
    exact = dtype.kind in "biuf" and np.result_type(dtype, np.float32) == np.float32
    return np.dtype(np.float32 if exact else np.float64)


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


def _sorted_and_summed(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted copies of the arrays, with entries stored more than once added up."""
    from scipy import sparse

    # SciPy sorts in place only where both index arrays have one type.
    width = np.int32 if len(indices) <= _INDEX_MAX else np.int64
    out = sparse.csr_array(shape, dtype=data.dtype)
    out.data, out.indices, out.indptr = data.copy(), indices.astype(width), indptr.astype(width)
    out.has_sorted_indices = out.has_canonical_format = False
    with np.errstate(over="ignore"):
        out.sum_duplicates()
    return out.data, _array(out.indices, np.int32), _array(out.indptr, np.int64)


# ---- canonical matrices -------------------------------------------------------------------------


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


def summed(matrix: Any) -> sparse.csr_array:
    """A CSR matrix of our own in canonical form; `matrix` is used up."""
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


def scipy_matrix(matrix: sparse.csr_array) -> sparse.csr_matrix:
    """As a csr_matrix with one integer type for both index arrays: what every library takes."""
    from scipy import sparse

    copied = sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
    copied.has_sorted_indices = copied.has_canonical_format = True
    return copied


def entry_rows(matrix: sparse.csr_array, dtype: Any = np.int64) -> np.ndarray:
    """The row of each stored entry."""
    return np.repeat(np.arange(matrix.shape[0], dtype=dtype), np.diff(matrix.indptr))


def empty(shape: tuple[int, int], dtype: np.dtype) -> sparse.csr_array:
    """A matrix without entries."""
    indptr = np.zeros(shape[0] + 1, np.int64)
    return assemble(np.empty(0, dtype), np.empty(0, np.int32), indptr, shape)


def from_triples(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    """A matrix of entries in any order; those of one place are summed, zeros are kept."""
    from scipy import sparse

    return summed(sparse.csr_array((values, (rows, columns)), shape=shape))


def row_entries(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """indptr of some rows one after the other, and where their entries are; row -1 has none."""
    begin = indptr[rows]
    lengths = indptr[rows + 1] - begin
    lengths[rows < 0] = 0
    taken = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=taken[1:])
    return taken, np.repeat(begin - taken[:-1], lengths) + np.arange(taken[-1])


def take_rows(matrix: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Some rows, one after the other; -1 is a row without entries."""
    indptr, at = row_entries(matrix.indptr, rows)
    shape = (len(rows), matrix.shape[1])
    return assemble(matrix.data[at], matrix.indices[at], indptr, shape)


def put_rows(
    matrix: sparse.csr_array, rows: np.ndarray, others: sparse.csr_array
) -> sparse.csr_array:
    """`matrix` with some rows replaced by those of `others`, and as many more as that takes."""
    count = max(matrix.shape[0], rows.max(initial=-1) + 1)
    source = np.full(count, -1)
    source[: matrix.shape[0]] = np.arange(matrix.shape[0])
    source[rows] = matrix.shape[0] + np.arange(len(rows))
    both = assemble(
        np.append(matrix.data, others.data),
        np.append(matrix.indices, others.indices),
        np.append(matrix.indptr, matrix.indptr[-1] + others.indptr[1:]),
        (matrix.shape[0] + len(rows), matrix.shape[1]),
    )
    return take_rows(both, source)


def merged(
    first: sparse.csr_array, second: sparse.csr_array, *, replaces: bool = False
) -> sparse.csr_array:
    """first + second, or `second` alone where both have an entry and it `replaces`; with an entry
    wherever either has one: SciPy's own sum drops those that are 0."""
    values, width = first.data, first.shape[1]
    rows = entry_rows(first), entry_rows(second)
    if replaces:
        keys = [at * width + m.indices for at, m in zip(rows, (first, second), strict=True)]
        values = np.where(among(keys[0], keys[1]), 0, values)
    return from_triples(
        np.append(values, second.data),
        np.concatenate(rows),
        np.append(first.indices, second.indices),
        first.shape,
    )


def keep(matrix: sparse.csr_array, kept: np.ndarray) -> sparse.csr_array:
    """The entries where `kept`, one bool an entry, in a matrix of the same shape."""
    if kept.all():
        return matrix
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return assemble(matrix.data[kept], matrix.indices[kept], indptr, matrix.shape)


def entry_keys(matrix: sparse.csr_array, rows: slice, width: int | None = None) -> np.ndarray:
    """``(row - rows.start) * width + column`` of the entries of some rows, ascending; `width` is
    the number of columns, or more."""
    indptr = matrix.indptr[rows.start : rows.stop + 1]
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return row * np.int64(width or matrix.shape[1]) + matrix.indices[indptr[0] : indptr[-1]]


def among(wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which of `wanted`, of any shape, are in the ascending `keys`."""
    if not len(keys):
        return np.zeros(wanted.shape, bool)
    return keys.take(np.searchsorted(keys, wanted), mode="clip") == wanted


def shared_entries(
    first: sparse.csr_array, second: sparse.csr_array
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Where two matrices both have an entry; one may have more rows or columns than the other.

    Returns
    -------
    counts : ndarray of int64, shape (n_rows,)
        How many a row, of the rows that both have.
    example : (row, column) or None
        One of them.
    """
    n_rows = min(first.shape[0], second.shape[0])
    width = max(first.shape[1], second.shape[1])
    counts, example = np.zeros(n_rows, np.int64), None
    for rows, _ in row_blocks(first.indptr[: n_rows + 1]):
        keys = entry_keys(second, rows, width)
        both = keys[among(keys, entry_keys(first, rows, width))]
        if not len(both):
            continue
        row, column = np.divmod(both, width)
        counts[rows] = np.bincount(row, minlength=rows.stop - rows.start)
        example = example or (rows.start + int(row[0]), int(column[0]))
    return counts, example


def without(matrix: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    """A matrix without the entries that another one of the same shape has."""
    kept = np.empty(matrix.nnz, bool)
    for rows, span in row_blocks(matrix.indptr):
        kept[span] = ~among(entry_keys(matrix, rows), entry_keys(other, rows))
    return keep(matrix, kept)


def check_apart(
    train: sparse.csr_array, test: sparse.csr_array, names: tuple[str, str], advice: str = ""
) -> None:
    """ValueError if what is to be measured on was trained on; `names` are those of the matrices."""
    counts, example = shared_entries(train, test)
    if example is not None:
        raise ValueError(
            f"{counts.sum()} entries are in {names[0]} and in {names[1]}, such as user "
            f"{example[0]}, item {example[1]}: what was trained on says nothing about the rest. "
            f"Take them out of {names[1]} (splits by time do with repeats='drop'){advice}"
        )


class TrainingMatrix(NamedTuple):
    """What a model was trained on: a canonical CSR matrix, without `data` its structure only."""

    indptr: np.ndarray
    indices: np.ndarray
    shape: tuple[int, int]
    data: np.ndarray | None = None

    @classmethod
    def of(cls, counts: sparse.csr_array) -> TrainingMatrix:
        return cls(counts.indptr, counts.indices, counts.shape, counts.data)

    def counts(self, dtype: np.dtype) -> sparse.csr_array:
        """The matrix; its arrays are shared where they can be. Where only its structure is known,
        every entry counts 1."""
        data = np.ones(len(self.indices), dtype) if self.data is None else self.data
        return assemble(np.asarray(data, dtype), self.indices, self.indptr, self.shape)

    def copied(self, dtype: np.dtype) -> TrainingMatrix:
        """In arrays of its own, which nobody else can write to."""
        data = None if self.data is None else np.array(self.data, dtype)
        return TrainingMatrix(self.indptr.copy(), self.indices.copy(), self.shape, data)
