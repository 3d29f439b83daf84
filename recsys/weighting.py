"""How much an entry of a matrix of documents and terms says: TF-IDF, BM25, unit length.

Documents are rows; for item-item neighbours items are the documents and users the terms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from recsys import checks, csr

_BLOCK = 1 << 15  # values weighed at once: what is computed on the way stays in cache


def tfidf_weight(X: Any, *, negative_idf: bool = False) -> sparse.csr_matrix:
    """``sqrt(x) (log N - log(1 + df))``, N documents, df of them with the term.

    Parameters
    ----------
    X : scipy sparse matrix or array, documents x terms
        Not negative.
    negative_idf : bool, default False
        A term that every document has gets a weight of 0; True: the negative one of the formula.

    Returns
    -------
    csr_matrix of float64, same shape

    Raises
    ------
    TypeError, ValueError
        Not a sparse matrix; values that are negative or not finite.
    """
    return _weighed(X, tfidf, negative_idf)


def bm25_weight(
    X: Any, K1: float = 100, B: float = 0.8, *, negative_idf: bool = False
) -> sparse.csr_matrix:
    """``x (K1 + 1) / (K1 ((1 - B) + B length / mean length) + x) (log N - log(1 + df))``.

    The length of a document is the sum of its x (Robertson and Zaragoza, "The Probabilistic
    Relevance Framework: BM25 and Beyond", 2009, equation 3.15). Parameters and errors as in
    `tfidf_weight`; K1 > 0 and B from 0 to 1.
    """
    checks.number("K1", K1, above=0)
    checks.number("B", B, least=0)
    return _weighed(X, bm25, negative_idf, K1=K1, B=B)


def normalize(X: Any) -> sparse.csr_matrix:
    """X with rows of length 1; rows of zeros stay."""
    counts = csr.canonical(X, np.dtype(np.float64), may_be_empty=True, name="X")
    documents = csr.entry_rows(counts)
    return _matrix(unit(counts.data, documents, counts.shape[0]), counts)


# ---- on (value, document, term) triples: a matrix need not come as documents x terms ------------


def tfidf(
    values: np.ndarray,
    documents: np.ndarray,
    terms: np.ndarray,
    shape: tuple[int, int],
    negative_idf: bool = False,
) -> np.ndarray:
    return np.sqrt(values) * _idf(terms, shape, negative_idf)[terms]


def bm25(
    values: np.ndarray,
    documents: np.ndarray,
    terms: np.ndarray,
    shape: tuple[int, int],
    negative_idf: bool = False,
    K1: float = 1.2,
    B: float = 0.75,
    dtype: Any = np.float64,
    run: Callable[[Callable[[slice], None], list[slice]], Any] | None = None,
) -> np.ndarray:
    """`run` goes through blocks of values, in any order; by default one after the other."""
    lengths = np.bincount(documents, values, shape[0])
    scale = K1 * ((1 - B) + B * lengths / (lengths.mean() or 1))
    idf = _idf(terms, shape, negative_idf)
    weighed = np.empty(len(values), dtype)

    def weigh(at: slice) -> None:
        x = values[at]
        weighed[at] = x * (K1 + 1) / (scale[documents[at]] + x) * idf[terms[at]]

    blocks = [slice(begin, begin + _BLOCK) for begin in range(0, len(values), _BLOCK)]
    if run is not None:
        run(weigh, blocks)
    else:
        for block in blocks:
            weigh(block)
    return weighed


def unit(values: np.ndarray, documents: np.ndarray, n_documents: int) -> np.ndarray:
    lengths = np.sqrt(np.bincount(documents, np.square(values, dtype=np.float64), n_documents))
    return values / np.where(lengths > 0, lengths, 1)[documents]


def _idf(terms: np.ndarray, shape: tuple[int, int], negative: bool) -> np.ndarray:
    idf = np.log(shape[0]) - np.log1p(np.bincount(terms, minlength=shape[1]))
    return idf if negative else np.maximum(idf, 0)


def _weighed(X: Any, weigh: Any, negative_idf: bool, **options: float) -> sparse.csr_matrix:
    counts = csr.canonical(X, np.dtype(np.float64), may_be_empty=True, name="X")
    not_negative(counts, "X")
    documents = csr.entry_rows(counts)
    weighed = weigh(counts.data, documents, counts.indices, counts.shape, negative_idf, **options)
    return _matrix(weighed, counts)


def not_negative(counts: sparse.csr_array, name: str) -> None:
    """ValueError where a matrix holds a negative value."""
    if counts.nnz and counts.data.min() < 0:
        at = int(np.argmin(counts.data))
        where = csr.entry_name(at, counts.indptr, counts.indices)
        raise ValueError(
            f"{name} holds {counts.data[at]:g} at {where}; expected no negative values: these "
            "weights are of counts. Remove dislikes, or use weighting='cosine' or None"
        )


def _matrix(values: np.ndarray, like: sparse.csr_array) -> sparse.csr_matrix:
    return sparse.csr_matrix((values, like.indices, like.indptr), shape=like.shape)
