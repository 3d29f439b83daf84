"""EASE and SLIM: the closed form, what counts as liked, what is refused, and real data."""

import logging

import numpy as np
import pytest
from every_model import counts, trained
from scipy import sparse

import recsys
from recsys import EASE, SLIM, NumericalWarning, memory


def closed_form(x, regularization):
    p = np.linalg.inv(x.T @ x + regularization * np.eye(x.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    return b


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(60, 30), (15, 30)])  # and by way of users
def test_ease_is_the_closed_form(shape, weighted, dtype):
    matrix = counts(*shape, least=-1)
    table = matrix.toarray() if weighted else (matrix.toarray() > 0).astype(float)
    model = EASE(2.0, weighted=weighted, dtype=dtype).fit(matrix)
    b = closed_form(table, 2.0)
    off = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(model.item_weights, b, atol=off)
    assert model.item_weights.dtype == dtype and not model.item_weights.flags.writeable
    np.testing.assert_allclose(model.score(5, np.arange(30)), table[5] @ b, atol=30 * off)
    neighbors, weights = model.similar_items(4, N=5)
    np.testing.assert_allclose(weights, np.sort(b[:, 4])[::-1][:5], atol=off)
    assert b[neighbors[0], 4] == b[:, 4].max()
    score, items, parts = model.explain(5, 11, 40)
    assert score == pytest.approx(table[5] @ b[:, 11], abs=30 * off) == parts.sum()
    np.testing.assert_allclose(parts, table[5, items] * b[items, 11], atol=30 * off)


@pytest.mark.parametrize("weighted", [False, True])
def test_slim_of_all_items_is_ease(weighted):
    options = {"regularization": 3.0, "weighted": weighted, "dtype": np.float64}
    free = {"l1_regularization": 0.0, "nonnegative": False, "iterations": 5000, "tolerance": 1e-9}
    one, other = EASE(**options).fit(counts()), SLIM(30, **free, **options).fit(counts())
    np.testing.assert_allclose(other.item_weights.toarray(), one.item_weights, atol=1e-7)
    for mine, its in zip(one.recommend([0, 8], N=9), other.recommend([0, 8], N=9), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-6)


def test_slim_has_few_weights():
    model = SLIM(5, l1_regularization=1.0, regularization=1.0).fit(counts())
    b = model.item_weights
    assert (b.data > 0).all() and not b.diagonal().any()
    assert np.bincount(b.indices, minlength=30).max() <= 5
    assert model.item_weights.has_sorted_indices
    found, weights = model.similar_items(4, N=9)
    kept = found >= 0
    np.testing.assert_array_equal(b.toarray()[found[kept], 4], weights[kept])
    assert kept.sum() == np.count_nonzero(b.indices == 4)
    assert SLIM(5, l1_regularization=1e4).fit(counts()).item_weights.nnz == 0


def test_other_histories_than_those_of_training():
    new = counts(3, 30, seed=5)
    for name in ("EASE", "SLIM"):
        model = trained(name)
        b = model.item_weights
        b = b if isinstance(b, np.ndarray) else b.toarray()
        ids, scores = model.recommend([0, 1, 2], new, N=4, fold_in=True)
        table = (new.toarray() > 0) @ b
        want = np.take_along_axis(table, ids, axis=1)
        np.testing.assert_allclose(scores, want, rtol=1e-5)
        table[new.toarray() != 0] = -np.inf
        np.testing.assert_allclose(scores[:, 0], table.max(axis=1), rtol=1e-5)
        assert model.explain(0, 5, user_items=new[[1]])[0] == pytest.approx(
            (new.toarray()[1] > 0) @ b[:, 5], rel=1e-5
        )


@pytest.mark.parametrize(
    ("kind", "parameter", "value", "error", "message"),
    [
        (EASE, "regularization", 0, ValueError, "regularization must be .* greater than 0; got 0"),
        (EASE, "weighted", 1, TypeError, "weighted must be True or False"),
        (SLIM, "k", 0, ValueError, "k must be at least 1; got 0"),
        (SLIM, "l1_regularization", -1, ValueError, "l1_regularization must be .* at least 0"),
        (SLIM, "regularization", "1", TypeError, "regularization must be a finite number"),
        (SLIM, "nonnegative", None, TypeError, "nonnegative must be True or False"),
        (SLIM, "iterations", 0, ValueError, "iterations must be at least 1; got 0"),
        (SLIM, "tolerance", -1.0, ValueError, "tolerance must be .* at least 0"),
    ],
)
def test_bad_parameters(kind, parameter, value, error, message):
    with pytest.raises(error, match=message):
        kind(**{parameter: value}).fit(counts())


def assert_kept(model, error, message, **changes):
    """A fit fails, and the model is what it was."""
    before = model.item_weights.copy()
    with pytest.raises(error, match=message):
        model.set_params(**changes).fit(counts())
    assert (before != model.item_weights).sum() == 0


def test_memory_that_there_is_not(monkeypatch, caplog):
    model = trained("EASE")
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000)
    message = r"EASE of 30 items takes .* GB.*there are 1e-05 GB. .*recsys.SLIM"
    assert_kept(model, MemoryError, message)
    assert_kept(model, MemoryError, "Use dtype=np.float32 or recsys.SLIM", dtype=np.float64)
    monkeypatch.undo()
    with caplog.at_level(logging.INFO, "recsys"):
        model.fit(counts())
    assert any("EASE inverts 30 x 30: " in message for message in caplog.messages)


def test_what_float32_cannot_invert():
    twice = counts()
    twice = sparse.csr_array(sparse.hstack([twice, twice]))  # each item has a double
    for value, message in ((1e-6, "off by|not positive"), (1e-30, "not positive definite")):
        model = EASE(value, weighted=True)
        with pytest.raises(FloatingPointError, match=rf"{value:g} I is .*{message}.*Raise regul"):
            model.fit(twice)
        with pytest.raises(recsys.NotFittedError):
            model.recommend(0)
    fitted = EASE(1e-6, weighted=True, dtype=np.float64).fit(twice)
    assert np.isfinite(fitted.item_weights).all()


def test_weights_that_have_not_settled():
    model = trained("SLIM")
    message = r"weights of \d+ of 30 items still moved after 1 iterations: raise iterations"
    with pytest.warns(NumericalWarning, match=message):
        model.set_params(iterations=1, tolerance=0.0, regularization=0.1).fit(counts())
    assert_kept(trained("SLIM"), NumericalWarning, message, iterations=1, tolerance=0.0)


@pytest.mark.parametrize("model_class", [EASE, SLIM])
def test_nobody_likes_anything(model_class):
    with pytest.raises(ValueError, match="none of them positive"):
        model_class().fit(-counts())
