"""Ids where models are trained, saved, indexed, evaluated and tuned."""

import functools

import numpy as np
import pytest
from every_model import EVERY, FACTORS, counts, in_parts, learned, make, more, trained
from in_ids import assert_lists, both, interactions, user
from scipy import sparse

import recsys
from recsys import ExplicitALS, ImplicitALS, Interactions, UnknownIdError

# ---- fit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FACTORS)
def test_a_warm_start_needs_the_same_ids(name):
    model = make(name, **in_parts(name)).fit(interactions("string"), show_progress=False)
    model.set_params(**more(name, 4)).fit(
        interactions("string"), warm_start=True, show_progress=False
    )
    whole = make(name, **more(name, 7), **in_parts(name)).fit(counts(), show_progress=False)
    assert learned(model) == learned(whole) and model.users.kind == "string"
    before = learned(model)
    for given, message in (
        (interactions("integer"), r"users holds 3 \(int\), of another kind"),
        (
            interactions("string", counts(39)),
            "without 1 of the model's 40 users, such as 'user 39'",
        ),
        (counts(), "knows ids with a matrix: pass Interactions"),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            model.fit(given, warm_start=True, show_progress=False)
    assert learned(model) == before
    by_row = trained(name).fit(interactions("string"), warm_start=True, show_progress=False)
    assert by_row.users.kind == "string"


@pytest.mark.parametrize("name", FACTORS)
def test_an_interrupted_fit_keeps_what_belongs_together(name):
    def stop(*_):
        raise KeyboardInterrupt

    model, _ = both(name, "string")
    with pytest.raises(KeyboardInterrupt):
        model.fit(interactions("integer", counts(50, 25)), callback=stop, show_progress=False)
    assert len(model.users) == len(model.user_factors) == 50 and len(model.items) == 25
    assert model.recommend(user("integer", 5), N=3)[0].dtype == np.int64
    kept = model.users
    with pytest.raises(ValueError, match="no stored entries"):
        model.fit(Interactions.from_csr(sparse.csr_array((40, 30))), show_progress=False)
    assert model.users is kept


@pytest.mark.parametrize("name", FACTORS)
def test_validation_in_other_rows(name, caplog):
    train, test = interactions("string").split("random", test_share=0.3, random_state=0)
    shuffled = test.to_frame("pandas").sample(frac=1, random_state=0)
    shuffled.loc[len(shuffled)] = ["nobody", shuffled["item"].iloc[0], 1]
    held_out = Interactions.from_frame(shuffled, value="count")
    model = make(name).fit(train, validation=held_out, show_progress=False)
    assert caplog.messages == [
        f"validation: 1 of {test.nnz + 1} entries are of unknown users or items, and left out"
    ]
    by_row = make(name).fit(train.user_items, validation=test.user_items, show_progress=False)
    assert model.history[-1].validation == pytest.approx(by_row.history[-1].validation, rel=1e-6)
    with pytest.raises(TypeError, match="validation has ids, but user_items is a matrix without"):
        make(name).fit(train.user_items, validation=test)


# ---- unknown ids -------------------------------------------------------------------------------


def test_unknown_ids():
    model, _ = both("ImplicitALS", "string")
    with pytest.raises(UnknownIdError, match="users not known: 'usr 7'; did you mean 'user 7'"):
        model.recommend(["user 3", "usr 7"])
    with pytest.raises(KeyError, match=r"filter_items holds 5 \(int\), of another kind"):
        model.recommend("user 3", filter_items=[5])
    for call in (
        lambda: model.recommend_all(items=["x"]),
        lambda: model.similar_items("x"),
        lambda: model.similar_users("user 1", among=["x"]),
        lambda: model.score("user 3", "x"),
        lambda: model.explain("x", "ítem 3"),
    ):
        with pytest.raises(UnknownIdError, match="not known: 'x'"):
            call()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'users'"):
        model.recommend()


def test_ids_that_no_longer_fit():
    model, by_row = both("ImplicitALS", "string")
    model.user_factors = by_row.user_factors[:30]
    with pytest.raises(ValueError, match=r"ids of 40 users and 30 items.* 30 x 30.*without_ids"):
        model.recommend("user 3", filter_seen=False)
    assert model.without_ids().recommend(3, filter_seen=False)[0].shape == (10,)


def test_interactions_for_a_model_without_ids():
    model = trained("ImplicitALS")
    with pytest.raises(TypeError, match=r"user_items must be .* pass user_items.user_items"):
        model.recommend(3, interactions("string"))


# ---- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_files(name, tmp_path):
    for kind in ("string", "integer"):
        model, by_row = both(name, kind)
        model.save(tmp_path / kind)
        again = recsys.load(tmp_path / kind)
        assert again.users == model.users and again.items == model.items
        assert learned(again)[0] == learned(model)[0]
        who = user(kind, [5, 39])
        assert_lists(again.recommend(who), by_row.recommend([5, 39]), model.items)
        assert (
            again.recommend(who).to_frame("pandas").equals(model.recommend(who).to_frame("pandas"))
        )
    model, _ = both(name, "object")
    with pytest.raises(TypeError, match=r"ids of type tuple cannot be written .*strings"):
        model.save(tmp_path / "objects")
    assert not (tmp_path / "objects").exists()
    model.without_ids().save(tmp_path / "objects")
    assert recsys.load(tmp_path / "objects").users is None


def test_formats(tmp_path):
    """An older recsys, which would take ids for row numbers, refuses files that have ids."""
    model, by_row = both("ImplicitALS", "string")
    for own, number in ((model, 2), (by_row, 1)):
        own.save(tmp_path / "m")
        assert recsys.serving.read_model_file(tmp_path / "m")[0]["format"] == number


@pytest.mark.parametrize("kind", ["string", "integer"])
def test_damaged_ids(kind, tmp_path):
    model, _ = both("ImplicitALS", kind)
    path = tmp_path / "m"
    model.save(path)
    header, arrays = recsys.serving.read_model_file(path)
    names = [name for name in arrays if name.startswith(("users_", "items_"))]
    assert len(names) == {"string": 4, "integer": 2}[kind]
    for name in names:
        changed = arrays[name].copy()
        changed[1] = changed[2]
        recsys.serving.write_model_file(path, header, {**arrays, name: changed})
        with pytest.raises(ValueError, match=f"is damaged: {name} is not what was saved"):
            recsys.load(path)
    fewer = model._ids._replace(users=model.users.subset(range(20)))
    for change in (
        {"ids": {**header["ids"], "names": ["user"]}},
        {"ids": {**header["ids"], "digests": {}}},
        {"ids": {**header["ids"], "digests": 3}},
    ):
        recsys.serving.write_model_file(path, {**header, **change}, arrays)
        with pytest.raises(ValueError, match="is damaged"):
            recsys.load(path)
    recsys.serving.write_model_file(path, {**header, **fewer.header()}, arrays | fewer.arrays())
    with pytest.raises(ValueError, match="is damaged: there are ids of 20 users and 30 items"):
        recsys.load(path)


# ---- what is built on models -------------------------------------------------------------------


def test_evaluation():
    whole = interactions("string")
    train, test = whole.split("random", test_share=0.3, random_state=0)
    model = make("ImplicitALS").fit(train, show_progress=False)
    by_row = make("ImplicitALS").fit(train.user_items, show_progress=False)
    evaluate = functools.partial(recsys.evaluation.evaluate, k=5, show_progress=False)
    want = evaluate(by_row, train.user_items, test.user_items).mean
    turned = Interactions.from_frame(test.to_frame("pandas")[::-1], value="count")
    for own, *parts in (
        (model, train, test),
        (model, train, turned),
        (model, train.user_items, turned),
        (model, train.user_items, test.user_items),
        (by_row, train, turned),
    ):
        assert evaluate(own, *parts).mean == want
    with pytest.raises(TypeError, match="test has ids, but train is a matrix without"):
        evaluate(by_row, train.user_items, test)
    parts = whole.split("user", held_out=10, random_state=0)
    model.fit(parts.train, show_progress=False)
    by_row.fit(parts.train.user_items, show_progress=False)
    fold_in = {"options": {"fold_in": True}}
    matrices = (parts.fold_in.user_items, parts.test.user_items)
    want = evaluate(by_row, *matrices, **fold_in).mean
    assert evaluate(model, parts.fold_in, parts.test, **fold_in).mean == want
    others = [
        Interactions.from_frame(part.to_frame(), value="count")
        for part in (parts.fold_in, parts.test)
    ]
    assert evaluate(model, *others, **fold_in).mean == pytest.approx(want)


def test_an_index():
    pytest.importorskip("faiss")
    model, by_row = both("ImplicitALS", "string")
    index = recsys.serving.AnnIndex.build(model)
    rows = recsys.serving.AnnIndex.build(by_row)
    got = index.recommend(["user 3", "user 5"], N=4)
    assert_lists(got, rows.recommend([3, 5], N=4), model.items)
    assert index.users is model.users and index.items is model.items
    assert index.without_ids().recommend(3)[0].dtype == np.int32
    evaluation = recsys.evaluation.evaluate(
        index, counts(), interactions("string", counts(seed=4)), allow_overlap=True, k=5
    )
    assert 0 <= evaluation.mean["ndcg@5"] <= 1


def test_tuning():
    pytest.importorskip("optuna")
    train, validation = interactions("string").split("random", test_share=0.3, random_state=0)
    how = {"trials": 2, "fixed": {"factors": 3, "iterations": 2}, "show_progress": False}
    found = recsys.tuning.tune(ImplicitALS, train, validation, **how)
    rows = recsys.tuning.tune(ImplicitALS, train.user_items, validation.user_items, **how)
    assert found.best_params == rows.best_params and learned(found.model) == learned(rows.model)
    assert found.model.users is train.users
    found = recsys.tuning.tune(ExplicitALS, train, validation, **how)
    assert found.model.recommend("user 3").to_frame("pandas")["user"].tolist() == ["user 3"] * 10
