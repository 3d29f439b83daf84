"""The gate that matrices come in by, and what is done with those in canonical form."""

import itertools
import logging

import numpy as np
import pytest
from scipy import sparse

from recsys import csr

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
DENSE = np.array([[5, 0, 3, 0], [0, 0, 0, 0], [1, 2, 0, 7]])


def snapshot(matrix):
    return [(array.tobytes(), array.dtype, array.flags.writeable) for array in arrays_of(matrix)]


def arrays_of(matrix):
    names = {"coo": ("row", "col", "data"), "dia": ("offsets", "data")}
    names = names.get(matrix.format, ("indptr", "indices", "data"))
    return [getattr(matrix, name) for name in names]


def tampered(**arrays):
    """A CSR matrix whose arrays were changed after SciPy had checked them."""
    matrix = sparse.csr_array(DENSE)
    for name, values in arrays.items():
        setattr(matrix, name, np.asarray(values))
    return matrix


def is_canonical(matrix, dtype):
    assert matrix.indices.dtype == np.int32 and matrix.indptr.dtype == np.int64
    assert matrix.data.dtype == dtype
    for row in range(matrix.shape[0]):
        assert (np.diff(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]) > 0).all()
    return True


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("values", [np.int8, np.uint16, np.int64, np.float16, ">f4", "f4", "f8"])
def test_csr_of_any_values(kind, values, dtype):
    matrix = kind(DENSE)
    matrix.data = matrix.data.astype(values)  # SciPy itself would refuse some of these
    before = snapshot(matrix)
    out = csr.canonical(matrix, dtype)
    assert is_canonical(out, dtype)
    np.testing.assert_array_equal(out.toarray(), DENSE)
    assert snapshot(matrix) == before


def test_booleans_count_as_ones():
    out = csr.canonical(sparse.csr_array(DENSE > 0), F32)
    np.testing.assert_array_equal(out.toarray(), DENSE > 0)


@pytest.mark.parametrize("fmt", ["coo", "csc", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("array", [True, False])
def test_other_formats(fmt, array):
    matrix = (sparse.csr_array if array else sparse.csr_matrix)(DENSE).asformat(fmt)
    before = snapshot(matrix) if fmt not in ("lil", "dok") else None
    out = csr.canonical(matrix, F32)
    assert is_canonical(out, F32)
    np.testing.assert_array_equal(out.toarray(), DENSE)
    assert before is None or snapshot(matrix) == before


def test_conversion_is_said_once(caplog, monkeypatch):
    monkeypatch.setattr(csr, "_said", set())
    with caplog.at_level(logging.WARNING, "recsys"):
        for _ in range(3):
            csr.canonical(sparse.coo_array(DENSE), F32)
            csr.canonical(sparse.csc_array(DENSE), F32)
    assert [("COO" in r.message, "CSC" in r.message) for r in caplog.records] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("width", [np.int32, np.int64])
def test_unsorted_and_duplicated_entries(width):
    data = np.array([1, 7, 2, 4, 3, 100, 100], np.int8)  # 100 + 100 does not fit an int8
    indices = np.array([3, 0, 3, 1, 3, 2, 2], width)
    matrix = sparse.csr_matrix((3, 4), dtype=np.int8)
    matrix.data, matrix.indices, matrix.indptr = data, indices, np.array([0, 5, 5, 7], width)
    before = snapshot(matrix)
    for each in (matrix, matrix.tocoo()):
        out = csr.canonical(each, F32)
        assert is_canonical(out, F32)
        np.testing.assert_array_equal(out.toarray(), [[7, 4, 0, 6], [0] * 4, [0, 0, 200, 0]])
    assert snapshot(matrix) == before


def test_stale_flags_are_not_believed():
    matrix = sparse.csr_array((1, 4))
    matrix.data, matrix.indices = np.array([1.0, 2.0]), np.array([2, 0], np.int32)
    matrix.indptr = np.array([0, 2], np.int32)
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    np.testing.assert_array_equal(csr.canonical(matrix, F32).toarray(), [[2, 0, 1, 0]])


def test_stored_zeros_are_kept():
    matrix = sparse.csr_array((np.zeros(2), np.array([0, 2]), np.array([0, 1, 2])), shape=(2, 3))
    assert csr.canonical(matrix, F32).nnz == 2


def test_read_only_and_memory_mapped_arrays_are_shared(tmp_path):
    matrix = sparse.csr_array(DENSE.astype(np.float32))
    names = ("data", "indices", "indptr")
    for name in names:
        np.save(tmp_path / f"{name}.npy", getattr(matrix, name))
        setattr(matrix, name, np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    out = csr.canonical(matrix, F32)
    assert np.shares_memory(out.data, matrix.data)
    assert np.shares_memory(out.indices, matrix.indices)
    assert type(out.data) is np.ndarray
    np.testing.assert_array_equal(out.toarray(), DENSE)
    for name in names:  # ... and where a copy has to be made
        setattr(matrix, name, getattr(matrix, name)[:])
    matrix.indices = np.load(tmp_path / "indices.npy")[[1, 0, 2, 3, 4]]
    matrix.indices.flags.writeable = False
    np.testing.assert_array_equal(
        csr.canonical(matrix, F32).toarray(), [[3, 0, 5, 0], [0] * 4, [1, 2, 0, 7]]
    )


def test_blocks_see_every_entry(monkeypatch):
    monkeypatch.setattr(csr, "_BLOCK", 7)
    matrix = sparse.random_array((40, 30), density=0.2, rng=0, format="csr")
    out = csr.canonical(matrix, F64)
    np.testing.assert_array_equal(out.toarray(), matrix.toarray())
    assert np.shares_memory(out.data, matrix.data)
    covered = [(rows, entries) for rows, entries in csr.row_blocks(out.indptr)]
    assert covered[0][0].start == 0 and covered[-1][0].stop == 40
    assert covered[0][1].start == 0 and covered[-1][1].stop == out.nnz
    for (rows, entries), (after, following) in itertools.pairwise(covered):
        assert rows.stop == after.start and entries.stop == following.start
    for position in (0, 13, matrix.nnz - 1):
        bad = matrix.copy()
        bad.data[position] = np.nan
        row = np.searchsorted(bad.indptr, position, side="right") - 1
        with pytest.raises(ValueError, match=rf"nan at row {row}, column {bad.indices[position]};"):
            csr.canonical(bad, F64)
    swapped = matrix.copy()
    where = np.flatnonzero(np.diff(swapped.indptr) > 1)[-1]
    at = swapped.indptr[where]
    swapped.indices[[at, at + 1]] = swapped.indices[[at + 1, at]]
    np.testing.assert_array_equal(csr.canonical(swapped, F64).toarray(), swapped.toarray())


BAD = {
    "list": ([[1, 2]], TypeError, r"SciPy sparse matrix.*got list: build one"),
    "dense 1-D": (np.ones(5), TypeError, r"dense 1-D array of shape \(5,\): build one"),
    "dense 2-D": (DENSE, TypeError, r"2-D.*\(3, 4\).*scipy.sparse.csr_matrix\(user_items\)"),
    "sparse 1-D": (sparse.coo_array(np.ones(5)), ValueError, r"must be 2-D.*got shape \(5,\)"),
    "no rows": (sparse.csr_array((0, 4)), ValueError, r"empty.*\(0, 4\)"),
    "no columns": (sparse.csr_array((4, 0)), ValueError, r"empty.*\(4, 0\)"),
    "no entries": (sparse.csr_array((4, 3)), ValueError, "no stored entries"),
    "complex": (sparse.csr_array(DENSE * 1j), TypeError, "dtype complex128; expected.*astype"),
    "object": (tampered(data=np.array([1] * 5, object)), TypeError, "dtype object; expected"),
    "strings": (tampered(data=list("abcde")), TypeError, "dtype <U1; expected"),
    "nan": (tampered(data=[1, 2, np.nan, 4, 5.0]), ValueError, "nan at row 2, column 0; expect"),
    "inf": (tampered(data=[1, 2, 3, -np.inf, 5.0]), ValueError, "-inf at row 2, column 1; exp"),
    "too large": (tampered(data=[1, 2, 3, 4, 1e39]), ValueError, "1e.39 at row 2, column 3.*64"),
    "too large, other format": (
        tampered(data=[1, 2, 3, 4, 1e39]).tocoo(),
        ValueError,
        "1e.39 at row 2, column 3; it does not fit float32: .* dtype=np.float64",
    ),
    "sum too large": (
        sparse.csr_array(([3e38, 3e38], [1, 1], [0, 2]), shape=(1, 2), dtype=np.float32),
        ValueError,
        "inf at row 0, column 1",
    ),
    "high index": (
        tampered(indices=[0, 2, 0, 1, 4]),
        ValueError,
        r"ces\[4\] is 4; expected 0 to 3",
    ),
    "negative": (tampered(indices=[0, -1, 0, 1, 3]), ValueError, r"indices\[1\] is -1; expected 0"),
    "huge index": (tampered(indices=[0, 2**32, 0, 1, 3]), ValueError, r"indices\[1\] is 429496729"),
    "float indices": (tampered(indices=[0, 2.0, 0, 1, 3]), TypeError, "indices must be.*float64"),
    "short indptr": (tampered(indptr=[0, 2, 5]), ValueError, "indptr has 3 values; expected 4"),
    "long indptr": (tampered(indptr=[0, 2, 2, 5, 5]), ValueError, "indptr has 5 values; exp.* 4"),
    "falling indptr": (tampered(indptr=[0, 3, 2, 5]), ValueError, "indptr falls after row 1"),
    "indptr from 1": (tampered(indptr=[1, 2, 2, 5]), ValueError, "indptr starts at 1"),
    "indptr past end": (tampered(indptr=[0, 2, 2, 6]), ValueError, "ends at 6, with 5 indices"),
    "indptr before end": (tampered(indptr=[0, 2, 2, 4]), ValueError, r"ends at 4.*prune\(\)"),
    "short data": (tampered(data=[1.0, 2.0]), ValueError, "5 indices and 2 values"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_matrix(case):
    matrix, error, message = BAD[case]
    with pytest.raises(error, match=message):
        csr.canonical(matrix, F32)


@pytest.mark.parametrize("shape", [(2, 2**31), (2**31, 2)])
def test_too_many_rows_or_columns(shape):
    entry = (np.ones(1), (np.array([1]), np.array([1])))
    with pytest.raises(
        ValueError, match=f"user_items is {shape[0]} x {shape[1]}; expected at most"
    ):
        csr.canonical(sparse.coo_array(entry, shape=shape), F32)


def test_bad_indices_of_other_formats():
    coo = sparse.coo_array(DENSE)
    coo.coords = (coo.row.copy(), np.array([0, 2, 0, 1, 9]))
    with pytest.raises(ValueError, match=r"col\[4\] is 9; expected 0 to 3"):
        csr.canonical(coo, F32)
    coo.coords = (np.array([0, 0, 2, 2, -5]), sparse.coo_array(DENSE).col)
    with pytest.raises(ValueError, match=r"row\[4\] is -5; expected 0 to 2"):
        csr.canonical(coo, F32)
    csc = sparse.csc_array(DENSE)
    csc.indices = np.array([0, 2, 2, 0, 3], np.int32)
    with pytest.raises(ValueError, match=r"indices\[4\] is 3; expected 0 to 2"):
        csr.canonical(csc, F32)
    bsr = sparse.bsr_array(np.ones((4, 4)), blocksize=(2, 2))
    bsr.indices = np.array([0, 1, 0, 2], np.int32)
    with pytest.raises(ValueError, match=r"indices\[3\] is 2; expected 0 to 1"):
        csr.canonical(bsr, F32)


# ---- canonical matrices -------------------------------------------------------------------------


def some(n_rows=30, n_columns=20, seed=0, dtype=F32):
    """A canonical matrix with rows and columns that are empty, and with stored zeros."""
    rng = np.random.default_rng(seed)
    stored = rng.random((n_rows, n_columns)) < 0.3
    stored[[0, 7, -1]], stored[:, [2, -1]] = False, False
    rows, columns = np.nonzero(stored)
    values = rng.integers(0, 3, len(rows)).astype(dtype)
    matrix = sparse.csr_array((values, (rows, columns)), shape=stored.shape)
    return csr.canonical(matrix, dtype)


def stored(matrix):
    """Its entries as (row, column) -> value, those that are 0 included."""
    places = zip(csr.entry_rows(matrix).tolist(), matrix.indices.tolist(), strict=True)
    return dict(zip(places, matrix.data.tolist(), strict=True))


def check(matrix, shape, entries):
    """That a matrix is canonical, and has these entries and no others."""
    assert is_canonical(matrix, matrix.data.dtype) and matrix.shape == shape
    assert len(matrix.indptr) == shape[0] + 1 and matrix.indptr[-1] == matrix.nnz
    assert stored(matrix) == entries


def test_entry_rows():
    matrix = some()
    rows = csr.entry_rows(matrix)
    assert rows.dtype == np.int64
    spans = itertools.pairwise(matrix.indptr.tolist())
    assert rows.tolist() == [
        row for row, (begin, end) in enumerate(spans) for _ in range(begin, end)
    ]
    assert csr.entry_rows(csr.empty((3, 4), F32)).shape == (0,)


def test_empty():
    matrix = csr.empty((3, 4), F64)
    check(matrix, (3, 4), {})
    assert matrix.data.dtype == F64


@pytest.mark.parametrize("rows", [[3, 7, 3, 1], [-1], [5, -1, -1, 6], [0], [], range(30)])
def test_take_rows(rows):
    matrix = some()
    rows = np.array(rows, np.int64)
    entries = {
        (place, column): value
        for place, row in enumerate(rows)
        for (at, column), value in stored(matrix).items()
        if at == row
    }
    check(csr.take_rows(matrix, rows), (len(rows), 20), entries)


def test_taken_rows_are_copies():
    matrix = some()
    taken = csr.take_rows(matrix, np.arange(30))
    taken.data[:] = -1
    assert (matrix.data >= 0).all()


def test_row_entries_are_where_the_entries_are():
    matrix, rows = some(), np.array([4, -1, 9, 0, 4])
    indptr, at = csr.row_entries(matrix.indptr, rows)
    lengths = [0 if row < 0 else matrix.indptr[row + 1] - matrix.indptr[row] for row in rows]
    assert np.diff(indptr).tolist() == lengths and indptr[0] == 0
    spans = [
        range(matrix.indptr[row], matrix.indptr[row] + n)
        for row, n in zip(rows, lengths, strict=True)
    ]
    assert at.tolist() == [each for span in spans for each in span]


@pytest.mark.parametrize("rows", [[2, 5], [5, 2], [31, 3], [30, 33], []])
def test_put_rows(rows):
    """Also of rows beyond the last one: those between them are empty."""
    matrix, rows = some(), np.array(rows, np.int64)
    others = csr.take_rows(some(seed=1), np.arange(10, 10 + len(rows)))
    entries = {place: value for place, value in stored(matrix).items() if place[0] not in rows}
    entries |= {(int(rows[at]), column): v for (at, column), v in stored(others).items()}
    before = snapshot(matrix)
    check(csr.put_rows(matrix, rows, others), (max([29, *rows]) + 1, 20), entries)
    assert snapshot(matrix) == before


@pytest.mark.parametrize("replaces", [False, True])
def test_merged(replaces):
    """Sums, or the second matrix's entries, where both have one; none that are 0 get lost."""
    first, second = some(), some(seed=1)
    ones, others = stored(first), stored(second)
    both = {
        place: others[place] + (0 if replaces else ones[place]) for place in ones & others.keys()
    }
    assert both and 0 in both.values() and any(ones[place] for place in both)
    check(csr.merged(first, second, replaces=replaces), first.shape, ones | others | both)


def test_merged_with_nothing():
    matrix, nothing = some(), csr.empty((30, 20), F32)
    for pair in ((matrix, nothing), (nothing, matrix)):
        for replaces in (False, True):
            check(csr.merged(*pair, replaces=replaces), (30, 20), stored(matrix))


def test_from_triples():
    rows, columns = np.array([2, 0, 2, 2, 0]), np.array([1, 3, 0, 1, 2])
    values = np.array([1, 0, 4, 2, 5], np.float32)
    entries = {(2, 1): 3, (0, 3): 0, (2, 0): 4, (0, 2): 5}
    check(csr.from_triples(values, rows, columns, (3, 4)), (3, 4), entries)
    check(csr.from_triples(values[:0], rows[:0], columns[:0], (3, 4)), (3, 4), {})


def test_keep():
    matrix = some()
    kept = np.random.default_rng(1).random(matrix.nnz) < 0.5
    expected = dict(itertools.compress(stored(matrix).items(), kept))
    check(csr.keep(matrix, kept), matrix.shape, expected)
    check(csr.keep(matrix, np.zeros(matrix.nnz, bool)), matrix.shape, {})
    assert csr.keep(matrix, np.ones(matrix.nnz, bool)) is matrix


def test_entries_of_a_structure_count_one():
    matrix = some()
    structure = csr.TrainingMatrix.of(matrix)._replace(data=None)
    check(structure.counts(np.float32), matrix.shape, dict.fromkeys(stored(matrix), 1))


def test_summed_is_canonical():
    twice = sparse.csr_array((3, 4), dtype=np.float32)
    twice.data, twice.indices = np.ones(4, np.float32), np.array([3, 1, 3, 0], np.int64)
    twice.indptr = np.array([0, 3, 3, 4], np.int64)
    twice.has_sorted_indices = twice.has_canonical_format = False
    check(csr.summed(twice), (3, 4), {(0, 1): 1, (0, 3): 2, (2, 0): 1})


def test_without_and_shared_entries(monkeypatch):
    monkeypatch.setattr(csr, "_BLOCK", 7)
    first, second = some(), some(seed=1)
    ones, others = stored(first), stored(second)
    rest = {place: value for place, value in ones.items() if place not in others}
    check(csr.without(first, second), first.shape, rest)
    counts, example = csr.shared_entries(first, second)
    shared = sorted(ones.keys() & others.keys())
    assert counts.tolist() == [sum(row == at for row, _ in shared) for at in range(30)]
    assert example == shared[0]
    counts, example = csr.shared_entries(first, csr.empty((40, 50), F32))
    assert counts.tolist() == 30 * [0] and example is None


def test_scipy_matrix():
    matrix = some()
    copied = csr.scipy_matrix(matrix)
    assert isinstance(copied, sparse.csr_matrix) and copied.has_canonical_format
    assert copied.indices.dtype == copied.indptr.dtype
    assert stored(copied) == stored(matrix)


# ---- what a model was trained on ----------------------------------------------------------------


def test_training_matrix():
    matrix = some()
    seen = csr.TrainingMatrix.of(matrix)
    assert seen.shape == matrix.shape and np.shares_memory(seen.data, matrix.data)
    assert np.shares_memory(seen.counts(F32).data, matrix.data)
    check(seen.counts(F64), matrix.shape, stored(matrix))
    assert seen.counts(F64).data.dtype == F64
    copied = seen.copied(F64)
    assert copied.data.dtype == F64
    parts = (copied.indptr, copied.indices, copied.data)
    for part, theirs in zip(parts, (matrix.indptr, matrix.indices, matrix.data), strict=True):
        assert not np.shares_memory(part, theirs)
        np.testing.assert_array_equal(part, theirs)
