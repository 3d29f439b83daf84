import pickle

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys import LogisticMF, NotFittedError, kernels
from recsys.evaluation import evaluate, random_split
from recsys.models import Iteration
from tests.cases import stripes

SMALL = {"factors": 5, "iterations": 3, "random_state": 1, "regularization": 2.0, "dtype": "f8"}
LEARNED = ("user_factors", "item_factors", "user_biases", "item_biases")


def plays(n_users=40, n_items=30, seed=0):
    """Counts, dislikes and stored zeros, with a user and an item without entries."""
    rng = np.random.default_rng(seed)
    counts = np.ceil(rng.exponential(5, (n_users, n_items))) * (
        rng.random((n_users, n_items)) < 0.2
    )
    counts[rng.random(counts.shape) < 0.03] = -2
    counts[3], counts[:, 7] = 0, 0
    matrix = sparse.csr_array(counts)
    matrix.data[::17] = 0
    return matrix


def fitted(matrix=None, **options):
    matrix = plays() if matrix is None else matrix
    return LogisticMF(**{**SMALL, **options}).fit(matrix, show_progress=False)


def assert_same(one, other):
    for name in LEARNED:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    losses = [[entry.loss for entry in model.history] for model in (one, other)]
    np.testing.assert_array_equal(*losses)


class Dense:
    """The objective and its steps, cell by cell."""

    def __init__(self, matrix, alpha, lam, start):
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        values = matrix.data.astype(float)
        self.gain, self.weight = np.zeros(matrix.shape), np.ones(matrix.shape)
        self.gain[rows, matrix.indices] = alpha * np.maximum(values, 0)
        self.weight[rows, matrix.indices] += alpha * np.abs(values)
        self.lam = lam
        self.x, self.y, self.b, self.d = (np.array(getattr(start, name)) for name in LEARNED)
        self.squares = [np.zeros_like(part) for part in (self.x, self.b, self.y, self.d)]

    def scores(self):
        return self.x @ self.y.T + self.b[:, None] + self.d

    def loss(self):
        s = self.scores()
        cells = self.weight * np.logaddexp(0, s) - self.gain * s
        return cells.sum() + self.lam / 2 * ((self.x**2).sum() + (self.y**2).sum())

    def step(self, rate):
        """Users, then items."""
        for at in (0, 2):
            slope = self.gain - self.weight / (1 + np.exp(-self.scores()))
            if at == 0:
                gradients = slope @ self.y - self.lam * self.x, slope.sum(1)
                parts = self.x, self.b
            else:
                gradients = slope.T @ self.x - self.lam * self.y, slope.sum(0)
                parts = self.y, self.d
            for part, g, q in zip(parts, gradients, self.squares[at : at + 2], strict=True):
                q += g**2
                part += rate * g / np.sqrt(q + 1e-6)


def test_is_the_definition_where_every_cell_is_looked_at():
    options = {"confidence": "scaled", "alpha": 0.7, "learning_rate": 0.3, "negatives": 100}
    dense = Dense(plays(), 0.7, 2.0, fitted(iterations=0, **options))
    model = fitted(iterations=5, **options)
    losses = []
    for _ in range(5):
        dense.step(0.3)
        losses.append(dense.loss())
    np.testing.assert_allclose([entry.loss for entry in model.history], losses, rtol=1e-10)
    for name, want in zip(LEARNED, (dense.x, dense.y, dense.b, dense.d), strict=True):
        np.testing.assert_allclose(getattr(model, name), want, rtol=1e-8, atol=1e-10)
    assert losses == sorted(losses, reverse=True)


def test_loss_is_estimated_without_bias_from_what_is_drawn():
    exact = fitted(negatives=100, iterations=1, learning_rate=1e-9).history[0].loss
    estimates = [
        fitted(negatives=1, iterations=1, learning_rate=1e-9, init_scale=1e-9, random_state=seed)
        .history[0]
        .loss
        for seed in range(100)
    ]
    assert np.std(estimates) > 0
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - exact) < 4 * error + 1e-3 * exact


def test_starts_where_users_and_items_are_independent():
    likes = sparse.csr_array(np.random.default_rng(0).random((50, 20)) < np.linspace(0.05, 0.9, 20))
    model = fitted(likes.astype(float), iterations=0, init_scale=1e-12)
    popular = np.lexsort((np.arange(20), likes.sum(axis=0)))[::-1]
    np.testing.assert_array_equal(model.recommend(0, N=20, filter_seen=False)[0], popular)
    # scores are log-odds whose odds, one confidence an entry, add up to what there is
    odds = np.exp(model.score(np.arange(50)[:, None], np.arange(20)))
    one = 1 + 10 * np.log(2)
    np.testing.assert_allclose(odds.sum(), likes.nnz * one, rtol=0.02)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_learns_who_likes_what(dtype):
    likes = stripes(40)
    model = LogisticMF(8, regularization=1.0, random_state=0, dtype=dtype).fit(likes)
    ids, _ = model.recommend(np.arange(40), N=1)
    np.testing.assert_array_equal(ids[:, 0], np.arange(40))  # the one of their own they lack
    losses = [entry.loss for entry in model.history]
    assert losses[-1] < 0.8 * losses[0]
    assert model.user_factors.dtype == model.user_biases.dtype == dtype
    probability = 1 / (1 + np.exp(-model.score(np.arange(40)[:, None], np.arange(40))))
    same = np.arange(40)[:, None] % 2 == np.arange(40) % 2
    assert probability[same].min() > 0.5 > probability[~same].max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_for_any_number_of_threads_and_from_a_seed(dtype):
    one = fitted(num_threads=1, negatives=2, dtype=dtype)
    for threads in (2, 3, 7):
        assert_same(fitted(num_threads=threads, negatives=2, dtype=dtype), one)
    other = fitted(random_state=2, negatives=2, dtype=dtype)
    assert not np.array_equal(other.item_biases, one.item_biases)


def test_warm_start_goes_on_where_training_stopped():
    whole = fitted(iterations=7, negatives=2)
    model = fitted(negatives=2)
    model.set_params(iterations=4).fit(plays(), warm_start=True)
    assert_same(model, whole)
    assert [entry.iteration for entry in model.history] == list(range(1, 8))
    with pytest.raises(ValueError, match=r"cannot continue from user_factors of shape \(40, 5\)"):
        model.fit(plays(n_users=41), warm_start=True)
    assert_same(model, whole)
    assert isinstance(model.history[0], Iteration)


def test_warm_start_from_factors_alone():
    start = fitted(iterations=0)
    model = LogisticMF(**SMALL)
    model.user_factors, model.item_factors = start.user_factors, start.item_factors
    model.fit(plays(), warm_start=True)
    assert len(model.history) == 3 and np.isfinite(model.user_biases).all()


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
def test_interrupted_training_keeps_the_last_iteration(monkeypatch, call):
    half_sweep, calls = kernels.lmf_half_sweep, 0

    def interrupted(side, fixed, solved, keys, **options):
        nonlocal calls
        calls += 1
        loss = half_sweep(side, fixed, solved, keys, **options)
        if calls == call:
            raise KeyboardInterrupt
        return loss

    model = LogisticMF(**SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "lmf_half_sweep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(plays())
    finished = max(0, (call - 2) // 2)
    assert len(model.history) == finished
    if finished:
        assert_same(model, fitted(iterations=finished))
        model.set_params(iterations=3 - finished).fit(plays(), warm_start=True)
        assert_same(model, fitted())
    else:
        with pytest.raises(NotFittedError):
            model.recommend(0)


@pytest.mark.parametrize("rate", [30.0, 1e30])
def test_divergence_is_an_error_and_keeps_the_last_good_state(rate):
    model = fitted(dtype=np.float32)
    before = fitted(dtype=np.float32)
    model.set_params(learning_rate=rate)
    message = r"training diverged in iteration [45]: .* Lower learning_rate, which is"
    with pytest.raises(FloatingPointError, match=message):
        model.fit(plays(), warm_start=True)
    assert_same(model, before)
    np.testing.assert_array_equal(model.recommend(0)[0], before.recommend(0)[0])
    with pytest.raises(FloatingPointError, match="in iteration 1:"):
        fitted(learning_rate=rate)
    with pytest.raises(FloatingPointError, match=r"in iteration 0: .* or init_scale, which is 1e"):
        fitted(init_scale=1e6)


TINY = {
    "one cell": sparse.csr_array([[3.0]]),
    "one column": sparse.csr_array([[1.0], [0.0], [2.0]]),
    "one row": sparse.csr_array([[1.0, 0.0, 2.0]]),
    "all liked": sparse.csr_array(np.ones((4, 3))),
    "all disliked": sparse.csr_array(-np.ones((4, 3))),
    "one entry": sparse.csr_array(([1.0], ([2], [1])), (5, 4)),
    "a stored zero": sparse.csr_array(([0.0], ([1], [0])), (2, 2)),
}


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("confidence", ["log", "scaled"])
@pytest.mark.parametrize("negatives", [1, 50])
def test_tiny_matrices(name, confidence, negatives):
    model = fitted(TINY[name], confidence=confidence, negatives=negatives, dtype=np.float32)
    for learned in LEARNED:
        assert np.isfinite(getattr(model, learned)).all()
    scores = model.score(np.arange(TINY[name].shape[0])[:, None], np.arange(TINY[name].shape[1]))
    assert np.isfinite(scores).all()
    if name == "all disliked":
        assert (scores < 0).all()
    ids, _ = model.recommend(0, N=2, filter_seen=False)
    assert len(ids) == 2


def test_items_nobody_has_come_last():
    matrix = plays(200, 30)
    model = fitted(matrix, iterations=30, regularization=10.0)
    assert matrix[:, [7]].nnz == 0
    ids, _ = model.recommend(np.arange(200), N=30, filter_seen=False)
    places = np.argmax(ids == 7, axis=1)
    assert np.mean(places >= 20) > 0.9


def test_fold_in_learns_users_like_those_of_training():
    likes = stripes(40)
    model = LogisticMF(8, regularization=1.0, random_state=0).fit(likes[:30])
    factors, biases = model.fold_in(likes[30:])
    assert factors.shape == (10, 8) and biases.shape == (10,)
    assert factors.dtype == biases.dtype == np.float32
    ids, scores = model.recommend(np.arange(10), likes[30:], N=1, fold_in=True)
    np.testing.assert_array_equal(ids[:, 0], np.arange(30, 40))
    want = factors @ model.item_factors.T + biases[:, None] + model.item_biases
    np.testing.assert_allclose(scores[:, 0], want[np.arange(10), ids[:, 0]], rtol=1e-4)


def test_fold_in_of_one_user_and_of_many_is_the_same():
    model = fitted(negatives=1)
    together = model.fold_in(plays())
    for user in (0, 3, 39):  # 3 has no entries
        for own, all_ in zip(model.fold_in(plays()[[user]]), together, strict=True):
            np.testing.assert_array_equal(own[0], all_[user])
    nobody = sparse.csr_array((2, 30))
    assert np.isfinite(model.fold_in(nobody)[0]).all()


def test_fold_in_refuses_what_does_not_fit():
    with pytest.raises(NotFittedError, match="call fit"):
        LogisticMF().fold_in(plays())
    with pytest.raises(ValueError, match=r"user_items has shape \(30, 40\).* looks transposed"):
        fitted().fold_in(plays().T.tocsr())
    with pytest.raises(FloatingPointError, match="folding in diverged in step 1: lower"):
        fitted(dtype=np.float32).set_params(learning_rate=1e39).fold_in(plays())


def test_files_and_pickles_keep_everything(tmp_path):
    model = fitted()
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert isinstance(loaded, LogisticMF) and loaded.get_params() == {
        **model.get_params(),
        "dtype": np.float64,
    }
    copies = loaded, pickle.loads(pickle.dumps(model))
    for copy in copies:
        assert_same(copy, model)
        for one, other in zip(copy.fold_in(plays()), model.fold_in(plays()), strict=True):
            np.testing.assert_array_equal(one, other)
    loaded.fit(plays(), warm_start=True)
    assert len(loaded.history) == 6


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("factors", 0, "factors must be at least 1"),
        ("learning_rate", 0, "learning_rate must be a finite number greater than 0"),
        ("learning_rate", np.inf, "learning_rate must be a finite number"),
        ("regularization", -1, "regularization must be a finite number of at least 0"),
        ("alpha", 0, "alpha must be"),
        ("confidence", "lin", "did you mean 'linear'"),
        ("epsilon", 0, "epsilon must be"),
        ("negatives", 0, "negatives must be at least 1"),
        ("iterations", -1, "iterations must be at least 0"),
        ("init_scale", 0, "init_scale must be"),
        ("num_threads", -1, "num_threads must be at least 0"),
        ("random_state", "x", "random_state must be"),
        ("dtype", np.float16, "dtype must be np.float32 or np.float64"),
    ],
)
def test_bad_parameters_change_nothing(name, value, message):
    model = fitted()
    with pytest.raises((TypeError, ValueError), match=message):
        model.set_params(**{name: value}).fit(plays(seed=1))
    assert_same(model, fitted())


def test_callback_can_stop_and_must_be_callable():
    model = LogisticMF(**SMALL).fit(plays(), callback=lambda iteration, seconds, loss: loss > 0)
    assert len(model.history) == 1
    with pytest.raises(TypeError, match="callback must be a function"):
        model.fit(plays(), callback=3)


def test_quality_on_lastfm(data_folder):
    """benchmarks/logistic_defaults.py tells .275; a list by popularity has .10."""
    with np.load(data_folder / "lastfm-2k.npz") as file:
        plays = sparse.csr_array((file["plays"], file["indices"], file["indptr"]), file["shape"])
    train, test = random_split(plays, 0.2, random_state=0)
    model = LogisticMF(random_state=0).fit(train, show_progress=False)
    result = evaluate(model, train, test, metrics="recall", k=20, show_progress=False)
    assert result.mean["recall@20"] > 0.265
