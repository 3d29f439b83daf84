"""implicit.utils"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from scipy import sparse

from recsys import checks


class ParameterWarning(Warning):
    """An argument was not in the form it should have."""


def check_blas_config() -> None:
    """Nothing to check: recsys never lets BLAS threads and its own get in each other's way."""


def check_csr(user_items: Any) -> Any:
    """`user_items` as CSR, with a warning where it has to be converted."""
    if not sparse.issparse(user_items):
        raise TypeError(
            f"expected a scipy sparse matrix; got {type(user_items).__name__}: convert it with "
            "scipy.sparse.csr_matrix(...)"
        )
    if user_items.format != "csr":
        begin = time.perf_counter()
        converted = user_items.tocsr()
        warnings.warn(
            f"Method expects CSR input, and was passed {type(user_items).__name__} instead. "
            f"Converting to CSR took {time.perf_counter() - begin} seconds",
            ParameterWarning,
            stacklevel=3,
        )
        return converted
    return user_items


def check_random_state(random_state: Any) -> np.random.Generator:
    """A generator from None, an int, a Generator or a RandomState."""
    return checks.random_generator(random_state)


def nonzeros(m: Any, row: int) -> Any:
    """(column, value) of each entry of a row of a CSR matrix."""
    entries = slice(m.indptr[row], m.indptr[row + 1])
    return zip(m.indices[entries], m.data[entries], strict=True)


def augment_inner_product_matrix(factors: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest norm M, and `factors` with a column sqrt(M^2 - |y|^2): nearest neighbours by
    angle are then those of the largest inner products (Bachrach et al., RecSys 2014)."""
    norms = np.linalg.norm(factors, axis=1)
    largest = norms.max()
    extra = np.sqrt(np.maximum(largest**2 - norms**2, 0))
    return largest, np.append(factors, extra.reshape(-1, 1), axis=1)


def _batch_call(
    func: Any,
    ids: Any,
    *args: Any,
    N: int = 10,
    id_dtype: Any = np.int32,
    score_dtype: Any = np.float32,
    **kwargs: Any,
) -> Any:
    """`func` for one id after the other; lists that are too short end in -1."""
    lists = [func(one, *args, N=N, **kwargs) for one in ids]
    out = np.full((len(lists), N), -1, id_dtype)
    scores = np.full((len(lists), N), -np.finfo(score_dtype).max, score_dtype)
    for row, (listed, its_scores) in enumerate(lists):
        out[row, : len(listed)] = listed[:N]
        scores[row, : len(listed)] = its_scores[:N]
    return out, scores


def _padded(ids: np.ndarray, scores: np.ndarray, N: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of length N: what they are short of is -1, with the lowest score there is."""
    if ids.shape[-1] == N:
        return ids, scores
    missing = [(0, 0)] * (ids.ndim - 1) + [(0, N - ids.shape[-1])]
    lowest = -np.finfo(np.float32).max
    return np.pad(ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=lowest)


def _filter_items_from_results(
    queryid: Any, ids: np.ndarray, scores: np.ndarray, filter_items: Any, N: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lists without `filter_items`, cut to N."""
    if np.ndim(queryid) == 0:
        kept = ~np.isin(ids, filter_items)
        return ids[kept][:N], scores[kept][:N]
    rows = [
        _filter_items_from_results(0, *pair, filter_items, N)
        for pair in zip(ids, scores, strict=True)
    ]
    width = min(N, max((len(listed) for listed, _ in rows), default=0))
    out_ids = np.full((len(rows), width), -1, ids.dtype)
    out_scores = np.full((len(rows), width), -np.finfo(np.float32).max, scores.dtype)
    for row, (listed, its_scores) in enumerate(rows):
        out_ids[row, : len(listed)], out_scores[row, : len(listed)] = listed, its_scores
    return out_ids, out_scores
