"""The top-N kernel against its NumPy twin, with integer factors: exact sums, many ties."""

import numpy as np
import pytest
from twins import of_twin, on_copies

from recsys.kernels import _topk, norm_order, norms, topk
from recsys.kernels import topk as public
from recsys.kernels.reference import topk as reference

FEW, SPAN = _topk.FEW_QUERIES, _topk.QUERIES
COUNTS = [1, 2, FEW, FEW + 1, 8, 9, SPAN - 1, SPAN + 1]  # of queries
WRITTEN = ("ids", "scores", "failed")


def arguments(
    dtype, *, queries=37, items=211, f=5, n=7, parts=1, seed=0, scaled=False, ordered=False
):
    rng = np.random.default_rng(seed)
    seen = [
        np.sort(rng.choice(items, rng.integers(0, items // 2 + 1), False)) for _ in range(queries)
    ]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in seen])]).astype(np.int64)
    rows = rng.integers(-2, 3, (items, f)).astype(dtype)
    rows *= 2.0 ** rng.integers(-3, 2, (items, 1)).astype(dtype)
    order = norm_order(rows, norms(rows), codes=True) if ordered else (None,) * 4
    return {
        "queries": rng.integers(-2, 3, (queries, f)).astype(dtype),
        "items": rows,
        "item_scale": 2.0 ** rng.integers(-1, 2, items).astype(dtype) if scaled else None,
        "order": order[0],
        "norms": order[1],
        "codes": order[2],
        "code_scale": order[3],
        "skip_indptr": indptr,
        "skip_indices": np.concatenate([[], *seen]).astype(np.int32),
        "banned": (rng.random(items) < 0.2).astype(np.uint8),
        "ids": np.full((parts, queries, n), 77, np.int32),
        "scores": np.full((parts, queries, n), np.nan, dtype),
        "failed": np.zeros((parts, queries), np.uint8),
    }


def run(args, **how):
    return on_copies(_topk.topk, args, WRITTEN, **how)


def by_twin(args):
    return of_twin(reference, args, WRITTEN)


def assert_same(got, expected):
    assert got["failed"].any() == expected["failed"].any()
    for name in ("ids", "scores"):
        values = expected[name]
        np.testing.assert_array_equal(got[name], values, err_msg=name)


@pytest.mark.parametrize("f", [1, 3, 16, 17, 33, 64, 130])
@pytest.mark.parametrize("how", ["plain", "scaled", "ordered"])
def test_equals_reference(isa, dtype, f, how):
    args = arguments(dtype, f=f, scaled=how == "scaled", ordered=how == "ordered")
    assert_same(run(args, isa=isa, num_threads=2), by_twin(args))


@pytest.mark.parametrize("queries", COUNTS)
@pytest.mark.parametrize("items", [1, 15, 16, 47, 48, 49, 100, 193])
@pytest.mark.parametrize("ordered", [False, True])
def test_every_count_of_queries_and_items(isa, dtype, queries, items, ordered):
    args = arguments(dtype, queries=queries, items=items, n=3, seed=queries, ordered=ordered)
    assert_same(run(args, isa=isa, num_threads=2), by_twin(args))


@pytest.mark.parametrize("n", [1, 2, 100, 211, 300])
@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("ordered", [False, True])
def test_lengths_and_parts(isa, dtype, n, parts, ordered):
    args = arguments(dtype, items=1100, n=n, parts=parts, ordered=ordered)
    assert_same(run(args, isa=isa, num_threads=3), by_twin(args))


def test_threads_never_write_to_each_others_lists(dtype):
    args = arguments(dtype, queries=3, items=1600, f=2, n=2, parts=8)
    expected = by_twin(args)
    for _ in range(300):
        assert_same(run(args, isa="baseline", num_threads=7), expected)


@pytest.mark.parametrize("left_out", ["nothing", "skip", "banned"])
def test_what_is_left_out(isa, dtype, left_out):
    args = arguments(dtype)
    if left_out != "skip":
        args |= {"skip_indptr": None, "skip_indices": None}
    if left_out != "banned":
        args["banned"] = None
    assert_same(run(args, isa=isa, num_threads=1), by_twin(args))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_reported(isa, dtype, bad):
    args = arguments(dtype, queries=20)
    args["queries"][11, 2] = bad
    assert run(args, isa=isa, num_threads=2)["failed"].any()
    with pytest.raises(FloatingPointError, match="not finite"):
        public(args["queries"], args["items"], 3)
    with pytest.raises(FloatingPointError, match="not finite"):
        public(args["items"], args["queries"], 3)
    with pytest.raises(FloatingPointError, match="not finite"):
        norm_order(args["queries"], norms(args["queries"]))


def test_scores_have_the_same_bits_alone_and_in_company(isa, dtype):
    rng = np.random.default_rng(1)
    queries, items = rng.normal(size=(300, 50)).astype(dtype), rng.normal(size=(1000, 50))
    items = items.astype(dtype)
    ids, scores = topk(queries, items, 20, num_threads=1)
    for threads in (1, 2, 3, 7):
        for rows in (slice(0, 300), slice(5, 6), slice(100, 109)):
            found, own = topk(queries[rows], items, 20, num_threads=threads)
            np.testing.assert_array_equal(found, ids[rows])
            np.testing.assert_array_equal(own, scores[rows])
    exact = np.sort(queries.astype(np.float64) @ items.T.astype(np.float64))[:, :-21:-1]
    np.testing.assert_allclose(scores, exact, rtol=1e-4 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0, 30.0, "tiny"])
def test_an_order_by_norm_changes_no_bit(isa, dtype, spread):
    rng = np.random.default_rng(2)
    scale = np.exp((0.5 if spread == "tiny" else spread) * rng.normal(size=(5000, 1)))
    if spread == "tiny":  # whose squares vanish
        scale *= np.finfo(dtype).tiny ** 0.7
    items = rng.normal(size=(5000, 20)) * scale
    queries = rng.normal(size=(600, 20))
    queries[::50] = 0  # whose list is the last items, however small
    items, queries = items.clip(-1e17, 1e17).astype(dtype), queries.astype(dtype)
    seen = np.sort(rng.choice(5000, (600, 30)), axis=1).reshape(-1).astype(np.int32)
    skip = np.arange(601) * 30, seen
    expected = topk(queries, items, 10, skip=skip)
    order = norm_order(items, norms(items), codes=True)
    for rows in (slice(0, 600), slice(7, 8), slice(50, 51), slice(40, 60), slice(98, 101)):
        own = skip[0][rows.start : rows.stop + 1]
        own = own - own[0], seen[own[0] : own[-1]]
        for threads in (1, 2, 3, 7):
            got = topk(queries[rows], items, 10, order=order, skip=own, num_threads=threads)
            np.testing.assert_array_equal(got[0], expected[0][rows])
            np.testing.assert_array_equal(got[1], expected[1][rows])
