"""implicit.lmf by its contract: shapes, what is fitted, how it is listed, what is refused."""

import copy
import pickle

import numpy as np
import pytest
from cases import stripes
from scipy import sparse

from recsys import LogisticMF
from recsys.compat.implicit.cpu import lmf as cpu_lmf
from recsys.compat.implicit.lmf import LogisticMatrixFactorization
from recsys.compat.implicit.recommender_base import ModelFitError
from recsys.compat.implicit.utils import ParameterWarning


def fitted(matrix, **options):
    model = LogisticMatrixFactorization(**{"factors": 3, "random_state": 43, **options})
    model.fit(matrix, show_progress=False)
    return model


def plays():
    counts = sparse.random(40, 30, 0.2, "csr", random_state=0)
    counts.data = np.ceil(5 * counts.data)
    return counts


def test_the_checker_board():
    likes = stripes(50)
    model = fitted(likes, regularization=0)
    ids, scores = model.recommend(np.arange(50), likes, N=1)
    np.testing.assert_array_equal(ids[:, 0], np.arange(50))
    want = np.einsum("uf,uf->u", model.user_factors, model.item_factors)
    np.testing.assert_allclose(scores[:, 0], want, rtol=1e-4)
    ids, _ = model.similar_items(0, N=10)
    assert ids[0] == 0 and (ids % 2 == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_hold_biases_and_ones(dtype):
    model = fitted(plays(), dtype=dtype, factors=6)
    assert model.user_factors.shape == (40, 8) and model.item_factors.shape == (30, 8)
    assert model.user_factors.dtype == model.item_factors.dtype == model.dtype == dtype
    assert (model.user_factors[:, -2] == 1).all() and (model.item_factors[:, -1] == 1).all()
    engine = LogisticMF(
        6,
        learning_rate=1.0,
        confidence="scaled",
        alpha=1200 / (30 * plays().nnz),
        regularization=0.6 * 1200 / (30 * plays().nnz),
        random_state=43,
        dtype=dtype,
    ).fit(plays().astype(np.float32), show_progress=False)
    table = engine.score(np.arange(40)[:, None], np.arange(30))
    tolerance = 1e-4 if dtype is np.float32 else 1e-10
    product = model.user_factors @ model.item_factors.T
    np.testing.assert_allclose(product, table, rtol=tolerance, atol=tolerance)


def test_callback_counts_from_zero_and_sees_the_model():
    seen = []
    model = LogisticMatrixFactorization(4, iterations=3, random_state=0)
    model.fit(plays(), False, lambda epoch, elapsed: seen.append((epoch, model.user_factors)))
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert not np.array_equal(seen[0][1], seen[1][1])
    np.testing.assert_array_equal(seen[2][1], model.user_factors)


def test_fit_goes_on_from_present_factors():
    model = fitted(plays(), iterations=0)
    start = model.user_factors.copy()
    model.fit(plays(), show_progress=False)
    np.testing.assert_array_equal(model.user_factors, start)
    model.iterations = 5
    model.fit(plays(), show_progress=False)
    assert not np.array_equal(model.user_factors, start)
    with pytest.raises(ValueError, match="set both to None to start anew"):
        model.fit(plays()[:30], show_progress=False)
    model.item_factors = None
    with pytest.raises(ValueError, match="set both to None to start anew"):
        model.fit(plays(), show_progress=False)
    model.user_factors = None
    model.fit(plays()[:30], show_progress=False)
    assert len(model.user_factors) == 30


def test_fits_of_an_iteration_each_draw_anew():
    matrix = plays()
    model = fitted(matrix, iterations=1, learning_rate=1e-6, neg_prop=2)
    same = copy.deepcopy(model)
    moved = []
    for _ in range(2):
        before = model.item_factors.copy()
        for one in (model, same):
            one.fit(matrix, show_progress=False)
        np.testing.assert_array_equal(model.item_factors, same.item_factors)
        moved.append(np.sign(model.item_factors - before))
    assert (moved[0] != moved[1]).any()  # AdaGrad's first steps are all of one size


def test_factors_without_columns_for_biases():
    """Set before fit, of `factors` columns: the last two are the biases'."""
    model = LogisticMatrixFactorization(5, iterations=10, random_state=0)
    rng = np.random.default_rng(0)
    model.user_factors = rng.random((40, 5), dtype=np.float32)
    model.item_factors = rng.random((30, 5), dtype=np.float32)
    model.fit(plays(), show_progress=False)
    assert model.user_factors.shape == (40, 5) and model.item_factors.shape == (30, 5)
    assert (model.user_factors[:, -2] == 1).all() and (model.item_factors[:, -1] == 1).all()
    model.user_factors = rng.random((40, 7), dtype=np.float32)
    with pytest.raises(ValueError, match="set both to None to start anew"):
        model.fit(plays(), show_progress=False)


def test_files(tmp_path):
    model = fitted(plays(), learning_rate=0.3, neg_prop=11)
    model.save(tmp_path / "m")
    for cls in (LogisticMatrixFactorization, cpu_lmf.LogisticMatrixFactorization):
        loaded = cls.load(tmp_path / "m.npz")
        assert type(loaded) is cpu_lmf.LogisticMatrixFactorization
        assert (loaded.learning_rate, loaded.neg_prop, loaded.dtype) == (0.3, 11, np.float32)
        np.testing.assert_array_equal(loaded.item_factors, model.item_factors)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.user_factors, model.user_factors)


@pytest.mark.parametrize("form", ["coo", "lil"])
def test_a_fit_of_what_is_not_csr_warns(form):
    with pytest.warns(ParameterWarning, match=f"was passed {form}_matrix instead"):
        model = fitted(plays().asformat(form), iterations=2)
    np.testing.assert_array_equal(model.item_factors, fitted(plays(), iterations=2).item_factors)


def test_files_of_models_not_fitted(tmp_path):
    model = LogisticMatrixFactorization(5, random_state=3)
    model.save(tmp_path / "m")
    assert vars(type(model).load(tmp_path / "m")) == vars(model)


def test_nothing_stored():
    model = fitted(sparse.csr_matrix((4, 5)))
    assert model.user_factors.shape == (4, 5) and model.item_factors.shape == (5, 5)
    assert not (model.user_factors @ model.item_factors.T).any()


def test_what_is_refused():
    with pytest.raises(NotImplementedError, match="cannot be trained on a GPU"):
        LogisticMatrixFactorization(use_gpu=True)
    with pytest.raises(ValueError, match="call fit first"):
        LogisticMatrixFactorization().recommend(0, plays()[0])
    bad = plays()
    bad.data[3] = np.nan
    with pytest.raises(ModelFitError, match=r"^user_items holds NaN or infinity"):
        fitted(bad)
    with pytest.raises(ModelFitError, match="NaN encountered in factors: training div") as caught:
        fitted(plays(), learning_rate=1e3)
    assert "which is 1000" in str(caught.value) and "init_scale" not in str(caught.value)
    with pytest.raises(NotImplementedError, match="recalculate_user is not supported"):
        fitted(plays()).recommend(0, plays()[0], recalculate_user=True)
