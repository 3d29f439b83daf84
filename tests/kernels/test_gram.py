"""The two tall-skinny products against their NumPy twins."""

import numpy as np
import pytest
from cases import FACTORS

from recsys.kernels import _als, reference

ROWS = [1, 2, 15, 16, 17, 127, 128, 129, 1024, 1025, 5000]


@pytest.mark.parametrize("f", [*FACTORS, 256])
@pytest.mark.parametrize("rows", ROWS)
def test_gramian(isa, dtype, f, rows):
    x = np.random.default_rng(rows).standard_normal((rows, f)).astype(dtype)
    got, expected = _als.gramian(x, isa=isa, num_threads=2), reference.gramian(x)
    assert got.dtype == np.float64
    assert np.array_equal(got, got.T)
    np.testing.assert_allclose(got, expected, atol=10 * np.finfo(dtype).eps * expected.max())


@pytest.mark.parametrize("f", [*FACTORS, 256])
@pytest.mark.parametrize("rows", ROWS)
def test_rotate(isa, dtype, f, rows):
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((rows, f)).astype(dtype)
    basis = np.linalg.qr(rng.standard_normal((f, f)))[0].astype(dtype)
    before, expected, out = x.copy(), np.zeros(x.shape), np.zeros_like(x)
    reference.rotate(x, basis, expected)
    _als.rotate(x, basis, out, isa=isa, num_threads=2)
    _als.rotate(x, basis, x, isa=isa, num_threads=2)
    assert np.array_equal(x, out)
    place = rng.permutation(rows).astype(np.int32)
    placed = np.zeros_like(x)
    _als.rotate(before, basis, placed, place, isa=isa, num_threads=2)
    assert np.array_equal(placed[place], out)
    np.testing.assert_allclose(x, expected, atol=20 * np.finfo(dtype).eps * np.sqrt(f))


def test_same_bits_for_any_threads(isa, dtype, num_threads):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70_000, 20)).astype(dtype)
    basis = rng.standard_normal((20, 20)).astype(dtype)
    one, many = x.copy(), x.copy()
    _als.rotate(one, basis, one, isa=isa, num_threads=1)
    _als.rotate(many, basis, many, isa=isa, num_threads=num_threads)
    assert np.array_equal(one, many)
    assert np.array_equal(
        _als.gramian(x, isa=isa, num_threads=1), _als.gramian(x, isa=isa, num_threads=num_threads)
    )
