"""The top-N kernel against its NumPy twin, with integer factors: exact sums, many ties. And that
what spares it work, an order by norm and 8-bit codes, changes no bit of a list."""

import sys

import numpy as np
import pytest
from twins import of_twin, on_copies

from recsys.kernels import NormOrder, _topk, code, norm_order, norms, reference, topk
from recsys.kernels import topk as public

RUN, SPAN = _topk.RUN, _topk.QUERIES
COUNTS = [1, 2, 5, 8, 9, SPAN - 1, SPAN + 1]  # of queries
WRITTEN = ("ids", "scores", "failed")
kernel_topk = sys.modules["recsys.kernels.topk"]  # whose name the function has taken


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
    order = norm_order(rows, norms(rows), codes=True) if ordered else NormOrder()
    codes = order.codes or (None, None)
    return {
        "queries": rng.integers(-2, 3, (queries, f)).astype(dtype),
        "items": rows,
        "item_scale": 2.0 ** rng.integers(-1, 2, items).astype(dtype) if scaled else None,
        "order": order[0],
        "norms": order[1],
        "codes": codes[0],
        "code_bounds": codes[1],
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
    return of_twin(reference.topk, args, WRITTEN)


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


def nasty(kind, dtype):
    """Queries, items and their scale."""
    rng = np.random.default_rng(3)
    f = {"one factor": 1, "odd": 33, "wide": 260}.get(kind, 20)
    queries, items = rng.normal(size=(70, f)), rng.normal(size=(1500, f))
    scale = None
    if kind == "ties":
        queries, items = (rng.integers(-1, 2, each.shape) for each in (queries, items))
    if kind == "duplicates":
        items = items[rng.integers(0, 30, 1500)]
    if kind == "all alike":
        items[:] = items[0]
    if kind == "zeros":
        queries[::3] = items[rng.integers(0, 1500, 1000)] = 0
    if kind == "spikes":  # of which one factor takes all of the codes' range
        items[rng.integers(0, 1500, 200), rng.integers(0, f, 200)] = 1e4
        queries[::2, 0] = -1e4
    if kind in ("tiny", "huge", "vanishing", "ragged"):
        power = {"tiny": -0.4, "huge": 0.4, "vanishing": -0.9}.get(kind, 0)
        items *= float(np.finfo(dtype).max) ** power
        queries *= float(np.finfo(dtype).max) ** (-power if kind == "huge" else power / 4)
    if kind == "ragged":
        items *= 10.0 ** rng.uniform(-12, 12, (1500, 1))
    if kind == "cosines":
        scale = (1 / np.linalg.norm(items, axis=1)).astype(dtype)
        queries = items[:70] * scale[:70, np.newaxis]
    return queries.astype(dtype), items.astype(dtype), scale


KINDS = [
    "plain", "ties", "duplicates", "all alike", "zeros", "spikes", "tiny", "huge", "vanishing",
    "ragged", "cosines", "one factor", "odd", "wide",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_codes_change_no_bit(isa, dtype, kind):
    queries, items, scale = nasty(kind, dtype)
    rng = np.random.default_rng(4)
    seen = np.sort(rng.choice(1500, (70, 40)), axis=1).reshape(-1).astype(np.int32)
    banned = (rng.random(1500) < 0.1).astype(np.uint8)
    options = {"item_scale": scale, "banned": banned, "skip": (np.arange(71) * 40, seen)}
    orders = [NormOrder(codes=code(items, item_scale=scale))]
    if scale is None:
        orders.append(norm_order(items, norms(items), codes=True))
    for n in (1, 10, 46):
        expected = topk(queries, items, n, **options)
        for order, threads in zip(orders * 2, (1, 2, 3, 7), strict=False):
            got = topk(queries, items, n, order=order, num_threads=threads, **options)
            np.testing.assert_array_equal(got[0], expected[0])
            np.testing.assert_array_equal(got[1], expected[1])


def test_codes_leave_most_items_unscored(dtype):
    """Poisoned ones, which no list can want, so that no other test passes for want of screening."""
    rng = np.random.default_rng(5)
    items = rng.normal(size=(5000, 16)).astype(dtype)
    queries = np.eye(16, dtype=dtype)
    items[:10] = 50
    order = NormOrder(codes=code(items))
    expected = topk(queries, items, 10, order=order, num_threads=1)
    items[RUN:] = np.nan
    got = topk(queries, items, 10, order=order, num_threads=1)
    np.testing.assert_array_equal(got[0], expected[0])


@pytest.mark.parametrize("kind", KINDS)
def test_codes_equal_those_of_the_reference(isa, dtype, kind):
    _, items, scale = nasty(kind, dtype)
    order = np.random.default_rng(6).permutation(1500).astype(np.int32)
    made = code(items, item_scale=scale, ids=order)
    expected = [np.zeros_like(each) for each in made]
    failed = np.zeros(len(made.values), np.uint8)
    reference.code_runs(items, scale, order, *expected, failed)
    # what lies in the middle may be rounded either way
    assert np.abs(made.values.astype(int) - expected[0]).max() <= 1
    assert (made.values != expected[0]).mean() < 0.001
    np.testing.assert_allclose(made.bounds, expected[1], rtol=1e-5, atol=1e-148)
    whole = made.values.astype(np.float64) - 64
    assert np.abs(whole).max() <= 63
    rows = whole.transpose(0, 1, 3, 2, 4).reshape(len(whole), RUN, -1)
    assert np.linalg.norm(rows, axis=2).max() <= 181
    f = items.shape[1]
    v = items.astype(np.float64) if scale is None else (items * scale[:, np.newaxis])
    left = (
        v[order].astype(np.float64)
        - (rows / made.bounds[:, :1, np.newaxis]).reshape(-1, rows.shape[2])[:1500, :f]
    )
    error = np.repeat(made.bounds[:, 1], RUN)[:1500]
    assert (np.linalg.norm(left, axis=1) <= error * (1 + 1e-12)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_codes_of_what_is_not_finite_are_an_error(isa, bad):
    items = np.ones((500, 3), np.float32)
    items[300, 1] = bad
    with pytest.raises(FloatingPointError, match="not finite"):
        code(items)


def test_many_queries_are_screened_without_asking(dtype, monkeypatch):
    rng = np.random.default_rng(7)
    items, queries = rng.normal(size=(3000, 8)), rng.normal(size=(600, 8))
    items, queries = items.astype(dtype), queries.astype(dtype)
    made = []
    monkeypatch.setattr(kernel_topk, "code", lambda *a, **k: made.append(code(*a, **k)) or made[-1])
    order = norm_order(items, norms(items))
    many = topk(queries, items, 5), topk(queries, items, 5, order=order)
    assert len(made) == 2
    few = topk(queries[:20], items, 5), topk(queries[:20], items, 5, order=order)
    items[:10] *= 100  # all lists come from these
    topk(queries, items, 5, order=norm_order(items, norms(items)))
    assert len(made) == 2
    for got, expected in zip(many, few, strict=True):
        for values, first in zip(got, expected, strict=True):
            np.testing.assert_array_equal(values[:20], first)


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
