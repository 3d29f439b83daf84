"""implicit.cpu.topk as RecTools calls it."""

import numpy as np
import pytest
from scipy import sparse

from recsys.compat.implicit.cpu.matrix_factorization_base import _filter_items_from_sparse_matrix
from recsys.compat.implicit.cpu.topk import topk


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    queries = rng.integers(-2, 3, (1100, 5)).astype(np.float32)
    items = rng.integers(-2, 3, (40, 5)).astype(np.float32)
    liked = sparse.csr_matrix(rng.random((1100, 40)) < 0.2)
    return queries, items, liked


def expected(scores, k, left_out):
    """By (score, id) descending; what is left out after that, by id descending."""
    lowest = -np.finfo(scores.dtype).max
    scores = np.where(left_out, lowest, scores)
    order = [np.lexsort((np.arange(len(row)), row))[::-1][:k] for row in scores]
    return np.array(order), np.take_along_axis(scores, np.array(order), axis=1)


@pytest.mark.parametrize("k", [1, 7, 40])
@pytest.mark.parametrize("count", [3, 1100])
def test_lists(problem, k, count):
    queries, items, liked = problem[0][:count], problem[1], problem[2][:count]
    left_out = liked.toarray().copy()
    left_out[:, [3, 9]] = True
    ids, scores = topk(
        items=items,
        query=queries,
        k=k,
        item_norms=None,
        filter_query_items=liked,
        filter_items=np.array([3, 9]),
        num_threads=2,
    )
    want = expected(queries @ items.T, k, left_out)
    np.testing.assert_array_equal(ids, want[0])
    np.testing.assert_array_equal(scores, want[1])
    assert ids.dtype == np.int32 and scores.dtype == np.float32


def test_sparse_queries(problem):
    queries = sparse.csr_matrix(problem[0])
    want = topk(problem[1], problem[0], 6, filter_query_items=problem[2])
    got = topk(problem[1], queries, 6, filter_query_items=problem[2])
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


def test_norms_widths_and_order(problem):
    queries, items, _ = problem
    norms = 2.0 ** np.arange(40) % 7 + 1
    ids, scores = topk(items, queries[0], 40, item_norms=norms)
    np.testing.assert_allclose(scores[0], ((items @ queries[0]) / norms)[ids[0]], rtol=1e-6)
    ids, scores = topk(items, queries[:2], 43)
    assert (ids[:, 40:] == -1).all() and (scores[:, 40:] == -np.finfo(np.float32).max).all()
    unsorted = sparse.csr_matrix(
        (np.ones(3), np.array([9, 2, 5], np.int64), np.array([0, 3], np.int64)), (1, 40)
    )
    ids, _ = topk(items, queries[:1], 37, filter_query_items=unsorted)
    assert not {9, 2, 5} & set(ids[0]) and unsorted.indices.tolist() == [9, 2, 5]
    with pytest.raises(IndexError, match="filter_items are not in the model: 40"):
        topk(items, queries, 3, filter_items=[40])


def test_columns_of_some_items():
    matrix = sparse.csr_matrix(np.arange(12).reshape(2, 6))
    kept = _filter_items_from_sparse_matrix(np.array([1, 4, 7]), matrix)
    np.testing.assert_array_equal(kept.toarray(), [[1, 4, 0], [7, 10, 0]])
