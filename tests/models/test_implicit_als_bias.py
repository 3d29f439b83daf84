"""ImplicitALS(bias=True): biases in every method that scores, against dense definitions."""

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS

QUIET = {"show_progress": False}


def some(rows, columns, seed=0):
    matrix = sparse.random_array((rows, columns), density=0.25, rng=seed, format="csr")
    matrix.data = np.ceil(20 * matrix.data) - 3  # dislikes and stored zeros too
    return matrix


@pytest.fixture
def counts():
    return some(40, 30)


def fitted(counts, **changed):
    options = {"regularization": 0.5, "regularization_exponent": 0.3, "dtype": np.float64}
    options |= {"iterations": 4, "random_state": 0, "bias": True, "confidence": "linear"}
    return ImplicitALS(6, **options | changed).fit(counts, **QUIET)


def cells(model, counts):
    """Weights and preferences of all cells, confidence="linear"."""
    weights = np.full(counts.shape, model.unobserved_weight_)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    weights[rows, counts.indices] = 1 + model.alpha * np.abs(counts.data)
    return weights, (counts.toarray() > 0).astype(np.float64)


def scores(model):
    table = model.user_factors @ model.item_factors.T
    return table + model.user_biases[:, np.newaxis] + model.item_biases + model.mean


@pytest.mark.parametrize("w0", [1.0, 0.2])
def test_the_items_are_where_the_objective_is_flat(counts, w0):
    """The last half-sweep solved the items: every derivative by y_i and b_i is 0."""
    model = fitted(counts, unobserved_weight=w0)
    weights, liked = cells(model, counts)
    assert model.mean == pytest.approx(np.sum(weights * liked) / np.sum(weights))
    errors = weights * (liked - scores(model))
    stored = np.bincount(counts.indices, minlength=30)
    lambdas = 0.5 * (stored + w0 * 40) ** 0.3
    by_bias = errors.sum(axis=0) - lambdas * model.item_biases
    by_factor = errors.T @ model.user_factors - lambdas[:, np.newaxis] * model.item_factors
    assert np.abs(by_bias).max() < 1e-8 and np.abs(by_factor).max() < 1e-8
    np.testing.assert_allclose(model.score(np.arange(40)[:, None], range(30)), scores(model))


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("confidence", ["linear", "log", "scaled"])
def test_the_loss_is_the_objective_and_falls(counts, solver, confidence):
    model = fitted(counts, solver=solver, confidence=confidence, compute_loss=True, iterations=8)
    losses = [entry.loss for entry in model.history]
    assert np.all(np.diff(losses) <= 1e-9 * losses[0])
    assert model.objective(counts) == pytest.approx(losses[-1], rel=1e-9)
    if confidence == "linear":
        weights, liked = cells(model, counts)
        dense = np.sum(weights * (liked - scores(model)) ** 2)
        for axis, rows, biases in (
            (0, model.item_factors, model.item_biases),
            (1, model.user_factors, model.user_biases),
        ):
            stored = np.bincount(counts.indices, minlength=30) if axis == 0 else 0
            stored = stored if axis == 0 else np.diff(counts.indptr)
            lambdas = 0.5 * (stored + counts.shape[axis]) ** 0.3
            dense += lambdas @ (np.sum(rows**2, axis=1) + biases**2)
        assert losses[-1] == pytest.approx(dense, rel=1e-9)


def test_warm_start_with_and_without_biases(counts):
    parts = fitted(counts)
    with pytest.raises(ValueError, match="continue without biases from a model"):
        parts.set_params(bias=False).fit(counts, warm_start=True, **QUIET)
    assert parts.fit(counts, **QUIET).item_biases is None and parts.mean == 0
    parts.set_params(bias=True).fit(counts, warm_start=True, **QUIET)
    assert np.any(parts.item_biases != 0)


def dense_rows(model, weights, liked, held, biases, lambdas):
    """[x, b] of each row, all cells given."""
    z = np.column_stack([held, np.ones(len(held))])
    return np.array(
        [
            np.linalg.solve(
                (z.T * w) @ z + lambda_ * np.eye(z.shape[1]), z.T @ (w * (p - biases - model.mean))
            )
            for w, p, lambda_ in zip(weights, liked, lambdas, strict=True)
        ]
    )


def test_fold_in_and_lists(counts):
    model, new = fitted(counts), some(5, 30, seed=1)
    new = sparse.csr_array(sparse.vstack([new, sparse.csr_array((1, 30))]))
    lambdas = 0.5 * (np.diff(new.indptr) + 30) ** 0.3
    expected = dense_rows(model, *cells(model, new), model.item_factors, model.item_biases, lambdas)
    factors, biases = model.fold_in(new)
    np.testing.assert_allclose(np.column_stack([factors, biases]), expected, atol=1e-10)
    table = expected[:, :-1] @ model.item_factors.T + expected[:, -1:] + model.item_biases
    table += model.mean
    ids, got = model.recommend(np.arange(6), new, N=30, fold_in=True, filter_seen=False)
    np.testing.assert_allclose(got, np.take_along_axis(table, ids, axis=1), atol=1e-9)
    # who has no entries is shown what everybody likes
    np.testing.assert_array_equal(ids[5], np.argsort(-table[5], kind="stable"))
    ids, got = model.recommend(np.arange(40), N=30, filter_seen=False)
    np.testing.assert_allclose(got, np.take_along_axis(scores(model), ids, axis=1), atol=1e-12)


def test_learning_single_users_and_items(counts):
    model = fitted(counts)
    users, items = model.user_factors.copy(), model.item_factors.copy()
    new = some(2, 30, seed=2)
    model.partial_fit_users([42, 3], rows=new)
    lambdas = 0.5 * (np.array([*np.diff(new.indptr), 0]) + 30) ** 0.3
    given = sparse.csr_array(sparse.vstack([new, sparse.csr_array((1, 30))]))
    expected = dense_rows(
        model, *cells(model, given), model.item_factors, model.item_biases, lambdas
    )
    got = np.column_stack([model.user_factors, model.user_biases])
    np.testing.assert_allclose(got[[42, 3]], expected[:2], atol=1e-10)
    np.testing.assert_allclose(got[[40, 41]], expected[[2, 2]], atol=1e-10)
    np.testing.assert_array_equal(got[5, :-1], users[5])
    item = some(1, 43, seed=3)
    folded = model.fold_in_items(item)
    model.partial_fit_items(31, item)
    lambdas = 0.5 * (np.array([item.nnz, 0]) + 43) ** 0.3
    given = sparse.csr_array(sparse.vstack([item, sparse.csr_array((1, 43))]))
    expected = dense_rows(
        model, *cells(model, given), model.user_factors, model.user_biases, lambdas
    )
    got = np.column_stack([model.item_factors, model.item_biases])
    np.testing.assert_allclose(got[[31, 30]], expected, atol=1e-10)
    np.testing.assert_allclose(np.append(*folded), expected[0], atol=1e-10)
    np.testing.assert_array_equal(got[:30, :-1], items)
    assert model.recommend(42, N=3)[0].shape == (3,)


@pytest.mark.parametrize("w0, exponent", [(1.0, 0.0), (0.3, 0.0), (0.3, 0.7)])
def test_contributions_add_up_to_what_a_newcomer_lacks(counts, w0, exponent):
    model = fitted(counts, unobserved_weight=w0, confidence="log", regularization_exponent=exponent)
    nobody = sparse.csr_array((1, 30))
    for user in (0, 7):
        ids, table = model.recommend(0, counts[[user]], N=30, fold_in=True, filter_seen=False)
        score, entries, parts = model.explain(user, 11, 30)
        assert score == pytest.approx(table[ids == 11][0], rel=1e-9)
        start = model.explain(0, 11, user_items=nobody)
        assert len(start[1]) == 0
        newcomer = score - parts.sum()
        assert (newcomer == pytest.approx(start[0], rel=1e-9)) == (exponent == 0)
        assert set(entries) <= set(counts.indices[counts.indptr[user] : counts.indptr[user + 1]])
        assert np.all(np.diff(parts) <= 0)


def test_what_all_users_share_is_in_the_bias():
    """Item 0 is liked by all: with one factor, which everyone's taste needs, the bias has it."""
    likes = np.zeros((40, 9))
    likes[:, 0] = 1
    likes[:20, 1:5] = likes[20:, 5:] = 1
    model = ImplicitALS(1, bias=True, regularization=0.1, iterations=20, random_state=1)
    model.fit(sparse.csr_array(likes), **QUIET)
    assert np.argmax(model.item_biases) == 0
    assert model.user_factors[:20].max() * model.user_factors[20:].min() < 0
    np.testing.assert_allclose(scores(model), likes, atol=0.2)


def test_bias_is_a_flag(counts):
    with pytest.raises(TypeError, match="bias must be True or False, or None; got 'yes'"):
        ImplicitALS(bias="yes").fit(counts)
