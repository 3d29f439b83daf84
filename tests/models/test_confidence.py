import numpy as np
import pytest
from scipy import sparse

from recsys import NumericalWarning, csr
from recsys.models.confidence import signed_confidence

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def counts_of(data, indptr, n_items=6, dtype=F64):
    indices = np.concatenate([np.arange(n) for n in np.diff(indptr)])
    matrix = sparse.csr_array((np.array(data, float), indices, indptr), (len(indptr) - 1, n_items))
    return csr.canonical(matrix, dtype)


@pytest.fixture
def counts():
    """A row without entries at either end and in the middle, a dislike, stored zeros."""
    return counts_of([4, -2, 0, 0, 0, 10], [0, 0, 3, 3, 5, 6, 6])


def test_linear(counts):
    out = signed_confidence(counts, "linear", 0.5, None)
    np.testing.assert_allclose(out.data, [3, -2, -1, -1, -1, 6], rtol=1e-15)
    assert out.shape == counts.shape
    assert out.indices is counts.indices and out.indptr is counts.indptr


def test_scaled(counts):
    out = signed_confidence(counts, "scaled", 0.5, None)
    np.testing.assert_allclose(out.data, [2, -1, 0, 0, 0, 5], rtol=1e-15)


def test_log(counts):
    out = signed_confidence(counts, "log", 3.0, 2.0)
    r = np.array([4, 2, 0, 0, 0, 10])
    want = (1 + 3 * np.log1p(r / 2)) * [1, -1, -1, -1, -1, 1]
    np.testing.assert_allclose(out.data, want, rtol=1e-14)


def test_log_of_each_users_mean(counts):
    out = signed_confidence(counts, "log", 3.0, None)
    r = np.array([4 / 2, 2 / 2, 0, 0, 0, 10 / 10])  # the means are 2, none (all 0) and 10
    want = (1 + 3 * np.log1p(r)) * [1, -1, -1, -1, -1, 1]
    np.testing.assert_allclose(out.data, want, rtol=1e-14)


@pytest.mark.parametrize("block", [1, 3, 4, 100])
def test_means_of_users_around_rows_without_entries(block, monkeypatch):
    """Rows without entries at both ends, in runs, and as whole blocks take no part."""
    monkeypatch.setattr(csr, "_BLOCK", block)
    counts = counts_of([1, 3, 6, 2, 4, 6], [0, 0, 0, 2, 2, 2, 3, 6, 6, 6])
    out = signed_confidence(counts, "log", 1.0, None)
    want = 1 + np.log1p(np.array([1 / 2, 3 / 2, 1, 1 / 2, 1, 3 / 2]))
    np.testing.assert_allclose(out.data, want, rtol=1e-15)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("scheme", ["linear", "log", "scaled"])
def test_blocks_change_nothing(scheme, dtype, monkeypatch):
    matrix = sparse.random_array((50, 40), density=0.2, rng=0, format="csr")
    matrix.data = matrix.data * 20 - 5
    counts = csr.canonical(matrix, dtype)
    whole = signed_confidence(counts, scheme, 2.0, None)
    assert whole.data.dtype == dtype
    monkeypatch.setattr(csr, "_BLOCK", 11)
    np.testing.assert_array_equal(signed_confidence(counts, scheme, 2.0, None).data, whole.data)


def test_counts_are_not_changed(counts):
    before = counts.data.copy()
    for scheme in ("linear", "log", "scaled", lambda c: c.data**2):
        signed_confidence(counts, scheme, 2.0, None)
    np.testing.assert_array_equal(counts.data, before)


def test_callable(counts):
    given = []

    def scheme(matrix):
        given.append(matrix)
        return 1 + np.sqrt(np.abs(matrix.data))

    out = signed_confidence(counts, scheme, 99.0, None)
    want = (1 + np.sqrt([4, 2, 0, 0, 0, 10])) * [1, -1, -1, -1, -1, 1]
    np.testing.assert_allclose(out.data, want, rtol=1e-15)
    np.testing.assert_array_equal(given[0].toarray(), counts.toarray())

    def vandal(matrix):
        matrix.data *= 2
        return matrix.data

    with pytest.raises(ValueError, match="read-only"):
        signed_confidence(counts, vandal, 1.0, None)


@pytest.mark.parametrize(
    "returned, error, message",
    [
        (np.ones(3), ValueError, r"each stored entry, shape \(6,\); got shape \(3,\)"),
        (np.ones((2, 3)), ValueError, r"got shape \(2, 3\)"),
        (5.0, ValueError, r"got shape \(\)"),
        (None, TypeError, "array of real numbers; got dtype object"),
        (np.array(list("abcdef")), TypeError, "got dtype <U1"),
        (sparse.csr_array((1, 6)), TypeError, "got dtype object.*counts.data, not on the matrix"),
        ([1, 1, 1, 1, -3.0, 1], ValueError, "returned -3.0 at row 3, column 1; expected finite"),
        ([1, np.nan, 1, 1, 1, 1], ValueError, "returned nan at row 1, column 1; expected finite"),
        ([1, 1, 1, 1, 1, np.inf], ValueError, "returned inf at row 4, column 0; expected finite"),
    ],
)
def test_bad_callable(counts, returned, error, message):
    with pytest.raises(error, match=message):
        signed_confidence(counts, lambda matrix: returned, 1.0, None)


@pytest.mark.parametrize("scheme", ["linear", "scaled", lambda c: c.data.astype(float) * 1e10])
def test_overflow_names_the_entry(scheme):
    counts = counts_of([1, 2, 1e37, 3], [0, 2, 4], dtype=F32)
    with pytest.raises(
        ValueError, match=r'count 1e.37 at row 1, column 0.*float32: use confidence="lo'
    ):
        signed_confidence(counts, scheme, 1e10, None)
    counts = counts_of([1, 2, 1e37, 3], [0, 2, 4], dtype=F64)
    assert np.isfinite(signed_confidence(counts, scheme, 1e10, None).data).all()


def test_wide_spread_warns_in_float32_only():
    data = [1, 1, 1, 419_157]
    with pytest.warns(NumericalWarning, match=r'is 1.68e.07, 4e.05 times.*confidence="log"'):
        signed_confidence(counts_of(data, [0, 4], dtype=F32), "linear", 40.0, None)
    signed_confidence(counts_of(data, [0, 4], dtype=F64), "linear", 40.0, None)
    signed_confidence(counts_of(data, [0, 4], dtype=F32), "log", 40.0, None)
    signed_confidence(counts_of([0, 0, 0, 1e9], [0, 4], dtype=F32), "scaled", 1.0, None)


def test_a_function_of_the_matrix_itself(counts):
    with pytest.raises(TypeError, match=r"SciPy says: .*lambda counts: 1 \+ alpha \* counts.data"):
        signed_confidence(counts, lambda matrix: 1 + matrix, 1.0, None)
