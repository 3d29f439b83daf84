"""BPR: what it learns, what it draws, and the steps it takes."""

import functools

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys import BPR, NotFittedError, NumericalWarning

# WARP finds what is held out among the violators, so it must not learn the training by heart.
WARP = {"loss": "warp", "max_trials": 20, "learning_rate": 0.02, "regularization": 0.05}

KINDS = {
    "uniform": {},
    "popular": {"sampler": "popular"},
    "adaptive": {"sampler": "adaptive", "adaptive_share": 0.2},
    "hard": {"sampler": "hard", "hard_candidates": 3},
    "warp": WARP,
    "warp of popular": {**WARP, "sampler": "popular"},
    "without biases": {"item_bias": False},
    "weighted": {"weighted": True},
    "several negatives": {"negatives": 3, "epochs": 20},
    "hogwild": {"schedule": "hogwild"},
}

N_GROUPS, GROUP = 10, 40


@functools.cache
def planted():
    """Users of ten groups, each of which likes sixteen of its forty items; four are held out."""
    rng = np.random.default_rng(0)
    rows = np.arange(320)
    likes = np.array([u % N_GROUPS * GROUP + rng.permutation(GROUP)[:16] for u in rows])
    parts = []
    for own in (likes[:, :12], likes[:, 12:]):
        values = rng.integers(1, 4, own.size).astype(np.float64)
        at = np.repeat(rows, own.shape[1]), own.ravel()
        parts.append(sparse.csr_array((values, at), (len(rows), N_GROUPS * GROUP)))
    return parts


@functools.cache
def learned(kind):
    common = {"epochs": 40, "learning_rate": 0.1, "regularization": 0.01, "negatives": 1}
    model = BPR(16, **{"random_state": 0, **common, **KINDS[kind]})
    return model.fit(planted()[0], show_progress=False)


def recall(ids):
    found = (ids[:, :, np.newaxis] == planted()[1].indices.reshape(-1, 1, 4)).any(axis=1)
    return found.mean()


@pytest.mark.parametrize("kind", KINDS)
def test_learns_what_was_planted(kind):
    """A group's 28 items that are left are listed first; by chance 7 % of what is held out is."""
    ids, _ = learned(kind).recommend(np.arange(320), N=28)
    assert recall(ids) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_folding_in_ranks_as_training_does(kind):
    model, train = learned(kind), planted()[0]
    ids, _ = model.recommend(np.arange(320), train, N=28, fold_in=True)
    trained, _ = model.recommend(np.arange(320), N=28)
    assert recall(ids) > recall(trained) - 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_more_and_more_steps_are_in_the_right_order(kind):
    history = learned(kind).history
    correct = [entry.correct for entry in history]
    assert correct[-1] > correct[0] + 0.2 and history[-1].loss < history[0].loss
    assert all(entry.skipped == 0 for entry in history)


def test_learning_rate_decays():
    model = BPR(4, learning_rate=0.3, learning_rate_decay=0.5, epochs=3).fit(planted()[0])
    assert [entry.learning_rate for entry in model.history] == pytest.approx([0.3, 0.2, 0.15])
    # ... by the number of epochs since training began
    model.set_params(epochs=1).fit(planted()[0], warm_start=True)
    assert model.history[-1].learning_rate == pytest.approx(0.3 / 2.5)


@pytest.mark.parametrize(
    ("loss", "rate", "regularization", "negatives"),
    [("bpr", 0.02, 0.015, 10), ("warp", 0.02, (0.15, 0.07, 0.07), 1)],
)
def test_none_is_what_suits_the_loss(loss, rate, regularization, negatives):
    stated = {"learning_rate": rate, "regularization": regularization, "negatives": negatives}
    how = {"epochs": 2, "random_state": 0}
    one = BPR(4, loss=loss, **how).fit(planted()[0], show_progress=False)
    other = BPR(4, loss=loss, **how, **stated).fit(planted()[0], show_progress=False)
    np.testing.assert_array_equal(one.item_factors, other.item_factors)
    rows = planted()[1][:5]
    np.testing.assert_array_equal(one.fold_in(rows), other.fold_in(rows))
    assert one.history[0].learning_rate == rate and one.get_params()["learning_rate"] is None


@pytest.mark.parametrize(
    ("columns", "loss", "sampler", "negatives"),
    [(400, "bpr", "uniform", 10), (4_000, "bpr", "hard", 5), (4_000, "warp", "uniform", 1)],
)
def test_none_is_the_sampler_that_suits_the_items(columns, loss, sampler, negatives, caplog):
    train, day = (
        sparse.csr_array((part.data, part.indices, part.indptr), (320, columns))
        for part in planted()
    )
    how = {"loss": loss, "epochs": 2, "random_state": 0}
    with caplog.at_level("INFO", "recsys"):
        one = BPR(4, **how).fit(train, show_progress=False)
    assert f"sampler='{sampler}', negatives={negatives}" in caplog.text
    other = BPR(4, **how, sampler=sampler, negatives=negatives).fit(train, show_progress=False)
    np.testing.assert_array_equal(one.item_factors, other.item_factors)
    np.testing.assert_array_equal(one.user_factors, other.user_factors)
    np.testing.assert_array_equal(one.fold_in(day[:5]), other.fold_in(day[:5]))
    for each in (one, other):
        each.partial_fit(day)
    np.testing.assert_array_equal(one.user_factors, other.user_factors)


@pytest.mark.parametrize(
    ("columns", "lambdas"), [(2_499, (0.15, 0.07, 0.07)), (2_500, (0.15, 0.05, 0.05))]
)
def test_none_is_the_regularization_of_warp_that_suits_the_items(columns, lambdas, caplog):
    train, day = (
        sparse.csr_array((part.data, part.indices, part.indptr), (320, columns))
        for part in planted()
    )
    how = {"loss": "warp", "epochs": 2, "random_state": 0}
    one = BPR(4, **how)
    one.fit(planted()[0][:, :50], show_progress=False)  # it goes by the items of each fit
    with caplog.at_level("INFO", "recsys"):
        one.fit(train, show_progress=False)
    assert f"takes regularization={lambdas}" in caplog.text
    other = BPR(4, **how, regularization=lambdas).fit(train, show_progress=False)
    for each in (one, other):
        each.partial_fit(day)
    np.testing.assert_array_equal(one.item_factors, other.item_factors)
    np.testing.assert_array_equal(one.user_factors, other.user_factors)
    np.testing.assert_array_equal(one.fold_in(day[:5]), other.fold_in(day[:5]))


# ---- steps -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["bpr", "warp"])
def test_a_step_is_the_formula(loss):
    """One user, who likes item 0 of two; of WARP the rank is 1, so that z is 1."""
    x, y = np.array([[0.3, -0.2]]), np.array([[0.5, 0.1], [-0.4, 0.7]])
    model = BPR(2, learning_rate=0.1, regularization=(0.5, 0.3, 0.2), epochs=1, loss=loss,
                negatives=1, dtype=np.float64)  # fmt: skip
    model.user_factors, model.item_factors = x, y
    model.fit(sparse.csr_array([[2.0, 0.0]]), warm_start=True, show_progress=False)
    s = x[0] @ (y[0] - y[1])
    z = 1 / (1 + np.exp(s)) if loss == "bpr" else 1
    np.testing.assert_allclose(model.user_factors[0], x[0] + 0.1 * (z * (y[0] - y[1]) - 0.5 * x[0]))
    np.testing.assert_allclose(model.item_factors[0], y[0] + 0.1 * (z * x[0] - 0.3 * y[0]))
    np.testing.assert_allclose(model.item_factors[1], y[1] + 0.1 * (-z * x[0] - 0.2 * y[1]))
    np.testing.assert_allclose(model.item_biases, [0.1 * z, -0.1 * z])
    [entry] = model.history
    assert entry.loss == pytest.approx(np.log1p(np.exp(-s)) if loss == "bpr" else 1 - s)
    assert entry.correct == (s > 0) and entry.skipped == 0


TINY_RATE = 1e-9  # biases then count steps: each moves two of them by half of it


def test_weights_scale_steps():
    """Everybody likes items 1 and 2, which are compared with item 0."""
    counts = np.random.default_rng(0).integers(1, 9, (10, 3)).astype(np.float64)
    counts[:, 0] = 0
    for weighted in (True, False):
        model = BPR(2, weighted=weighted, learning_rate=TINY_RATE, epochs=1, init_scale=1e-9,
                    negatives=1, dtype=np.float64, random_state=0)  # fmt: skip
        model.fit(sparse.csr_array(counts), show_progress=False)
        assert model.history[0].skipped == 0
        steps = counts / counts[:, 1:].mean() if weighted else counts > 0
        want = steps.sum(axis=0) - [steps.sum(), 0, 0]
        np.testing.assert_allclose(model.item_biases, want * TINY_RATE / 2, rtol=1e-6)


@pytest.mark.parametrize("weighted", [True, False])
def test_weights_scale_steps_of_folding_in_by_the_mean_of_training(weighted):
    model = BPR(4, weighted=weighted, regularization=0.0, dtype=np.float64, random_state=0)
    model.fit(planted()[0], show_progress=False).set_params(learning_rate=TINY_RATE)
    once, twice = model.fold_in(planted()[0]), model.fold_in(2 * planted()[0])
    np.testing.assert_allclose(twice, (2 if weighted else 1) * once, rtol=1e-4, atol=1e-12)


# ---- what is drawn -----------------------------------------------------------------------------

N_ITEMS, N_USERS, DRAWS = 60, 40, 400


def shares_drawn(likes, sign=1.0, **options):
    """How often each item was drawn, by the biases of a training too slow to learn anything.

    Item i has the one factor i, very small: the last item is the highest, for users of +1.
    """
    model = BPR(1, learning_rate=TINY_RATE, regularization=0.0, epochs=1, negatives=DRAWS,
                dtype=np.float64, random_state=0, **options)  # fmt: skip
    model.user_factors = np.full((likes.shape[0], 1), sign)
    model.item_factors = np.arange(likes.shape[1])[:, np.newaxis] * 1e-4 / likes.shape[1]
    model.fit(likes, warm_start=True, show_progress=False)
    drawn = DRAWS * likes.sum(axis=0) - model.item_biases * 2 / TINY_RATE
    assert model.history[0].skipped == 0 and drawn.sum() == pytest.approx(likes.nnz * DRAWS)
    return drawn / drawn.sum()


def one_liked():
    """Everybody likes item 0 only, the lowest: it is never drawn."""
    return sparse.csr_array((np.ones(N_USERS), (np.arange(N_USERS), np.zeros(N_USERS, int))),
                            (N_USERS, N_ITEMS))  # fmt: skip


def assert_shares(got, weights):
    """Within six standard deviations of what so many draws have."""
    want = weights / weights.sum()
    assert (np.abs(got - want) <= 6 * np.sqrt(want / (N_USERS * DRAWS)) + 1e-4).all()


def test_uniform_draws():
    assert_shares(shares_drawn(one_liked()), np.arange(N_ITEMS) > 0)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_popular_draws(exponent):
    """Of users who like one item each, i like item i; nobody draws an own item, or item 0."""
    popularity = np.arange(30)
    own = np.repeat(popularity, popularity)
    likes = sparse.csr_array((np.ones(len(own)), (np.arange(len(own)), own)))
    got = shares_drawn(likes, sampler="popular", popularity_exponent=exponent)
    chances = popularity**exponent
    assert_shares(got, chances * np.sum(popularity / (chances.sum() - chances)) -
                  chances * popularity / (chances.sum() - chances))  # fmt: skip


@pytest.mark.parametrize("candidates", [2, 5])
def test_hard_draws(candidates):
    """The highest of so many; item 0, the lowest, is liked and drawn again."""
    got = shares_drawn(one_liked(), sampler="hard", hard_candidates=candidates)
    at_most = np.arange(N_ITEMS) / (N_ITEMS - 1)
    assert_shares(got, np.diff(at_most**candidates, prepend=0))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_adaptive_draws(share, sign):
    """From the top for users of +1, from the bottom for those of -1; the liked one is left out."""
    got = shares_drawn(one_liked(), sign, sampler="adaptive", adaptive_share=share)
    rank = np.arange(N_ITEMS)[:: -int(sign)]
    weights = np.exp(-rank / (share * N_ITEMS))
    weights[0] = 0
    assert_shares(got, weights)


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"learning_rate": 0}, ValueError, "learning_rate must be .* greater than 0; got 0"),
        ({"regularization": (0.1, 0.2)}, ValueError, r"a number or \(user, positive, negative\)"),
        ({"regularization": (0.1, -1, 0)}, ValueError, "regularization must be .* at least 0"),
        ({"negatives": 0}, ValueError, "negatives must be at least 1; got 0"),
        ({"loss": "wrap"}, ValueError, "unknown loss 'wrap'; .*did you mean 'warp'"),
        ({"sampler": "popularity"}, ValueError, "did you mean 'popular'"),
        ({"loss": "warp", "sampler": "hard"}, ValueError, "looks for hard items itself; got sam"),
        ({"popularity_exponent": -0.5}, ValueError, "exponent must be .* at least 0"),
        ({"adaptive_share": 0}, ValueError, "adaptive_share must be .* greater than 0"),
        ({"adaptive_share": 1.5}, ValueError, "adaptive_share must be at most 1; got 1.5"),
        ({"hard_candidates": 1}, ValueError, "hard_candidates must be at least 2; got 1"),
        ({"margin": 0}, ValueError, "margin must be .* greater than 0"),
        ({"max_trials": 0}, ValueError, "max_trials must be at least 1"),
        ({"item_bias": 1}, TypeError, "item_bias must be True or False; got 1"),
        ({"learning_rate_decay": -1}, ValueError, "learning_rate_decay must be .* at least 0"),
        ({"weighted": "yes"}, TypeError, "weighted must be True or False; got 'yes'"),
        ({"schedule": "deterministik"}, ValueError, "did you mean 'deterministic'"),
    ],
)
def test_bad_parameters(options, error, match):
    model = BPR(4, **options)
    with pytest.raises(error, match=match):
        model.fit(planted()[0])
    with pytest.raises(NotFittedError):
        model.recommend(0)


@pytest.mark.parametrize("model_class", [BPR, recsys.LogisticMF])
def test_nobody_likes_anything(model_class):
    dislikes = sparse.csr_array(([-1.0, 0.0], ([0, 1], [1, 0])), (2, 3))
    with pytest.raises(ValueError, match="has 2 stored entries, none of them positive, so nobody"):
        model_class(2).fit(dislikes)


def test_newcomers_who_like_nothing_are_zeros():
    liked = BPR(2, random_state=0).fit(planted()[0]).fold_in(-planted()[0][:3])
    np.testing.assert_array_equal(liked, np.zeros((3, 2)))


def test_who_likes_everything_takes_no_steps():
    model = BPR(2, epochs=1, negatives=3)
    with pytest.warns(NumericalWarning, match=r"36 of the 36 steps .* nearly everything is liked"):
        model.fit(sparse.csr_array(np.ones((3, 4))))
    [entry] = model.history
    assert (entry.skipped, entry.loss, entry.correct) == (36, 0, 0)


@pytest.mark.parametrize("options", [{"sampler": "popular"}, {"weighted": True}])
def test_folding_in_by_counts_needs_them(options):
    trained = learned("uniform")
    model = BPR(16, **options)
    model.user_factors, model.item_factors = trained.user_factors, trained.item_factors
    with pytest.raises(NotFittedError, match=r"by the counts of training.* call fit\(user_items\)"):
        model.fold_in(planted()[0])


def test_folding_in_that_diverges():
    model = BPR(4, random_state=0, epochs=1).fit(planted()[0])
    with pytest.raises(FloatingPointError, match="folding in diverged: lower learning_rate"):
        model.set_params(learning_rate=1e6).fold_in(planted()[0])


def test_biases_are_not_dropped_by_the_way():
    plays = sparse.random_array((20, 30), density=0.2, rng=np.random.default_rng(0)).tocsr()
    model = BPR(4, epochs=1, random_state=0).fit(plays, show_progress=False)
    with pytest.raises(ValueError, match="continue without biases from a model"):
        model.set_params(item_bias=False).fit(plays, warm_start=True)
    assert model.item_biases is not None


def test_large_popularity_exponent():
    plays = sparse.random_array((40, 30), density=0.2, rng=np.random.default_rng(0)).tocsr()
    model = BPR(4, epochs=1, sampler="popular", popularity_exponent=1000.0, random_state=0)
    assert np.isfinite(model.fit(plays, show_progress=False).item_factors).all()


def test_regularization_stays_a_triple_in_files(tmp_path):
    plays = sparse.random_array((20, 30), density=0.2, rng=np.random.default_rng(0)).tocsr()
    model = BPR(4, epochs=1, regularization=(0.01, 0.02, 0.03)).fit(plays, show_progress=False)
    model.save(tmp_path / "m")
    assert recsys.load(tmp_path / "m").get_params() == {**model.get_params(), "random_state": None}
