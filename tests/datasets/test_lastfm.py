import logging
import os
import sys

import numpy as np
import pytest
from dataset_rows import as_dict, sha1, write_gzip, write_hdf5, write_tar, write_tsv

from recsys.datasets import lastfm, lastfm360k, lastfm_tsv


@pytest.fixture
def tsv(tmp_path):
    path = tmp_path / "usersha1-artmbid-artname-plays.tsv"
    return path, write_tsv(path)


def read(path, cache_dir, **options):
    return lastfm360k(path, cache_dir=cache_dir, show_progress=False, **options)


@pytest.mark.parametrize("form", ["tsv", "tsv.gz", "tar", "tar.gz", "hdf5"])
def test_every_form_gives_the_same(form, tsv, tmp_path, cache_dir):
    path, plays = tsv
    other = tmp_path / "file.bin"  # content decides, not the name
    if form == "tsv":
        path.rename(other)
    elif form == "tsv.gz":
        write_gzip(other, path)
    elif form == "hdf5":
        write_hdf5(other, plays)
    else:
        write_tar(other, path, mode="w:gz" if form == "tar.gz" else "w")
    dataset = read(other, cache_dir)
    assert as_dict(dataset) == plays
    assert list(dataset.users) == sorted({user for user, _ in plays})
    assert list(dataset.items) == sorted({artist for _, artist in plays})
    assert dataset.user_items.dtype == np.float32 and dataset.user_items.has_canonical_format
    assert dataset.name == "lastfm-360K" and not dataset.synthetic
    assert dataset.report["rows"] == len(plays) and dataset.report["malformed"] == 0
    assert f"{len(plays)} entries" in repr(dataset)


def test_rows_of_every_kind(tmp_path, cache_dir, caplog):
    path = tmp_path / "rows.tsv"
    mbid = b"0383dadf-2a4e-4d10-a46a-e9e041da8eb3"
    user, new = sha1(0).encode(), sha1("new").encode()
    bad = [
        b"sep 20, 2008\t" + mbid + b"\tbetty blowtorch\t5",
        user + b"\t" + mbid + b"\tthree fields",
        user + b"\t" + mbid + b"\tfive\tfields\t3",
        user + b"\t\tnot a number\tmany",
        user + b"\t\tno number\t",
        user + b"\t\tnegative\t-4",
        user + b"\t\tfraction\t1.5",
        user + b"\t\ttoo large\t12345678901234567890",
        user + b"\t\t\t7",
        b"g" + user[1:] + b"\t\tno hexadecimal id\t7",
        user[1:] + b"\t\tshort id\t7",
        b"\t\t\t",
        b"no tabs at all",
    ]
    fine = [
        user + b"\t" + mbid + b"\ttwice\t5",
        user + b"\t\ttwice\t6",
        user + b"\t" + mbid + b"\t\t9",
        user + b"\t\twindows line\t3\r",
        user + b"\t\tcontrol \x01 \x00 \xff character\t2",
        new + b"\t\tnothing heard\t0",
        b"",
    ]
    plays = write_tsv(path, extra=[*bad, *fine])
    with caplog.at_level(logging.WARNING, "recsys"):
        dataset = read(path, cache_dir)
    got = as_dict(dataset)
    for artist, count in {
        "twice": 11,
        mbid.decode(): 9,
        "windows line": 3,
        "control \x01 \x00 \ufffd character": 2,
    }.items():
        assert got.pop((sha1(0), artist)) == count
    assert got == plays
    report = dataset.report
    assert report["malformed"] == len(bad)
    assert report["zero_plays"] == 1
    assert report["duplicates"] == 1
    assert report["rows"] == len(plays) + len(bad) + len(fine) - 1
    assert not report["is_published_file"]
    assert f"left out {len(bad)} malformed rows" in caplog.text


def test_blocks_and_order_of_rows_do_not_matter(tsv, tmp_path, cache_dir, monkeypatch):
    path, plays = tsv
    lines = path.read_bytes().splitlines()
    np.random.default_rng(0).shuffle(lines)
    shuffled = tmp_path / "shuffled.tsv"
    shuffled.write_bytes(b"\n".join(lines))  # the last line without its newline
    monkeypatch.setattr(lastfm_tsv, "_BLOCK", 200)
    dataset = read(shuffled, cache_dir)
    assert as_dict(dataset) == plays
    assert dataset.report["rows"] == len(plays)


def test_published_file_is_recognised(tsv, cache_dir, monkeypatch):
    import hashlib

    digest = hashlib.md5(tsv[0].read_bytes()).hexdigest()
    monkeypatch.setattr(lastfm_tsv, "PUBLISHED_MD5", digest)
    assert read(tsv[0], cache_dir).report["is_published_file"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "holds no rows"),
        (b"<!DOCTYPE html><html>Not found</html>", "a web page"),
        (b"user,item,count\n1,2,3\n", "four tab-separated fields.*'user,item,count'.*read_inter"),
        (b"1\t2\t3\t4\n" * 9, "four tab-separated fields"),
        (b"PK\x03\x04\0\0\0", "it is no text"),
        (b"x" * 40_000, "most of its lines"),
        (b"\x1f\x8b\x08nonsense", "damaged or cut short"),
        (b"\x89HDF\r\n\x1a\n nothing more", "not implicit's lastfm_360k.hdf5"),
    ],
)
def test_wrong_file(content, message, tmp_path, cache_dir):
    path = tmp_path / "wrong"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(path, cache_dir)
    assert not cache_dir.exists()


def test_file_without_lines(tmp_path, cache_dir, monkeypatch):
    monkeypatch.setattr(lastfm_tsv, "_BLOCK", 1000)
    path = tmp_path / "wrong"
    path.write_bytes(b"x" * 4000)
    with pytest.raises(ValueError, match="no text file of short lines"):
        read(path, cache_dir)


@pytest.mark.parametrize("form", ["tsv.gz", "tar.gz", "tar"])
@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_truncated_file(form, keep, tsv, tmp_path, cache_dir):
    path = tmp_path / form
    if form == "tsv.gz":
        write_gzip(path, tsv[0])
    else:
        write_tar(path, tsv[0], mode="w:gz" if form == "tar.gz" else "w")
    size = path.stat().st_size if form != "tar" else 1500 + tsv[0].stat().st_size
    os.truncate(path, int(size * keep))
    with pytest.raises(ValueError, match="damaged or cut short"):
        read(path, cache_dir)


def test_flipped_bit_in_archive(tsv, tmp_path, cache_dir):
    path = write_gzip(tmp_path / "x.gz", tsv[0])
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged or cut short"):
        read(path, cache_dir)


def test_archive_of_something_else(tsv, tmp_path, cache_dir):
    path = write_tar(tmp_path / "x.tar.gz", tsv[0], member="songs.tsv")
    with pytest.raises(ValueError, match=r"not the archive of lastfm-360K.*songs\.tsv"):
        read(path, cache_dir)


@pytest.mark.parametrize("drop", ["artist", "artist_user_plays", "artist_user_plays/indptr"])
def test_hdf5_without_a_part(drop, tsv, tmp_path, cache_dir):
    import h5py

    path = write_hdf5(tmp_path / "x.hdf5", tsv[1])
    with h5py.File(path, "a") as file:
        del file[drop]
    with pytest.raises(ValueError, match="without .*" + drop.split("/")[-1]):
        read(path, cache_dir)


@pytest.mark.parametrize(
    ("name", "value"), [("data", np.nan), ("data", -1), ("indices", 10**6), ("indices", -1)]
)
def test_hdf5_with_bad_values(name, value, tsv, tmp_path, cache_dir):
    import h5py

    path = write_hdf5(tmp_path / "x.hdf5", tsv[1])
    with h5py.File(path, "a") as file:
        file["artist_user_plays"][name][3] = value
    with pytest.raises(ValueError, match="damaged"):
        read(path, cache_dir)


def test_hdf5_needs_h5py(tsv, tmp_path, cache_dir, monkeypatch):
    path = write_hdf5(tmp_path / "x.hdf5", tsv[1])
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'recsys-engine\[datasets\]'"):
        read(path, cache_dir)


def test_missing_path(tmp_path, cache_dir):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere"):
        read(tmp_path / "nowhere", cache_dir)
    with pytest.raises(FileNotFoundError, match="holds none of"):
        read(tmp_path, cache_dir)


def test_found_in_folder_and_cache_dir_and_environment(tsv, cache_dir, monkeypatch):
    path, plays = tsv
    assert as_dict(read(path.parent, cache_dir)) == plays
    assert as_dict(read(None, path.parent, download=False)) == plays
    monkeypatch.setenv("RECSYS_DATA", str(path.parent))
    assert as_dict(read(None, cache_dir, download=False)) == plays


class TestParsedCopy:
    @pytest.fixture
    def parses(self, monkeypatch):
        """How often a source was parsed."""
        seen = []
        original = lastfm._read
        monkeypatch.setattr(lastfm, "_read", lambda *a: seen.append(a) or original(*a))
        return seen

    def test_used_until_the_source_changes(self, tsv, cache_dir, parses):
        path, plays = tsv
        first, second = read(path, cache_dir), read(path, cache_dir)
        assert len(parses) == 1
        assert as_dict(second) == as_dict(first) == plays
        assert second.report == first.report and second.name == first.name
        assert not list(cache_dir.glob(".*"))  # no temporary file stays
        os.utime(path, ns=(1, 1))
        read(path, cache_dir)
        assert len(parses) == 2
        with open(path, "a") as file:
            file.write(f"{sha1(0)}\t\tone more\t5\n")
        os.utime(path, ns=(1, 1))
        assert as_dict(read(path, cache_dir)) == plays | {(sha1(0), "one more"): 5}

    def test_layout_version(self, tsv, cache_dir, parses, monkeypatch):
        read(tsv[0], cache_dir)
        monkeypatch.setattr(lastfm.cache, "_LAYOUT", 99)
        read(tsv[0], cache_dir)
        assert len(parses) == 2

    @pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no zip", None])
    def test_damaged_copy_is_replaced(self, damage, tsv, cache_dir, parses, caplog):
        read(tsv[0], cache_dir)
        (copy,) = cache_dir.glob("*.npz")
        copy.write_bytes(copy.read_bytes()[:500] if damage is None else damage)
        assert as_dict(read(tsv[0], cache_dir)) == tsv[1]
        assert "damaged" in caplog.text and len(parses) == 2
        read(tsv[0], cache_dir)
        assert len(parses) == 2

    def test_folder_that_cannot_be_written(self, tsv, tmp_path, caplog):
        blocked = tmp_path / "file"
        blocked.write_text("not a folder")
        assert as_dict(read(tsv[0], blocked)) == tsv[1]
        assert "could not keep a parsed copy" in caplog.text

    def test_interrupted_write_leaves_nothing(self, tsv, cache_dir, monkeypatch):
        def interrupted(file, **arrays):
            file.write(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(tsv[0], cache_dir)
        assert list(cache_dir.iterdir()) == []

    def test_default_folder(self, tsv, tmp_path):
        if sys.platform != "linux":
            pytest.skip("the folder is set by XDG_CACHE_HOME on Linux")
        lastfm360k(tsv[0], show_progress=False)
        assert list((tmp_path / "home" / "recsys").glob("*.npz"))
