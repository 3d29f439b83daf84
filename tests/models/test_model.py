import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys import NotFittedError
from recsys.models.factor_model import FactorModel
from recsys.models.training import Iteration, Step


@dataclass(frozen=True)
class Entry(Iteration):
    share: float


class Counting(FactorModel):
    """The smallest model: what it learns is how many steps were finished."""

    value = 0
    fail_at = None
    _entry = Entry

    def __init__(self, size=3, *, rate=0.5, dtype=np.float32, iterations=4):
        self.size = size
        self.rate = rate
        self.dtype = dtype
        self.iterations = iterations

    num_threads = 1

    def _check_parameters(self):
        return np.dtype(self.dtype)

    def _trainer(self, counts):
        return CountingTrainer(self)

    def _learn_rows(self, counts, new, touched, rounds):
        raise AssertionError("there are no rows here")


class CountingTrainer:
    def __init__(self, model):
        self.model, self.count = model, 0

    def start(self, continues, features):
        assert not continues and not features

    def state(self):
        return {"value": self.count}

    def step(self, number):
        if number == self.model.fail_at:
            raise KeyboardInterrupt
        self.count += 1
        assert number == self.count
        return Step(10.0 / self.count, {"share": 0.1 * self.count})

    def finish(self):
        pass


def fitted(model, fail_at=None, **options):
    model.fail_at = fail_at
    return model.fit(sparse.csr_array(np.eye(3)), show_progress=False, **options)


def test_parameters_are_stored_as_given():
    rate = np.array([1.0])  # nonsense, but not the constructor's business
    assert Counting(rate=rate).get_params() == {
        "size": 3,
        "rate": rate,
        "dtype": np.float32,
        "iterations": 4,
    }
    assert Counting(rate=rate).get_params()["rate"] is rate


def test_set_params():
    model = Counting()
    assert model.set_params(size=5, rate=2) is model
    assert (model.size, model.rate) == (5, 2)
    with pytest.raises(ValueError, match=r"Counting has no parameter 'rat'; did you mean 'rate'?"):
        model.set_params(size=7, rat=1)
    assert model.size == 5


def test_unknown_keyword():
    with pytest.raises(TypeError, match=r"no parameter 'iteration'; did you mean 'iterations'?"):
        Counting(iteration=3)
    with pytest.raises(TypeError, match="'zzz'; expected one of size, rate, dtype, iterations"):
        Counting(zzz=3)


def test_repr_shows_what_differs():
    assert repr(Counting()) == "Counting()"
    assert repr(Counting(4, dtype=np.float64)) == "Counting(size=4, dtype=float64)"
    assert repr(Counting(rate="x")) == "Counting(rate='x')"


def test_not_fitted_is_both():
    assert issubclass(NotFittedError, ValueError) and issubclass(NotFittedError, AttributeError)


def test_history_and_callback():
    seen = []
    model = Counting()
    assert model.history == []
    fitted(model, callback=lambda *entry: seen.append((*entry, model.value)))
    assert [h.iteration for h in model.history] == [1, 2, 3, 4]
    assert [h.loss for h in model.history] == [10.0, 5.0, 10 / 3, 2.5]
    assert [h.share for h in model.history] == [0.1, 0.2, 0.1 * 3, 0.4]
    assert seen == [(h.iteration, h.seconds, h.loss, h.iteration) for h in model.history]


def test_callback_stops():
    model = fitted(Counting(), callback=lambda iteration, seconds, loss: iteration == 2)
    assert len(model.history) == model.value == 2


def test_interrupt_keeps_the_last_finished_step():
    model = Counting()
    with pytest.raises(KeyboardInterrupt):
        fitted(model, fail_at=3)
    assert model.value == len(model.history) == 2
    with pytest.raises(KeyboardInterrupt):
        fitted(model, fail_at=1)
    assert model.value == len(model.history) == 2

    def fail(iteration, seconds, loss):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fitted(model, callback=fail)
    assert model.value == len(model.history) == 1


def test_copies():
    model = fitted(Counting(7))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)):
        assert twin.get_params() == model.get_params()
        assert twin.history == model.history
        assert twin.value == model.value


def test_what_only_other_models_have():
    for model, name, others in (
        (
            recsys.EASE(),
            "recommend_users",
            "BPR, ExplicitALS, ExplicitSGD, ImplicitALS, LogisticMF",
        ),
        (recsys.BPR(), "partial_fit_users", "ExplicitALS, ExplicitSGD, ImplicitALS"),
        (recsys.ImplicitALS(), "item_weights", "EASE, SLIM"),
    ):
        assert not hasattr(model, name) and name not in dir(model)
        message = f"^{type(model).__name__} has no {name}, which is of {others}$"
        with pytest.raises(AttributeError, match=message):
            getattr(model, name)
    with pytest.raises(AttributeError, match=r"^'SLIM' object has no attribute 'recomend'$"):
        recsys.SLIM().recomend  # noqa: B018
    with pytest.raises(NotFittedError, match="call fit"):
        recsys.BPR().user_factors  # noqa: B018
