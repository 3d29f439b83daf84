import sys

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys import ImplicitALS
from recsys.datasets import lastfm360k_twin
from recsys.models import files as file_module
from recsys.serving import AnnIndex, digest, write_model_file
from recsys.serving.ann_backends import BACKENDS

ALL = 100_000  # points in view: every one of the small catalogues here


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    module = {"faiss": "faiss", "usearch": "usearch.index"}[request.param]
    pytest.importorskip(module, reason=f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def trained():
    """On data like lastfm-360K, some 5,800 items."""
    data = lastfm360k_twin(0.02)
    return ImplicitALS(32, iterations=3, random_state=0).fit(data.user_items, show_progress=False)


@pytest.fixture(scope="module")
def indexes(trained, backend):
    return {kind: AnnIndex.build(trained, backend, kind) for kind in ("recommend", "similar")}


def random_model(n_users=50, n_items=400, factors=8, dtype=np.float32, density=0.05):
    rng = np.random.default_rng(5)
    model = ImplicitALS(factors, dtype=dtype, iterations=0, random_state=0)
    model.fit(
        sparse.random_array((n_users, n_items), density=density, rng=rng, format="csr"),
        show_progress=False,
    )
    model.user_factors = rng.standard_normal((n_users, factors))
    model.item_factors = rng.standard_normal((n_items, factors)) * rng.gamma(2, size=(n_items, 1))
    return model


def exhaustive(model, backend, kind):
    return AnnIndex.build(
        model, backend, kind, connectivity=32, expansion_build=1000, expansion_search=ALL
    )


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[0].dtype == expected[0].dtype and found[1].dtype == expected[1].dtype
    tolerance = 50 * float(np.finfo(expected[1].dtype).eps)
    np.testing.assert_allclose(found[1], expected[1], rtol=tolerance, atol=tolerance)


def recall(found, expected):
    pairs = zip(found, expected, strict=True)
    return np.mean([len(np.intersect1d(one, other)) / len(other) for one, other in pairs])


def test_recall_on_a_realistic_matrix(trained, indexes):
    users, items = np.arange(1500), np.arange(0, 5000, 4)
    expected = trained.recommend(users)
    ids, scores = indexes["recommend"].recommend(users)
    assert recall(ids, expected[0]) > 0.95
    # what was found is scored and ordered as the model does it
    np.testing.assert_allclose(scores, trained.score(users[:, None], ids), rtol=1e-4, atol=1e-6)
    assert (np.diff(scores) <= 0).all()
    seen = trained.recommend(users, filter_seen=False)[0]
    assert recall(indexes["recommend"].recommend(users, filter_seen=False)[0], seen) > 0.9
    ids, cosines = indexes["similar"].similar_items(items)
    assert recall(ids, trained.similar_items(items)[0]) > 0.9
    np.testing.assert_array_equal(ids[:, 0], items)
    assert cosines.max() <= 1


def test_the_graph_answers(trained, indexes, monkeypatch):
    # ... and not the exact method, which would pass every other test here
    def refuse(*args, **options):
        raise AssertionError("the exact kernel was called")

    monkeypatch.setattr("recsys.serving.ann_index.kernels.topk", refuse)
    monkeypatch.setattr(type(trained), "_topk", staticmethod(refuse))
    few = np.flatnonzero(np.diff(trained.training_matrix.indptr) < 60)[:100]
    assert (indexes["recommend"].recommend(few)[0] >= 0).all()
    assert (indexes["similar"].similar_items(few, filter_items=[0, 1])[0] > 1).all()


def test_more_in_view_finds_more(trained, indexes):
    items = np.arange(600)
    expected, index = trained.similar_items(items)[0], indexes["similar"]
    before = index.expansion_search
    found = []
    for index.expansion_search in (1, 300):
        found.append(recall(index.similar_items(items)[0], expected))
    index.expansion_search = before
    assert found[0] < found[1] and found[1] > 0.97


@pytest.mark.parametrize("num_threads", [1, 2])
def test_exact_lists_with_all_in_view(backend, dtype, num_threads):
    model = random_model(dtype=dtype)
    index, near = exhaustive(model, backend, "recommend"), exhaustive(model, backend, "similar")
    index.num_threads = near.num_threads = num_threads
    users, items = np.arange(50), np.arange(400)
    for options in (
        {},
        {"N": 1},
        {"N": 37},
        {"filter_seen": False},
        {"filter_items": [3, 5, 399]},
        {"filter_items": np.arange(0, 400, 2)},
        {"items": [5, 9, 11, 200]},
        {"items": [5, 9, 11, 200], "filter_items": 9},
    ):
        assert_same(index.recommend(users, **options), model.recommend(users, **options))
        assert_same(index.recommend(7, **options), model.recommend(7, **options))
    for options in ({}, {"N": 30}, {"filter_items": [0, 8]}, {"among": [4, 5, 6]}):
        assert_same(near.similar_items(items, **options), model.similar_items(items, **options))
        assert_same(near.similar_items(8, **options), model.similar_items(8, **options))


def test_other_rows_and_folding_in(backend):
    model = random_model()
    index = exhaustive(model, backend, "recommend")
    rng = np.random.default_rng(1)
    others = sparse.random_array((50, 400), density=0.1, rng=rng, format="csr")
    users = np.array([4, 1, 30])
    for options in ({}, {"fold_in": True}, {"filter_seen": False, "fold_in": True}):
        assert_same(
            index.recommend(users, others, **options), model.recommend(users, others, **options)
        )
    assert_same(
        index.recommend([0, 1], others[[7, 8]], fold_in=True),
        model.recommend([0, 1], others[[7, 8]], fold_in=True),
    )
    assert index.recommend([])[0].shape == (0, 10)


def test_long_lists_and_padding(backend):
    model = random_model(n_items=30, density=0.4)
    index, near = exhaustive(model, backend, "recommend"), exhaustive(model, backend, "similar")
    users = np.arange(50)
    for n in (10, 30, 45):
        assert_same(index.recommend(users, N=n), model.recommend(users, N=n))
        assert_same(near.similar_items(users % 30, N=n), model.similar_items(users % 30, N=n))
    ids, scores = index.recommend(users, N=45)
    assert (ids[:, 30:] == -1).all() and (scores[:, 30:] == -np.inf).all()
    everything = np.arange(30)
    assert (index.recommend(3, filter_items=everything)[0] == -1).all()


def test_too_few_candidates_are_made_up_for(trained, indexes):
    # The best hundreds of items left out: what the graph finds first is all of no use.
    popular = np.argsort(-np.linalg.norm(trained.item_factors, axis=1))[:500]
    users = np.arange(40)
    ids = indexes["recommend"].recommend(users, filter_items=popular)[0]
    assert (ids >= 0).all() and not np.isin(ids, popular).any()
    favourites = trained.recommend(3, N=400)[0]
    assert_same(
        indexes["recommend"].recommend(3, filter_items=favourites),
        trained.recommend(3, filter_items=favourites),
    )


def test_seen_items_stay_out(trained, indexes):
    users = np.arange(1000)
    ids = indexes["recommend"].recommend(users, N=20)[0]
    seen = trained.training_matrix
    assert not any(np.isin(seen.indices[seen.indptr[u] : seen.indptr[u + 1]], ids[u]).any()
                   for u in users)  # fmt: skip


@pytest.mark.parametrize("size", [1e-30, 1, 1e15])
def test_rows_of_zeros_and_any_size(backend, size):
    model = random_model(dtype=np.float64)
    users, items = model.user_factors * size, model.item_factors * size
    users[[0, 9]] = 0
    items[[0, 7, 350]] = 0
    model.user_factors, model.item_factors = users, items
    index, near = exhaustive(model, backend, "recommend"), exhaustive(model, backend, "similar")
    found, expected = (one.recommend(np.arange(50)) for one in (index, model))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10)
    rows = np.array([0, 7, 8, 399])
    assert_same(near.similar_items(rows), model.similar_items(rows))


def test_nothing_but_zeros_and_one_item(backend):
    model = ImplicitALS(2)
    model.user_factors, model.item_factors = np.zeros((3, 2)), np.zeros((20, 2))
    index, near = (AnnIndex.build(model, backend, kind) for kind in ("recommend", "similar"))
    options = {"filter_seen": False, "N": 3}
    assert_same(index.recommend([0, 1], **options), model.recommend([0, 1], **options))
    assert_same(near.similar_items(4, 3), model.similar_items(4, 3))
    model.user_factors = np.ones((3, 2))
    assert (index.recommend(0, **options)[1] == 0).all()
    model.item_factors = np.ones((1, 2))
    index = AnnIndex.build(model, backend)
    assert_same(index.recommend([0, 1], **options), model.recommend([0, 1], **options))


def test_a_loaded_index_is_the_index(trained, indexes, tmp_path):
    users = np.arange(300)
    trained.save(tmp_path / "model")
    again = recsys.load(tmp_path / "model")
    for kind, index in indexes.items():
        path = tmp_path / kind
        index.expansion_search = 50
        index.save(path)
        loaded = AnnIndex.load(str(path), again)
        assert repr(loaded) == repr(index) and "5,8" in repr(index)
        method = "recommend" if kind == "recommend" else "similar_items"
        for one, other in zip(
            getattr(loaded, method)(users), getattr(index, method)(users), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        loaded.save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "recommend", "similar"]
    with pytest.raises(FileNotFoundError):
        index.save(tmp_path / "nowhere" / "m")


def test_files_that_are_no_indexes(backend, tmp_path, monkeypatch):
    model = random_model()
    path = tmp_path / "m"
    with pytest.raises(FileNotFoundError):
        AnnIndex.load(path, model)
    model.save(path)
    with pytest.raises(ValueError, match="holds a 'ImplicitALS', expected an AnnIndex"):
        AnnIndex.load(path, model)
    index = AnnIndex.build(model, backend)
    index.save(path)
    with pytest.raises(ValueError, match="'AnnIndex', which this recsys does not have"):
        recsys.load(path)
    whole = path.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="truncated, or of another kind"):
            AnnIndex.load(path, model)
    path.write_bytes(whole[:-100] + bytes(255 - byte for byte in whole[-100:]))
    with pytest.raises(ValueError, match="damaged"):
        AnnIndex.load(path, model)
    monkeypatch.setattr(file_module, "WITHOUT_IDS", 4)
    index.save(path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="upgrade recsys-engine"):
        AnnIndex.load(path, model)


def test_other_backends_in_a_file(backend, tmp_path):
    model = random_model()
    header = {
        "class": "AnnIndex",
        "backend": "abacus",
        "kind": "similar",
        "expansion_search": 5,
        "item_factors": digest(model.item_factors),
        "graph": digest(np.arange(99, dtype=np.uint8)),
    }
    arrays = {"graph": np.arange(99, dtype=np.uint8)}
    write_model_file(tmp_path / "m", header, arrays)
    with pytest.raises(ValueError, match="backend 'abacus'; this recsys has"):
        AnnIndex.load(tmp_path / "m", model)
    write_model_file(tmp_path / "m", header | {"backend": backend}, arrays)
    with pytest.raises(ValueError, match=f"cannot be read by the {backend} installed"):
        AnnIndex.load(tmp_path / "m", model)


def test_factors_that_changed(backend, tmp_path):
    model = random_model()
    index, near = AnnIndex.build(model, backend), AnnIndex.build(model, backend, "similar")
    index.save(tmp_path / "m")
    AnnIndex.load(tmp_path / "m", model).recommend(0)
    model.user_factors = 2 * model.user_factors  # of no concern
    assert_same(index.recommend(0, N=1, items=[1]), model.recommend(0, N=1, items=[1]))
    model.item_factors = model.item_factors + 1
    for call in (
        lambda: index.recommend(0),
        lambda: index.recommend(0, items=[1]),
        lambda: near.similar_items(0),
        lambda: index.save(tmp_path / "n"),
        lambda: AnnIndex.load(tmp_path / "m", model),
    ):
        with pytest.raises(ValueError, match=r"rebuild it with AnnIndex.build"):
            call()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_biases_of_items_are_those_built_on(backend):
    counts = sparse.random_array((300, 200), density=0.1, rng=0, format="csr")
    model = ImplicitALS(8, bias=True, iterations=2, random_state=0).fit(counts, show_progress=False)
    index = AnnIndex.build(model, backend)
    model.user_factors = 2 * model.user_factors
    assert_same(index.recommend(0, N=1, items=[1]), model.recommend(0, N=1, items=[1]))
    model.partial_fit_users(300, counts[[5]])
    assert (index.recommend(300, N=3)[0] >= 0).all()
    model.partial_fit_items(3, events=sparse.csr_array((np.ones(1), ([0], [7])), shape=(1, 301)))
    with pytest.raises(ValueError, match=r"rebuild it with AnnIndex.build"):
        index.recommend(0)


def test_arguments_that_make_no_sense(backend):
    model = random_model()
    for error, match, options in (
        (ValueError, "unknown backend 'fais'.*did you mean 'faiss'", {"backend": "fais"}),
        (ValueError, "unknown kind 'cosine'", {"kind": "cosine"}),
        (ValueError, "connectivity must be at least 2", {"connectivity": 1}),
        (TypeError, "expansion_build must be an integer", {"expansion_build": 1.5}),
        (ValueError, "expansion_search must be at least 1", {"expansion_search": 0}),
        (ValueError, "num_threads must be 0", {"num_threads": -1}),
    ):
        with pytest.raises(error, match=match):
            AnnIndex.build(model, **{"backend": backend, **options})
    with pytest.raises(recsys.NotFittedError, match="no item_factors yet"):
        AnnIndex.build(ImplicitALS(), backend)
    with pytest.raises(TypeError, match=r"must be a fitted model .* got numpy.ndarray"):
        AnnIndex.build(np.ones((3, 2)), backend)
    index, near = AnnIndex.build(model, backend), AnnIndex.build(model, backend, "similar")
    with pytest.raises(ValueError, match="similar_items needs an index of kind='similar'"):
        index.similar_items(0)
    with pytest.raises(ValueError, match="recommend needs an index of kind='recommend'"):
        near.recommend(0)
    index.expansion_search = "many"
    with pytest.raises(TypeError, match="expansion_search must be an integer"):
        index.recommend(0)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.recommend(50),
        lambda it: it.recommend("me"),
        lambda it: it.recommend(0, N=0),
        lambda it: it.recommend(0, filter_items=400),
        lambda it: it.recommend(0, sparse.csr_array((3, 3), dtype=np.float32)),
        lambda it: it.recommend(0, fold_in=True),
    ],
)
def test_errors_are_those_of_the_model(call):
    pytest.importorskip("faiss", reason="faiss is not installed")
    model = random_model()
    with pytest.raises((IndexError, TypeError, ValueError)) as expected:
        call(model)
    with pytest.raises(expected.type) as found:
        call(AnnIndex.build(model))
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(("backend", "extra"), [("faiss", "ann"), ("usearch", "usearch")])
def test_a_missing_library(backend, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(ImportError, match=rf"pip install 'recsys-engine\[{extra}\]'"):
        AnnIndex.build(random_model(), backend)


def test_strangers_are_answered_as_by_the_model(backend):
    model = random_model()
    data = recsys.Interactions.from_csr(
        model.training_matrix, [f"u{n}" for n in range(50)], [f"i{n}" for n in range(400)]
    )
    model.fit(data, show_progress=False)
    kinds = {kind: exhaustive(model, backend, kind) for kind in ("recommend", "similar")}
    for word in ("skip", "popular"):
        for index, method, names in (
            (kinds["recommend"], "recommend", ["u3", "eve", "u4"]),
            (kinds["similar"], "similar_items", ["i3", "x", "i4"]),
        ):
            found = getattr(index, method)(names, N=5, unknown=word)
            expected = getattr(model, method)(names, N=5, unknown=word)
            assert_same(found, expected)
            assert found.unknown.tolist() == [False, True, False]
    with pytest.raises(KeyError, match="users not known: 'eve'"):
        kinds["recommend"].recommend("eve")
    with pytest.raises(ValueError, match="unknown word for unknown= 'leave'"):
        kinds["recommend"].recommend("eve", unknown="leave")


def test_new_items_that_are_boosted(backend):
    """All of them are looked at, whatever the graph proposes, and the model's answers are given."""
    rng = np.random.default_rng(0)
    seen = sparse.random_array((60, 300), density=0.05, rng=rng, format="csr")
    model = ImplicitALS(8, iterations=3, random_state=0, bias=True)
    tags = recsys.Features.from_csr(rng.random((340, 12)))
    model.fit(seen, item_features=tags, show_progress=False)
    index = exhaustive(model, backend, "recommend")
    users = np.arange(60)
    for options in (
        {"new_item_boost": 3.0},
        {"new_item_boost": 1.5, "filter_items": [1, 310], "filter_seen": False},
        {"among": np.arange(290, 340), "new_item_boost": 2.0},
        {"among": np.arange(290, 340)},
    ):
        found, expected = (by.recommend(users, N=12, **options) for by in (index, model))
        assert_same(found, expected)
    plain, _ = index.recommend(users, N=12)
    boosted, _ = index.recommend(users, N=12, new_item_boost=1e3)
    assert (boosted >= 300).sum() > (plain >= 300).sum()
    with pytest.raises(ValueError, match="the model knows none"):
        exhaustive(random_model(), backend, "recommend").recommend(0, new_item_boost=2.0)
