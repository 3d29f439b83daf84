"""What a score is made of."""

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS, NotFittedError


@pytest.fixture
def counts():
    matrix = sparse.random_array((30, 25), density=0.3, rng=3, format="csr")
    matrix.data = np.where(np.arange(matrix.nnz) % 5 == 0, -1.0, np.ceil(20 * matrix.data))
    return matrix


@pytest.mark.parametrize("w0", [1.0, 0.3])
def test_contributions_add_up_to_the_score(counts, w0):
    model = ImplicitALS(6, iterations=3, random_state=0, unobserved_weight=w0, dtype=np.float64)
    model.fit(counts, show_progress=False)
    folded = model.fold_in(counts)
    for user in (0, 7):
        for given in (None, counts, counts[[user]]):
            score, ids, parts = model.explain(user, 11, 25, user_items=given)
            assert score == pytest.approx(folded[user] @ model.item_factors[11], rel=1e-9)
            assert parts.sum() == pytest.approx(score, rel=1e-9)
            assert np.all(np.diff(parts) <= 0)
            liked = counts.indices[counts.indptr[user] : counts.indptr[user + 1]]
            liked = liked[counts.data[counts.indptr[user] : counts.indptr[user + 1]] > 0]
            assert sorted(ids) == sorted(liked)
        assert len(model.explain(user, 11, N=2)[1]) == 2


def test_a_contribution_is_what_the_score_loses_without_it(counts):
    """To first order in the confidence: the derivative of the score by c, the matrix held."""
    model = ImplicitALS(6, iterations=3, random_state=0, dtype=np.float64).fit(
        counts, show_progress=False
    )
    score, ids, parts = model.explain(3, 4)
    assert parts[0] > 0 and score == pytest.approx(
        model.fold_in(counts[[3]])[0] @ model.item_factors[4]
    )
    # disliking the best instead of liking it keeps A and takes away its part
    changed = counts.copy()
    at = counts.indptr[3] + np.flatnonzero(
        counts.indices[counts.indptr[3] : counts.indptr[4]] == ids[0]
    )
    changed.data[at] *= -1
    less = model.fold_in(changed[[3]])[0] @ model.item_factors[4]
    assert less == pytest.approx(score - parts[0], rel=1e-9)


def test_bad_arguments(counts):
    model = ImplicitALS(4, iterations=1).fit(counts, show_progress=False)
    with pytest.raises(IndexError, match="item not known to the model: 25"):
        model.explain(0, 25)
    with pytest.raises(IndexError, match="user not known to the model: 30"):
        model.explain(30, 0, user_items=counts)
    with pytest.raises(ValueError, match=r"\(30, 20\); expected one column for each of.*25"):
        model.explain(0, 0, user_items=counts[:, :20])
    with pytest.raises(ValueError, match="N must be at least 1"):
        model.explain(0, 0, N=0)
    with pytest.raises(TypeError, match="user must be a single row number; got an array of 2"):
        model.explain([0, 1], 0)
    given = ImplicitALS(4)
    given.user_factors, given.item_factors = model.user_factors, model.item_factors
    with pytest.raises(NotFittedError, match="no training matrix is remembered"):
        given.explain(0, 0)
