"""implicit.bpr by its contract: shapes, what is liked, how fits go on, what is refused."""

import copy
import io
import pickle

import numpy as np
import pytest
from cases import stripes
from scipy import sparse

from recsys import NumericalWarning
from recsys.compat.implicit.bpr import BayesianPersonalizedRanking
from recsys.compat.implicit.cpu import bpr as cpu_bpr
from recsys.compat.implicit.recommender_base import ModelFitError
from recsys.compat.implicit.utils import ParameterWarning


def fitted(matrix, **options):
    options = {"factors": 3, "random_state": 42, "learning_rate": 0.1, **options}
    model = BayesianPersonalizedRanking(**options)
    model.fit(matrix, show_progress=False)
    return model


def plays():
    """With a user and an item that have no entries."""
    counts = sparse.random(40, 30, 0.2, "lil", random_state=0)
    counts[3], counts[:, 7] = 0, 0
    return counts.tocsr()


def assert_same(one, other):
    np.testing.assert_array_equal(one.user_factors, other.user_factors)
    np.testing.assert_array_equal(one.item_factors, other.item_factors)


def test_the_checker_board():
    likes = stripes(50)
    model = fitted(likes, regularization=0)
    ids, scores = model.recommend(np.arange(50), likes, N=1)
    assert (ids[:, 0] % 2 == np.arange(50) % 2).all()
    want = np.einsum("uf,uf->u", model.user_factors, model.item_factors[ids[:, 0]])
    np.testing.assert_allclose(scores[:, 0], want, rtol=1e-4)
    ids, _ = model.similar_items(0, N=10)
    assert ids[0] == 0 and (ids % 2 == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("iterations", [0, 5])
def test_factors_end_in_biases_and_ones(dtype, iterations):
    model = fitted(plays(), dtype=dtype, iterations=iterations)
    assert model.user_factors.shape == (40, 4) and model.item_factors.shape == (30, 4)
    assert model.user_factors.dtype == model.item_factors.dtype == model.dtype == dtype
    assert (model.user_factors[:, -1] == 1).all() and model.item_factors[:, -1].any()
    assert not model.user_factors[3, :-1].any() and not model.item_factors[7].any()
    model.user_factors[0] = 0  # plain arrays


def test_same_bits_for_any_number_of_threads():
    for threads in (2, 3, 7):
        assert_same(fitted(plays(), num_threads=threads), fitted(plays(), num_threads=1))


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState, np.int64])
def test_random_states(kind):
    assert_same(fitted(plays(), random_state=kind(5)), fitted(plays(), random_state=kind(5)))
    assert not np.array_equal(
        fitted(plays(), random_state=kind(5)).item_factors,
        fitted(plays(), random_state=kind(6)).item_factors,
    )


def test_every_entry_is_a_like_whatever_its_value():
    matrix = plays()
    model = fitted(matrix)
    for values in (-matrix.data, np.zeros(matrix.nnz), np.full(matrix.nnz, np.nan)):
        other = sparse.csr_array((values, matrix.indices, matrix.indptr), matrix.shape)
        assert_same(fitted(other), model)


def test_the_callers_matrix_stays_as_it_is():
    matrix = plays().astype(np.float32)
    begin, end = matrix.indptr[:2]
    matrix.indices[begin:end] = matrix.indices[begin:end][::-1].copy()
    matrix.has_sorted_indices = False
    before = matrix.indices.copy()
    assert_same(fitted(matrix), fitted(plays()))
    np.testing.assert_array_equal(matrix.indices, before)


def test_callback_counts_steps():
    seen = []
    model = BayesianPersonalizedRanking(4, 0.1, iterations=30, random_state=0)
    model.fit(stripes(50), False, lambda *event: seen.append((*event, model.item_factors)))
    assert [event[0] for event in seen] == list(range(30))
    assert all(event[1] > 0 for event in seen)
    correct = [event[2] for event in seen]
    steps = stripes(50).nnz - seen[0][3]
    assert steps / 4 < correct[0] < 0.75 * steps and 0.8 * steps < correct[-1] <= steps
    assert all(isinstance(number, int) for event in seen for number in event[2:4])
    np.testing.assert_array_equal(seen[-1][4], model.item_factors)
    everything = sparse.csr_matrix(np.ones((3, 4)))
    fit = BayesianPersonalizedRanking(4, iterations=1)
    with pytest.warns(NumericalWarning, match="nearly everything is liked"):
        fit.fit(everything, False, lambda *event: seen.append(event))
    assert seen[-1][2:] == (0, 12)


def test_a_second_fit_goes_on():
    model = fitted(plays(), iterations=5)
    before = model.item_factors.copy()
    model.iterations = 0
    model.fit(plays(), show_progress=False)
    np.testing.assert_array_equal(model.item_factors, before)
    model.iterations, model.learning_rate = 1, 1e-6
    model.fit(plays(), show_progress=False)
    np.testing.assert_allclose(model.item_factors, before, atol=1e-3)
    model.item_factors = None  # drawn anew
    model.fit(plays(), show_progress=False)
    assert np.abs(model.item_factors - before).max() > 0.1
    after = model.item_factors.copy()
    with pytest.raises(ValueError, match=r"\(40, 4\) to go on from, but .*ask for \(20, 4\)"):
        model.fit(plays()[:20], show_progress=False)
    model.factors = 7
    with pytest.raises(ValueError, match=r"factors=7 ask for .*set item_factors to None"):
        model.fit(plays(), show_progress=False)
    np.testing.assert_array_equal(model.item_factors, after)


@pytest.mark.parametrize("make", [np.int64, np.random.default_rng])
def test_fits_of_an_epoch_each_draw_anew(make):
    """With a seed: the same steps over and over would learn from a few pairs only."""
    matrix = plays()
    model = fitted(matrix, iterations=1, learning_rate=1e-6, regularization=0, random_state=make(5))
    same = copy.deepcopy(model)
    moved = []
    for _ in range(3):
        before = model.item_factors.copy()
        for one in (model, same):
            one.fit(matrix, show_progress=False)
        assert_same(model, same)  # all the same it follows from the seed
        moved.append((model.item_factors - before)[:, -1])
    # At this rate a step moves a bias by half of it, whatever was learned before.
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(moved[one] - moved[other]).max() > 4e-7
    loaded = pickle.loads(pickle.dumps(same))
    for one in (loaded, same):
        one.random_state = 5
        one.fit(matrix, show_progress=False)
    assert_same(loaded, same)


@pytest.mark.parametrize("ones", [True, False])
def test_factors_without_a_column_for_biases(ones):
    """Set before fit, of `factors` columns: the last one is the biases'."""
    model = BayesianPersonalizedRanking(4, 0.1, iterations=30, random_state=0)
    rng = np.random.default_rng(0)
    model.user_factors = rng.random((50, 4), dtype=np.float32)
    model.item_factors = rng.random((50, 4), dtype=np.float32)
    if ones:
        model.user_factors[:, -1] = 1
    likes = stripes(50)
    for _ in range(2):
        model.fit(likes, show_progress=False)
        assert model.user_factors.shape == model.item_factors.shape == (50, 4)
        assert (model.user_factors[:, -1] == 1).all()
    ids = model.recommend(np.arange(50), likes, N=1)[0]
    assert (ids[:, 0] % 2 == np.arange(50) % 2).mean() > 0.9
    model.item_factors = None  # drawn anew, as wide as the users'
    model.fit(likes, show_progress=False)
    assert model.item_factors.shape == (50, 4)
    model.item_factors = rng.random((50, 5), dtype=np.float32)
    with pytest.raises(ValueError, match="expected as many columns in both"):
        model.fit(likes, show_progress=False)


def test_files(tmp_path):
    model = fitted(plays(), verify_negative_samples=False, regularization=0.5)
    model.save(tmp_path / "m")
    buffer = io.BytesIO()
    model.save(buffer)
    buffer.seek(0)
    for cls, file in (
        (BayesianPersonalizedRanking, tmp_path / "m.npz"),
        (cpu_bpr.BayesianPersonalizedRanking, tmp_path / "m"),
        (BayesianPersonalizedRanking, buffer),
    ):
        loaded = cls.load(file)
        assert type(loaded) is cpu_bpr.BayesianPersonalizedRanking
        assert loaded.verify_negative_samples is False
        assert (loaded.regularization, loaded.random_state) == (0.5, 42)
        assert loaded.dtype == np.float32
        assert_same(loaded, model)
    assert_same(pickle.loads(pickle.dumps(model)), model)


@pytest.mark.parametrize("form", ["coo", "lil"])
def test_a_fit_of_what_is_not_csr_warns(form):
    with pytest.warns(ParameterWarning, match=f"was passed {form}_matrix instead"):
        model = fitted(plays().asformat(form), iterations=2)
    np.testing.assert_array_equal(model.item_factors, fitted(plays(), iterations=2).item_factors)


def test_files_of_models_not_fitted(tmp_path):
    model = BayesianPersonalizedRanking(5, random_state=3)
    model.save(tmp_path / "m")
    assert vars(type(model).load(tmp_path / "m")) == vars(model)


def test_nothing_stored():
    model = fitted(sparse.csr_matrix((4, 5)))
    np.testing.assert_array_equal(model.user_factors, [[0, 0, 0, 1]] * 4)
    assert model.item_factors.shape == (5, 4) and not model.item_factors.any()


def test_what_is_refused():
    with pytest.raises(ValueError, match="No CUDA extension has been built"):
        BayesianPersonalizedRanking(use_gpu=True)
    with pytest.raises(ValueError, match="call fit first"):
        BayesianPersonalizedRanking().recommend(0, plays()[0])
    with pytest.raises(TypeError, match="expected a scipy sparse matrix; got ndarray"):
        fitted(np.ones((3, 4)))
    for name, value in (("factors", 0), ("learning_rate", 0), ("dtype", np.float16)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            fitted(plays(), **{name: value})
    with pytest.raises(ModelFitError, match="NaN encountered in factors: training div") as caught:
        fitted(plays(), learning_rate=1e6)
    assert "which is 1e+06" in str(caught.value) and "init_scale" not in str(caught.value)
    model = fitted(plays())
    with pytest.raises(NotImplementedError, match="recalculate_user is not supported"):
        model.recommend(0, plays()[0], recalculate_user=True)
    with pytest.raises(NotImplementedError, match="recalculate_item is not supported"):
        model.similar_items(0, recalculate_item=True, item_users=plays().T.tocsr()[0])
    model.user_factors[5, -1] = 2
    with pytest.raises(ValueError, match=r"last column of user_factors.* must be 1; got 2"):
        model.fit(plays(), show_progress=False)
