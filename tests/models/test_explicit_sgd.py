import numpy as np
import pytest
from scipy import sparse

from recsys import ExplicitALS, ExplicitSGD


def ratings(users=120, items=90, factors=3, noise=0.1, seed=0):
    """Ratings around 3 of a planted structure; every fifth cell known, split in two."""
    rng = np.random.default_rng(seed)
    table = 3 + rng.standard_normal((users, 1)) * 0.5 + rng.standard_normal(items) * 0.5
    table = table + rng.standard_normal((users, factors)) @ rng.standard_normal((factors, items))
    table += noise * rng.standard_normal(table.shape)
    place = rng.random(table.shape)
    return (sparse.csr_array(np.where(cells, table, 0)) for cells in (place < 0.4, place > 0.9))


def model(**options):
    return ExplicitSGD(
        8, **{"learning_rate": 0.03, "regularization": 0.01, "random_state": 0} | options
    )


def test_learns_what_was_planted():
    train, test = ratings()
    trained = model(epochs=100).fit(train, validation=test, show_progress=False)
    history = trained.history
    assert history[-1].train_rmse < 0.25 and trained.rmse(test) < 0.4 < np.std(test.data) / 3
    assert history[-1].validation == pytest.approx(trained.rmse(test), rel=1e-6)
    assert history[-1].loss == pytest.approx(history[-1].train_rmse ** 2 / 2)
    assert trained.mean == pytest.approx(train.data.mean())


def test_finds_what_als_finds():
    """Both minimize the same sum."""
    train, test = ratings()
    sgd = model(epochs=300, regularization=0.05, learning_rate_decay=0.02, dtype=np.float64)
    als = ExplicitALS(8, regularization=0.05, iterations=100, random_state=0, dtype=np.float64)
    sgd.fit(train, show_progress=False)
    als.fit(train, show_progress=False)
    assert sgd.rmse(test) == pytest.approx(als.rmse(test), rel=0.03)


def test_without_biases():
    train, test = ratings()
    trained = model(bias=False, epochs=50).fit(train, show_progress=False)
    assert trained.user_biases is None and trained.item_biases is None and trained.mean == 0
    assert trained.rmse(test) < np.sqrt(np.mean(test.data**2)) / 2


def test_learning_rate_decays():
    train, _ = ratings()
    trained = model(epochs=3, learning_rate_decay=0.5).fit(train, show_progress=False)
    assert [h.learning_rate for h in trained.history] == pytest.approx([0.03, 0.02, 0.015])


def test_fold_in_solves_the_user():
    train, test = ratings()
    trained = model(epochs=100, dtype=np.float64).fit(train[20:], show_progress=False)
    factors, biases = trained.fold_in(train[:20])
    assert factors.shape == (20, 8) and biases.shape == (20,)
    trained.partial_fit_users(np.arange(100, 120), train[:20])
    predicted = trained.predict(np.arange(100, 120)[:, np.newaxis], np.arange(90))
    known = test[:20].toarray() != 0
    assert np.sqrt(np.mean((predicted - test[:20].toarray())[known] ** 2)) < 0.5


def test_hogwild_learns_as_well():
    train, test = ratings()
    trained = model(epochs=100, schedule="hogwild").fit(train, show_progress=False)
    assert trained.rmse(test) < 0.4


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"learning_rate": 0}, ValueError, "learning_rate must be"),
        ({"learning_rate_decay": -1}, ValueError, "learning_rate_decay must be"),
        ({"schedule": "hogwyld"}, ValueError, "did you mean 'hogwild'"),
        ({"bias": "yes"}, TypeError, "bias must be True or False"),
    ],
)
def test_bad_parameters(options, error, match):
    train, _ = ratings()
    with pytest.raises(error, match=match):
        model(**options).fit(train)


def test_nothing_is_known_of_who_has_no_ratings():
    train = sparse.csr_array(np.array([[0, 0, 0], [5, 4, 0], [3, 0, 0.0]]))
    trained = model(epochs=5).fit(train, show_progress=False)
    assert trained.predict(0, 0) == pytest.approx(trained.mean + trained.item_biases[0])
    assert trained.predict(0, 2) == trained.predict(9, 9) == pytest.approx(trained.mean)


@pytest.mark.parametrize("cls", [ExplicitALS, ExplicitSGD])
def test_transposed_validation(cls):
    train, _ = ratings()
    with pytest.raises(ValueError, match=r"looks transposed: pass validation\.T"):
        cls(4).fit(train, validation=train.T)
