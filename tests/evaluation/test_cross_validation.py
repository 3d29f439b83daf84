import copy
import math

import every_model
import numpy as np
import pytest
from every_model import counts, fitted, learned
from scipy import sparse

from recsys import evaluation
from recsys.evaluation import FoldInScorer, UserFolds


def halved(matrix):
    """A matrix of which users from 5 on have one entry each."""
    matrix = sparse.lil_array(matrix)
    matrix[5:] = 0
    matrix[5:, 0] = 1
    return sparse.csr_array(matrix)


# ---- folds -------------------------------------------------------------------------------------


def test_folds_are_those_of_user_folds():
    matrix, cv = counts(50, 20), UserFolds(4, random_state=3)
    assert cv.get_n_splits(matrix) == 4
    found = list(cv.split(matrix, y=None))
    for (train, held_out), fold in zip(
        found, evaluation.user_folds(matrix, 4, random_state=3), strict=True
    ):
        np.testing.assert_array_equal(held_out, fold.users)
        assert not len(np.intersect1d(train, held_out)) and len(train) + len(held_out) == 50
    everybody = np.sort(np.concatenate([held_out for _, held_out in found]))
    np.testing.assert_array_equal(everybody, np.flatnonzero(np.diff(matrix.indptr) >= 2))
    for (_, one), (_, other) in zip(found, cv.split(matrix), strict=True):
        np.testing.assert_array_equal(one, other)


def test_users_of_one_entry_are_never_held_out():
    for train, held_out in UserFolds(2, random_state=0).split(halved(counts(50, 20))):
        assert held_out.max() < 5 and set(range(5, 50)) <= set(train)


def test_folds_are_checked():
    with pytest.raises(ValueError, match="n_splits must be at least 2; got 1"):
        UserFolds(1)
    with pytest.raises(TypeError, match="random_state must be None, an integer"):
        UserFolds(random_state="no")
    with pytest.raises(ValueError, match=r"n_splits must be at most the number of users .*, 4; go"):
        list(UserFolds(6).split(halved(counts(50, 20))))
    with pytest.raises(TypeError, match="X must be a SciPy sparse matrix"):
        list(UserFolds().split(np.eye(4)))


# ---- scores ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ImplicitALS", "BPR", "ItemNeighbors", "ExplicitALS"])
def test_lists_are_measured_as_evaluate_does(name):
    model, others = fitted(name), counts(25, 30, seed=4)
    parts = evaluation.user_split(others, 24, random_state=5)  # user 3 has no entries
    want = evaluation.evaluate(
        model, parts.fold_in, parts.test, "recall", 7, options={"fold_in": True}
    ).mean["recall@7"]
    assert FoldInScorer("recall@7", random_state=5)(model, others) == want > 0


@pytest.mark.parametrize("name", ["ExplicitALS", "ExplicitALS no bias", "ExplicitSGD"])
@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_errors_of_ratings_are_those_of_folded_in_users(name, metric):
    model, others = fitted(name), counts(25, 30, seed=4)
    before = learned(copy.deepcopy(model))
    parts = evaluation.user_split(others, 24, test_share=0.3, random_state=0)
    biased = model.item_biases is not None
    factors = model.fold_in(parts.fold_in)
    users, biases = factors if biased else (factors, np.zeros(25))
    items = model.item_biases if biased else np.zeros(30)
    row, column = parts.test.nonzero()
    predicted = model.mean + biases[row] + items[column]
    predicted += (users[row] * model.item_factors[column]).sum(axis=1)
    error = getattr(evaluation, metric)(predicted, parts.test.data)
    got = FoldInScorer(metric, test_share=0.3)(model, others)
    assert math.isclose(got, -error, rel_tol=1e-5)
    assert learned(model) == before


def test_what_a_score_is_of_is_the_same_every_time():
    model, others = every_model.trained("BPR"), counts(25, 30, seed=4)
    assert FoldInScorer()(model, others) == FoldInScorer()(model, others)
    assert FoldInScorer()(model, others) != FoldInScorer(random_state=1)(model, others)


def test_scorers_are_checked():
    with pytest.raises(ValueError, match=r"metric must be one of .*; did you mean 'ndcg@10'"):
        FoldInScorer("ndgc@10")
    with pytest.raises(ValueError, match="test_share must be"):
        FoldInScorer(test_share=1)
    with pytest.raises(TypeError, match="random_state must be an integer"):
        FoldInScorer(random_state=None)
    with pytest.raises(TypeError, match=r"models that predict ratings.*got BPR: use a metric of l"):
        FoldInScorer("rmse")(every_model.trained("BPR"), counts())
    with pytest.raises(ValueError, match="no user has two interactions"):
        FoldInScorer()(every_model.trained("BPR"), halved(counts())[5:])
