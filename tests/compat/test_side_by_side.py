"""implicit itself and what takes its place: the same program, the same answers."""

import importlib
import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.compat import implicit as ours
from recsys.datasets import lastfm360k_twin

theirs = pytest.importorskip("implicit", reason="implicit is not installed: pip install implicit")


@pytest.fixture(autouse=True)
def one_blas_thread():
    """implicit warns of more, and BLAS runs into its threads."""
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def plays():
    """Some 1,400 listeners of 1,200 artists, made up: there is nothing to be downloaded first."""
    made_up = lastfm360k_twin(0.004).user_items
    return sparse.csr_matrix(made_up, dtype=np.float32, copy=True)  # implicit writes to it


@pytest.fixture
def real_plays(data_folder):
    """To tell how good models are."""
    with np.load(data_folder / "lastfm-2k.npz") as file:
        parts = file["plays"].astype(np.float32), file["indices"], file["indptr"]
        return sparse.csr_matrix(parts, shape=tuple(file["shape"]))


MODULES = ["als", "bpr", "lmf", "cpu.als", "cpu.bpr", "cpu.lmf", "utils", "recommender_base",
           "cpu.matrix_factorization_base", "cpu.topk", "gpu", "gpu.als", "gpu.bpr", "cpu",
           "nearest_neighbours", "approximate_als", "evaluation", "cpu._als"]  # fmt: skip


# parts of models with other steps
MISSING = {"RNGVector", "bpr_update", "lmf_update"}


def public(module):
    """What a module defines."""
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__
        if callable(value) and own and not name.startswith("_") and name not in MISSING:
            yield name, value


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", MODULES)
def test_names_and_signatures(name):
    our, their = (importlib.import_module(f"{m.__name__}.{name}") for m in (ours, theirs))
    for entry, value in public(their):
        if name.startswith("gpu") and not inspect.isclass(value):
            continue
        assert hasattr(our, entry), f"{name}.{entry}"
        assert inspect.isclass(getattr(our, entry)) == inspect.isclass(value), f"{name}.{entry}"
        if inspect.isclass(value) and not name.startswith("gpu"):
            missing = {of for of in dir(value) if of[0] != "_"} - set(dir(getattr(our, entry)))
            assert not missing, f"{name}.{entry} lacks {missing}"
        try:
            wanted = parameters(value)
        except ValueError:  # compiled, without a signature
            continue
        assert parameters(getattr(our, entry)) == wanted, f"{name}.{entry}"
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    mine = getattr(getattr(our, entry), method, None)
                    if mine is not None and not name.startswith("gpu"):
                        assert parameters(mine) == parameters(function), f"{entry}.{method}"


def test_a_models_class_and_attributes():
    """What programs look at: the class, and settings and state by their names."""
    made = {
        "als": "AlternatingLeastSquares",
        "bpr": "BayesianPersonalizedRanking",
        "lmf": "LogisticMatrixFactorization",
    }
    for module, name in made.items():
        models = []
        for package in (ours, theirs):
            model = getattr(getattr(package, module), name)()
            assert type(model) is getattr(getattr(package.cpu, module), name)
            models.append(vars(model))
        assert models[0] == models[1]
    for name in ("ItemItemRecommender", "BM25Recommender"):
        mine, implicits = (getattr(m.nearest_neighbours, name)() for m in (ours, theirs))
        for attribute, value in vars(implicits).items():
            assert getattr(mine, attribute) == value


@pytest.mark.parametrize("kind", ["bpr.BayesianPersonalizedRanking",
                                  "lmf.LogisticMatrixFactorization"])  # fmt: skip
def test_factors_of_any_width_that_is_taken_there(plays, kind):
    """Assigned before fit, as wide as `factors`: what comes out has that shape in both."""
    shapes, ones = [], []
    for package in (ours, theirs):
        module, name = kind.split(".")
        model = getattr(getattr(package, module), name)(6, iterations=2, random_state=0)
        rng = np.random.default_rng(0)
        for side, count in zip(("user_factors", "item_factors"), plays.shape, strict=True):
            factors = rng.random((count, 6), dtype=np.float32) - 0.5
            setattr(model, side, factors)
        if module == "bpr":
            model.user_factors[:, -1] = 1
        model.fit(plays, show_progress=False)
        shapes.append((model.user_factors.shape, model.item_factors.shape))
        ones.append([(factors == 1).all(0) for factors in (model.user_factors, model.item_factors)])
    assert shapes[0] == shapes[1] == tuple((count, 6) for count in plays.shape)
    np.testing.assert_array_equal(*(np.concatenate(columns) for columns in ones))


def both(**options):
    return [m.als.AlternatingLeastSquares(random_state=3, **options) for m in (ours, theirs)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exact_solver_gives_the_same_factors_and_lists(plays, dtype):
    models = both(factors=32, regularization=10.0, alpha=0.01, use_cg=False, iterations=5,
                  dtype=dtype, calculate_training_loss=True)  # fmt: skip
    users, found, losses = np.arange(plays.shape[0]), [], []
    for model in models:
        seen = []
        model.fit(plays, show_progress=False, callback=lambda *event, seen=seen: seen.append(event))
        losses.append([loss for _, _, loss in seen])
        assert [iteration for iteration, _, _ in seen] == list(range(5))
        found.append(model.recommend(users, plays, N=10))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for side in ("user_factors", "item_factors"):  # in the same axes, too
        one, other = (getattr(model, side) for model in models)
        tolerance = 2e-3 if dtype is np.float32 else 1e-6
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max())
    same = (np.sort(found[0][0]) == np.sort(found[1][0])).all(axis=1)
    assert same.mean() >= 0.99
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
    recalculated = [model.recalculate_user(users, plays) for model in models]
    tables = [r @ m.item_factors.T for r, m in zip(recalculated, models, strict=True)]
    np.testing.assert_allclose(tables[0], tables[1], atol=2e-2 if dtype is np.float32 else 1e-4)
    parts = [model.explain(7, plays, 11)[:2] for model in models]
    assert parts[0][0] == pytest.approx(parts[1][0], rel=1e-2, abs=1e-4)


def test_conjugate_gradient_is_as_good(plays):
    models = both(factors=32, regularization=10.0, alpha=0.01, iterations=10)
    losses = []
    for model in models:
        model.fit(plays, show_progress=False)
        losses.append(
            theirs.cpu.als.calculate_loss(
                0.01 * plays, model.user_factors, model.item_factors, 10.0, 1
            )
        )
    assert losses[0] <= losses[1] * 1.001


@pytest.mark.parametrize("given", ["users", "items"])
def test_lists_from_the_same_factors(plays, given):
    models = both(factors=8, iterations=2)
    models[1].fit(plays, show_progress=False)
    models[0].user_factors = models[1].user_factors.copy()
    models[0].item_factors = models[1].item_factors.copy()
    some = np.array([5, 3, 900])
    calls = {
        "users": [
            lambda m: m.recommend(some, plays[some], N=20),
            lambda m: m.recommend(5, plays[5]),
            lambda m: m.recommend(some, plays[some], filter_items=[1, 2, 3]),
            lambda m: m.recommend(some, plays[some], items=[9, 4, 77, 1000]),
            lambda m: m.recommend(some, None, filter_already_liked_items=False),
            lambda m: m.similar_users(some),
        ],
        "items": [
            lambda m: m.similar_items(some, N=15),
            lambda m: m.similar_items(5),
            lambda m: m.similar_items(some, filter_items=[3, 8]),
            lambda m: m.similar_items(some, N=4, items=[9, 4, 77, 1000]),
        ],
    }
    for call in calls[given]:
        (ids, scores), (their_ids, their_scores) = (call(model) for model in models)
        assert ids.dtype == their_ids.dtype and scores.dtype == their_scores.dtype
        np.testing.assert_allclose(scores, their_scores, rtol=2e-4, atol=1e-5)
        assert (ids == their_ids).mean() > 0.95  # what is nearly equal may change places


def test_files_go_both_ways(plays, tmp_path):
    models = both(factors=8, iterations=2, alpha=2.0)
    for model, other in (models, models[::-1]):
        model.fit(plays, show_progress=False)
        model.save(str(tmp_path / "model.npz"))
        again = type(other).load(str(tmp_path / "model.npz"))
        np.testing.assert_array_equal(again.item_factors, model.item_factors)
        for name in ("factors", "regularization", "alpha", "iterations", "dtype", "use_cg"):
            assert getattr(again, name) == getattr(model, name), name


def test_logistic_factorization_finds_more_of_what_is_liked(real_plays, tmp_path):
    """By implicit's own split and measure, at its defaults; and files go both ways."""
    binary = sparse.csr_matrix(real_plays != 0).astype(np.float32)
    evaluation = importlib.import_module("implicit.evaluation")
    train, test = evaluation.train_test_split(binary, random_state=0)
    found = []
    for module, other in ((ours, theirs), (theirs, ours)):
        model = module.lmf.LogisticMatrixFactorization(random_state=0)
        model.fit(train, show_progress=False)
        assert model.user_factors.shape == (real_plays.shape[0], 32)
        measured = evaluation.ranking_metrics_at_k(model, train, test, K=20, show_progress=False)
        found.append(measured["ndcg"])
        model.save(str(tmp_path / "model.npz"))
        again = other.cpu.lmf.LogisticMatrixFactorization.load(str(tmp_path / "model.npz"))
        np.testing.assert_array_equal(again.user_factors, model.user_factors)
        assert again.neg_prop == 30 and again.learning_rate == 1.0
    assert found[0] > found[1] > 0.1


def test_pairwise_ranking_ranks_as_well(real_plays, tmp_path):
    """By implicit's own split and measure, at the same settings; and files go both ways."""
    evaluation = importlib.import_module("implicit.evaluation")
    found = []
    for seed in range(2):
        train, test = evaluation.train_test_split(real_plays, random_state=seed)
        for module, other in ((ours, theirs), (theirs, ours)):
            model = module.bpr.BayesianPersonalizedRanking(
                32, 0.05, iterations=50, num_threads=1, random_state=seed
            )
            model.fit(train, show_progress=False)
            measured = evaluation.ranking_metrics_at_k(model, train, test, 20, show_progress=False)
            found.append(measured["ndcg"])
            model.save(str(tmp_path / "model.npz"))
            again = other.cpu.bpr.BayesianPersonalizedRanking.load(str(tmp_path / "model.npz"))
            np.testing.assert_array_equal(again.user_factors, model.user_factors)
            np.testing.assert_array_equal(again.item_factors, model.item_factors)
            assert again.verify_negative_samples is True and again.learning_rate == 0.05
            lists = (m.recommend(3, train[3], N=20)[1] for m in (model, again))
            np.testing.assert_allclose(*lists, rtol=1e-4)
    assert sum(found[::2]) > sum(found[1::2]) > 0.2


def test_pairwise_ranking_starts_where_implicit_does(plays):
    started = []
    for module in (ours, theirs):
        model = module.bpr.BayesianPersonalizedRanking(8, iterations=0, random_state=7)
        model.fit(plays, show_progress=False)
        started.append((model.user_factors, model.item_factors))
    for mine, implicits in zip(*started, strict=True):
        np.testing.assert_array_equal(mine, implicits)


def test_ways_out_of_the_library_are_the_same(plays):
    for model in both(factors=4, iterations=1):
        model.fit(plays, show_progress=False)
        with pytest.raises(ValueError, match="user_items needs to be a CSR sparse matrix"):
            model.recommend(0, plays.tocsc())
        with pytest.raises(ValueError, match="user_items must contain 1 row for every user"):
            model.recommend(0, plays)
        with pytest.raises(IndexError):
            model.recommend(plays.shape[0], plays[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="1 row for every user in userids"):
                model.partial_fit_users([1, 2], plays[:1])


def test_pickles_of_implicit_are_read_where_its_name_is_bound(plays, tmp_path):
    kept = {}
    for module, name in (
        ("als", "AlternatingLeastSquares"),
        ("bpr", "BayesianPersonalizedRanking"),
        ("nearest_neighbours", "TFIDFRecommender"),
    ):
        model = getattr(getattr(theirs, module), name)()
        model.iterations = 1
        with warnings.catch_warnings(action="ignore"):
            model.fit(plays, show_progress=False)
        kept[name] = model, plays[3], model.recommend(3, plays[3], N=5)[1]
    (tmp_path / "kept.pickle").write_bytes(pickle.dumps(kept))
    (tmp_path / "program.py").write_text(
        "import pickle, numpy as np\n"
        "for model, row, scores in pickle.load(open('kept.pickle', 'rb')).values():\n"
        "    assert type(model).__module__.startswith('recsys.compat.implicit')\n"
        "    np.testing.assert_allclose(model.recommend(3, row, N=5)[1], scores, rtol=1e-4)\n"
    )
    command = [sys.executable, "-m", "recsys.compat.implicit", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
