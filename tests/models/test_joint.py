"""Factors trained together with what features say of them."""

import numpy as np
import pytest
from dense_als import plays
from scipy import sparse

import recsys
from recsys import BPR, ExplicitALS, Features, ImplicitALS, csr
from recsys.kernels import Factors, FeaturePrior, PairwiseSGD, Prior, half_sweep, make_sides
from recsys.models import feature_answers
from recsys.models.gradient import drawn_to

NU, W0, LAMBDA, KAPPA = 0.5, 0.3, 0.4, 2.0
NEW = 5  # users, and items, that no entry tells of, after the others


def described(count, columns, seed):
    """Rows of features, of which some are empty, and NEW more."""
    rng = np.random.default_rng(seed)
    matrix = sparse.random_array((count + NEW, columns), density=0.3, rng=rng, format="csr")
    matrix = sparse.csr_array(matrix)
    matrix.data += 0.3
    return Features.from_csr(matrix, normalize=False)


COUNTS = plays()
USERS, ITEMS = described(COUNTS.shape[0], 4, 1), described(COUNTS.shape[1], 90, 2)
BY = {"user_features": USERS, "item_features": ITEMS}


def fitted(iterations=8, by=BY, **more):
    options = {
        "regularization": LAMBDA, "regularization_exponent": NU, "unobserved_weight": W0,
        "dtype": np.float64, "random_state": 0, "feature_regularization": KAPPA,
        "num_threads": 1, "iterations": iterations, "compute_loss": True,
    }  # fmt: skip
    return ImplicitALS(5, **options | more).fit(COUNTS, show_progress=False, **by)


def side_of(model, side):
    """Factors, with biases as one more column, of rows with entries; their lambda_u and means."""
    axis = 1 if side == "users" else 0
    counted = np.bincount(COUNTS.nonzero()[1 - axis], minlength=COUNTS.shape[1 - axis])
    factors, biases = feature_answers.arrays(model, side)
    whole = factors if biases is None else np.column_stack([factors, biases])
    lambdas = LAMBDA * (counted + W0 * COUNTS.shape[axis]) ** NU
    known = model._features.get(side)
    means = np.zeros_like(whole) if known is None else known.ridge.mean(known.matrix)
    there = np.flatnonzero(counted)
    return whole[: len(counted)], lambdas, means[: len(counted)], there


def objective(model):
    """Cell by cell, rows without entries as training has them where they are no one's."""
    signed = model._signed(csr.canonical(COUNTS, np.dtype(np.float64))).toarray()
    weight = np.where(signed != 0, np.abs(signed), W0)
    (x, of_x, mean_x, users), (y, of_y, mean_y, items) = (
        side_of(model, side) for side in ("users", "items")
    )
    f, total = model.factors, 0.0
    scores = x[:, :f] @ y[:, :f].T + model.mean
    if model.bias:
        scores = scores + x[:, f:] + y[:, f:].T
    cells = weight * ((signed > 0) - scores) ** 2
    total += cells[np.ix_(users, items)].sum()
    for rows, lambdas, means, there in ((x, of_x, mean_x, users), (y, of_y, mean_y, items)):
        total += lambdas[there] @ ((rows - means)[there] ** 2).sum(axis=1)
    for side, lambdas, there in (("users", of_x, users), ("items", of_y, items)):
        if side in model._features:
            ridge = model._features[side].ridge
            total += ridge.strength * lambdas[there].mean() * np.sum(ridge.weights**2)
    return total


@pytest.mark.parametrize("by", [BY, {"item_features": ITEMS}, {"user_features": USERS}])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_the_loss_is_the_objective_and_never_rises(by, solver):
    model = fitted(by=by, solver=solver, acceleration=False)
    losses = [entry.loss for entry in model.history]
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert losses[-1] == pytest.approx(objective(model), rel=1e-10)
    assert all((entry.feature_seconds > 0) for entry in model.history[2:])


def test_momentum_gets_there_sooner():
    plain = [entry.loss for entry in fitted(20, acceleration=False).history]
    model = fitted(20)
    losses = [entry.loss for entry in model.history]
    assert losses[-1] < plain[-1] and (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert losses[-1] == pytest.approx(objective(model), rel=1e-10)


@pytest.mark.parametrize("bias", [False, True])
def test_a_training_ends_where_nothing_gets_better(bias):
    """W is the ridge of the rows, and these, where they are not biased by others that features
    tell of, are at the minimum of their normal equations."""
    model = fitted(120, bias=bias, regularization_exponent=0.0, regularization=6.0)
    for side in ("users", "items"):
        whole, _, means, there = side_of(model, side)
        known = model._features[side]
        f = known.matrix.toarray()[there].astype(float)
        f = f - f.mean(axis=0)
        y = whole[there] - whole[there].mean(axis=0)
        want = np.linalg.solve(f.T @ f + KAPPA * np.eye(f.shape[1]), f.T @ y)
        np.testing.assert_allclose(known.ridge.weights, want, atol=1e-3)
        np.testing.assert_allclose(means[there].mean(axis=0), whole[there].mean(axis=0), atol=1e-8)
    if bias:
        return
    (x, _, means, users), (y, _, _, items) = (side_of(model, side) for side in ("users", "items"))
    signed = model._signed(csr.canonical(COUNTS, np.dtype(np.float64)))
    fixed = Factors(np.zeros(y.shape))
    fixed.factors[items] = y[items]
    lambdas = np.full(len(x), 6.0)
    want = half_sweep_in_numpy(signed, fixed, means, lambdas, lambdas)
    np.testing.assert_allclose(x[users], want[users], atol=1e-2)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_a_half_sweep_draws_rows_to_what_features_say(biases, solver, dtype):
    rng = np.random.default_rng(0)
    signed = csr.canonical(COUNTS, np.dtype(dtype))
    side, _ = make_sides(signed, LAMBDA, NU, W0)
    f, n_users, n_items = 7, *COUNTS.shape

    def drawn(count):
        rows = rng.standard_normal((count, f)).astype(dtype)
        return Factors(rows, rng.standard_normal(count).astype(dtype) if biases else None)

    fixed, start, by_features, by_means = (drawn(n) for n in (n_items, n_users, n_users, n_users))
    lambdas = np.where(np.diff(signed.indptr) > 0, side.regularization, 0.0)
    matrix = csr.take_rows(USERS.matrix, np.arange(n_users))
    prior = FeaturePrior(matrix, lambdas, KAPPA, np.dtype(dtype), 1)
    prior.start(start)
    weights, constant = prior.weights
    means = matrix.toarray() @ weights + constant
    known = Prior(
        Factors(
            np.ascontiguousarray(means[:, :f], dtype),
            np.ascontiguousarray(means[:, f], dtype) if biases else None,
        ),
        lambdas,
    )
    options = {"mean": 0.1, "solver": solver, "cg_steps": 40}
    half_sweep(side, fixed, start, by_features, prior=prior, **options)
    half_sweep(side, fixed, start, by_means, prior=known, **options)
    atol = 1e-3 if dtype is np.float32 else 1e-9
    np.testing.assert_allclose(by_features.factors, by_means.factors, atol=atol)
    exact = half_sweep_in_numpy(signed, fixed, means, side.regularization, lambdas)
    np.testing.assert_allclose(by_means.factors, exact[:, :f], atol=atol)
    if biases:
        np.testing.assert_allclose(by_means.biases, exact[:, f], atol=atol)


def half_sweep_in_numpy(signed, fixed, means, lambdas, drawn):
    y, given = fixed.factors.astype(float), np.zeros(len(fixed.factors))
    if fixed.biases is not None:
        y, given = np.column_stack([y, np.ones(len(y))]), 0.1 + fixed.biases.astype(float)
    dense, out = signed.toarray().astype(float), []
    for values, mean, penalty, weight in zip(dense, means, lambdas, drawn, strict=True):
        c = np.where(values != 0, np.abs(values), W0)
        a = (y.T * c) @ y + penalty * np.eye(y.shape[1])
        out.append(np.linalg.solve(a, (y.T * c) @ ((values > 0) - given) + weight * mean))
    return np.array(out)


@pytest.mark.parametrize("steps", [60, 0])
def test_w_is_the_ridge_by_steps_and_by_cholesky(steps, monkeypatch):
    rng = np.random.default_rng(1)
    matrix = csr.canonical(sparse.csr_array(ITEMS.matrix), np.dtype(np.float32))
    lambdas = rng.random(matrix.shape[0]) * (rng.random(matrix.shape[0]) < 0.8)
    rows = Factors(rng.standard_normal((matrix.shape[0], 3)))
    if steps:
        monkeypatch.setattr(FeaturePrior, "_factor", lambda *_: None)
        monkeypatch.setattr("recsys.kernels.feature_prior._TOLERANCE", 1e-10)
    prior = FeaturePrior(matrix, lambdas, KAPPA, np.dtype(np.float64), 1)
    prior.start(rows)
    r = lambdas / lambdas[lambdas > 0].mean()
    f = np.column_stack([matrix.toarray(), np.ones(len(r))])
    a = (f.T * r) @ f + np.diag(np.append(np.full(matrix.shape[1], KAPPA), 0))
    want = np.linalg.solve(a, (f.T * r) @ rows.factors)
    weights, constant = prior.weights
    np.testing.assert_allclose(np.vstack([weights, constant]), want, atol=1e-7)
    x, means = rows.factors, f @ want
    more = lambdas @ ((x - means) ** 2 - x**2).sum(axis=1)
    more += KAPPA * lambdas[lambdas > 0].mean() * np.sum(want[:-1] ** 2)
    assert prior.penalty() == pytest.approx(more, rel=1e-8)


@pytest.mark.parametrize("cls", [ImplicitALS, ExplicitALS, BPR])
def test_any_number_of_threads_and_fits_in_two_parts(cls):
    options = {"factors": 4, "random_state": 0, "feature_regularization": KAPPA}
    if cls is BPR:
        times = {"epochs": 9}
    else:
        times = {"iterations": 5, "acceleration": False}
    known = BY | {"show_progress": False}
    one, two = (
        cls(**options, **times, num_threads=threads).fit(COUNTS, **known) for threads in (1, 2)
    )
    for name in ("item_factors", "user_factors", "item_feature_factors", "user_feature_factors"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    [name] = set(times) & {"epochs", "iterations"}
    parts = cls(**options, **times | {name: times[name] - 2}).fit(COUNTS, **known)
    parts.set_params(**{name: 2}).fit(COUNTS, warm_start=True, **known)
    assert len(parts.history) == times[name]
    for side in ("item", "user"):
        got, want = (getattr(model, f"{side}_factors") for model in (parts, one))
        assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("model", [ImplicitALS(4), ExplicitALS(4), BPR(4, epochs=12)])
def test_rows_without_entries_get_what_is_expected(model, tmp_path):
    model.set_params(random_state=0).fit(COUNTS, show_progress=False, **BY)
    for side, features in (("users", USERS), ("items", ITEMS)):
        known = model._features[side]
        assert known.joint and len(known.rows) == NEW + 1
        factors, _ = feature_answers.arrays(model, side)
        want = known.ridge.mean(features.matrix[known.rows])[:, :4]
        np.testing.assert_allclose(factors[known.rows], want, atol=1e-6)
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert loaded._features["items"].joint
    told = loaded.explain_features(1, 33)
    assert told.score == pytest.approx(float(model.score(1, 33)), abs=1e-5)


def test_the_best_iteration_has_its_own_weights():
    seen = {}

    def keep(iteration, seconds, loss):
        seen[iteration] = {name: each.weights.copy() for name, each in model._ridges.items()}

    model = ImplicitALS(4, iterations=8, random_state=0, regularization=0.1)
    held_out = plays(density=0.1, seed=5)
    held_out = held_out - held_out.multiply(COUNTS != 0)
    model.fit(
        COUNTS, validation=held_out, patience=1, validate_every=1, callback=keep,
        show_progress=False, **BY,
    )  # fmt: skip
    assert not model._ridges
    best = seen[model.best_iteration]
    got = {side: known.ridge.weights for side, known in model._features.items()}
    assert all(np.array_equal(got[side], best[side]) for side in best)


def test_ctrl_c_leaves_the_last_iteration():
    model = ImplicitALS(4, iterations=6, random_state=0)

    def stop(iteration, seconds, loss):
        if iteration == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(COUNTS, callback=stop, show_progress=False, **BY)
    assert len(model.history) == 4 and model.item_features is None
    model.fit(COUNTS, warm_start=True, show_progress=False, **BY)
    assert len(model.history) == 10 and model.item_features is not None


def test_single_rows_are_drawn_to_what_features_say():
    model = fitted(40, by={"user_features": USERS})
    user = 12
    before = model.user_factors[user].copy()
    model.partial_fit_users([user], rows=COUNTS[[user]])
    np.testing.assert_allclose(model.user_factors[user], before, atol=0.02)
    drawn = model.fold_in(COUNTS[[user]], user_features=USERS.transform(USERS.matrix[[user]]))
    np.testing.assert_allclose(drawn[0], model.user_factors[user], atol=1e-8)
    stranger = model.fold_in(COUNTS[[user]])
    bare = model.fold_in(COUNTS[[user]], user_features=USERS.transform(np.zeros((1, 4))))
    np.testing.assert_array_equal(stranger, bare)
    for known in (user, COUNTS.shape[0] + 1):
        score, _, parts = model.explain(known, 3, N=100)
        assert score == pytest.approx(float(model.score(known, 3)), abs=0.02)
        assert known == user or not len(parts)
    score, _, _ = model.explain(0, 3, user_items=COUNTS[[user]])
    assert score == pytest.approx(float(stranger[0] @ model.item_factors[3]))


def test_a_days_events_keep_what_features_say():
    model = fitted(20, by={"item_features": ITEMS})
    new = COUNTS.shape[1] + 2
    expected = model.item_factors[new].copy()
    day = sparse.csr_array(([1.0], ([0], [new])), shape=(COUNTS.shape[0], new + 1))
    wide = sparse.csr_array((*[day.data], day.indices, day.indptr), shape=(40, len(ITEMS)))
    model.partial_fit(wide)
    learned = model.item_factors[new]
    away = np.linalg.norm(learned - expected)
    assert 0 < away < np.linalg.norm(expected)  # of zero alone it would be farther
    assert new not in model._features["items"].rows


@pytest.mark.parametrize("bias", [False, True])
def test_a_boost_demotes_nobody(bias):
    model = fitted(8, by={"item_features": ITEMS}, bias=bias)
    everybody, N = np.arange(COUNTS.shape[0]), 35
    plain, scores = model.recommend(everybody, N=N, filter_seen=False)
    boosted, got = model.recommend(everybody, N=N, filter_seen=False, new_item_boost=3.0)
    table, wanted = np.empty(plain.shape), np.empty(plain.shape)
    np.put_along_axis(table, plain, scores, 1)
    np.put_along_axis(wanted, boosted, got, 1)
    new = model._features["items"].rows
    given = model.mean + model.user_biases[everybody, None] if bias else 0.0
    own = table[:, new] - given
    assert (own < 0).any() and (own > 0).any()
    np.testing.assert_allclose(wanted[:, new], np.where(own > 0, 3 * own, own) + given, atol=1e-9)
    assert (np.diff(got, axis=1) <= 0).all()
    short, _ = model.recommend(everybody, N=9, filter_seen=False, new_item_boost=3.0)
    assert np.array_equal(short, boosted[:, :9])


def test_without_regularization_features_have_no_weight():
    for model in (ImplicitALS(3, regularization=0), BPR(3, regularization=(0, 0, 0))):
        with pytest.raises(ValueError, match="regularization=0 gives features no weight"):
            model.fit(COUNTS, **BY)
        assert not model.history


def test_features_that_are_too_many(monkeypatch, caplog):
    wide = Features.from_csr(sparse.random_array((35, 400), density=0.2, rng=0, format="csr"))
    with caplog.at_level("WARNING", logger="recsys"):
        ImplicitALS(2, iterations=3).fit(COUNTS, item_features=wide, show_progress=False)
    assert "400 columns for 35 rows" in caplog.text
    monkeypatch.setattr("recsys.models.features.physical_memory", lambda: 100_000)
    model = ImplicitALS(2)
    with pytest.raises(MemoryError, match=r"2,800 entries in 400 columns: .* the machine has"):
        model.fit(COUNTS, item_features=wide)
    assert not model.history


def test_rows_without_entries_and_scaled_regularization_without_weight():
    """lambda_u of an empty row is 0 there, and the row is what its features say."""
    model = fitted(6, unobserved_weight=0.0, regularization_exponent=1.0, regularization=0.1)
    assert np.isfinite(model.user_factors).all() and np.isfinite(model.item_factors).all()
    known = model._features["users"]
    want = known.ridge.mean(known.matrix[[3]])
    np.testing.assert_allclose(model.user_factors[[3]], want, atol=1e-12)


def test_what_has_many_likes_is_drawn_less(monkeypatch):
    """Of pairwise steps, in the second half of the epochs and of a day's events; no biases."""
    seen = []
    monkeypatch.setattr(
        PairwiseSGD, "draw_to", lambda self, users, items: seen.append((users, items))
    )
    means = Factors(np.ones((COUNTS.shape[1], 4), np.float32), np.ones(COUNTS.shape[1]))
    likes = (COUNTS > 0).sum(axis=0)
    drawn = drawn_to(means, likes)
    np.testing.assert_allclose(drawn.factors[:, 0], 10 / (10 + likes), rtol=1e-6)
    assert drawn.biases is None and drawn_to(None, likes) is None
    model = BPR(4, epochs=4, random_state=0)
    model.fit(COUNTS, item_features=ITEMS, show_progress=False)
    assert [items is not None for _, items in seen] == [False, False, True, True]
    assert all(users is None for users, _ in seen)
    day = sparse.csr_array(([2.0, 1.0], ([3, 7], [4, 9])), model.training_matrix.shape)
    model.partial_fit(day)
    known = model._features["items"]
    liked = (model.training_matrix > 0).sum(axis=0)[:, np.newaxis]
    want = known.ridge.mean(known.matrix)[:, :4] * 10 / (10 + liked)
    np.testing.assert_allclose(seen[-1][1].factors, want, rtol=1e-4)
