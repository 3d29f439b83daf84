"""recsys.compat.lightfm.LightFM: training, answers, errors, state."""

import copy
import pickle

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys.compat.lightfm import LightFM
from recsys.compat.lightfm.data import Dataset
from recsys.compat.lightfm.evaluation import auc_score
from recsys.kernels import HybridSGD

LOSSES = ("logistic", "bpr", "warp", "warp-kos")
USERS, ITEMS, GENRES = 60, 40, 4


def tastes(seed=0):
    """Users who like one genre of items, (likes, item features with an identity)."""
    random = np.random.default_rng(seed)
    genre = np.arange(ITEMS) % GENRES
    chance = np.where(genre == (np.arange(USERS) % GENRES)[:, np.newaxis], 0.7, 0.05)
    likes = sparse.coo_matrix((random.random((USERS, ITEMS)) < chance).astype(np.float32))
    of_genre = sparse.csr_matrix((np.ones(ITEMS), (np.arange(ITEMS), genre)))
    return likes, sparse.hstack([sparse.identity(ITEMS), of_genre]).tocsr().astype(np.float32)


LIKES, FEATURES = tastes()


def signed(likes):
    """Likes, and as many dislikes: of a loss that learns nothing without."""
    return sparse.coo_matrix(np.where(likes.toarray() > 0, 1, -1))


def state(model):
    return {name: value for name, value in vars(model).items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_liked_comes_first(loss, schedule):
    matrix = signed(LIKES) if loss == "logistic" else LIKES
    model = LightFM(8, loss=loss, learning_schedule=schedule, random_state=1, n=5, k=2)
    assert model.fit(matrix, item_features=FEATURES, epochs=0) is model
    before = auc_score(model, LIKES, item_features=FEATURES).mean()
    model.fit(matrix, item_features=FEATURES, epochs=30)
    after = auc_score(model, LIKES, item_features=FEATURES).mean()
    assert before < 0.65 and after > 0.85


@pytest.mark.parametrize("loss", LOSSES)
def test_regularization_that_is_too_much(loss):
    matrix = signed(LIKES) if loss == "logistic" else LIKES
    model = LightFM(8, loss=loss, item_alpha=1.0, user_alpha=1.0, random_state=1).fit(matrix)
    free = LightFM(8, loss=loss, random_state=1).fit(matrix)
    size, of_free = np.abs(model.item_embeddings).mean(), np.abs(free.item_embeddings).mean()
    assert np.isfinite(size) and size < of_free / 3


def test_a_seed_draws_what_it_draws_in_lightfm():
    model = LightFM(3, random_state=7).fit(LIKES, item_features=FEATURES, epochs=0)
    random = np.random.RandomState(7)
    items = ((random.rand(FEATURES.shape[1], 3) - 0.5) / 3).astype(np.float32)
    users = ((random.rand(USERS, 3) - 0.5) / 3).astype(np.float32)
    assert np.array_equal(model.item_embeddings, items)
    assert np.array_equal(model.user_embeddings, users)
    assert np.all(model.user_bias_gradients == 1) and np.all(model.item_embedding_momentum == 0)
    model.fit_partial(LIKES, item_features=FEATURES, epochs=2)
    for _ in range(2):
        random.shuffle(np.arange(LIKES.nnz, dtype=np.int32))
    assert model.random_state.rand() == random.rand()


@pytest.mark.parametrize("loss", ["warp", "logistic"])
def test_the_same_for_any_number_of_threads_and_call(loss):
    def trained(**how):
        model = LightFM(8, loss=loss, random_state=1, item_alpha=1e-4)
        return model.fit(LIKES, item_features=FEATURES, epochs=3, **how)

    one, three = state(trained()), state(trained(num_threads=3))
    steps = LightFM(8, loss=loss, random_state=1, item_alpha=1e-4)
    for _ in range(3):
        steps.fit_partial(LIKES, item_features=FEATURES)
    for name, array in one.items():
        assert np.array_equal(array, three[name]), name
        assert np.array_equal(array, state(steps)[name]), name
    hogwild = LightFM(8, loss=loss, random_state=1)
    hogwild.hogwild = True
    hogwild.fit(LIKES, epochs=20, num_threads=2)
    assert np.isfinite(hogwild.item_embeddings).all()


def test_weights_scale_steps_and_nothing_is_learned_without():
    weights = LIKES.copy()
    weights.data = (weights.row % 2).astype(np.float32)
    even = np.arange(USERS) % 2 == 0
    for loss in LOSSES[:3]:
        model = LightFM(4, loss=loss, random_state=0).fit(LIKES, sample_weight=weights)
        for name in ("user_embedding_gradients", "user_bias_gradients"):
            gradients = getattr(model, name)
            assert np.all(gradients[even] == 1) and np.any(gradients[~even] > 1)
    with pytest.raises(NotImplementedError, match="sample_weight"):
        LightFM(loss="warp-kos").fit(LIKES, sample_weight=weights)
    for wrong in (weights.tocsr(), weights.T, np.ones(3)):
        with pytest.raises(ValueError, match="sample_weight"):
            LightFM().fit(LIKES, sample_weight=wrong)
    turned = sparse.coo_matrix((weights.data, (weights.row[::-1], weights.col[::-1])), LIKES.shape)
    with pytest.raises(ValueError, match="same order"):
        LightFM().fit(LIKES, sample_weight=turned)


def test_biases_of_users_stay_where_only_orders_are_learned():
    model = LightFM(4, loss="warp", random_state=0).fit(LIKES, epochs=3)
    assert np.all(model.user_biases == 0) and np.any(model.item_biases != 0)
    assert np.any(LightFM(4, random_state=0).fit(signed(LIKES)).user_biases != 0)


def test_few_items_and_rows_without_features():
    few = sparse.coo_matrix(np.ones((5, 2), np.float32)[:, :1].repeat(2, 1) * [[1, 0]])
    for loss in ("warp", "warp-kos"):
        assert np.isfinite(LightFM(loss=loss, random_state=0).fit(few).item_embeddings).all()
    nothing = sparse.csr_matrix((ITEMS, 3)), sparse.csr_matrix((USERS, 2))
    model = LightFM(item_alpha=0.1).fit(LIKES, item_features=nothing[0], user_features=nothing[1])
    scores = model.predict(0, [1, 2], item_features=nothing[0], user_features=nothing[1])
    assert np.all(scores == 0)
    model = LightFM().fit(sparse.coo_matrix((USERS, ITEMS), dtype=np.int64))
    assert model.item_embeddings.shape == (ITEMS, 10)


def test_representations_scores_and_ranks_agree():
    model = LightFM(8, loss="warp", random_state=1).fit(LIKES, item_features=FEATURES, epochs=5)
    biases, embeddings = model.get_item_representations(FEATURES)
    user_biases, user_embeddings = model.get_user_representations()
    assert user_embeddings is model.user_embeddings and embeddings.dtype == np.float32
    scores = user_embeddings @ embeddings.T + biases + user_biases[:, np.newaxis]
    users, items = np.array([3, 5, 3]), np.array([7, 1, 39])
    got = model.predict(users, list(items), item_features=FEATURES)
    np.testing.assert_allclose(got, scores[users, items], atol=1e-5)
    assert got.dtype == np.float32
    alone = model.predict(np.int64(3), items, item_features=FEATURES)
    np.testing.assert_allclose(alone, scores[3, items], atol=1e-5)
    test = sparse.csr_matrix(([1.0, 0.0, 1.0], ([0, 0, 2], [4, 9, 11])), LIKES.shape)
    ranks = model.predict_rank(test, item_features=FEATURES)
    assert ranks.dtype == np.float32 and ranks.nnz == 3
    for user, item, rank in zip(*ranks.nonzero(), ranks.data, strict=False):
        assert rank == np.sum(scores[user] >= scores[user, item]) - 1


def test_ranks_leave_out_what_was_trained_on():
    model = LightFM(random_state=0).fit(LIKES)
    everything = sparse.csr_matrix(np.ones(LIKES.shape))
    ranks = model.predict_rank(everything).toarray()
    assert all(np.array_equal(np.sort(row), np.arange(ITEMS)) for row in ranks)
    ranks = model.predict_rank(everything, LIKES, check_intersections=False).toarray()
    ranks[LIKES.toarray() > 0] = 0
    assert np.array_equal(ranks.max(axis=1), ITEMS - 1 - LIKES.getnnz(axis=1))
    ranks = model.predict_rank(everything, everything, check_intersections=False)
    assert np.all(ranks.data == 0)
    with pytest.raises(ValueError, match=f"share {LIKES.nnz} interactions"):
        model.predict_rank(LIKES, LIKES)
    model.item_embeddings = np.zeros_like(model.item_embeddings)
    model.item_biases = np.zeros_like(model.item_biases)
    assert np.all(model.predict_rank(everything).data == ITEMS - 1)  # ties, the worst place


def test_features_are_not_forgotten():
    model = LightFM(random_state=0).fit(LIKES, item_features=FEATURES)
    with pytest.raises(ValueError, match="trained with item_features"):
        model.predict(0, [1])
    with pytest.raises(ValueError, match="trained with item_features"):
        model.predict_rank(LIKES)
    new = sparse.vstack([FEATURES, FEATURES[:1]]).tocsr()  # an item more, by its features
    scores = model.predict(0, [0, ITEMS], item_features=new)
    assert scores[0] == scores[1]


def check_wrong(error, match, call, *args, **kwargs):
    with pytest.raises(error, match=match):
        call(*args, **kwargs)


def test_wrong_parameters():
    for wrong in (
        {"item_alpha": -1}, {"user_alpha": -1}, {"no_components": 0}, {"k": 0}, {"n": -1},
        {"rho": 1}, {"epsilon": -1}, {"loss": "hinge"}, {"learning_schedule": "adam"},
    ):  # fmt: skip
        check_wrong(AssertionError, next(iter(wrong)), LightFM, **wrong)
    for less in (0, -1.0):
        check_wrong(ValueError, "max_sampled", LightFM, max_sampled=less)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"no_components": "10"}, TypeError, "no_components must be an integer, got '10'"),
        ({"max_sampled": 2.5}, TypeError, "max_sampled must be an integer"),
        ({"k": None}, TypeError, "k must be an integer, got None"),
        ({"n": "few"}, ValueError, "n must be an integer, got 'few'"),
        ({"learning_rate": "x"}, TypeError, "learning_rate must be a number"),
        ({"rho": None}, TypeError, "rho must be a number"),
        ({"random_state": np.random.default_rng(0)}, TypeError, "random_state must be an int"),
        ({"random_state": -1}, ValueError, "random_state must be an int of 0 or more"),
    ],
)
def test_parameters_of_the_wrong_kind(wrong, error, match):
    check_wrong(error, match, LightFM, **wrong)


def test_wrong_arguments_change_nothing():
    for call in (
        lambda model: model.predict([0], [0]),
        lambda model: model.predict_rank(LIKES),
        lambda model: model.get_item_representations(),
        lambda model: model.to_recsys(),
    ):
        check_wrong(ValueError, "You must fit", call, LightFM())
    model = LightFM(loss="warp", random_state=0).fit(LIKES)
    before = {name: array.copy() for name, array in state(model).items()}
    nan = LIKES.copy()
    nan.data[3] = np.nan
    broken = FEATURES.copy()
    broken.data[0] = np.inf
    for fit in (model.fit, model.fit_partial):
        check_wrong(ValueError, "finite", fit, nan)
        check_wrong(ValueError, "finite", fit, LIKES, item_features=broken)
        check_wrong(TypeError, r"scipy\.sparse", fit, LIKES.toarray())
        check_wrong(ValueError, "39 rows", fit, LIKES, item_features=FEATURES[:-1])
        check_wrong(ValueError, "threads", fit, LIKES, num_threads=0)
    check_wrong(ValueError, "Incorrect number", model.fit_partial, LIKES, item_features=FEATURES)
    check_wrong(ValueError, "Incorrect number", model.predict_rank, LIKES, item_features=FEATURES)
    check_wrong(ValueError, "more features", model.predict, 0, [0], item_features=FEATURES)
    check_wrong(ValueError, "more features", model.predict, 0, [ITEMS])
    check_wrong(ValueError, "number of user IDs", model.predict, [0], [1, 2])
    check_wrong(ValueError, "negative", model.predict, -1, [1])
    check_wrong(ValueError, "integers", model.predict, "foo", [1])
    model.learning_rate = 1e30
    check_wrong(ValueError, "diverged", model.fit_partial, LIKES, epochs=3)
    assert all(np.array_equal(array, before[name]) for name, array in state(model).items())


def test_an_interrupt_leaves_what_was_learned_by_then(monkeypatch):
    model = LightFM(loss="warp", random_state=0).fit(LIKES)
    before = state(model)
    steps, calls = HybridSGD._steps, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return steps(*args)

    monkeypatch.setattr(HybridSGD, "_steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit_partial(LIKES)
    now = state(model)
    assert not np.array_equal(now["item_embeddings"], before["item_embeddings"])
    assert all(np.isfinite(array).all() for array in now.values())


def test_state_is_assigned_copied_and_pickled():
    model = LightFM(random_state=0).fit(LIKES)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other.predict(0, [1, 2]), model.predict(0, [1, 2]))
        first, second = other.fit_partial(LIKES), copy.deepcopy(model).fit_partial(LIKES)
        assert np.array_equal(first.user_embeddings, second.user_embeddings)
    old = LightFM.__new__(LightFM)  # as LightFM 1.17 pickles it
    old.__dict__ = {k: v for k, v in vars(model).items() if k[0] != "_" and "initial" not in k}
    assert np.array_equal(old.fit_partial(LIKES).item_biases, first.item_biases)
    model.item_biases = np.zeros(ITEMS)
    model.fit_partial(LIKES)
    assert model.item_biases.dtype == np.float32 and np.any(model.item_biases)
    model.item_biases = np.zeros(3)
    with pytest.raises(ValueError, match=r"item_biases has the shape \(3,\)"):
        model.fit_partial(LIKES)


def test_parameters_and_scikit_learns_search():
    model = LightFM(k=3, random_state=5)
    assert LightFM(**model.get_params()).get_params() == model.get_params()
    with pytest.raises(ValueError, match="Invalid parameter kk"):
        model.set_params(kk=1)
    selection = pytest.importorskip("sklearn.model_selection")
    search = selection.GridSearchCV(
        LightFM(loss="warp", random_state=0),
        {"no_components": [2, 5]},
        scoring=lambda model, matrix, y=None: auc_score(model, matrix).mean(),
        cv=[(np.arange(USERS), np.arange(USERS))],
    ).fit(LIKES)
    assert search.best_estimator_.item_embeddings.shape[1] in (2, 5)


@pytest.mark.parametrize("loss", ["warp", "logistic"])
def test_a_model_of_recsys(loss, tmp_path):
    dataset = Dataset()
    dataset.fit([f"u{n}" for n in range(USERS)], [f"i{n}" for n in range(ITEMS)])
    model = LightFM(8, loss=loss, random_state=0).fit(LIKES, item_features=FEATURES, epochs=5)
    made = model.to_recsys(dataset, LIKES, item_features=FEATURES)
    listed, _ = made.recommend("u3", N=5)
    numbers = [int(name[1:]) for name in listed]
    own = model.predict(3, np.arange(ITEMS), item_features=FEATURES)
    assert not set(numbers) & set(LIKES.tocsr()[3].indices)
    assert np.all(np.diff(own[numbers]) <= 1e-6)
    own[LIKES.tocsr()[3].indices] = -np.inf
    assert numbers[0] == np.argmax(own)
    made.save(tmp_path / "model.safetensors")
    again = recsys.load(tmp_path / "model.safetensors")
    assert list(again.recommend("u3", N=5)[0]) == list(listed)
    plain = model.to_recsys(item_features=FEATURES)
    assert len(plain.recommend(3, N=5, filter_seen=False)[0]) == 5
    with pytest.raises(ValueError, match="pass them here too"):
        LightFM(8, random_state=0).fit(LIKES, item_features=FEATURES).to_recsys(dataset)
