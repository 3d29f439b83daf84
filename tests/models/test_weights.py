"""Weights that `ImplicitALS` chooses from the data."""

import copy
import io
import logging

import numpy as np
import pytest
import scipy.sparse as sp

import recsys
from recsys import ImplicitALS, NotFittedError

QUIET = {"show_progress": False}


@pytest.fixture(scope="module")
def counts():
    matrix = sp.random(40, 30, 0.3, format="csr", random_state=0)
    matrix.data = np.ceil(5 * matrix.data)
    return matrix


def by_hand(counts, w0=None, nu=1.0):
    """The rule, for confidences that are all 3."""
    m, n = 40, 30
    density = counts.nnz / (m * n)
    w0 = 3 * np.sqrt(density) if w0 is None else w0
    noise = 3 * np.sqrt(density) * (np.sqrt(m) + np.sqrt(n))
    scale = np.sqrt((counts.nnz / m + w0 * n) * (counts.nnz / n + w0 * m))
    return noise / 2 / scale**nu, nu, w0


def of_threes(**given):
    return ImplicitALS(
        4, confidence=lambda counts: np.full(counts.nnz, 3.0), iterations=1, random_state=0, **given
    )


def weights(model):
    return model.regularization_, model.regularization_exponent_, model.unobserved_weight_


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"unobserved_weight": 0.5}, {"w0": 0.5}),
        ({"regularization_exponent": 0.0}, {"nu": 0.0}),
        ({"unobserved_weight": 1, "regularization_exponent": 0.5}, {"w0": 1.0, "nu": 0.5}),
    ],
)
def test_what_is_not_given_is_chosen(counts, given, changed):
    model = of_threes(**given).fit(counts, **QUIET)
    assert weights(model) == pytest.approx(by_hand(counts, **changed), rel=1e-6)
    assert model.get_params()["regularization"] is None


def test_what_is_given_is_logged_too(counts, caplog):
    with caplog.at_level(logging.INFO, "recsys"):
        ImplicitALS(4, regularization=2.0, iterations=1).fit(counts, **QUIET)
    assert "regularization=2, regularization_exponent=0, unobserved_weight=1\n" in caplog.text


def test_a_number_makes_the_plain_objective(counts):
    assert weights(ImplicitALS(4, regularization=2.0)) == (2.0, 0.0, 1.0)
    given = {"regularization": 0.1, "unobserved_weight": 0.2, "regularization_exponent": 1.0}
    assert weights(ImplicitALS(4, **given)) == (0.1, 1.0, 0.2)


def test_the_chosen_numbers_given_are_the_same_model(counts):
    chosen = of_threes().fit(counts, **QUIET)
    names = ("regularization", "regularization_exponent", "unobserved_weight")
    given = of_threes(**dict(zip(names, weights(chosen), strict=True))).fit(counts, **QUIET)
    np.testing.assert_array_equal(chosen.user_factors, given.user_factors)
    np.testing.assert_array_equal(chosen.fold_in(counts[:3]), given.fold_in(counts[:3]))
    assert chosen.objective(counts) == given.objective(counts)


def test_they_are_kept_in_files_and_by_what_is_learned_later(counts, caplog):
    with caplog.at_level(logging.INFO, "recsys"):
        model = ImplicitALS(4, random_state=0).fit(counts, **QUIET)
    assert f"regularization={model.regularization_:.4g}" in caplog.text
    before = weights(model)
    file = io.BytesIO()
    model.save(file)
    file.seek(0)
    assert weights(recsys.load(file)) == before
    model.partial_fit_users([0], events=counts[1:2])
    assert weights(model) == before
    model.fit(sp.csr_array(counts[:, :20]), **QUIET)
    assert weights(model) != before


@pytest.mark.parametrize(
    "matrix",
    [
        np.ones((1, 4)),
        np.eye(1),
        np.eye(5),
        np.full((3, 4), -1.0),  # dislikes alone
        np.r_[np.zeros((50, 6)), np.tri(6)],
        np.c_[np.ones((4, 1)), np.zeros((4, 2))],
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_sane_numbers_for_strange_data(matrix, bias):
    model = ImplicitALS(2, bias=bias, iterations=2, random_state=0)
    model.fit(sp.csr_array(matrix), **QUIET)
    assert np.isfinite(weights(model)).all() and model.regularization_ > 0
    assert model.unobserved_weight_ > 0
    assert np.isfinite(model.user_factors).all()


def test_without_a_fit_there_is_nothing_to_choose_by(counts):
    model = ImplicitALS(4)
    with pytest.raises(NotFittedError, match="pass regularization, or fit it"):
        model.regularization_  # noqa: B018
    model.user_factors, model.item_factors = np.ones((40, 4)), np.ones((30, 4))
    model.recommend(0, counts, N=3)
    with pytest.raises(NotFittedError, match="pass regularization, or fit it"):
        model.fold_in(counts[:1])


def test_no_liked_item_is_left_without_factors():
    """The entries of a large catalogue with a long tail, which one lambda for all rows emptied."""
    random = np.random.default_rng(0)
    items = np.minimum(random.zipf(1.3, 30_000) - 1, 1_999)
    at = (random.integers(0, 800, 30_000), items)
    counts = sp.csr_array((np.ones(30_000), at), (800, 2_000))
    model = ImplicitALS(16, random_state=0, num_threads=1).fit(counts, **QUIET)
    liked = np.unique(counts.indices)
    assert np.abs(model.item_factors[liked]).max(axis=1).min() > 0


@pytest.mark.parametrize("name", ["regularization", "unobserved_weight", "regularization_exponent"])
@pytest.mark.parametrize("value", ["data", np.nan, -np.inf])
def test_neither_a_number_nor_none(counts, name, value):
    with pytest.raises((TypeError, ValueError), match=name):
        ImplicitALS(4, **{name: value}).fit(counts, **QUIET)


def test_factors_that_vanish_are_not_blamed_on_a_number_nobody_gave(counts, caplog):
    ImplicitALS(4, random_state=0).fit(-counts, **QUIET)
    assert "no entry is greater than 0" in caplog.text and "Lower it" not in caplog.text


# ---- what is set after a fit --------------------------------------------------------------------


def test_what_is_set_after_a_fit_counts_from_the_next_one_on(counts):
    """Row by row by the definition, with the alpha, lambda and w0 of the fit."""
    model = ImplicitALS(4, alpha=2.0, confidence="linear", dtype=np.float64, random_state=0)
    model.fit(counts, **QUIET)
    lambda_, _, w0 = chosen = weights(model)
    model.set_params(alpha=50.0, regularization=9.0, unobserved_weight=3.0, confidence="scaled")
    assert weights(model) == chosen
    row, y = counts[:1].toarray()[0], model.item_factors
    w = np.where(row > 0, 1 + 2 * row, w0)
    a = (y.T * w) @ y + lambda_ * (np.count_nonzero(row) + w0 * len(row)) * np.eye(4)
    want = np.linalg.solve(a, y.T @ (w * (row > 0)))
    np.testing.assert_allclose(model.fold_in(counts[:1])[0], want, rtol=1e-8)
    assert model.explain(0, 3)[0] == pytest.approx(y[3] @ want)
    file = io.BytesIO()
    model.save(file)
    loaded = recsys.load(file.getvalue())
    assert loaded.get_params() == model.get_params() and weights(loaded) == chosen
    np.testing.assert_array_equal(loaded.fold_in(counts[:1]), model.fold_in(counts[:1]))
    model.partial_fit_users([0], rows=counts[:1])
    np.testing.assert_allclose(model.user_factors[0], want, rtol=1e-8)
    loaded.fit(counts, warm_start=True, **QUIET)
    assert weights(loaded) == (9.0, 0.0, 3.0)


def test_a_function_that_a_file_cannot_hold_is_given_to_what_was_loaded(counts):
    model = ImplicitALS(4, confidence=lambda each: 1 + 3 * each.data, random_state=0)
    model.fit(counts, **QUIET)
    scheme, folded = model.confidence, model.fold_in(counts[:2])
    file = io.BytesIO()
    model.set_params(confidence="log").save(file)
    np.testing.assert_array_equal(model.fold_in(counts[:2]), folded)
    loaded = recsys.load(file.getvalue()).set_params(confidence=scheme)
    np.testing.assert_array_equal(loaded.fold_in(counts[:2]), folded)


@pytest.mark.parametrize(
    "made, later",
    [
        (recsys.ExplicitALS(4, random_state=0), {"regularization": 5.0}),
        (recsys.ExplicitSGD(4, random_state=0), {"regularization": 5.0}),
        (recsys.BPR(4, epochs=3, random_state=0), {"loss": "warp", "regularization": 0.5}),
        (recsys.LogisticMF(4, iterations=3, random_state=0), {"alpha": 0.1, "regularization": 0.0}),
    ],
)
def test_so_it_is_of_every_model_with_factors(counts, made, later):
    def folded():
        found = model.fold_in(counts[:2])
        return found[0] if isinstance(found, tuple) else found

    model = made.fit(counts, **QUIET)
    before, day = folded(), sp.csr_array(([1.0], ([1], [2])), counts.shape)
    model.set_params(**later)
    np.testing.assert_array_equal(folded(), before)
    other = copy.deepcopy(model).set_params(**model._fitted)
    np.testing.assert_array_equal(
        model.partial_fit(day).user_factors, other.partial_fit(day).user_factors
    )
