"""Matrices of features: what is checked of them, and what the log says of their values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import csr

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

_FAR = 1e6  # times the median: values that leave nothing of the others
_MANY = 10  # from here on a count is one of few that a row of length 1 is made of


def unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Each row divided by its length; one of zeros stays."""
    rows = csr.entry_rows(matrix)
    # of no entries bincount makes integers
    squares = np.bincount(rows, matrix.data.astype(np.float64) ** 2, matrix.shape[0]).astype(float)
    scale = np.divide(1.0, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)
    data = (matrix.data * scale[rows]).astype(np.float32)
    return csr.assemble(data, matrix.indices, matrix.indptr, matrix.shape)


def checked_matrix(matrix: Any) -> sparse.csr_array:
    from scipy import sparse

    if isinstance(matrix, np.ndarray):
        if matrix.ndim != 2:
            raise ValueError(f"a matrix of features is 2-D; got shape {matrix.shape}")
        if matrix.dtype.kind not in "biuf":
            raise TypeError(f"a matrix of features holds real numbers; got dtype {matrix.dtype}")
        matrix = sparse.csr_array(matrix)
    if not sparse.issparse(matrix):
        raise TypeError(
            "expected a SciPy matrix or a 2-D array of features; got "
            f"{type(matrix).__qualname__}: tables go to Features.from_frame"
        )
    if not matrix.shape[1]:
        raise ValueError("the matrix has no columns: there are no features in it")
    return csr.canonical(matrix, np.dtype(np.float32), may_be_empty=True, name="features")


def not_all_empty(matrix: sparse.csr_array) -> sparse.csr_array:
    if not matrix.nnz:
        raise ValueError(f"no row of the {matrix.shape[0]} has a feature; expected some that do")
    return matrix


def say_what_hides(
    matrix: sparse.csr_array, names: list[str], *, normalize: bool, weight: str
) -> None:
    """Have the log tell of values, as they were given, that hide what others say: far ones, raw
    counts, and columns that are the same in every row."""
    sizes = np.abs(matrix.data)
    far = sizes > _FAR * np.median(sizes)
    if far.any():
        column = int(matrix.indices[np.argmax(far)])
        logger.warning(
            "features: column %s holds values of a million times the median of all: standardize "
            "it, or nothing is left of the others", names[column],
        )  # fmt: skip
    elif normalize and _are_counts(matrix.data):
        logger.warning(
            "features: values are counts, up to %g, and in a row of length 1 (normalize=True) "
            "large ones leave little of the others. Take their logarithm, matrix.data = "
            "np.log1p(matrix.data)%s",
            matrix.data.max(), "" if weight == "idf" else ', and weight="idf"',
        )  # fmt: skip
    same = _same_everywhere(matrix)
    if len(same):
        logger.warning(
            "features: %d of %d columns are the same in every row, %s for one: leave such out, as "
            "they tell nothing apart",
            len(same), len(names), names[same[0]],
        )  # fmt: skip


def _are_counts(values: np.ndarray) -> bool:
    return bool(values.min() > 0 and values.max() > _MANY and (values == np.round(values)).all())


def _same_everywhere(matrix: sparse.csr_array) -> np.ndarray:
    """Columns of which each of the rows, more than one, has the same."""
    count = matrix.shape[0]
    whole = np.bincount(matrix.indices, minlength=matrix.shape[1]) == count
    if count < 2 or not whole.any():
        return np.empty(0, np.int64)
    values = matrix.data[whole[matrix.indices]].reshape(count, -1)  # rows are sorted by column
    return np.flatnonzero(whole)[(values == values[0]).all(axis=0)]


def check_no_matrix(frame: Any) -> None:
    """TypeError where a table is expected, and features are made of this by another way."""
    from scipy import sparse

    if isinstance(frame, np.ndarray) or sparse.issparse(frame):
        raise TypeError(
            f"expected a table, a row for each id; got {type(frame).__qualname__}: matrices go to "
            "Features.from_csr, and to transform of features that this has made"
        )


def checked_names(names: Sequence[str] | None, count: int) -> list[str]:
    if names is None:
        return [str(number) for number in range(count)]
    called = [str(name) for name in names]
    if len(called) != count:
        raise ValueError(f"there are {len(called)} names; expected {count}, one for each column")
    if len(set(called)) < count:
        twice = next(name for at, name in enumerate(called) if name in called[:at])
        raise ValueError(f"the name {twice!r} comes twice; expected each once")
    return called
