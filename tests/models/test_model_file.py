import json
import os
import sys

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys import ImplicitALS, csr
from recsys.csr import TrainingMatrix
from recsys.models import files as module
from recsys.models.files import read_model_file, write_model_file


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    counts = sparse.random_array((40, 30), density=0.2, rng=rng, format="csr", dtype=np.float64)
    return ImplicitALS(6, iterations=2, random_state=np.int64(3), dtype=np.float64, alpha=4).fit(
        counts, show_progress=False
    )


def test_a_loaded_model_is_the_model(model, tmp_path):
    path = tmp_path / "als.model"
    model.save(path)
    again = recsys.load(path)
    assert type(again) is ImplicitALS and again.get_params() == model.get_params()
    assert again.history == model.history
    users = np.arange(40)
    for one, other in zip(model.recommend(users), again.recommend(users), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.explain(3, 4)[0] == model.explain(3, 4)[0]
    if sys.platform != "win32":  # which has no replacing of a file that is mapped
        again.save(path)  # over the file its arrays are mapped from
    np.testing.assert_array_equal(recsys.load(str(path)).item_factors, model.item_factors)
    assert [p.name for p in tmp_path.iterdir()] == ["als.model"]


def test_a_model_with_given_factors_has_nothing_seen(tmp_path):
    model = ImplicitALS(2)
    model.user_factors, model.item_factors = np.ones((3, 2)), np.ones((4, 2))
    model.save(tmp_path / "m")
    again = recsys.load(tmp_path / "m")
    assert again.recommend(0, filter_seen=False)[0][0] == 3
    with pytest.raises(recsys.NotFittedError, match="seen items are unknown"):
        again.recommend(0)


def test_a_file_that_cannot_be_replaced_is_left_as_it_is(model, tmp_path, monkeypatch):
    path = tmp_path / "als.model"
    model.save(path)
    before = path.read_bytes()

    def refusing(source, target):
        raise PermissionError(13, "Access is denied", str(source), 5, str(target))

    monkeypatch.setattr(os, "replace", refusing)
    with pytest.raises(PermissionError, match=r"als.model' \(Access is denied\).*another name"):
        model.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_saved(model, tmp_path):
    with pytest.raises(recsys.NotFittedError, match="user_factors"):
        ImplicitALS().save(tmp_path / "m")
    model.confidence = lambda counts: 1 + counts.data
    with pytest.raises(TypeError, match="confidence is a function"):
        model.save(tmp_path / "m")
    model.confidence, model.random_state = "log", np.random.default_rng(0)
    model.save(tmp_path / "m")
    assert recsys.load(tmp_path / "m").random_state is None
    with pytest.raises(FileNotFoundError, match=r"nowhere/m': there is no folder '.*nowhere'"):
        model.save(tmp_path / "nowhere" / "m")
    with pytest.raises(IsADirectoryError, match="is a folder; expected the name of a file"):
        model.save(tmp_path)
    model.factors = -1
    with pytest.raises(ValueError, match="factors must be at least 1; got -1"):
        model.save(tmp_path / "m")


@pytest.mark.parametrize(
    "parameters", [{"factors": "many"}, {"alpha": -1}, {"dtype": "int8"}, {"facters": 3}]
)
def test_parameters_in_a_file_are_checked(parameters, model, tmp_path):
    path = tmp_path / "m"
    model.save(path)
    header, arrays = read_model_file(path)
    write_model_file(tmp_path / "n", {**header, "parameters": parameters}, arrays)
    [name] = parameters
    with pytest.raises(ValueError, match=f"n' is damaged: .*{name}"):
        recsys.load(tmp_path / "n")


@pytest.mark.parametrize("changed", [{"best_iteration": 0}, {"validation_metric": 3}])
def test_what_a_file_says_of_training_is_checked(changed, model, tmp_path):
    path = tmp_path / "m"
    model.save(path)
    header, arrays = read_model_file(path)
    write_model_file(tmp_path / "n", header | changed, arrays)
    [name] = changed
    with pytest.raises(ValueError, match=f"n' is damaged: .*{name}"):
        recsys.load(tmp_path / "n")


def test_files_that_are_no_models(model, tmp_path):
    path = tmp_path / "m"
    with pytest.raises(FileNotFoundError, match="no model file"):
        recsys.load(path)
    with pytest.raises(IsADirectoryError, match="is a folder; expected a file that `save` wrote"):
        recsys.load(tmp_path)
    path.write_bytes(b"user,item,count\n1,2,3\n")
    with pytest.raises(ValueError, match="truncated, or of another kind"):
        recsys.load(path)
    model.save(path)
    whole = path.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="truncated, or of another kind"):
            recsys.load(path)
    from safetensors.numpy import save_file

    save_file({"weight": np.ones(3, np.float32)}, path)
    with pytest.raises(ValueError, match="no model saved by recsys"):
        recsys.load(path)


def test_other_classes_and_versions(tmp_path, monkeypatch):
    path = tmp_path / "m"
    write_model_file(path, {"class": "Oracle", "parameters": {}}, {"x": np.ones(2, np.float32)})
    with pytest.raises(ValueError, match="'Oracle', which this recsys does not have"):
        recsys.load(path)
    monkeypatch.setattr(module, "WITHOUT_IDS", 4)
    write_model_file(path, {"class": "ImplicitALS"}, {})
    with pytest.raises(ValueError, match=r"in format 4; .* upgrade recsys-engine"):
        recsys.load(path)


def test_empty_arrays_and_header(tmp_path):
    arrays = {"a": np.empty((0, 3), np.float32), "b": np.arange(5), "c": np.ones((2, 2))}
    write_model_file(tmp_path / "m", {"class": "X", "note": "é"}, arrays)
    header, got = read_model_file(tmp_path / "m")
    assert header["note"] == "é" and json.dumps(header)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


@pytest.mark.parametrize("kind", [ImplicitALS, recsys.ItemNeighbors])
def test_damaged_arrays_are_found(kind, model, tmp_path):
    """Native code follows the index arrays: whatever is in them must not reach it unchecked."""
    path = tmp_path / "m"
    counts = sparse.random_array((40, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    kind(5).fit(counts, show_progress=False).save(path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    entries = json.loads(whole[8 : 8 + length])
    entries.pop("__metadata__")
    for name, entry in entries.items():
        begin = 8 + length + entry["data_offsets"][0]
        path.write_bytes(whole[:begin] + b"\xff" * 8 + whole[begin + 8 :])
        with pytest.raises(ValueError, match="is damaged"):
            recsys.load(path)
            pytest.fail(f"{name} was believed")
    path.write_bytes(whole)
    recsys.load(path)


def some():
    return csr.canonical(sparse.random_array((30, 20), density=0.3, rng=0, format="csr"))


@pytest.mark.parametrize("with_data", [True, False])
def test_training_matrix_through_a_file(with_data):
    seen = TrainingMatrix.of(some())
    seen = seen if with_data else seen._replace(data=None)
    assert (
        with_data
        == ("seen_data" in module.matrix_arrays(seen))
        == (seen.copied(np.dtype(np.float32)).data is not None)
    )
    back = module.matrix_from_arrays(module.matrix_arrays(seen), seen.shape)
    assert back.shape == seen.shape and (back.data is None) == (seen.data is None)
    for one, other in zip(seen, back, strict=True):
        np.testing.assert_array_equal(one, other)


def test_damaged_training_matrix():
    arrays = module.matrix_arrays(TrainingMatrix.of(some()))
    first = arrays["seen_indices"][0] + 20
    message = rf"what was seen\.indices\[0\] is {first}; expected 0 to 19"
    with pytest.raises(ValueError, match=message):
        module.matrix_from_arrays({**arrays, "seen_indices": arrays["seen_indices"] + 20}, (30, 20))
    with pytest.raises(ValueError, match=r"what was seen\.indptr has 31 values; expected 30"):
        module.matrix_from_arrays(arrays, (29, 20))
