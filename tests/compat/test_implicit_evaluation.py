"""Side by side with implicit where it is installed; its bugs apart, the numbers are the same."""

import inspect
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.compat.implicit import evaluation

NAMES = ["precision_at_k", "mean_average_precision_at_k", "ndcg_at_k", "AUC_at_k"]


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("implicit", reason="implicit is what to agree with")
    from implicit import evaluation as original

    return original


@pytest.fixture(scope="module")
def fitted(theirs):
    """implicit's ALS on 200 x 50 random entries, with train and test."""
    train, test = evaluation.train_test_split(ratings(200, 50), 0.7, 0)
    return als(train), train, test


def ratings(n_users=60, n_items=30, density=0.3, dtype=np.float32):
    rng = np.random.default_rng(0)
    dense = (rng.random((n_users, n_items)) < density) * rng.integers(1, 9, (n_users, n_items))
    return sp.csr_matrix(dense.astype(dtype))


def als(train, **parameters):
    from implicit.cpu.als import AlternatingLeastSquares

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the threads of BLAS
        model = AlternatingLeastSquares(factors=8, iterations=3, random_state=0, **parameters)
        model.fit(train, show_progress=False)
    return model


class Silent:
    """Has nothing to recommend."""

    def recommend(self, userid, user_items, N):
        return np.full((len(userid), N), -1), np.zeros((len(userid), N))


def metrics(module, *arguments, **options):
    return module.ranking_metrics_at_k(*arguments, **options, show_progress=False)


def test_signatures(theirs):
    for name in ["train_test_split", "leave_k_out_split", "ranking_metrics_at_k", *NAMES]:
        ours, other = (inspect.signature(getattr(m, name)) for m in (evaluation, theirs))
        assert [(p.name, p.default) for p in ours.parameters.values()] == [
            (p.name, p.default) for p in other.parameters.values()
        ], name


@pytest.mark.parametrize("K", [1, 5, 10, 40])
def test_metrics_are_the_same(K, fitted, theirs):
    assert metrics(evaluation, *fitted, K=K) == pytest.approx(
        metrics(theirs, *fitted, K=K), abs=1e-12
    )


def test_metrics_are_the_same_on_real_data(theirs, data_folder):
    stored = np.load(data_folder / "lastfm-2k.npz")
    plays = sp.csr_matrix(
        (stored["plays"].astype(np.float32), stored["indices"], stored["indptr"]),
        shape=stored["shape"],
    )
    train, test = evaluation.train_test_split(plays, 0.8, 0)
    model = als(train)
    for K in (10, 50):
        assert metrics(evaluation, model, train, test, K=K) == pytest.approx(
            metrics(theirs, model, train, test, K=K), abs=1e-12
        )


def test_neighbours_are_the_same(theirs):
    from implicit.nearest_neighbours import CosineRecommender

    train, test = evaluation.train_test_split(ratings(200, 50, dtype=np.float64), 0.7, 0)
    model = CosineRecommender(K=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train, show_progress=False)
    assert metrics(evaluation, model, train, test, K=10) == pytest.approx(
        metrics(theirs, model, train, test, K=10), abs=1e-12
    )


def test_single_metrics_are_those_of_all(fitted):
    every = metrics(evaluation, *fitted, K=7)
    for name, key in zip(NAMES, ["precision", "map", "ndcg", "auc"], strict=True):
        assert getattr(evaluation, name)(*fitted, K=7, show_progress=False) == every[key]
    assert metrics(evaluation, *fitted) == metrics(evaluation, *fitted, K=10, num_threads=4)


def test_values_of_test_do_not_matter(fitted):
    model, train, test = fitted
    signed = test.copy()
    signed.data[::2] *= -1
    signed.data[1::4] = 0
    before = signed.copy()
    assert metrics(evaluation, model, train, signed) == metrics(evaluation, model, train, test)
    assert np.array_equal(signed.data, before.data)


def test_seed_gives_the_split_it_gives_in_implicit(theirs):
    whole = ratings(dtype=np.float64)
    whole.data[::5] *= -1
    for seed in (0, 42):
        ours = evaluation.train_test_split(whole, 0.75, seed)
        for part, other in zip(ours, theirs.train_test_split(whole, 0.75, seed), strict=True):
            assert part.dtype == other.dtype and part.indptr.dtype == np.int32
            np.testing.assert_array_equal(part.toarray(), other.toarray())
    assert (ours[1].data > 0).all() and (ours[0].data < 0).any()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, np.float64])
def test_splits_keep_the_type(dtype):
    whole = ratings(dtype=dtype)
    for split in (evaluation.train_test_split, evaluation.leave_k_out_split):
        train, test = split(whole, random_state=0)
        assert isinstance(train, sp.csr_matrix) and isinstance(test, sp.csr_matrix)
        assert train.dtype == test.dtype == dtype
        np.testing.assert_array_equal((train + test).toarray(), whole.toarray())


def test_sums_that_do_not_fit_the_type_are_kept():
    twice = sp.coo_matrix((np.full(2, 100, np.int8), ([0, 0], [1, 1])), shape=(1, 3))
    train, test = evaluation.train_test_split(twice, 0.5, 0)
    assert (train + test).toarray().tolist() == [[0, 200, 0]]


def test_any_model_with_the_method():
    train, test = evaluation.train_test_split(ratings(), 0.7, 0)
    found = metrics(evaluation, Silent(), train, test)
    assert found == {"precision": 0, "map": 0, "ndcg": 0, "auc": 0.5}


# ---- where implicit is wrong -------------------------------------------------------------------


def test_leave_k_out_honours_the_seed():
    first, again, other = (
        evaluation.leave_k_out_split(ratings(), 2, random_state=seed)[1] for seed in (3, 3, 4)
    )
    assert (first != again).nnz == 0 and (first != other).nnz
    state = np.random.RandomState(0)
    evaluation.leave_k_out_split(ratings(), random_state=state)


def test_leave_k_out_with_gaps_in_the_users():
    whole = sp.csr_matrix(np.array([[1, 2, 3, 4], [0] * 4, [5, 6, 7, 8], [0] * 4, [9, 1, 0, 0]]))
    train, test = evaluation.leave_k_out_split(whole, K=1, random_state=0)
    assert np.diff(test.indptr).tolist() == [1, 0, 1, 0, 0]  # more than K + 1 entries are needed
    np.testing.assert_array_equal((train + test).toarray(), whole.toarray())


def test_more_places_than_items(theirs):
    train, test = evaluation.train_test_split(ratings(40, 12), 0.6, 0)
    model = als(train)
    whole = metrics(evaluation, model, train, test, K=12)
    assert whole == pytest.approx(metrics(theirs, model, train, test, K=12))
    longer = metrics(evaluation, model, train, test, K=20)
    assert longer == pytest.approx(whole) and longer["precision"] == 1
    assert metrics(theirs, model, train, test, K=20)["precision"] > 1  # pads with item 0


def test_wide_indices_and_other_formats(fitted):
    model, train, test = fitted
    expected = metrics(evaluation, model, train, test)
    wide = test.copy()
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    for left, right in ((train, wide), (sp.csr_array(train), test.tocoo()), (train.tocsc(), test)):
        assert metrics(evaluation, model, left, right) == expected


def test_what_is_filtered_is_no_hit(fitted):
    """An entry of both matrices cannot be listed; at the end of the list it counted as found."""
    model, train, _ = fitted
    found = metrics(evaluation, model, train, train, K=50)
    assert found["precision"] == found["map"] == found["ndcg"] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluation.leave_k_out_split(None, K=0), "K must be at least 1; got 0"),
        (lambda: evaluation.leave_k_out_split(None, train_only_size=-1.0), "train_only_size must"),
        (lambda: evaluation.leave_k_out_split(None, train_only_size=1.0), "train_only_size must"),
        (lambda: evaluation.train_test_split(ratings(), 80), "train_percentage must be .* got 80"),
        (
            lambda: metrics(evaluation, Silent(), ratings(), sp.csr_matrix((60, 30))),
            "nobody has a relevant item",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
