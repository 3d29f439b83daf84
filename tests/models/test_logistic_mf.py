import numpy as np
import pytest
from cases import stripes
from scipy import sparse

import recsys
from recsys import LogisticMF
from recsys.evaluation import evaluate, random_split
from recsys.kernels import Learned
from recsys.models.growth import and_as_many
from recsys.models.logistic_mf import _forget
from recsys.models.training import NotFittedError

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


def test_divergence_before_and_after_training():
    with pytest.raises(FloatingPointError, match=r"in iteration 0: .* or init_scale, which is 1e"):
        fitted(init_scale=1e6)
    with pytest.raises(FloatingPointError, match="in iteration 1:"):
        fitted(learning_rate=30.0)  # finite, but lost
    with pytest.raises(FloatingPointError, match="folding in diverged in step 1: lower"):
        fitted(dtype=np.float32).set_params(learning_rate=1e39).fold_in(plays())


@pytest.mark.parametrize("history", [True, False])
def test_a_loaded_model_continues(tmp_path, history):
    """As if there had been no file; without everybody's history with steps as large as the
    first."""
    model, whole = fitted(), fitted(iterations=4)
    model.save(tmp_path / "model", history=history)
    loaded = recsys.load(tmp_path / "model")
    loaded.set_params(iterations=1).fit(plays(), warm_start=True)
    change, usual = (m.item_biases - model.item_biases for m in (loaded, whole))
    assert len(loaded.history) == 4
    if history:
        np.testing.assert_array_equal(loaded.user_factors, whole.user_factors)
    else:
        assert np.abs(change).mean() > np.abs(usual).mean()


def test_sums_of_another_shape_in_a_file(tmp_path):
    model, path = fitted(), tmp_path / "model"
    model._squares = (model._squares[0], (model._squares[1][0][:3], model._squares[1][1]))
    model.save(path)
    with pytest.raises(ValueError, match=r"item_factors_squares has shape \(3, "):
        recsys.load(path)


def test_biases_go_with_the_data():
    """Those of a day's rows, and of newcomers, are moved by what the start of a training makes of
    the data before and now; what was learned besides stays theirs."""
    known = plays()
    known.eliminate_zeros()  # SciPy drops them from sums
    day = sparse.csr_array(([4.0, 2.0], ([0, 40], [1, 1])), shape=(41, 30))
    grown = sparse.csr_array(sparse.vstack([known, sparse.csr_array((1, 30))]) + day)
    model, then, now = fitted(known), fitted(known, iterations=0), fitted(grown, iterations=0)
    before, factors = model.user_biases.copy(), model.user_factors.copy()
    model.partial_fit(day, rounds=1)
    others = np.flatnonzero((model.user_factors[:40] == factors).all(axis=1))
    moved = (now.user_biases[:40] - then.user_biases)[others]
    assert np.abs(moved).min() > 0
    np.testing.assert_allclose(model.user_biases[others] - before[others], moved, atol=1e-9)


def test_a_day_takes_as_many_others_along():
    day = sparse.csr_array(([1.0, 1.0, 2.0], ([3, 3, 8], [1, 2, 1])), shape=(40, 30))
    model, once = fitted(), fitted()
    once.partial_fit(day, rounds=1)
    for side, touched in (("user", [3, 8]), ("item", [1, 2])):
        now, then = (getattr(each, f"{side}_factors") for each in (once, model))
        changed = np.flatnonzero((now != then).any(axis=1))
        assert set(touched) < set(changed) and len(changed) == 4
    again = fitted()
    again.partial_fit(day, rounds=1)
    np.testing.assert_array_equal(again.item_factors, once.item_factors)
    others = np.random.default_rng(0)
    assert and_as_many(np.array([2, 5]), 8, others).size == 4
    assert and_as_many(np.array([0, 2, 3]), 5, others).tolist() == [0, 1, 2, 3, 4]


def test_rows_that_grow_go_back_towards_the_start():
    """One of which the share s was known keeps s^2 of its factors and of AdaGrad's sums."""
    then = sparse.csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    now = sparse.csr_array([[1.0, 1.0, 1.0], [0.0, 2.0, 0.0], [0.0, 1.0, 0.0]])
    sides = [Learned.of(np.ones((3, 2))) for _ in range(2)]
    for side in sides:
        side.squares[:] = side.bias_squares[:] = 9.0
    _forget(tuple(sides), then, now)
    assert sides[0].bias_squares.tolist() == pytest.approx([4.0, 9.0, 9.0])
    assert sides[1].squares[:, 1].tolist() == pytest.approx([9.0, 4.0, 9.0])
    assert sides[1].factors[:, 0].tolist() == pytest.approx([1.0, 4 / 9, 1.0])
    assert sides[0].biases.tolist() == [0.0] * 3


TINY = {
    "one cell": sparse.csr_array([[3.0]]),
    "one column": sparse.csr_array([[1.0], [0.0], [2.0]]),
    "one row": sparse.csr_array([[1.0, 0.0, 2.0]]),
    "all liked": sparse.csr_array(np.ones((4, 3))),
    "all but one disliked": sparse.csr_array(np.r_[[[1.0, -1, -1]], -np.ones((3, 3))]),
    "one entry": sparse.csr_array(([1.0], ([2], [1])), (5, 4)),
    "a stored zero": sparse.csr_array(([0.0, 1.0], ([1, 0], [0, 0])), (2, 2)),
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
    if name == "all but one disliked":
        assert (scores[1:] < 0).all()
    ids, _ = model.recommend(0, N=2, filter_seen=False)
    assert len(ids) == 2


def test_items_nobody_has_come_last():
    matrix = plays(200, 30)
    model = fitted(matrix, iterations=30, regularization=10.0)
    assert matrix[:, [7]].nnz == 0
    ids, _ = model.recommend(np.arange(200), N=30, filter_seen=False)
    places = np.argmax(ids == 7, axis=1)
    assert np.mean(places >= 20) > 0.9


def test_fold_in_by_features_too_is_steps_from_there():
    """With lambda |x - m|^2 / 2 in the loss, where all cells are looked at."""
    matrix = plays()
    kinds = np.eye(3)[np.arange(40) % 3]
    people = recsys.Features.from_csr(kinds)
    model = LogisticMF(**{**SMALL, "negatives": 40})
    model.fit(matrix, user_features=people, show_progress=False)
    told = people.transform(kinds[:4])
    [means, start], y = model.fold_in(user_features=told), model.item_factors
    x, b = means.copy(), start.copy()
    squares, bias_squares = np.zeros_like(x), np.zeros_like(b)
    dense = Dense(model._signed(matrix[:4]), 1.0, 0, model)
    for _ in range(model.iterations):
        slopes = 1 / (1 + np.exp(-(x @ y.T + b[:, None] + model.item_biases)))
        off = dense.gain - dense.weight * slopes
        gradient, bias_gradient = off @ y - model.regularization * (x - means), off.sum(axis=1)
        squares += gradient**2
        bias_squares += bias_gradient**2
        x += model.learning_rate * gradient / np.sqrt(squares + 1e-6)
        b += model.learning_rate * bias_gradient / np.sqrt(bias_squares + 1e-6)
    x[3], b[3] = means[3], start[3]  # of whom there are no entries
    factors, biases = model.fold_in(matrix[:4], user_features=told)
    np.testing.assert_allclose(factors, x, atol=1e-9)
    np.testing.assert_allclose(biases, b, atol=1e-9)


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


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learning_rate", 0, "learning_rate must be a finite number greater than 0"),
        ("learning_rate", np.inf, "learning_rate must be a finite number"),
        ("alpha", 0, "alpha must be"),
        ("confidence", "lin", "did you mean 'linear'"),
        ("epsilon", 0, "epsilon must be"),
        ("negatives", 0, "negatives must be at least 1"),
    ],
)
def test_bad_parameters_change_nothing(name, value, message):
    model = fitted()
    with pytest.raises((TypeError, ValueError), match=message):
        model.set_params(**{name: value}).fit(plays(seed=1))
    assert_same(model, fitted())


def test_quality_on_lastfm(data_folder):
    """docs/quality.md tells .280; a list by popularity has .10."""
    with np.load(data_folder / "lastfm-2k.npz") as file:
        plays = sparse.csr_array((file["plays"], file["indices"], file["indptr"]), file["shape"])
    train, test = random_split(plays, 0.2, random_state=0)
    model = LogisticMF(random_state=0).fit(train, show_progress=False)
    result = evaluate(model, train, test, metrics="recall", k=20, show_progress=False)
    assert result.mean["recall@20"] > 0.265


# ---- the regularization that is chosen -----------------------------------------------------------


def by_hand(signed):
    """Half the noise of so many entries, of the users and items that have any."""
    users = np.count_nonzero(np.diff(signed.indptr))
    items = len(np.unique(signed.indices))
    c = np.abs(signed.data).mean()
    return c * (np.sqrt(signed.nnz / users) + np.sqrt(signed.nnz / items)) / 2


def test_regularization_is_chosen_from_the_data(caplog):
    matrix, chosen = plays(), {"regularization": None}
    with caplog.at_level("INFO", "recsys"):
        one = fitted(matrix, **chosen)
    assert one.regularization_ == pytest.approx(by_hand(one._signed(matrix)), rel=1e-12)
    assert f"takes regularization={one.regularization_:.4g}" in caplog.text
    assert one.get_params()["regularization"] is None
    other = fitted(matrix, regularization=one.regularization_)
    assert_same(one, other)
    for ours, theirs in zip(one.fold_in(matrix[:9]), other.fold_in(matrix[:9]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # ... and again by each day, from all that is then known, and by each fit
    given = other.regularization_
    for model in (one, other):
        model.partial_fit(plays(44, 33, seed=1))
    known = one._signed(one.training_matrix)
    assert one.regularization_ == pytest.approx(by_hand(known), rel=1e-12)
    assert one.regularization_ != given and other.regularization_ == given
    assert one.fit(matrix * 9, show_progress=False).regularization_ == pytest.approx(
        by_hand(one._signed(matrix * 9)), rel=1e-12
    )


def test_a_number_for_regularization_stands():
    model = LogisticMF(4, regularization=7.0)
    assert model.regularization_ == 7.0
    assert model.set_params(iterations=1).fit(plays()).regularization_ == 7.0
    model.set_params(regularization=None)  # counts from the next fit on
    assert model.regularization_ == 7.0


def test_what_was_chosen_is_in_the_file(tmp_path):
    model = fitted(plays(), regularization=None)
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert loaded.regularization is None and loaded.regularization_ == model.regularization_
    for ours, theirs in zip(loaded.fold_in(plays()[:5]), model.fold_in(plays()[:5]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_fit_there_is_nothing_to_choose_by():
    model = LogisticMF(4)
    model.user_factors, model.item_factors = np.ones((40, 4)), np.ones((30, 4))
    for asked in (lambda: model.regularization_, lambda: model.fold_in(plays()[:1])):
        with pytest.raises(NotFittedError, match="pass regularization, or fit it"):
            asked()
