"""Inverses in place, by blocks, and the dense matrices that are inverted."""

import numpy as np
import pytest
from scipy import sparse

from recsys import csr, kernels
from recsys.kernels import inverse


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(inverse, "BLOCK", 16)
    monkeypatch.setattr(inverse, "_TILE", 24)


def definite(n, dtype):
    matrix = np.random.default_rng(n).normal(size=(n, 2 * n))
    return (matrix @ matrix.T).astype(dtype)


def lower_blocks(matrix):
    """What has to be set of it, and nothing else."""
    own = np.full_like(matrix, np.nan)
    for begin in range(0, len(matrix), 16):
        rows = slice(begin, begin + 16)
        own[rows, : rows.stop] = matrix[rows, : rows.stop]
    return own


@pytest.mark.parametrize("n", [1, 15, 16, 17, 48, 75])
def test_inverses(small_blocks, dtype, n):
    matrix = definite(n, dtype)
    own, told = lower_blocks(matrix), []
    kernels.invert(own, 2, told.append)
    expected = np.linalg.inv(matrix.astype(np.float64))
    off = 2e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(own, expected, atol=off * np.abs(expected).max())
    np.testing.assert_array_equal(own, own.T)
    assert sum(told) == n


def test_same_bits_for_any_number_of_threads(small_blocks, dtype):
    results = [lower_blocks(definite(75, dtype)) for _ in range(3)]
    for threads, own in enumerate(results, 1):
        kernels.invert(own, threads)
        np.testing.assert_array_equal(own, results[0])


def test_what_is_not_definite(small_blocks, dtype):
    matrix = np.diag(np.arange(20, dtype=dtype))
    with pytest.raises(FloatingPointError, match="not positive definite in float"):
        kernels.invert(matrix)


def test_gramians_and_products(small_blocks, dtype):
    rows = csr.canonical(sparse.random_array((37, 50), density=0.2, rng=0), np.dtype(dtype))
    dense = rows.toarray().astype(np.float64)
    gram = kernels.dense_gramian(rows, 2.5, 2)
    below = np.tril_indices(37)
    np.testing.assert_allclose(gram[below], (dense @ dense.T + 2.5 * np.eye(37))[below], rtol=1e-5)
    right = np.random.default_rng(0).normal(size=(50, 23)).astype(dtype)
    product = kernels.sparse_times_dense(rows, right, 2)
    np.testing.assert_allclose(product, dense @ right, rtol=1e-4, atol=1e-5)
