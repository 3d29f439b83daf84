"""The best of a sparse product against its NumPy twin, with integers: exact sums, many ties."""

import numpy as np
import pytest
from scipy import sparse
from twins import of_twin, on_copies

from recsys import csr
from recsys.kernels import _product, product_topk, reference

WRITTEN = ("ids", "scores", "failed")


def integers(rows, columns, density, seed, dtype):
    matrix = sparse.random_array((rows, columns), density=density, rng=seed, format="csr")
    matrix.data = np.ceil(5 * matrix.data) - 2  # zeros and negative ones too
    return csr.canonical(matrix, np.dtype(dtype), may_be_empty=True)


def arguments(dtype, rows=23, middle=31, columns=211, n=7, density=0.2, *, left_out=True):
    a, b = integers(rows, middle, density, 0, dtype), integers(middle, columns, density, 1, dtype)
    rng = np.random.default_rng(2)
    own = [np.flatnonzero(rng.random(columns) < 0.2) for _ in range(rows)]
    return {
        **{f"a_{name}": getattr(a, name) for name in ("indptr", "indices", "data")},
        **{f"b_{name}": getattr(b, name) for name in ("indptr", "indices", "data")},
        "names": rng.permutation(columns).astype(np.int32),
        "skip_indptr": np.cumsum([0, *map(len, own)]) if left_out else None,
        "skip_indices": np.concatenate(own).astype(np.int32) if left_out else None,
        "banned": (rng.random(columns) < 0.2).astype(np.uint8) if left_out else None,
        "order": rng.permutation(rows).astype(np.int32),
        "spans": np.unique([0, rows // 3, rows]),
        "ids": np.full((rows, n), -1, np.int32),
        "scores": np.full((rows, n), -np.inf, dtype),
        "failed": np.zeros(rows, np.uint8),
        "columns": columns,
        "unsorted": False,
    }


def run(args, **how):
    return on_copies(_product.product_topk, args, WRITTEN, **how)


def assert_equals_reference(args, isa, num_threads=2):
    got = run(args, isa=isa, num_threads=num_threads)
    want = of_twin(reference.product_topk, args, WRITTEN)
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)


@pytest.mark.parametrize("columns", [1, 15, 16, 63, 64, 65, 129, 600])
@pytest.mark.parametrize("left_out", [False, True])
def test_equals_reference(isa, dtype, columns, left_out):
    assert_equals_reference(arguments(dtype, columns=columns, left_out=left_out), isa)


@pytest.mark.parametrize("n", [1, 2, 50, 300])
@pytest.mark.parametrize("density", [0.02, 0.9])  # few additions a row, and many
def test_lengths(isa, dtype, n, density):
    assert_equals_reference(arguments(dtype, middle=80, n=n, density=density), isa, 3)


def test_rows_with_more_additions_than_are_gone_over_again(isa, dtype):
    args = arguments(dtype, rows=5, middle=90, columns=900, density=0.6)
    assert np.diff(args["b_indptr"])[args["a_indices"]].sum() > 5 * 3000
    assert_equals_reference(args, isa)


@pytest.mark.parametrize("columns", [1, 17, 64, 65, 2051])
@pytest.mark.parametrize("left_out", [False, True])
def test_a_dense_matrix(isa, dtype, columns, left_out):
    args = arguments(dtype, rows=9, middle=20, columns=columns, left_out=left_out)
    parts = (args[f"b_{name}"] for name in ("data", "indices", "indptr"))
    dense = sparse.csr_array(tuple(parts), (20, columns)).toarray()
    args |= {"b_indptr": None, "b_indices": None, "b_data": dense.reshape(-1)}
    assert_equals_reference(args, isa)


def test_same_bits_for_any_number_of_threads(dtype):
    a = csr.canonical(sparse.random_array((300, 90), density=0.1, rng=0), np.dtype(dtype))
    b = csr.canonical(sparse.random_array((90, 500), density=0.2, rng=1), np.dtype(dtype))
    expected = product_topk(a, b, 10, num_threads=1)
    for threads in (2, 3, 7):
        for one, other in zip(product_topk(a, b, 10, num_threads=threads), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    exact = np.sort((a.astype(float) @ b.astype(float)).toarray())[:, ::-1][:, :10]
    listed = expected[0] >= 0
    np.testing.assert_allclose(expected[1][listed], exact[listed], rtol=1e-5)
    dense = product_topk(a, b.toarray(), 10, num_threads=3)
    np.testing.assert_array_equal(dense[0], expected[0])
    np.testing.assert_allclose(dense[1], expected[1], rtol=1e-5)
    loose = product_topk(a, b, 10, unsorted=True)
    np.testing.assert_array_equal(np.sort(loose[0]), np.sort(expected[0]))


def test_nothing_to_multiply(dtype):
    a, b = integers(4, 5, 0, 0, dtype), integers(5, 6, 0.5, 1, dtype)
    for left, right in ((a, b), (integers(3, 4, 0.9, 0, dtype), integers(4, 6, 0, 0, dtype))):
        ids, scores = product_topk(left, right, 3)
        assert (ids == -1).all() and np.isneginf(scores).all()


def test_sums_that_are_not_finite(isa, dtype):
    args = arguments(dtype, left_out=False)
    args["a_data"] = args["a_data"].copy()
    args["a_data"][:] = np.finfo(dtype).max
    assert run(args, isa=isa, num_threads=2)["failed"].any()
    a = integers(2, 2, 1, 0, dtype)
    a.data[:] = np.finfo(dtype).max
    with pytest.raises(FloatingPointError, match="scores of row 0 are not finite"):
        product_topk(a, a, 1)
