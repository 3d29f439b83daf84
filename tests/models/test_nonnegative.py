"""Models whose factors are not negative."""

import numpy as np
import pytest
import scipy.sparse as sp

from recsys import ExplicitALS, ImplicitALS, load


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(5)
    return sp.csr_array(rng.poisson(0.3, (60, 40)).astype(np.float32))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "bias"])
def model(counts, request):
    model = ImplicitALS(
        6, nonnegative=True, bias=request.param, regularization=3, compute_loss=True, random_state=0
    )
    return model.fit(counts, show_progress=False)


def test_factors_are_not_negative_and_the_loss_falls(model):
    assert model.user_factors.min() == 0 == model.item_factors.min()
    assert np.all(np.diff([entry.loss for entry in model.history]) <= 0)


def test_the_bound_costs_some_of_the_objective(model, counts):
    plain = ImplicitALS(**model.get_params() | {"nonnegative": False})
    plain.fit(counts, show_progress=False)
    assert plain.history[-1].loss < model.history[-1].loss
    assert plain.user_factors.min() < 0


def test_single_rows_keep_the_bound(model, counts):
    folded = model.fold_in(counts[:5])
    factors = folded[0] if isinstance(folded, tuple) else folded
    assert factors.min() == 0
    twin = fitted_again(model)
    twin.partial_fit_users([60], counts[:1])
    np.testing.assert_array_equal(twin.user_factors[60], factors[0])
    twin.partial_fit_items([40], sp.csr_array(np.append(counts[:, :1].toarray(), [[0]], axis=0).T))
    assert twin.item_factors[40].min() >= 0 == twin.item_factors.min()


def fitted_again(model):
    return ImplicitALS(**model.get_params()).fit(model.training_matrix, show_progress=False)


def test_explanations_sum_to_the_score_of_folding_in(model, counts):
    item = int(model.recommend(3, N=1)[0][0])
    score, _, contributions = model.explain(3, item, N=40)
    ids, scores = model.recommend([3], counts[[3]], 40, fold_in=True, filter_seen=False)
    assert score == pytest.approx(scores[0][list(ids[0]).index(item)], rel=1e-4)
    if not model.bias:
        assert contributions.sum() == pytest.approx(score, rel=1e-4)


def test_files_continue_and_bits(model, counts, tmp_path):
    model.save(tmp_path / "model")
    twin = load(tmp_path / "model")
    assert twin.nonnegative
    for threads in (1, 3):
        again = ImplicitALS(**model.get_params() | {"num_threads": threads})
        again.fit(counts, show_progress=False)
        assert again.item_factors.tobytes() == model.item_factors.tobytes()
    twin.fit(counts, warm_start=True, show_progress=False)
    assert len(twin.history) == 2 * len(model.history)
    assert twin.history[-1].loss <= model.history[-1].loss


def test_ratings_too(counts):
    stars = counts.copy()
    stars.data = 1 + stars.data % 5
    model = ExplicitALS(4, nonnegative=True, random_state=0).fit(stars, show_progress=False)
    assert model.user_factors.min() == 0 and model.user_biases.min() < 0
    losses = [entry.loss for entry in model.history]
    assert losses[-1] < losses[0]


def test_nonnegative_is_a_flag(counts):
    with pytest.raises(TypeError, match="nonnegative"):
        ImplicitALS(nonnegative="yes").fit(counts, show_progress=False)


def test_negative_factors_of_a_training_without():
    matrix = sp.random_array((30, 20), density=0.3, rng=np.random.default_rng(0), format="csr")
    model = ImplicitALS(4, regularization=0.1, random_state=0).fit(matrix, show_progress=False)
    before = model.user_factors.copy()
    model.set_params(nonnegative=True)
    for learn in (model.fold_in, model.partial_fit):
        with pytest.raises(ValueError, match=r"item_factors has -.*fit again"):
            learn(matrix)
    np.testing.assert_array_equal(model.user_factors, before)
    model.fit(matrix, warm_start=True, show_progress=False)
    assert min(model.user_factors.min(), model.item_factors.min()) >= 0
