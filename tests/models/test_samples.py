"""Training that begins on samples of the users."""

import logging

import numpy as np
import pytest
from cases import CASES
from every_model import counts, learned
from scipy import sparse

from recsys import ExplicitALS, ImplicitALS, kernels
from recsys.datasets.synthetic import lastfm360k_twin
from recsys.models import alternating, samples

VARIANTS = {
    "cholesky": (ImplicitALS, {}),
    "cg": (ImplicitALS, {"solver": "cg"}),
    "bias": (ImplicitALS, {"bias": True}),
    "nonnegative": (ImplicitALS, {"nonnegative": True}),
    "plain": (ImplicitALS, {"acceleration": False, "compute_loss": True}),
    "c = r": (ImplicitALS, {"confidence": "scaled", "regularization": 0.1}),
    "ratings": (ExplicitALS, {}),
}
variants = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(scope="module")
def twin():
    return lastfm360k_twin(0.005, 0).user_items


@pytest.fixture
def small_samples(monkeypatch):
    """Four samples of the users of the twin, from a sixteenth to a half."""
    monkeypatch.setattr(samples, "SAMPLED", 1)
    monkeypatch.setattr(samples, "SMALLEST", 4000)
    monkeypatch.setattr(samples, "USERS_A_FACTOR", 2)


def fitted(variant, matrix, **changes):
    cls, options = VARIANTS[variant]
    if cls is ExplicitALS:
        matrix = matrix.log1p()  # of the size of stars
    return cls(**{"factors": 16, "random_state": 0, **options, **changes}).fit(
        matrix, show_progress=False
    )


@pytest.mark.parametrize(
    ("n_users", "entries", "shares"),
    [
        (358_868, 17_557_073, [1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2]),
        (100_000, 4_000_000, [1 / 16, 1 / 8, 1 / 4, 1 / 2]),
        (100_000, 3_999_999, []),
        (10_000_000, 10**9, [2.0**-k for k in range(11, 0, -1)]),
        (
            5000,
            10**8,
            [1 / 4, 1 / 2],
        ),  # of more samples some would have fewer users than ten a factor
        (2000, 10**8, [1 / 2]),
        (1000, 10**8, []),
    ],
)
def test_sizes(n_users, entries, shares):
    model = ImplicitALS()
    assert samples.shares_of_samples(model, n_users, entries, False, False) == shares
    times = samples.ITERATIONS if not shares else samples.AFTER_SAMPLES
    assert samples.iterations_of(model, n_users, entries) == times
    for changes in ({"init": "spectral"}, {"init": "random"}, {"iterations": 0}):
        other = ImplicitALS(**changes)
        assert samples.shares_of_samples(other, n_users, entries, False, False) == []
    assert samples.iterations_of(model, n_users, entries, continues=True) == 7
    assert samples.iterations_of(model, n_users, entries, features=True) == 7


@pytest.mark.usefixtures("small_samples")
@variants
def test_better_than_from_singular_vectors(variant, twin):
    """What the samples are for: after the default's two iterations the objective is lower than
    after two from singular vectors."""
    sampled = fitted(variant, twin)
    spectral = fitted(variant, twin, init="spectral", iterations=2)
    assert [entry.iteration for entry in sampled.history] == [1, 2]
    assert sampled.history[-1].loss < spectral.history[-1].loss


@pytest.mark.usefixtures("small_samples")
@variants
def test_same_bits_for_any_threads(variant, twin, num_threads):
    one, many = (fitted(variant, twin, num_threads=n) for n in (1, num_threads))
    assert learned(one) == learned(many)


@pytest.mark.usefixtures("small_samples")
def test_the_first_users_sweep_is_exact(twin):
    """Users have no part in the start: those after an iteration are solved against its items."""
    dtype = np.float64
    kept = []
    kernel, half_sweep = alternating.SOLVERS["cholesky"], kernels.half_sweep

    def spy(side, fixed, start, out, **options):
        if side.n_rows == twin.shape[0]:
            kept.append(fixed.factors.copy())
        return half_sweep(side, fixed, start, out, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(alternating.SOLVERS, "cholesky", kernel._replace(half_sweep=spy))
        model = fitted("c = r", twin, dtype=dtype, iterations=1)
    y, user = kept[0], 5
    row = twin[[user]]
    c = row.data.astype(dtype)
    a = y.T @ y + (y[row.indices].T * (c - 1)) @ y[row.indices] + 0.1 * np.eye(16)
    x = np.linalg.solve(a, y[row.indices].T @ c)
    # Items have moved on, users have not: what is compared is turned by nothing
    np.testing.assert_allclose(model.user_factors[user], x, rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("small_samples")
@pytest.mark.parametrize("case", sorted(set(CASES) - {"nothing stored", "huge confidences"}))
def test_nasty_matrices(case, dtype, monkeypatch):
    monkeypatch.setattr(samples, "SMALLEST", 1)
    monkeypatch.setattr(samples, "USERS_A_FACTOR", 1 / 5)  # one user is enough
    matrix = CASES[case]()
    model = ImplicitALS(
        5, confidence=lambda entries: np.abs(entries.data), regularization=0.5, iterations=6,
        random_state=0, dtype=dtype,
    )  # fmt: skip
    model.fit(matrix, show_progress=False)
    assert np.isfinite(model.user_factors).all() and np.isfinite(model.item_factors).all()
    losses = np.array([entry.loss for entry in model.history])
    rounding = 1e-5 if dtype is np.float32 else 1e-10  # of sums that all but cancel
    assert (np.diff(losses) <= rounding * losses[0]).all()


@pytest.mark.usefixtures("small_samples")
def test_interrupted_before_the_first_iteration(twin, monkeypatch):
    model = fitted("cholesky", twin, iterations=1)
    before = learned(model)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(kernels, "some_users", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(twin, show_progress=False)
    assert learned(model) == before


@pytest.mark.usefixtures("small_samples")
def test_the_log_tells(twin, caplog):
    with caplog.at_level(logging.INFO, "recsys"):
        fitted("cholesky", twin)
    told = [record.getMessage() for record in caplog.records if "starts from" in record.message]
    assert len(told) == 4 and "112 users" in told[0] and "897 users" in told[3]


@pytest.mark.usefixtures("small_samples")
def test_goes_on_as_ever(twin):
    """A warm start has no samples, and makes seven iterations."""
    model = fitted("cholesky", twin)
    model.fit(twin, warm_start=True, show_progress=False)
    assert [entry.iteration for entry in model.history] == list(range(1, 10))


def test_few_entries_begin_at_singular_vectors():
    sampled, spectral = (fitted("cholesky", counts(), init=i) for i in ("sample", "spectral"))
    assert learned(sampled) == learned(spectral) and len(sampled.history) == 7


def test_iterations_on_samples():
    for times in ([], [6], [6, 1], [6, 2, 1], [6, 2, 2, 2, 1]):
        assert samples.iterations_on([0.5] * len(times)) == times


@pytest.mark.usefixtures("small_samples")
def test_likes_outside_all_samples(monkeypatch):
    """Items of which no sample knows anything would stay at zero."""
    monkeypatch.setattr(samples, "SMALLEST", 1)
    matrix = sparse.lil_array((40, 20))
    matrix[:] = -1.0
    first = np.random.default_rng(0).permutation(40)
    matrix[first[-1], :5] = 3.0  # the last of all users is in no sample
    model = ImplicitALS(4, random_state=0, regularization=0.1).fit(matrix.tocsr())
    assert model.score(first[-1], 0) > 0.5


def test_some_users():
    rng = np.random.default_rng(0)
    matrix = sparse.random_array((30, 20), density=0.15, rng=rng, format="csr")
    matrix.indices = matrix.indices.astype(np.int32)
    sides = kernels.make_sides(matrix, 0.3, 0.5, 0.7)
    users = np.array([1, 4, 5, 17, 29])
    lambdas = kernels.both_lambdas(matrix, 0.3, 0.5, 0.7)
    for side, expected in zip(sides, lambdas, strict=True):
        np.testing.assert_allclose(side.regularization, expected)
    (own, other), known = kernels.some_users(matrix, users, lambdas, 0.7)
    expected = matrix[users].toarray()
    np.testing.assert_array_equal(known, np.flatnonzero(expected.any(axis=0)))
    np.testing.assert_array_equal(own.entries().toarray(), expected[:, known])
    np.testing.assert_array_equal(other.entries().toarray(), expected[:, known].T)
    np.testing.assert_array_equal(own.regularization, sides[0].regularization[users])
    np.testing.assert_allclose(other.regularization, sides[1].regularization[known] * 5 / 30)
    np.testing.assert_array_equal(own.other_regularization, other.regularization)
    assert own.unobserved_weight == other.unobserved_weight == 0.7
    (own, other), known = kernels.some_users(matrix, users, lambdas, 0.7, all_items=True)
    assert known is None
    np.testing.assert_array_equal(own.entries().toarray(), expected)
    np.testing.assert_array_equal(other.entries().toarray(), expected.T)
    np.testing.assert_allclose(other.regularization, sides[1].regularization * 5 / 30)
