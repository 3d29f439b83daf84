"""Model files without everybody's history, in memory, and held to what was saved."""

import io
import json

import numpy as np
import pytest
from every_model import EVERY, FACTORS, counts, learned, trained

import recsys
from recsys.models.files import read_model_file, write_model_file
from recsys.models.least_squares import LeastSquaresModel


@pytest.mark.parametrize("name", EVERY)
def test_without_history(name, tmp_path):
    model = trained(name)
    model.save(tmp_path / "m", history=False)
    assert "seen_indices" not in read_model_file(tmp_path / "m")[1]
    again = recsys.load(tmp_path / "m")
    assert again.training_matrix is None
    way_out = r"pass user_items=.*or filter_seen=False" if name in FACTORS else r"user_items=\.+\)"
    with pytest.raises(recsys.NotFittedError, match=way_out):
        again.recommend([0, 3])
    for got, want in zip(again.recommend([4, 0], counts()), model.recommend([4, 0]), strict=True):
        np.testing.assert_array_equal(got, want)
    if name in FACTORS:
        unseen = again.recommend([0, 3], filter_seen=False)[0]
        np.testing.assert_array_equal(unseen, model.recommend([0, 3], filter_seen=False)[0])
        with pytest.raises(recsys.NotFittedError, match="no training matrix is remembered"):
            again.partial_fit(counts())
    if isinstance(again, LeastSquaresModel):
        for learn, matrix in (
            (again.partial_fit_users, counts()),
            (again.partial_fit_items, counts().T),
        ):
            for word in ("events", "rows"):
                with pytest.raises(recsys.NotFittedError, match="saved with history=False"):
                    learn([0], **{word: matrix.tocsr()[[0]]})
    again.save(tmp_path / "n", history=False)
    liked = counts().toarray() > 0
    popularity = read_model_file(tmp_path / "n")[1]["popularity"]
    np.testing.assert_array_equal(popularity, liked.sum(axis=0))


@pytest.mark.parametrize("name", ["ImplicitALS", "ItemNeighbors"])
def test_in_memory(name, tmp_path):
    model, file = trained(name), io.BytesIO()
    model.save(file)
    model.save(tmp_path / "m")
    whole = file.getvalue()
    assert whole == (tmp_path / "m").read_bytes()
    file.seek(0)
    with (tmp_path / "m").open("rb") as opened:
        for source in (whole, bytearray(whole), memoryview(whole), file, opened):
            assert learned(recsys.load(source)) == learned(model)
    with pytest.raises(TypeError, match="a path, or a binary file object with a method write; got"):
        model.save(3)
    with pytest.raises(TypeError, match="with a method read, or bytes; got None"):
        recsys.load(None)
    with pytest.raises(TypeError, match="gives str: open it in mode 'rb'"):
        recsys.load(io.StringIO("x"))
    for end in (0, 7, 100, len(whole) - 1):
        with pytest.raises(ValueError, match=f"these {end} bytes.*truncated, or of another kind"):
            recsys.load(whole[:end])
    with pytest.raises(ValueError, match="truncated, or of another kind"):
        recsys.load(whole + b"\0")


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "m"
    trained("ImplicitALS").save(path)
    whole = bytearray(path.read_bytes())
    length = int.from_bytes(whole[:8], "little")
    entries = json.loads(whole[8 : 8 + length])
    for name in ("item_factors", "seen_data"):
        broken = bytearray(whole)
        broken[8 + length + entries[name]["data_offsets"][0]] ^= 1  # the last bit of a mantissa
        path.write_bytes(broken)
        recsys.load(path)  # which reads no more than it has to
        with pytest.raises(ValueError, match=f"m' is damaged: {name} is not what was saved"):
            recsys.load(path, verify=True)
        with pytest.raises(ValueError, match=f"is damaged: {name} is not"):
            recsys.load(bytes(broken))
    path.write_bytes(whole)
    recsys.load(path, verify=True)
    with pytest.raises(TypeError, match="verify must be True or False"):
        recsys.load(path, verify=1)
    with pytest.raises(TypeError, match="history must be True or False"):
        trained("ImplicitALS").save(path, history=None)


def test_files_of_an_older_recsys_have_no_digests(tmp_path, monkeypatch):
    path = tmp_path / "m"
    dumps = json.dumps

    def without(value, **options):
        value.pop("digests", None)
        return dumps(value, **options)

    monkeypatch.setattr("recsys.models.files.json.dumps", without)
    trained("BPR").save(path)
    monkeypatch.undo()
    assert learned(recsys.load(path)) == learned(trained("BPR"))
    assert learned(recsys.load(path.read_bytes())) == learned(trained("BPR"))
    with pytest.raises(ValueError, match=r"no digests to verify it by.*save the model again"):
        recsys.load(path, verify=True)


@pytest.mark.parametrize("name", ["ImplicitALS", "ItemNeighbors"])
def test_a_header_is_held_to_the_arrays(name, tmp_path):
    path = tmp_path / "m"
    trained(name).save(path)
    header, arrays = read_model_file(path)
    write_model_file(path, header | {"class": ["ImplicitALS"]}, arrays)
    with pytest.raises(ValueError, match=r"holds a \['ImplicitALS'\], which this recsys"):
        recsys.load(path)
    write_model_file(path, header | {"shape": [40, 31]}, arrays)
    with pytest.raises(ValueError, match=r"is damaged: it says there are .*31"):
        recsys.load(path)


def test_files_of_text_are_refused():
    with pytest.raises(TypeError, match="a file of text; expected a path, or a file of bytes"):
        trained("ImplicitALS").save(io.StringIO())


@pytest.mark.parametrize("name", EVERY)
def test_scipy_takes_the_training_matrix(name):
    matrix = trained(name).training_matrix
    entries = matrix.tocoo()
    assert (matrix.toarray()[entries.coords] == entries.data).all() and entries.nnz == counts().nnz
    assert str(matrix)
