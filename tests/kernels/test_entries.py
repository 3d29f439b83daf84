"""Entries put elsewhere, against the NumPy twins and against what SciPy makes of them."""

import numpy as np
import pytest
from scipy import sparse
from twins import of_twin, on_copies

from recsys import csr
from recsys.kernels import _entries, entries, reference

THREADS = [1, 2, 3, 7]


def some(dtype=np.float32, rows=57, columns=23, density=0.2):
    matrix = sparse.random_array((rows, columns), density=density, rng=rows, format="csr")
    matrix.data = np.round(100 * matrix.data).astype(dtype)
    return csr.assemble(
        matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64), matrix.shape
    )


@pytest.fixture(autouse=True)
def parts_of_any_size(monkeypatch):
    """Threads share out what is small as well."""
    monkeypatch.setattr(entries, "_MOVED", 1e6)
    monkeypatch.setattr(entries, "_SPAN", 10)


def same(got, expected):
    expected = sparse.csr_array(expected)
    assert got.shape == expected.shape and got.dtype == expected.dtype
    assert got.indices.dtype == np.int32 and got.indptr.dtype == np.int64
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int64, bool])
def test_transposed(dtype, threads):
    matrix = some(dtype)
    same(entries.transposed(matrix, threads), matrix.T.tocsr())


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 900), (900, 2)])
@pytest.mark.parametrize("density", [0, 0.3, 1])
def test_transposed_shapes(shape, density):
    matrix = some(np.float64, *shape, density)
    for threads in THREADS:
        same(entries.transposed(matrix, threads), matrix.T.tocsr())


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_transposed_of_nothing(shape):
    same(entries.transposed(csr.empty(shape, np.float32)), sparse.csr_array(shape[::-1], dtype="f"))


@pytest.mark.parametrize("threads", THREADS)
def test_transposed_sorts_and_keeps_entries_of_one_place_in_their_order(threads):
    indices = np.array([4, 1, 1, 0, 3, 3, 0, 3], np.int64)
    matrix = sparse.csr_array((5, 6), dtype=np.int32)
    matrix.data, matrix.indices = np.arange(8, dtype=np.int32), indices
    matrix.indptr = np.array([0, 4, 4, 7, 8, 8], np.int32)
    turned = entries.transposed(matrix, threads)
    assert turned.indptr.tolist() == [0, 2, 4, 4, 7, 8, 8]
    assert turned.indices.tolist() == [0, 2, 0, 0, 2, 2, 3, 0]
    assert turned.data.tolist() == [3, 6, 1, 2, 4, 5, 7, 0]


@pytest.mark.parametrize("move", [entries.transposed, lambda m: entries.take_rows(m, np.arange(2))])
def test_entries_that_are_not_there_are_not_read(move):
    matrix = some()
    matrix.data = matrix.data[:-1]
    with pytest.raises(ValueError, match="expected as many of each"):
        move(matrix)
    matrix.data = np.float32(0)
    with pytest.raises(ValueError, match=r"data of shape \(\)"):
        move(matrix)


@pytest.mark.parametrize("threads", THREADS)
def test_column_counts(threads):
    matrix = some()
    expected = np.bincount(matrix.indices, minlength=matrix.shape[1])
    assert entries.column_counts(matrix, threads).tolist() == expected.tolist()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool])
def test_take_rows(dtype, threads):
    matrix = some(dtype)
    for rows in ([], [3], [5, 2, 2, 56, 0], range(57)):
        rows = np.array(rows, np.int64)
        same(entries.take_rows(matrix, rows, threads), csr.take_rows(matrix, rows))


@pytest.mark.parametrize("threads", THREADS)
def test_first_entries(threads):
    rng = np.random.default_rng(0)
    columns, values = rng.integers(0, 9, (31, 6)).astype(np.int32), rng.random((31, 6))
    lengths = rng.integers(0, 7, 31)
    got = entries.first_entries(columns, values, lengths, 9, threads)
    kept = np.arange(6) < lengths[:, np.newaxis]
    assert got.shape == (31, 9) and np.diff(got.indptr).tolist() == lengths.tolist()
    np.testing.assert_array_equal(got.indices, columns[kept])
    np.testing.assert_array_equal(got.data, values[kept])


@pytest.mark.parametrize("threads", THREADS)
def test_renumbered(threads):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 9, 23).astype(np.int32)
    for count in (0, 1, 1000):
        indices = rng.integers(0, 23, count).astype(np.int32)
        expected = numbers[indices]
        assert np.array_equal(entries.renumbered(indices, numbers, threads), expected)
        entries.renumbered(indices, numbers, threads, out=indices)
        assert np.array_equal(indices, expected)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", ["count_columns", "transpose", "take_rows", "renumber"])
def test_kernels_equal_reference(name, threads):
    matrix = some()
    rows = np.array([0, 11, 11, 40, 57])
    ends = np.cumsum(np.bincount(matrix.indices, minlength=23))
    words = {"indices": matrix.indices, "values": matrix.data.view(np.uint32)}
    arguments = {
        "count_columns": {
            "indices": matrix.indices,
            "cuts": matrix.indptr[rows],
            "counts": np.ones((4, 23), np.int64),
        },
        "transpose": {
            "indptr": matrix.indptr,
            **words,
            "rows": rows[[0, -1]],
            "places": np.append(0, ends[:-1])[np.newaxis],
            "out_indices": np.empty_like(matrix.indices),
            "out_values": np.empty(matrix.nnz, np.uint32),
        },
        "take_rows": {
            "indptr": matrix.indptr,
            **words,
            "rows": np.arange(57)[::-1].copy(),
            "out_indptr": np.append(0, np.cumsum(np.diff(matrix.indptr)[::-1])),
            "spans": rows,
            "out_indices": np.empty_like(matrix.indices),
            "out_values": np.empty(matrix.nnz, np.uint32),
        },
        "renumber": {
            "indices": matrix.indices,
            "numbers": np.arange(23, dtype=np.int32)[::-1].copy(),
            "out": np.empty_like(matrix.indices),
        },
    }[name]
    written = {"counts", "places", "out_indices", "out_values", "out"} & set(arguments)
    got = on_copies(getattr(_entries, name), arguments, written, num_threads=threads)
    want = of_twin(getattr(reference, name), arguments, written)
    for each in written:
        np.testing.assert_array_equal(got[each], want[each])
