"""The largest entries of B'B against the NumPy twin, and against the product of two matrices."""

import numpy as np
import pytest
from scipy import sparse
from twins import of_twin, on_copies

from recsys import csr, kernels
from recsys.kernels import _neighbors, neighbors_topk, product_topk, reference
from recsys.kernels.neighbors import as_pairs

WRITTEN = (
    "ids", "scores", "failed", "head_ids", "head_scores", "head_kept", "head_least",
)  # fmt: skip


def integers(users, items, density, dtype, seed=0):
    matrix = sparse.random_array((users, items), density=density, rng=seed, format="csr")
    matrix.data = np.ceil(5 * matrix.data) - 2  # exact sums, many ties; zeros and negative ones
    return csr.canonical(matrix, np.dtype(dtype), may_be_empty=True)


def arguments(dtype, items=150, n=7, density=0.2, head=32, users=23):
    b = integers(users, items, density, dtype)
    a = kernels.transposed(b)
    rng = np.random.default_rng(1)
    return {
        **{f"a_{name}": getattr(a, name) for name in ("indptr", "indices", "data")},
        "b_indptr": b.indptr,
        "b_pairs": as_pairs(b, np.arange(items, dtype=np.int32)),
        "names": rng.permutation(items).astype(np.int32),
        "spans": np.unique([head, (head + items) // 2, items]),
        "ids": np.full((items, n), -1, np.int32),
        "scores": np.full((items, n), -np.inf, dtype),
        "failed": np.zeros(items, np.uint8),
        "head_ids": np.full((1, head, n), -1, np.int32),
        "head_scores": np.full((1, head, n), -np.inf, dtype),
        "head_kept": np.zeros((1, head), np.int64),
        "head_least": rng.choice([-np.inf, 0, 3], (1, head)).astype(dtype),
        "without_itself": False,
    }


def best_first(ids, scores):
    order = np.lexsort((ids, scores), axis=-1)[..., ::-1]
    return np.take_along_axis(ids, order, -1), np.take_along_axis(scores, order, -1)


@pytest.mark.parametrize("items", [33, 64, 150, 700])
@pytest.mark.parametrize("n", [1, 7, 200])
@pytest.mark.parametrize("density", [0.01, 0.4])  # what was touched, and all columns
def test_lists_equal_reference(isa, dtype, items, n, density):
    args = arguments(dtype, items, n, density) | {"without_itself": n == 7}
    got = on_copies(_neighbors.neighbors_topk, args, WRITTEN, isa=isa, num_threads=3)
    want = of_twin(reference.neighbors_topk, args, WRITTEN)
    for part in ("", "head_"):
        lists = (best_first(each[f"{part}ids"], each[f"{part}scores"]) for each in (got, want))
        for one, other in zip(*lists, strict=True):
            np.testing.assert_array_equal(one, other)
    for name in ("failed", "head_kept", "head_least"):
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


def test_lists_of_more_candidates_than_wait_at_once(isa, dtype):
    args = arguments(dtype, items=1500, n=5, density=0.9, users=3)
    args["head_least"][:] = np.inf  # the head wants none
    args["a_data"][:] = args["b_pairs"].view(reference.neighbors.pair_of(dtype))["value"][0]
    got = on_copies(_neighbors.neighbors_topk, args, WRITTEN, isa=isa, num_threads=1)
    want = of_twin(reference.neighbors_topk, args, WRITTEN)
    np.testing.assert_array_equal(*(best_first(r["ids"], r["scores"])[0] for r in (got, want)))


def test_pairs_and_their_transpose_equal_reference(isa, dtype):
    b = sparse.random_array((9, 3000), density=0.01, rng=0, format="lil")
    b[4] = np.arange(1, 3001)  # a row of many entries
    b = csr.canonical(b.tocsr(), np.dtype(dtype))
    ranks = np.random.default_rng(0).permutation(3000).astype(np.int32)
    args = {"indptr": b.indptr, "indices": b.indices, "values": b.data, "ranks": ranks}
    entry = reference.neighbors.pair_of(dtype)
    args |= {"spans": np.array([0, 3, 9]), "pairs": np.zeros(b.nnz * entry.itemsize, np.uint8)}
    how = {"isa": isa, "num_threads": 2}
    pairs = on_copies(_neighbors.neighbors_pairs, args, ["pairs"], **how)["pairs"]
    want = of_twin(reference.neighbors_pairs, args, ["pairs"])["pairs"]
    np.testing.assert_array_equal(pairs.view(entry), want.view(entry))

    left_out = np.bincount(want.view(entry)["column"], minlength=3000)
    left_out[:100] = left_out[2900:] = 0
    starts = np.append(0, np.cumsum(left_out))
    args = {"b_indptr": b.indptr, "b_pairs": pairs, "cuts": np.array([100, 1000, 2900])}
    args |= {"next_place": starts[:-1], "a_indices": np.zeros(starts[-1], np.int32)}
    args |= {"a_data": np.zeros(starts[-1], dtype)}
    written = ("next_place", "a_indices", "a_data")
    got = on_copies(_neighbors.neighbors_transpose, args, written, **how)
    want = of_twin(reference.neighbors_transpose, args, written)
    for name in written:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


@pytest.mark.parametrize("cuts", [[0, 48], [0, 5, 30, 48], [7, 8]])
def test_products_of_the_head_equal_reference(isa, dtype, cuts):
    b = integers(19, 60, 0.3, dtype)
    args = {
        "indptr": b.indptr,
        "pairs": as_pairs(b, np.arange(60, dtype=np.int32)),
        "cuts": np.array(cuts),
    }
    args |= {"sums": np.ones((48, 48), dtype)}
    args |= {"first": 2, "last": 17}
    got = on_copies(_neighbors.neighbors_head, args, ["sums"], isa=isa, num_threads=2)
    want = of_twin(reference.neighbors_head, args, ["sums"])
    np.testing.assert_array_equal(got["sums"], want["sums"])


@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("head", [64, 1024])
def test_same_bits_as_the_whole_product_for_any_number_of_threads(dtype, monkeypatch, head, itself):
    for name, value in {
        "_HEAD": head,
        "_SPAN_WORK": 9e3,
        "_CALL_WORK": 6e4,
        "_CALL_USERS": 60,
    }.items():
        monkeypatch.setattr(f"recsys.kernels.neighbors.{name}", value)
    rng = np.random.default_rng(0)
    columns = (400 * rng.random((150, 25)) ** 2).astype(int)  # some are much more popular
    counts = csr.from_triples(
        rng.random(columns.size).astype(dtype), np.arange(150).repeat(25), columns.ravel(),
        (150, 410),
    )  # fmt: skip
    skip = None if itself else (np.arange(411), np.arange(410, dtype=np.int32))
    whole = product_topk(kernels.transposed(counts), counts, 10, skip=skip)
    first = neighbors_topk(counts, 10, itself=itself, num_threads=1)
    for threads in (1, 2, 3, 7):
        lists = neighbors_topk(counts, 10, itself=itself, num_threads=threads)
        for one, same in zip(lists, first, strict=True):
            np.testing.assert_array_equal(one, same)
        for one, other in zip(best_first(*lists), whole, strict=True):
            np.testing.assert_array_equal(one, other)


def test_nothing_and_too_much(dtype, monkeypatch):
    ids, scores = neighbors_topk(csr.empty((3, 4), np.dtype(dtype)), 2)
    assert (ids == -1).all() and np.isneginf(scores).all()
    for head in (1024, 16):
        monkeypatch.setattr("recsys.kernels.neighbors._HEAD", head)
        large = integers(3, 40, 1, dtype)
        large.data[:] = 1
        large.data[-3:] = np.finfo(dtype).max  # of the last user, for the last items
        with pytest.raises(FloatingPointError, match="scores of row 37 are not finite"):
            neighbors_topk(large, 2)
