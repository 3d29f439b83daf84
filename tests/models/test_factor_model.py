from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from recsys import NotFittedError
from recsys.csr import TrainingMatrix
from recsys.models import internal
from recsys.models.factor_model import FactorModel


class Given(FactorModel):
    """A model whose factors are given, not trained."""

    def __init__(self, *, dtype=np.float64, num_threads=0):
        self.dtype = dtype
        self.num_threads = num_threads

    def _check_parameters(self):
        return np.dtype(self.dtype)

    def _trainer(self, counts):
        raise AssertionError("nothing here is to be trained")

    def _learn_rows(self, counts, new, touched, rounds):
        raise AssertionError("nothing here is to be learned")


def make(user_factors, item_factors, seen=None, dtype=np.float64):
    model = Given(dtype=dtype)
    model.user_factors, model.item_factors = user_factors, item_factors
    if seen is not None:
        model._publish({"_training_matrix": TrainingMatrix.of(sparse.csr_array(seen))})
    return model


@pytest.fixture(params=[np.float32, np.float64])
def model(request):
    """Small integers: products are exact, however they are summed, and ties are many."""
    rng = np.random.default_rng(0)
    return make(
        rng.integers(-2, 3, (23, 4)),
        rng.integers(-2, 3, (31, 4)),
        rng.random((23, 31)) < 0.3,
        request.param,
    )


def expected_best(scores, N):
    """The definition: by (score, id) descending, -inf dropped, padded with -1 and -inf."""
    ids = np.full((len(scores), N), -1)
    best = np.full((len(scores), N), -np.inf)
    for k, row in enumerate(scores):
        order = sorted(range(len(row)), key=lambda i: (row[i], i), reverse=True)
        order = [i for i in order if row[i] > -np.inf][:N]
        ids[k, : len(order)], best[k, : len(order)] = order, row[order]
    return ids, best


@pytest.mark.parametrize("N", [1, 2, 10, 31, 40])
@pytest.mark.parametrize("filter_seen", [True, False])
def test_recommend_is_the_dense_computation(model, N, filter_seen, monkeypatch):
    users = np.array([3, 0, 22, 3, 7, 8, 9])
    scores = model.user_factors[users] @ model.item_factors.T
    if filter_seen:
        scores[model.training_matrix[users].toarray() != 0] = -np.inf
    want_ids, want_scores = expected_best(scores, N)
    for size in (1 << 13, 2):  # one block, several
        monkeypatch.setattr("recsys.kernels.spans._QUERIES", size)
        ids, got = model.recommend(users, N=N, filter_seen=filter_seen)
        np.testing.assert_array_equal(ids, want_ids)
        np.testing.assert_array_equal(got, want_scores)
        assert ids.dtype == np.int32 and got.dtype == model.dtype


def test_one_user_gives_one_list(model):
    ids, scores = model.recommend([5], N=6)
    for user in (5, np.int64(5), np.array(5)):
        one, its_scores = model.recommend(user, N=6)
        assert one.shape == its_scores.shape == (6,)
        np.testing.assert_array_equal(one, ids[0])
        np.testing.assert_array_equal(its_scores, scores[0])
    assert model.recommend([], N=6)[0].shape == (0, 6)
    assert model.similar_items([], 6)[0].shape == (0, 6)


def test_too_few_items_left():
    seen = np.ones((2, 5))
    seen[1, 3] = 0
    model = make(np.ones((2, 2)), -np.ones((5, 2)), seen)
    ids, scores = model.recommend([0, 1], N=3)
    np.testing.assert_array_equal(ids, [[-1, -1, -1], [3, -1, -1]])
    np.testing.assert_array_equal(scores, [[-np.inf] * 3, [-2, -np.inf, -np.inf]])


@pytest.mark.parametrize("N", [1, 4, 31, 50])
def test_similar_is_the_dense_cosine(N):
    rng = np.random.default_rng(1)
    model = make(rng.normal(size=(9, 5)), rng.normal(size=(31, 5)))
    unit = model.item_factors / np.linalg.norm(model.item_factors, axis=1, keepdims=True)
    cosines = unit[:11] @ unit.T
    want_ids, want = expected_best(cosines, N)
    ids, scores = model.similar_items(np.arange(11), N)
    np.testing.assert_array_equal(ids, want_ids)
    np.testing.assert_allclose(scores, want, rtol=1e-12)
    np.testing.assert_array_equal(ids[:, 0], np.arange(11))
    np.testing.assert_array_equal(scores[:, 0], 1)
    ids, scores = model.similar_users(4, 9)
    assert ids[0] == 4 and sorted(ids) == list(range(9))


def test_similar_of_twins_zeros_and_extreme_lengths():
    factors = np.zeros((6, 3), np.float32)
    factors[[0, 1, 2]] = [0.1, 0.7, 0.3]
    factors[3] = 1e-30 * factors[0]
    factors[4] = 1e30 * factors[0]
    model = make(factors, factors, dtype=np.float32)
    ids, scores = model.similar_items([0, 3, 4], 6)
    np.testing.assert_array_equal(ids[:, 0], [0, 3, 4])
    np.testing.assert_allclose(scores[:, :5], 1, rtol=1e-6)
    assert scores.max() <= 1
    np.testing.assert_array_equal(ids[:, 5], 5)  # the zero vector last, with a score of 0
    np.testing.assert_array_equal(scores[:, 5], 0)
    ids, scores = model.similar_items(5, 3)
    np.testing.assert_array_equal(ids, [5, 4, 3])
    np.testing.assert_array_equal(scores, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_that_have_lost_their_digits_are_like_nobody(dtype):
    factors = np.zeros((4, 2), dtype)
    factors[0] = 1, 2
    factors[1] = np.finfo(dtype).smallest_subnormal  # 1 / norm is beyond the dtype
    factors[2] = np.finfo(dtype).tiny / 4
    model = make(factors, factors, dtype=dtype)
    for ask in (model.similar_items, model.similar_users):
        ids, scores = ask([0, 1, 2], 4)
        np.testing.assert_array_equal(ids[:, 0], [0, 1, 2])
        np.testing.assert_array_equal(scores, [[1, 0, 0, 0], [0] * 4, [0] * 4])


def test_users_without_factors_get_the_highest_ids():
    model = make(np.zeros((2, 3)), np.ones((400, 3)))
    ids, scores = model.recommend([0, 1], N=3, filter_seen=False)
    np.testing.assert_array_equal(ids, [[399, 398, 397]] * 2)
    np.testing.assert_array_equal(scores, 0)


def test_factors_can_be_replaced_but_not_written_to(model):
    for factors in (model.user_factors, model.item_factors):
        with pytest.raises(ValueError, match="read-only"):
            factors[0, 0] = 1
    changed = model.item_factors.copy()
    changed[7] = 0
    changed[7, 0] = 100
    users = model.user_factors.copy()
    users[0] = [1, 0, 0, 0]
    model.recommend(0)  # what it prepares must not outlive the factors
    model.user_factors, model.item_factors = users, changed
    assert model.recommend(0, N=1, filter_seen=False)[0] == 7
    changed[7, 0] = -100  # the caller's array, not the model's
    assert model.recommend(0, N=1, filter_seen=False)[0] == 7
    model.item_factors = [[1.0, 2, 3, 4]] * 31
    assert model.item_factors.dtype == model.dtype
    read_only = np.asfortranarray(np.full((31, 4), 3.0))
    read_only.flags.writeable = False
    model.item_factors = read_only
    np.testing.assert_array_equal(model.item_factors, 3)


def test_bad_factors(model):
    before = model.item_factors.copy()
    with pytest.raises(ValueError, match="item_factors must be 2-D"):
        model.item_factors = np.ones(3)
    with pytest.raises(ValueError, match=r"item_factors must be finite.*row 2 is not"):
        model.item_factors = [[1, 2], [3, 4], [np.nan, 1]]
    with pytest.raises(TypeError, match="item_factors must hold real numbers"):
        model.item_factors = [["a"]]
    np.testing.assert_array_equal(model.item_factors, before)
    for bad in (np.nan, np.inf):
        broken = before.copy()
        broken[3, 1] = bad
        model._publish({"_item_factors": broken})  # as a training gone wrong might
        with pytest.raises(FloatingPointError, match="hold NaN, infinite or huge"):
            model.recommend([1, 2, 3], N=3, filter_seen=False)
        with pytest.raises(FloatingPointError, match="hold NaN, infinite or huge"):
            model.similar_items(0, 1)
    model.item_factors = np.ones((31, 5))
    with pytest.raises(
        ValueError, match=r"shape \(23, 4\) and item_factors \(31, 5\); expected the"
    ):
        model.recommend(0)


def test_seen_items_need_a_matching_training_matrix(model):
    model.user_factors = np.ones((40, 4))
    with pytest.raises(
        ValueError, match=r"trained on 23 users x 31 items, but.*40 x 31.*filter_seen"
    ):
        model.recommend(30)
    assert model.recommend(30, filter_seen=False)[0].shape == (10,)
    untrained = make(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(NotFittedError, match=r"seen items are unknown.*filter_seen=False"):
        untrained.recommend(0)


def test_bad_arguments(model):
    for method, name, count in (
        (model.recommend, "users", 23),
        (model.similar_users, "users", 23),
        (model.similar_items, "items", 31),
    ):
        with pytest.raises(IndexError, match=f"{name} not known.*: {count}; .* 0 to {count - 1}"):
            method(count)
        with pytest.raises(IndexError, match=f"{name} not known to the model: -1;"):
            method([0, -1])
        with pytest.raises(TypeError, match=f"{name} must be a row number"):
            method("Joy Division")
        with pytest.raises(TypeError, match=f"{name} must be a row number"):
            method(sparse.csr_array(np.ones((2, 2))))
        with pytest.raises(ValueError, match=f"{name} must be a row number.*shape"):
            method([[1, 2]])
        with pytest.raises(ValueError, match="N must be at least 1; got 0"):
            method(0, N=0)
        with pytest.raises(TypeError, match=r"N must be an integer of at least 1; got 2.5"):
            method(0, N=2.5)


def test_before_fit():
    model = Given()
    for call in (
        lambda: model.recommend(0),
        lambda: model.similar_users(0),
        lambda: model.user_factors,
    ):
        with pytest.raises(
            NotFittedError, match=r"this Given has no user_factors.*call fit\(user_"
        ):
            call()
    with pytest.raises(NotFittedError, match="has no item_factors yet"):
        model.similar_items(0)
    assert not hasattr(model, "item_factors")


def dense(model, users, seen=None, items=None, left_out=()):
    """Scores of users with everything that may not be listed at -inf."""
    scores = (model.user_factors[users] @ model.item_factors.T).astype(np.float64)
    if seen is not None:
        scores[seen] = -np.inf
    allowed = np.arange(31) if items is None else items
    scores[:, np.setdiff1d(np.arange(31), np.setdiff1d(allowed, left_out))] = -np.inf
    return scores


@pytest.mark.parametrize("items", [None, [4], [30, 2, 2, 7, 11, 0, 3]])
@pytest.mark.parametrize("left_out", [None, 7, [2, 30, 2]])
def test_items_to_choose_from(model, items, left_out):
    users = np.arange(23)
    scores = dense(
        model, users, model.training_matrix.toarray() > 0, items, np.ravel(left_out or [])
    )
    want_ids, want = expected_best(scores, 5)
    ids, got = model.recommend(users, N=5, items=items, filter_items=left_out)
    np.testing.assert_array_equal(ids, want_ids)
    np.testing.assert_array_equal(got, want)
    one = model.recommend(3, N=5, items=items, filter_items=left_out)[0]
    np.testing.assert_array_equal(one, want_ids[3])


def test_seen_by_a_given_matrix(model):
    rng = np.random.default_rng(5)
    given = rng.random((23, 31)) < 0.5
    users = np.array([8, 1, 20])
    want = expected_best(dense(model, users, given[users]), 4)[0]
    np.testing.assert_array_equal(model.recommend(users, sparse.csr_array(given), N=4)[0], want)
    rows = sparse.coo_array(given[users].astype(np.int64))
    np.testing.assert_array_equal(model.recommend(users, rows, N=4)[0], want)
    everyone = np.arange(23)
    want = expected_best(dense(model, everyone, given), 4)[0]
    np.testing.assert_array_equal(model.recommend(everyone, sparse.csr_array(given), N=4)[0], want)
    with pytest.raises(ValueError, match="in another order"):
        model.recommend(everyone[::-1], sparse.csr_array(given))
    with pytest.raises(ValueError, match=r"\(31, 23\); expected \(23, 31\).*looks transposed"):
        model.recommend(users, sparse.csr_array(given.T))
    with pytest.raises(ValueError, match=r"expected \(23, 31\) .*or \(3, 31\)"):
        model.recommend(users, sparse.csr_array(given[:5]))


def test_similar_among_some(model):
    factors = model.item_factors.copy()
    factors[12] = 0
    model.item_factors = factors
    among = np.array([3, 9, 12, 20, 21])
    ids, scores = model.similar_items([9, 4, 12], N=6, among=among, filter_items=[20])
    assert ids[0, 0] == 9 and scores[0, 0] == 1
    assert sorted(ids[0]) == sorted(ids[1]) == sorted(ids[2]) == [-1, -1, 3, 9, 12, 21]
    assert ids[2, 0] == 12 and (scores[2, :4] == 0).all()
    unit = (
        model.item_factors / np.maximum(np.linalg.norm(model.item_factors, axis=1), 1e-9)[:, None]
    )
    np.testing.assert_allclose(scores[1, :4], (unit @ unit[4])[ids[1, :4]], rtol=1e-5, atol=1e-7)
    assert (scores[:, 4:] == -np.inf).all()


def test_score(model):
    users, items = np.array([3, 0, 22]), np.array([30, 5, 5])
    table = model.user_factors @ model.item_factors.T
    np.testing.assert_array_equal(model.score(users, items), table[users, items])
    np.testing.assert_array_equal(model.score(users[:, None], items), table[users][:, items])
    assert model.score(4, 7) == table[4, 7]
    assert model.score([], []).shape == (0,)
    with pytest.raises(ValueError, match=r"shape \(3,\) and items of shape \(2,\) do not pair up"):
        model.score(users, items[:2])
    with pytest.raises(IndexError, match="items not known to the model: 31"):
        model.score(0, 31)


def test_unknown_items_to_choose_from(model):
    with pytest.raises(IndexError, match="filter_items not known to the model: 31"):
        model.recommend(0, filter_items=[31])
    with pytest.raises(IndexError, match="items not known to the model: -1"):
        model.recommend(0, items=[-1])
    with pytest.raises(IndexError, match="filter_users not known"):
        model.similar_users(0, filter_users=99)


def test_threads_that_share_a_model_get_what_one_gets(model):
    users = np.arange(23)
    want = model.recommend(users, N=8), model.similar_items(np.arange(31), N=5)

    def ask(_):
        calls = range(20)
        return [
            (model.recommend(users, N=8), model.similar_items(np.arange(31), N=5)) for _ in calls
        ]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(ask, range(8)):
            for answer in answers:
                for got, expected in zip(answer, want, strict=True):
                    np.testing.assert_array_equal(got[0], expected[0])
                    np.testing.assert_array_equal(got[1], expected[1])


def test_a_model_without_fold_in(model):
    with pytest.raises(TypeError, match="Given cannot fold in users"):
        model.recommend(0, sparse.csr_array((1, 31)), fold_in=True)


def test_lists_stay_the_same_as_preparations_come(model):
    expected = model.recommend([3, 5], N=4)
    for _ in range(4):  # the first goes without, later ones are prepared for
        for users in ([3, 5], [3], [5, 3, 3, 3, 5, 5], 5):
            ids, scores = model.recommend(users, N=4)
            want = [[3, 5].index(user) for user in np.ravel(users)]
            np.testing.assert_array_equal(np.atleast_2d(ids), expected[0][want])
            np.testing.assert_array_equal(np.atleast_2d(scores), expected[1][want])
    assert internal.norm_order(model, 1).codes is not None


def test_biases_and_mean(model):
    rng = np.random.default_rng(1)
    dtype = model.dtype
    b_u, b_i = rng.integers(-3, 4, 23).astype(dtype), rng.integers(-3, 4, 31).astype(dtype)
    model._publish({"_user_biases": b_u, "_item_biases": b_i, "_mean": 2.0})
    table = model.user_factors @ model.item_factors.T + b_u[:, np.newaxis] + b_i + dtype(2)
    np.testing.assert_array_equal(model.score(np.arange(23)[:, np.newaxis], range(31)), table)
    table[model.training_matrix.toarray() != 0] = -np.inf
    ids, scores = model.recommend(np.arange(23), N=6)
    np.testing.assert_array_equal(scores, -np.sort(-table, axis=1)[:, :6])
    np.testing.assert_array_equal(scores, np.take_along_axis(table, ids, axis=1))
    for _ in range(3):  # by codes as well
        np.testing.assert_array_equal(model.recommend(7, N=6)[1], scores[7])
    with pytest.raises(ValueError, match="read-only"):
        model.item_biases[0] = 3
    with pytest.raises(ValueError, match="item_factors has 30 rows; expected 31"):
        model.item_factors = np.ones((30, 4))
