import itertools
import logging

import numpy as np
import pytest
from scipy import sparse

from recsys import checks, csr

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
    for given in (matrix, matrix.tocoo()):
        out = csr.canonical(given, F32)
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


def test_integer():
    assert checks.integer("factors", np.int64(3), 1) == 3
    for value in (2.0, True, np.True_, "3", None, np.ones(1)):
        with pytest.raises(TypeError, match="factors must be an integer of at least 1; got"):
            checks.integer("factors", value, 1)
    with pytest.raises(ValueError, match="factors must be at least 1; got 0"):
        checks.integer("factors", 0, 1)


def test_number():
    assert checks.number("alpha", np.float32(2), above=0) == 2.0
    assert checks.number("alpha", 0, least=0) == 0.0
    for value in (True, "3", None, 1j, np.ones(1)):
        with pytest.raises(TypeError, match="alpha must be a finite number greater than 0; got"):
            checks.number("alpha", value, above=0)
    for value in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="alpha must be a finite number greater than 0; got"):
            checks.number("alpha", value, above=0)
    with pytest.raises(ValueError, match="of at least 0; got -1"):
        checks.number("alpha", -1, least=0)


def test_choice_suggests_the_nearest():
    checks.choice("solver", "cg", ("cholesky", "cg"))
    with pytest.raises(
        ValueError,
        match="unknown solver 'Cholesk'; expected 'cholesky' or 'cg'; did you mean 'cholesky'",
    ):
        checks.choice("solver", "Cholesk", ("cholesky", "cg"))
    with pytest.raises(ValueError, match=r"unknown solver 5; expected 'cg' or a callable$"):
        checks.choice("solver", 5, ("cg",), also="a callable")


def test_floating_dtype():
    for value in (np.float32, "float32", "f4", F32, "<f4"):
        assert checks.floating_dtype(value) == F32
    assert checks.floating_dtype(float) == F64
    for value in (np.float16, int, None, "flaot32", ">f4", np.longdouble, object(), "c8"):
        with pytest.raises(ValueError, match=r"must be np.float32 or np.float64; got"):
            checks.floating_dtype(value)


def test_random_generator():
    first = checks.random_generator(3).random(4)
    np.testing.assert_array_equal(first, np.random.default_rng(3).random(4))
    np.testing.assert_array_equal(first, checks.random_generator(np.uint8(3)).random(4))
    own = np.random.default_rng(0)
    assert checks.random_generator(own) is own
    legacy = [np.random.RandomState(5), np.random.RandomState(5), np.random.RandomState(6)]
    checks.random_state(legacy[0])  # looks, does not draw
    a, b, c = (checks.random_generator(state).random(4) for state in legacy)
    assert (a == b).all() and (a != c).all()
    assert (
        checks.random_generator(None).random(4) != checks.random_generator(None).random(4)
    ).all()
    for value in (1.0, "1", True, np.True_, [1], np.random):
        with pytest.raises(TypeError, match="random_state must be None, an integer, a numpy"):
            checks.random_generator(value)
    with pytest.raises(ValueError, match="random_state must be at least 0; got -1"):
        checks.random_generator(-1)


def test_row_numbers():
    assert checks.row_numbers("users", np.uint8(3), 4).shape == ()
    assert checks.row_numbers("users", [0, 3], 4).tolist() == [0, 3]
    assert checks.row_numbers("users", [], 4).shape == (0,)
    assert checks.row_numbers("users", range(2), 4).dtype == np.int64
    for ids in (1.0, "a", [0.5], True, [True], None, sparse.csr_array(DENSE), ["a"]):
        with pytest.raises(TypeError, match="users must be a row number or a 1-D array of row nu"):
            checks.row_numbers("users", ids, 4)
    with pytest.raises(ValueError, match=r"got an array of shape \(1, 2\).*ravel"):
        checks.row_numbers("users", [[1, 2]], 4)
    with pytest.raises(
        IndexError, match="users not known to the model: 4; it was trained on 0 to 3"
    ):
        checks.row_numbers("users", 4, 4)
    with pytest.raises(IndexError, match=r"known to the model: -2, -1, 4, 5, 6, \.\.\.; it"):
        checks.row_numbers("users", [4, -1, 5, 6, 7, -2, 0, 4], 4)
    with pytest.raises(IndexError, match="18446744073709551615"):
        checks.row_numbers("users", np.array([2**64 - 1], np.uint64), 4)
    for number in (-1, 2**31):
        with pytest.raises(IndexError, match=f"users holds {number}; expected at least 0 and less"):
            checks.row_numbers("users", number, checks.ANYONE)
    with pytest.raises(TypeError, match=r"\(integers of at least 0\); got float64"):
        checks.row_numbers("users", 0.5, checks.ANYONE)


def test_factor_matrix():
    mine = np.ones((3, 2), np.float32)
    assert checks.factor_matrix("user_factors", mine, F32) is mine
    out = checks.factor_matrix("user_factors", np.asfortranarray(mine), F32)
    assert out.flags.c_contiguous
    assert checks.factor_matrix("user_factors", [[1, 2]], F64).dtype == F64
    for value in (np.ones(3), np.ones((0, 3)), np.ones((3, 0)), np.ones((1, 2, 3))):
        with pytest.raises(ValueError, match=r"user_factors must be 2-D.*got shape"):
            checks.factor_matrix("user_factors", value, F32)
    for value in (np.ones((2, 2)) * 1j, [["a"]], [[None]], [[True]]):
        with pytest.raises(TypeError, match="user_factors must hold real numbers; got dtype"):
            checks.factor_matrix("user_factors", value, F32)
    for bad in (np.nan, np.inf, 1e300):
        value = np.ones((4, 2))
        value[2, 1] = bad
        with pytest.raises(ValueError, match="user_factors must be finite in float32; row 2 is no"):
            checks.factor_matrix("user_factors", value, F32)
