import gzip

import numpy as np
import pytest
import scipy.sparse as sp
from dataset_rows import as_dict

from recsys.datasets import read_interactions

CSR = dict(shape=[2, 3], indptr=[0, 2, 3], indices=[2, 0, 1])


def save(path, **arrays):
    np.savez(path, **{name: np.array(value) for name, value in arrays.items()})
    return path


@pytest.fixture
def npz(tmp_path):
    return tmp_path / "some.npz"


@pytest.mark.parametrize("name", ["plays", "counts", "data", "ratings"])
def test_csr_with_counts_and_names(name, npz):
    counts = {name: np.array([5, 6, 7], np.int16)}
    dataset = read_interactions(
        save(npz, **CSR, **counts, artists=["a", "b", "c"], users=["u", "v"])
    )
    assert as_dict(dataset) == {("u", "a"): 6, ("u", "c"): 5, ("v", "b"): 7}
    assert dataset.user_items.dtype == np.float32 and dataset.user_items.has_canonical_format
    assert dataset.name == "some.npz" and not dataset.synthetic


def test_csr_without_counts_and_names(npz):
    dataset = read_interactions(save(npz, **CSR))
    assert list(dataset.users) == [0, 1] and list(dataset.items) == [0, 1, 2]
    assert dataset.user_items.toarray().tolist() == [[1, 0, 1], [0, 1, 0]]


def test_training_part(npz):
    arrays = {f"train_{name}": CSR[name] for name in ("indptr", "indices")}
    save(npz, shape=[2, 3], test_indptr=[0, 0, 0], test_indices=[], **arrays)
    assert read_interactions(npz).user_items.nnz == 3


def test_triples_sum_duplicates(npz):
    save(npz, shape=[2, 3], user=[1, 0, 1], item=[2, 0, 2], rating=[3, 4, 5])
    dataset = read_interactions(npz)
    assert dataset.user_items.toarray().tolist() == [[4, 0, 0], [0, 0, 8]]
    assert dataset.report == {"rows": 3, "duplicates": 1}


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_scipy_file(form, npz):
    matrix = sp.random(6, 5, 0.4, format=form, random_state=0)
    sp.save_npz(npz, matrix)
    got = read_interactions(npz).user_items
    assert got.format == "csr"
    np.testing.assert_allclose(got.toarray(), matrix.toarray(), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(indices=[2, 0, 3]), "holds no users x items matrix"),
        (dict(indices=[2, 0, -1]), "holds no users x items matrix"),
        (dict(indptr=[0, 3, 2]), "holds no users x items matrix"),
        (dict(indptr=[0, 3]), "holds no users x items matrix"),
        (dict(shape=[2]), "holds no users x items matrix"),
        (dict(plays=[1, 2]), "plays has 2 entries, indices has 3"),
        (dict(plays=[1, 2, np.nan]), "holds nan at row 1, column 1"),
        (dict(plays=["a", "b", "c"]), "no users x items|expected numbers"),
        (dict(plays=[1j, 2, 3]), "complex128; expected numbers"),
        (dict(artists=["a"]), "artists has 1 names, the matrix has 3"),
        (dict(artists=np.array(["a", 1, None], object)), "holds no users x items matrix"),
    ],
)
def test_inconsistent_npz(change, message, npz):
    with pytest.raises(ValueError, match=message):
        read_interactions(save(npz, **(CSR | change)))


def test_npz_of_something_else(npz):
    with pytest.raises(ValueError, match=r"without \['shape', 'indptr', 'indices'\]; expected"):
        read_interactions(save(npz, weights=[1]))
    npz.write_bytes(npz.read_bytes()[:60])
    with pytest.raises(ValueError, match="holds no users x items matrix"):
        read_interactions(npz)


EXPECTED = {("u1", "Simon, Garfunkel"): 3.0, ("u2", "Björk"): 1.5}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["", "who,what,how often", "user_id,item,Plays"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_forms(delimiter, header, newline, tmp_path):
    lines = [header, 'u1,"Simon, Garfunkel",1', "u2,Björk,1.5", "", 'u1,"Simon, Garfunkel",2']
    text = newline.join(lines[not header :])
    if delimiter != ",":
        text = text.replace(",", delimiter).replace(f"Simon{delimiter}", "Simon,")
    path = tmp_path / "plays.csv"
    path.write_bytes(text.encode())
    dataset = read_interactions(path)
    assert as_dict(dataset) == EXPECTED
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))  # gzipped, with a mark
    assert as_dict(read_interactions(path)) == EXPECTED


def test_csv_without_counts(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("7,3\n7,4\n8,3\n")
    assert as_dict(read_interactions(path)) == {("7", "3"): 1, ("7", "4"): 1, ("8", "3"): 1}


def test_csv_with_further_columns(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("timestamp,movieId,userId,rating\n99,3,7,4.5\n")
    assert as_dict(read_interactions(path)) == {("7", "3"): 4.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("user,item,count\n", "there are no events"),
        ("1,2,3,4\n", "4 columns; expected user,item or user,item,count"),
        ("alone\n", "1 columns"),
        ("user,item,when\n1,2,3\n", "expected one of them to be named count"),
        ("user,item,count\n1,2,3\n1,2\n", "xpected 3.*1,2"),
        ("1,2,3\n1,2,many\n", "holds 'many' in row 1"),
        ("1,2,3\n1,2,nan\n", "not finite in 1 row, first in row 1"),
    ],
)
def test_wrong_csv(text, message, tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_interactions(path)


def test_no_text_and_no_file(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(ValueError, match="is not in the encoding expected"):
        read_interactions(path)
    path.write_bytes(b"\x1f\x8b\x08nonsense")
    with pytest.raises(ValueError, match="is damaged or something else"):
        read_interactions(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        read_interactions(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("name", "shape", "nnz"),
    [
        ("lastfm-2k.npz", (1892, 17632), 92_834),
        ("lastfm-15k.npz", (15_000, 1004), 289_953),
        ("gowalla.npz", (29_858, 40_981), 810_128),
        ("ml-1m.npz", (6040, 3953), 999_966),
    ],
)
def test_real_files(name, shape, nnz, data_folder):
    if not (data_folder / name).is_file():
        pytest.skip(f"no {name} in {data_folder}")
    dataset = read_interactions(data_folder / name)
    assert dataset.user_items.shape == shape and dataset.user_items.nnz == nnz
    if name.startswith("lastfm"):
        assert len(dataset.items) == shape[1]
