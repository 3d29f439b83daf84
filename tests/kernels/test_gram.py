"""What is done with whole factor matrices, against the NumPy twins."""

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


@pytest.mark.parametrize("f", FACTORS)
@pytest.mark.parametrize("rows", ROWS)
def test_column_sums(isa, dtype, f, rows):
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((rows, f)).astype(dtype)
    one = np.broadcast_to(dtype(1), rows)
    for weights in (one, rng.standard_normal(rows).astype(dtype), x[:, f // 2]):
        got = _als.column_sums(x, weights, isa=isa, num_threads=2)
        expected = reference.column_sums(x, weights)
        assert got.dtype == np.float64
        size = np.abs(weights.astype(np.float64)) @ np.abs(x.astype(np.float64))
        np.testing.assert_array_less(np.abs(got - expected), 1e-13 * size + 1e-300)


@pytest.mark.parametrize("f", FACTORS)
@pytest.mark.parametrize("rows", ROWS)
def test_weighted_squares(isa, dtype, f, rows):
    rng = np.random.default_rng(rows)
    x, weights = rng.standard_normal((rows, f)).astype(dtype), rng.random(rows)
    got = _als.weighted_squares(x, weights, isa=isa, num_threads=2)
    assert got == _als.weighted_squares(x, weights, isa=isa, num_threads=1)
    assert got == pytest.approx(reference.weighted_squares(x, weights), rel=1e-13)


@pytest.mark.parametrize("f", FACTORS)
@pytest.mark.parametrize("rows", [1, 17, 129, 5000])
def test_rotate_with_the_last_column_apart(isa, dtype, f, rows):
    """In, out, or both; and into rows that are longer, the rest of which is left alone."""
    rng = np.random.default_rng(rows)
    x, biases = rng.standard_normal((rows, f)), rng.standard_normal(rows)
    basis = np.linalg.qr(rng.standard_normal((f + 1, f + 1)))[0]
    x, biases, basis = (each.astype(dtype) for each in (x, biases, basis))
    both = np.column_stack([x, biases])
    place = rng.permutation(rows).astype(np.int32)
    how = {"isa": isa, "num_threads": 2}
    whole = np.empty_like(both)
    _als.rotate(both, basis, whole, **how)

    for last in (biases, both[:, -1]):
        long = np.full((rows, f + 4), 7, dtype)
        _als.rotate(x, basis, long, place, last=last, **how)
        assert np.array_equal(long[place, : f + 1], whole)
        assert np.all(long[:, f + 1 :] == 7)
    apart, out_last = np.empty_like(x), np.empty_like(biases)
    _als.rotate(both, basis, apart, out_last=out_last, **how)
    assert np.array_equal(np.column_stack([apart, out_last]), whole)
    _als.rotate(x, basis, x, last=biases, out_last=biases, **how)
    assert np.array_equal(np.column_stack([x, biases]), whole)

    ones = np.broadcast_to(dtype(1), rows)
    got, expected = np.empty_like(both), np.empty(both.shape)
    _als.rotate(x, basis, got, place, last=ones, **how)
    reference.rotate(x, basis, expected, place, last=ones)
    np.testing.assert_allclose(got, expected, atol=20 * np.finfo(dtype).eps * np.sqrt(f + 1))


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
    weights = x[:, 3]
    assert np.array_equal(
        _als.column_sums(x, weights, isa=isa, num_threads=1),
        _als.column_sums(x, weights, isa=isa, num_threads=num_threads),
    )
