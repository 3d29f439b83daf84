"""Models sent to other processes, as joblib, Dask and Ray send them."""

import copy
import pickle

import cloudpickle
import every_model
import joblib
import numpy as np
import pytest
from every_model import EVERY, FACTORS, counts, learned, trained

import recsys
from recsys import ItemNeighbors

every = pytest.mark.parametrize("name", EVERY)
NEWCOMERS = counts(25, 30, seed=4)


def use(model):
    """Everything a model answers, as one list of arrays."""
    rows = np.arange(25)
    answers = [
        *model.recommend(rows, N=7),
        *model.recommend(rows, filter_seen=False, items=[1, 2, 5, 7]),
        *model.recommend(rows, NEWCOMERS, fold_in=True),
        *model.similar_items(rows, N=4),
        model.score(rows, rows),
    ]
    if hasattr(model, "predict"):
        answers.append(model.predict(rows, rows, clip=True))
    return answers


def out_of_band(model):
    """As Dask and Ray do: arrays apart, and at the other end in memory nobody may write to."""
    buffers = []
    whole = cloudpickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(whole, buffers=[bytes(buffer.raw()) for buffer in buffers])


def mapped(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib", mmap_mode="r")


@every
def test_a_model_answers_the_same_at_the_other_end(name, tmp_path):
    model = trained(name)
    want = use(model)
    for twin in (
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        out_of_band(model),
        mapped(model, tmp_path),
    ):
        assert repr(twin) == repr(model) and twin.history == model.history
        for one, other in zip(use(twin), want, strict=True):
            np.testing.assert_array_equal(one, other)
        assert learned(twin) == learned(model)


@every
def test_what_came_read_only_can_be_trained_and_saved(name, tmp_path):
    for ship in (out_of_band, lambda model: mapped(model, tmp_path)):
        twin, model = ship(trained(name)), trained(name)
        twin.save(tmp_path / "model")
        assert learned(recsys.load(tmp_path / "model")) == learned(model)
        if hasattr(model, "partial_fit_users"):
            for each in (twin, model):
                each.partial_fit_users(np.arange(25), events=NEWCOMERS)
        again = {"warm_start": True} if name in FACTORS else {}
        for each in (twin, model):
            each.fit(counts(), show_progress=False, **again)
        assert learned(twin) == learned(model)


def test_a_model_with_ids_answers_the_same_at_the_other_end(tmp_path):
    users = [f"user {n}" for n in range(40)]
    data = recsys.Interactions.from_csr(counts(), users=users)
    model = every_model.fitted("ImplicitALS", data)
    want = model.recommend(users[:9], N=5)
    for twin in (pickle.loads(pickle.dumps(model)), out_of_band(model), mapped(model, tmp_path)):
        for one, other in zip(twin.recommend(users[:9], N=5), want, strict=True):
            np.testing.assert_array_equal(one, other)
        assert twin.users == model.users and twin.items == model.items


@every
def test_what_was_prepared_stays_at_home(name):
    model = trained(name)
    before = len(pickle.dumps(model))
    use(model)
    assert len(pickle.dumps(model)) == before


@every
def test_a_loaded_model_is_shipped_by_value_and_outlives_its_file(name, tmp_path):
    path, model = tmp_path / "model", trained(name)
    model.save(path)
    loaded, want = recsys.load(path), use(model)
    assert len(pickle.dumps(loaded)) <= len(pickle.dumps(model)) + 1000
    every_model.fitted(name, counts(35, 25)).save(path)  # in its place
    twins = joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(use)(loaded) for _ in "ab"
    )
    for found in (*twins, use(out_of_band(loaded)), use(loaded)):
        for one, other in zip(found, want, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("loaded", [False, True])
def test_processes_of_joblib(loaded, tmp_path):
    """All arrays go by way of files that workers map: max_nbytes is 1."""
    models = [trained(name) for name in ("ImplicitALS bias", "BPR weighted", "ItemNeighbors")]
    want = [each.recommend(np.arange(25), NEWCOMERS, fold_in=True) for each in models]
    if loaded:
        for number, model in enumerate(models):
            model.save(tmp_path / str(number))
        models = [recsys.load(tmp_path / str(number)) for number in range(len(models))]
        ItemNeighbors().fit(counts()).save(tmp_path / "0")
    parallel = joblib.Parallel(n_jobs=2, max_nbytes=1)
    rows = np.arange(25)
    found = parallel(
        joblib.delayed(each.recommend)(rows, NEWCOMERS, fold_in=True) for each in models
    )
    for one, other in zip(found, want, strict=True):
        np.testing.assert_array_equal(one, other)
