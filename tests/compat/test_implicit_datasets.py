"""The published files, written small; no network."""

import importlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.compat.implicit.datasets import (
    lastfm,
    million_song_dataset,
    movielens,
    reddit,
    sketchfab,
)
from recsys.datasets import DatasetUnavailableError, published

h5py = pytest.importorskip("h5py")

GETTERS = {
    "lastfm_360k.hdf5": lastfm.get_lastfm,
    "movielens_20m.hdf5": movielens.get_movielens,
    "movielens_100k.hdf5": lambda: movielens.get_movielens("100k"),
    "msd_taste_profile.hdf5": million_song_dataset.get_msd_taste_profile,
    "reddit.hdf5": reddit.get_reddit,
    "sketchfab.hdf5": sketchfab.get_sketchfab,
}
LAYOUTS = {
    "lastfm_360k.hdf5": ("artist_user_plays", {"artist": (6,), "user": (4,)}),
    "movielens_20m.hdf5": ("movie_user_ratings", {"movie": (8,)}),
    "movielens_100k.hdf5": ("movie_user_ratings", {"movie": (8,)}),
    "msd_taste_profile.hdf5": ("track_user_plays", {"track": (6, 4), "user": (4,)}),
    "reddit.hdf5": ("item_user_ratings", {}),
    "sketchfab.hdf5": ("item_user_likes", {"item": (6,), "user": (4,)}),
}
ITEMS_USERS = np.array(
    [[0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 5, 0], [2, 0, 0, 4]], np.float32
)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """An empty home folder; nothing answers."""

    def refuse(*args, **kwargs):
        raise OSError("no network in tests")

    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RECSYS_DATA", raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path


def write(path):
    group, names = LAYOUTS[path.name]
    matrix = sp.csr_matrix(ITEMS_USERS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        arrays = file.create_group(group)
        for name in ("data", "indices", "indptr"):
            arrays.create_dataset(name, data=getattr(matrix, name))
        for name, shape in names.items():
            values = [f"{name} {i} é" for i in range(np.prod(shape))]
            values = np.array(values, dtype=object).reshape(shape)
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())


@pytest.mark.parametrize("filename", GETTERS)
@pytest.mark.parametrize("folder", ["implicit_datasets", "cache/recsys", "named"])
def test_every_file_from_every_folder(filename, folder, home, monkeypatch):
    write(home / folder / filename)
    if folder == "named":
        monkeypatch.setenv("RECSYS_DATA", str(home / folder))
    got = GETTERS[filename]()
    *names, matrix = got if isinstance(got, tuple) else (got,)
    assert isinstance(matrix, sp.csr_matrix) and matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix.toarray(), ITEMS_USERS)
    expected = LAYOUTS[filename][1]
    assert [own.shape for own in names] == list(expected.values())
    encoded = filename in ("msd_taste_profile.hdf5", "sketchfab.hdf5")
    for own, name in zip(names, expected, strict=True):
        assert own.dtype == object
        assert own.ravel()[1] == (f"{name} 1 é".encode() if encoded else f"{name} 1 é")


@pytest.mark.parametrize("filename", GETTERS)
def test_as_implicit_reads_them(filename, home, monkeypatch):
    """The same tuple, position for position."""
    pytest.importorskip("implicit", reason="implicit is what to agree with")
    write(home / "implicit_datasets" / filename)
    ours = GETTERS[filename]
    module = {
        "lastfm_360k.hdf5": "lastfm",
        "msd_taste_profile.hdf5": "million_song_dataset",
        "reddit.hdf5": "reddit",
        "sketchfab.hdf5": "sketchfab",
    }.get(filename, "movielens")
    theirs = importlib.import_module(f"implicit.datasets.{module}")
    download = importlib.import_module("implicit.datasets._download")
    monkeypatch.setattr(download, "LOCAL_CACHE_DIR", str(home / "implicit_datasets"))
    if module == "movielens":
        variant = filename.removeprefix("movielens_").removesuffix(".hdf5")
        expected = theirs.get_movielens(variant)
    else:
        expected = getattr(theirs, ours.__name__)()
    got = ours()
    if not isinstance(got, tuple):
        got, expected = (got,), (expected,)
    assert len(got) == len(expected)
    for own, other in zip(got, expected, strict=True):
        assert type(own) is type(other) and own.dtype == other.dtype and own.shape == other.shape
        if sp.issparse(own):
            np.testing.assert_array_equal(own.toarray(), other.toarray())
        else:
            assert own.tolist() == other.tolist()


def test_downloaded_once_checked_and_recorded(home, monkeypatch):
    pooch = pytest.importorskip("pooch")
    write(home / "made" / "sketchfab.hdf5")
    content, asked = (home / "made" / "sketchfab.hdf5").read_bytes(), []

    class Downloader:
        def __init__(self, **options):
            assert options["timeout"]

        def __call__(self, url, output_file, pooch):
            asked.append(url)
            with open(output_file, "wb") as file:
                file.write(answer)

    monkeypatch.setattr(pooch, "HTTPDownloader", Downloader)
    answer = b"<html>moved</html>"
    with pytest.raises(DatasetUnavailableError, match="what came is something else of 18 bytes"):
        sketchfab.get_sketchfab()
    answer = content
    with pytest.raises(DatasetUnavailableError, match="not hdf5 of at least 1,000,000"):
        sketchfab.get_sketchfab()
    layout = published.PUBLISHED["sketchfab.hdf5"]._replace(least_bytes=100)
    monkeypatch.setitem(published.PUBLISHED, "sketchfab.hdf5", layout)
    for _ in range(2):
        np.testing.assert_array_equal(sketchfab.get_sketchfab()[2].toarray(), ITEMS_USERS)
    assert asked == [f"{published.RELEASE}sketchfab.hdf5"] * 3
    kept = {path.name for path in (home / "cache" / "recsys").iterdir()}
    assert kept == {"sketchfab.hdf5", "sketchfab.hdf5.sha256"}
    with open(home / "cache" / "recsys" / "sketchfab.hdf5", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match=r"SHA-256 .* recorded"):
        sketchfab.get_sketchfab()


@pytest.mark.parametrize("filename", GETTERS)
def test_offline_is_one_error_that_tells_what_to_do(filename, home):
    with pytest.raises(DatasetUnavailableError) as caught:
        GETTERS[filename]()
    for part in (f"{published.RELEASE}{filename}", str(home / "cache" / "recsys"), "put it into"):
        assert part in str(caught.value)


@pytest.mark.parametrize("filename", GETTERS)
def test_without_h5py(filename, home, monkeypatch):
    write(home / "implicit_datasets" / filename)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'recsys-engine\[datasets\]'"):
        GETTERS[filename]()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("item_user_likes/indices", 99),
        ("item_user_likes/indices", -1),
        ("item_user_likes/data", np.nan),
        ("item_user_likes/indptr", 99),
        ("item_user_likes/data", None),
        ("item_user_likes", None),
        ("user", None),
    ],
)
def test_damaged(where, value, home):
    path = home / "implicit_datasets" / "sketchfab.hdf5"
    write(path)
    with h5py.File(path, "a") as file:
        if value is None:
            del file[where]
        else:
            file[where][3] = value
    with pytest.raises(ValueError, match=r"is not implicit's sketchfab\.hdf5, or is damaged: "):
        sketchfab.get_sketchfab()


def test_fewer_names_than_rows(home):
    path = home / "implicit_datasets" / "sketchfab.hdf5"
    write(path)
    with h5py.File(path, "a") as file:
        del file["item"]
        file.create_dataset("item", data=["one"], dtype=h5py.string_dtype())
    with pytest.raises(ValueError, match="item has 1 names, item_user_likes 6 rows"):
        sketchfab.get_sketchfab()


def test_unknown_variant():
    with pytest.raises(ValueError, match="unknown variant '100m'; expected '20m' or"):
        movielens.get_movielens("100m")


def test_nothing_is_built_from_the_originals():
    with pytest.raises(NotImplementedError, match=r"recsys\.datasets\.lastfm360k\('a\.tsv'\)"):
        lastfm.generate_dataset("a.tsv", "out.hdf5")
    for module in (movielens, million_song_dataset, reddit, sketchfab):
        with pytest.raises(NotImplementedError, match=r"get_\w+\(.*\) downloads it"):
            module.generate_dataset("a", "b")


def test_import_is_light():
    names = "lastfm, movielens, million_song_dataset, reddit, sketchfab"
    code = (
        f"import sys; from recsys.compat.implicit.datasets import {names}; "
        "print({'pooch', 'h5py', 'implicit', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
