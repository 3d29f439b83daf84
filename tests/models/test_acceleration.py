"""Momentum between the iterations of ALS: what it computes, and that it never does harm."""

import numpy as np
import pytest
from cases import CASES
from dense_als import Dense, plays
from every_model import counts, learned
from scipy import sparse

from recsys import ExplicitALS, ImplicitALS
from recsys.kernels import Factors, Momentum

PLAIN = {"acceleration": False}
VARIANTS = {
    "cholesky": (ImplicitALS, {}),
    "cg": (ImplicitALS, {"solver": "cg"}),
    "bias": (ImplicitALS, {"bias": True}),
    "bias cg": (ImplicitALS, {"bias": True, "solver": "cg"}),
    "ratings": (ExplicitALS, {}),
    "ratings cg": (ExplicitALS, {"solver": "cg"}),
}
# Where nothing is stored there is nothing to fit; where confidences are huge, rounding decides.
NASTY = sorted(set(CASES) - {"long", "huge confidences", "nothing stored"})
variants = pytest.mark.parametrize("variant", VARIANTS)


def fitted(variant, matrix, **changes):
    cls, options = VARIANTS[variant]
    common = {"factors": 6, "random_state": 0, "iterations": 8, "regularization": 0.5}
    return cls(**{**common, **options, **changes}).fit(matrix, show_progress=False)


def losses(model):
    return np.array([entry.loss for entry in model.history])


def too_bold(monkeypatch):
    """Momentum that overshoots, from the third iteration on."""
    weight = property(lambda self: 40.0 if self._made > 1 else 0.0)
    monkeypatch.setattr(Momentum, "weight", weight)


@pytest.mark.parametrize("init", ["random", "spectral"])
def test_against_dense_least_squares(init):
    """The twin: cell by cell, in float64, with the extrapolation written out."""
    matrix = plays(negative=True, zeros=True)
    settings = {"factors": 5, "iterations": 9, "random_state": 1, "regularization": 2.0}
    settings |= {"confidence": "linear", "alpha": 0.5, "init": init}
    dense = Dense(matrix, 1 + 0.5 * np.abs(matrix.data))
    model = ImplicitALS(**{**settings, "iterations": 0}, dtype=np.float64).fit(matrix)
    now, before = model.item_factors, None
    model = ImplicitALS(**settings, dtype=np.float64).fit(matrix)
    assert not any(entry.taken_back for entry in model.history)
    for number, entry in enumerate(model.history):
        beta = number / (number + 2)
        assert entry.momentum == pytest.approx(beta)
        begin = now if before is None else now + beta * (now - before)
        before, (x, now) = now, dense.iterate(begin)
        assert entry.loss == pytest.approx(dense.loss(x, now), rel=1e-9)
    np.testing.assert_allclose(model.user_factors @ model.item_factors.T, x @ now.T, atol=1e-9)


@variants
def test_the_objective_never_rises_however_bold(variant, dtype, monkeypatch):
    too_bold(monkeypatch)
    model = fitted(variant, counts(), dtype=dtype)
    assert (np.diff(losses(model)) <= 4 * np.finfo(dtype).eps * losses(model)[0]).all()
    taken_back = [entry.taken_back for entry in model.history]
    assert any(taken_back) and not any(taken_back[:2])
    for entry in model.history:
        assert not (entry.taken_back and entry.momentum)
        assert entry.user_seconds + entry.item_seconds <= entry.seconds


def test_what_is_taken_back_leaves_no_trace(monkeypatch):
    """An iteration made again is what a plain one from the same factors is."""
    matrix, steps = counts(), []
    too_bold(monkeypatch)
    model = ImplicitALS(6, iterations=4, random_state=0, regularization=0.5)
    model.fit(matrix, callback=lambda *_: steps.append((model.user_factors.copy(),
                                                        model.item_factors.copy())))  # fmt: skip
    assert [entry.taken_back for entry in model.history] == [False, False, True, False]
    plain = ImplicitALS(6, iterations=1, regularization=0.5, acceleration=False)
    plain.user_factors, plain.item_factors = steps[1]
    plain.fit(matrix, warm_start=True)
    np.testing.assert_array_equal(plain.item_factors, steps[2][1])
    np.testing.assert_array_equal(plain.user_factors, steps[2][0])


@variants
def test_who_looks_on_changes_nothing(variant, dtype):
    alone = fitted(variant, counts(), dtype=dtype)
    seen = []
    watched = fitted(variant, counts(), dtype=dtype, iterations=0)
    watched.set_params(iterations=alone.iterations)
    watched.fit(
        counts(),
        callback=lambda *_: seen.append((watched.user_factors, watched.user_factors.copy())),
        show_progress=False,
    )
    np.testing.assert_array_equal(alone.user_factors, watched.user_factors)
    np.testing.assert_array_equal(alone.item_factors, watched.item_factors)
    np.testing.assert_array_equal(*seen[-1])


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize(
    "case", sorted(set(CASES) - {"long", "huge confidences", "nothing stored"})
)
def test_never_worse_than_plain_at_the_end(case, solver, dtype):
    matrix = CASES[case]()
    settings = {"factors": 5, "iterations": 12, "random_state": 0, "regularization": 0.3}
    settings |= {"confidence": lambda entries: np.abs(entries.data), "solver": solver}
    settings |= {"dtype": dtype}
    rounding = 1e-5 if dtype is np.float32 else 1e-10  # of sums that all but cancel
    for init in ("random", "spectral"):
        fast = ImplicitALS(**settings, init=init).fit(matrix)
        slow = ImplicitALS(**settings, init=init, compute_loss=True, **PLAIN).fit(matrix)
        assert losses(fast)[-1] <= losses(slow)[-1] * (1 + rounding)
        assert (np.diff(losses(fast)) <= rounding * losses(fast)[0]).all()


@variants
def test_fewer_iterations_reach_what_more_plain_ones_do(variant):
    matrix = plays(150, 100, 0.15)
    fast = fitted(variant, matrix, iterations=8)
    slow = fitted(variant, matrix, iterations=12, init="random", **PLAIN)
    if variant.startswith("ratings"):
        assert losses(fast)[-1] <= losses(slow)[-1]
    else:
        assert fast.objective(matrix) <= slow.objective(matrix)


@variants
def test_same_bits_for_any_threads(variant, dtype, num_threads):
    one, many = (fitted(variant, counts(), dtype=dtype, num_threads=n) for n in (1, num_threads))
    assert learned(one) == learned(many)


@variants
def test_momentum_starts_anew_with_a_fit(variant):
    model = fitted(variant, counts(), iterations=5)
    model.set_params(iterations=4).fit(counts(), warm_start=True)
    assert [entry.momentum for entry in model.history] == [
        0, 1 / 3, 1 / 2, 3 / 5, 4 / 6, 0, 1 / 3, 1 / 2, 3 / 5,
    ]  # fmt: skip
    assert (np.diff(losses(model)) <= 1e-6 * losses(model)[0]).all()


def test_early_stopping_takes_the_best_iteration():
    matrix = plays(80, 60)
    held_out = sparse.csr_array(plays(80, 60, seed=3) - plays(80, 60, seed=3).multiply(matrix > 0))
    kept = {}
    model = ImplicitALS(6, iterations=20, random_state=0, regularization=0.1)

    def keep(number, *_):
        kept[number] = model.user_factors.copy(), model.item_factors.copy()

    model.fit(matrix, validation=held_out, patience=3, callback=keep)
    users, items = kept[model.best_iteration]
    np.testing.assert_array_equal(model.user_factors, users)
    np.testing.assert_array_equal(model.item_factors, items)


def test_extrapolation_of_many_rows_and_biases():
    rng = np.random.default_rng(0)
    now, before = (Factors(rng.random((5000, 3)), rng.random(5000)) for _ in range(2))
    momentum = Momentum(np.dtype(np.float64))
    assert momentum.weight == 0
    for loss in (9.0, 8.0, 7.0):
        assert not momentum.rose(loss)
        momentum.made(loss)
    expected = [new + 3 / 5 * (new - old) for new, old in zip(now, before, strict=True)]
    momentum.extrapolate(now, before)
    for got, want in zip(before, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)
    assert momentum.rose(7.1) and momentum.rose(np.nan) and not momentum.rose(7.0)
    momentum.restart()
    assert momentum.weight == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"acceleration": "yes"}, "acceleration"),
        ({"init": "svd"}, "unknown init 'svd'; expected 'sample' or 'spectral' or 'random'"),
    ],
)
@pytest.mark.parametrize("cls", [ImplicitALS, ExplicitALS])
def test_wrong_parameters(cls, changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        cls(4, **changes).fit(counts())
