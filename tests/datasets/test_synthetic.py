import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import svds

import recsys
from recsys.datasets import lastfm360k_twin


def check_figures(dataset, scale):
    matrix = dataset.user_items
    n_users, n_items = matrix.shape
    assert (n_users, n_items) == (round(358_868 * scale), round(292_385 * scale))
    assert matrix.nnz == pytest.approx(17_559_530 * scale, rel=0.01)
    assert matrix.dtype == np.float32
    matrix.check_format(full_check=True)
    parts = (matrix.data, matrix.indices, matrix.indptr)  # anew: the flag alone proves nothing
    assert sp.csr_matrix(parts, shape=matrix.shape).has_canonical_format

    lengths = np.diff(matrix.indptr)
    assert lengths.min() >= 1
    assert lengths.mean() == pytest.approx(49, abs=0.5)
    assert np.median(lengths) == 51
    assert np.quantile(lengths, 0.9) <= 53
    audiences = np.bincount(matrix.indices, minlength=n_items)
    assert audiences.min() >= 1
    assert audiences.mean() == pytest.approx(60, abs=0.6)
    assert 2 <= np.median(audiences) <= 5
    assert 25 <= np.quantile(audiences, 0.9) <= 36
    assert audiences.max() <= 0.31 * n_users
    plays = matrix.data
    assert np.median(plays) == pytest.approx(94, rel=0.05)
    assert plays.mean() == pytest.approx(215, rel=0.05)
    assert plays.min() >= 1 and plays.max() <= 419_157
    assert np.array_equal(plays, np.rint(plays))
    for counts in (lengths, audiences):  # ids carry no order of size
        assert abs(np.corrcoef(np.arange(len(counts)), counts)[0, 1]) < 0.06
    return lengths, np.sort(audiences)[::-1]


@pytest.mark.parametrize("scale", [0.01, 0.1])
def test_figures_of_small_twins(scale):
    dataset = lastfm360k_twin(scale)
    lengths, audiences = check_figures(dataset, scale)
    if scale == 0.1:
        assert 700 <= lengths.max() <= 800
        # The largest 3.4 % hold 84 % at full scale; at this one the cap on shares barely matters.
        assert audiences[:1_000].sum() / audiences.sum() == pytest.approx(0.84, abs=0.02)
    assert dataset.synthetic and "synthetic" in dataset.name and "synthetic" in repr(dataset)
    assert dataset.items[123] == "synthetic artist 000123"
    assert dataset.users[123] == "synthetic user 000123"
    assert len(dataset.items) == len(set(dataset.items)) == dataset.user_items.shape[1]


@pytest.mark.slow
def test_figures_at_full_scale():
    lengths, audiences = check_figures(lastfm360k_twin(), 1.0)
    assert 700 <= lengths.max() <= 850
    assert audiences[0] == pytest.approx(77_000, rel=0.03)
    assert audiences[:1_000].sum() / audiences.sum() == pytest.approx(0.60, abs=0.015)
    assert audiences[:10_000].sum() / audiences.sum() == pytest.approx(0.84, abs=0.015)


def test_seed_decides():
    one, same, other = (lastfm360k_twin(0.002, seed=seed).user_items for seed in (3, 3, 4))
    for part in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(one, part), getattr(same, part))
    assert one.nnz != other.nnz or (one != other).nnz > 0


def test_listeners_share_tastes():
    """A dozen factors explain more than they would were lists drawn by popularity alone."""
    matrix = lastfm360k_twin(0.01).user_items.astype(np.float64)
    matrix.data[:] = 1
    chance = matrix.copy()  # the same lists and audiences, without tastes
    chance.indices = np.random.default_rng(0).permutation(chance.indices)
    chance.sum_duplicates()
    chance.data[:] = 1
    explained = []
    for m in (matrix, chance):
        values = svds(m, k=12, return_singular_vectors=False, v0=np.ones(min(m.shape)))
        explained.append(np.sum(np.sort(values)[:-1] ** 2) / m.nnz)  # the first is popularity
    assert explained[0] > 1.5 * explained[1]


@pytest.mark.parametrize("scale", [0, -1, 0.0005, 11, np.nan, np.inf])
def test_scale_out_of_range(scale):
    with pytest.raises(ValueError, match=r"scale must be between 0\.001 and 10, got"):
        lastfm360k_twin(scale)


@pytest.mark.parametrize(("arguments", "name"), [(("1",), "scale"), ((0.01, 1.5), "seed")])
def test_arguments_of_another_type(arguments, name):
    with pytest.raises(TypeError, match=f"{name} must be"):
        lastfm360k_twin(*arguments)


def test_negative_seed():
    with pytest.raises(ValueError, match="seed must be a non-negative integer"):
        lastfm360k_twin(0.01, -1)


def test_a_data_set_is_interactions():
    data = lastfm360k_twin(0.002)
    assert isinstance(data, recsys.Interactions) and data.nnz == data.user_items.nnz
    train, test = data.split(random_state=0)
    assert type(train) is recsys.Interactions and train.users is data.users
    assert train.nnz + test.nnz == data.nnz
    model = recsys.ImplicitALS(4, iterations=1, random_state=0).fit(data)
    assert model.recommend("synthetic user 000001", N=1)[0][0].startswith("synthetic artist")
