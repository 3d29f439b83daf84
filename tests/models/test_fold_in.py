"""Users who were not there in training."""

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS, csr
from recsys.models.confidence import signed_confidence


@pytest.mark.parametrize(
    "options", [{}, {"confidence": "linear", "epsilon": 2.0}, {"dtype": np.float64}]
)
def test_fold_in_solves_each_row_against_the_item_factors(options):
    rng = np.random.default_rng(4)
    counts = sparse.random_array((60, 40), density=0.2, rng=rng, format="csr") * 9
    options = {"unobserved_weight": 0.5, "regularization_exponent": 0.5} | options
    model = ImplicitALS(8, regularization=0.1, iterations=3, random_state=0, **options)
    model.fit(counts, show_progress=False)
    before = model.item_factors.copy()
    # one more half-sweep over the users is what fold_in is to equal
    new = sparse.csr_array(sparse.vstack([counts[5:9], sparse.csr_array((1, 40)), -counts[:2]]))
    got = model.fold_in(new)
    np.testing.assert_array_equal(model.item_factors, before)
    y = before.astype(np.float64)
    clean = csr.canonical(new, np.dtype(np.float64))
    signed = signed_confidence(clean, model.confidence, model.alpha, model.epsilon)
    for row, solved in enumerate(got):
        start, end = signed.indptr[row : row + 2]
        own, values = y[signed.indices[start:end]], signed.data[start:end]
        lambda_ = 0.1 * (end - start + 0.5 * 40) ** 0.5
        a = 0.5 * y.T @ y + lambda_ * np.eye(8) + (own.T * (np.abs(values) - 0.5)) @ own
        want = np.linalg.solve(a, own.T @ np.maximum(values, 0))
        tolerance = 1e-10 if model.dtype is np.float64 else 1e-4
        np.testing.assert_allclose(solved, want, rtol=tolerance, atol=tolerance)
    assert got.dtype == model.item_factors.dtype and not got[4].any()


def test_recommend_by_fold_in():
    rng = np.random.default_rng(4)
    counts = sparse.random_array((60, 40), density=0.2, rng=rng, format="csr")
    model = ImplicitALS(8, iterations=2, random_state=0).fit(counts, show_progress=False)
    new = sparse.random_array((5, 40), density=0.3, rng=rng, format="csr")
    ids, scores = model.recommend(np.arange(5), new, N=4, fold_in=True)
    want = (model.fold_in(new) @ model.item_factors.T).astype(np.float64)
    want[new.toarray() != 0] = -np.inf
    np.testing.assert_array_equal(ids, np.argsort(-want, axis=1)[:, :4])
    np.testing.assert_allclose(scores, -np.sort(-want, axis=1)[:, :4], rtol=1e-5)
    one = model.recommend(1_000_000, new[[3]], N=4, fold_in=True)[0]
    np.testing.assert_array_equal(one, ids[3])
    some = model.recommend([3, 1], new, N=4, fold_in=True)[0]
    np.testing.assert_array_equal(some, ids[[3, 1]])
    nothing = sparse.csr_array((1, 40))  # a user without a history
    assert not model.fold_in(nothing).any()
    want = model.recommend(2, N=4, filter_seen=False)[0]
    np.testing.assert_array_equal(model.recommend(2, nothing, N=4)[0], want)
    ids, scores = model.recommend(2, nothing, N=4, fold_in=True)
    assert ids.tolist() == [39, 38, 37, 36] and not scores.any()
    assert model.explain(0, 3, user_items=nothing)[0] == 0
    with pytest.raises(ValueError, match="fold_in=True takes users from user_items"):
        model.recommend(0, fold_in=True)
    with pytest.raises(ValueError, match=r"shape \(5, 39\); expected one column for each of.*40"):
        model.fold_in(new[:, :39])
    with pytest.raises(ValueError, match="looks transposed"):
        model.fold_in(new.T)
