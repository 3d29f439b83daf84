"""The start of ALS against a full SVD."""

import numpy as np
import pytest
from cases import CASES
from scipy import sparse

from recsys.kernels import make_sides, spectral_start

EVERY = sorted(CASES)


def start(matrix, f, dtype, *, ratings=False, mean=0.0, num_threads=1, seed=0):
    sides = make_sides(matrix.astype(dtype), 1.0, 0.0, 1.0, ratings)
    rng = np.random.default_rng(seed)
    users = np.full((matrix.shape[0], f), np.nan, dtype)
    items = rng.standard_normal((matrix.shape[1], f), dtype=dtype)
    found = spectral_start(sides, users, items, mean=mean, num_threads=num_threads)
    return users, items, found


def low_rank(rank, rows=90, columns=70, seed=1):
    """0 and 1, in blocks of users who like the same items."""
    rng = np.random.default_rng(seed)
    liked = rng.integers(0, rank, rows)[:, None] == rng.integers(0, rank, columns)
    return sparse.csr_array(liked * rng.integers(1, 9, liked.shape).astype(float))


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_a_matrix_of_low_rank_is_found_whole(dtype, rank):
    matrix = low_rank(rank)
    users, items, found = start(matrix, 8, dtype)
    assert found == rank
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(users @ items.T, matrix.toarray() > 0, atol=tolerance)
    assert not users[:, rank:].any() and not items[:, rank:].any()
    values = np.linalg.svd((matrix.toarray() > 0).astype(float), compute_uv=False)
    for side in (users, items):  # each has the root of the singular values
        np.testing.assert_allclose(side.T @ side, np.diag([*values[:rank], *[0] * (8 - rank)]),
                                   atol=30 * tolerance)  # fmt: skip


@pytest.mark.parametrize("ratings", [False, True])
def test_nearly_the_best_approximation(dtype, ratings):
    rng = np.random.default_rng(0)
    table = rng.integers(-1, 6, (120, 80)) * (rng.random((120, 80)) < 0.2)
    matrix = sparse.csr_array(table.astype(float))
    mean = 1.25 if ratings else 0.0
    target = np.where(table != 0, table - mean, 0) if ratings else (table > 0).astype(float)
    users, items, found = start(matrix, 40, dtype, ratings=ratings, mean=mean)
    assert found == 40
    off = np.linalg.norm(users @ items.T - target)
    best = np.linalg.norm(np.linalg.svd(target, compute_uv=False)[40:])
    assert best <= off * (1 + 1e-5) and off < 1.15 * best


@pytest.mark.parametrize("f", [1, 5, 64])
@pytest.mark.parametrize("case", EVERY)
def test_every_matrix(dtype, case, f):
    """Those with fewer rows or columns than factors, empty ones, dislikes alone among them."""
    matrix = CASES[case]()
    users, items, found = start(matrix, f, dtype)
    assert 0 <= found <= min(f, *matrix.shape)
    assert np.isfinite(users).all() and np.isfinite(items).all()
    assert not items[:, found:].any()
    rows = np.diff(sparse.csr_array(matrix > 0).indptr)
    assert not users[rows == 0].any()
    assert found or not (matrix.data > 0).any()


def test_same_bits_for_any_threads(dtype, num_threads):
    one, many = (start(CASES["long"](), 9, dtype, num_threads=n) for n in (1, num_threads))
    assert all(np.array_equal(a, b) for a, b in zip(one[:2], many[:2], strict=True))


def test_too_large_ratings_are_an_error():
    matrix = sparse.csr_array(np.full((4, 3), 1e30))
    with pytest.raises(FloatingPointError, match="too large for a spectral start in float32"):
        start(matrix, 2, np.float32, ratings=True)
    assert start(matrix, 2, np.float64, ratings=True)[2] == 1
