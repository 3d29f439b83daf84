import sys

import pooch
import pytest
from dataset_rows import as_dict, write_hdf5, write_tar, write_tsv

from recsys.datasets import DatasetUnavailableError, lastfm, lastfm360k


@pytest.fixture
def world(tmp_path, monkeypatch):
    """What each address answers: bytes, or an exception; and the addresses asked."""
    tsv = tmp_path / "rows.tsv"
    plays = write_tsv(tsv)
    sources = [source._replace(least_bytes=100) for source in lastfm._SOURCES]
    monkeypatch.setattr(lastfm, "_SOURCES", tuple(sources))
    hdf5, archive = (source.url for source in sources)
    answers = {
        hdf5: write_hdf5(tmp_path / "h", plays).read_bytes(),
        archive: write_tar(tmp_path / "t", tsv).read_bytes(),
    }
    asked = []

    class Downloader:
        def __init__(self, progressbar, chunk_size, timeout):
            assert max(timeout) <= 60

        def __call__(self, url, output_file, pooch):
            asked.append(url)
            if isinstance(answers[url], BaseException):
                raise answers[url]
            with open(output_file, "wb") as file:
                file.write(answers[url])

    monkeypatch.setattr(pooch, "HTTPDownloader", Downloader)
    return type("World", (), dict(plays=plays, answers=answers, asked=asked, urls=(hdf5, archive)))


def fetch(cache_dir, **options):
    return lastfm360k(cache_dir=cache_dir, show_progress=False, **options)


def test_downloads_once_and_records_the_checksum(world, cache_dir):
    assert as_dict(fetch(cache_dir)) == world.plays
    assert as_dict(fetch(cache_dir)) == world.plays
    assert world.asked == [world.urls[0]]
    names = {path.name for path in cache_dir.iterdir() if path.suffix != ".npz"}
    assert names == {"lastfm_360k.hdf5", "lastfm_360k.hdf5.sha256"}
    assert len((cache_dir / "lastfm_360k.hdf5.sha256").read_text().strip()) == 64


@pytest.mark.parametrize(
    "answer", [OSError("404 Not Found"), b"<html>moved</html>" * 99, b"", b"x"]
)
def test_second_address_when_the_first_fails(answer, world, cache_dir):
    world.answers[world.urls[0]] = answer
    assert as_dict(fetch(cache_dir)) == world.plays
    assert world.asked == list(world.urls)
    assert not (cache_dir / "lastfm_360k.hdf5").exists()
    assert not (cache_dir / "lastfm_360k.hdf5.sha256").exists()


def test_without_h5py_the_original_is_taken(world, cache_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert as_dict(fetch(cache_dir)) == world.plays
    assert world.asked == [world.urls[1]]


def test_offline_is_one_error_that_tells_what_to_do(world, cache_dir):
    for url in world.urls:
        world.answers[url] = ConnectionError("name resolution failed")
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch(cache_dir)
    message = str(caught.value)
    assert isinstance(caught.value, OSError)
    for part in (*world.urls, str(cache_dir), "name resolution failed", "lastfm360k('"):
        assert part in message
    assert list(cache_dir.iterdir()) == []


def test_download_not_wanted(world, cache_dir):
    with pytest.raises(DatasetUnavailableError, match="download=False"):
        fetch(cache_dir, download=False)
    assert world.asked == []


def test_without_pooch(world, cache_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetUnavailableError, match=r"pip install 'recsys-engine\[datasets\]'"):
        fetch(cache_dir)


def test_interrupted_download_leaves_nothing(world, cache_dir):
    world.answers[world.urls[0]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        fetch(cache_dir)
    assert list(cache_dir.iterdir()) == []


def test_another_file_at_the_same_address(world, cache_dir):
    fetch(cache_dir)
    (cache_dir / "lastfm_360k.hdf5").unlink()
    world.answers[world.urls[0]] += b"\0"
    with pytest.raises(ValueError, match=r"SHA-256 .* recorded .* at the first download"):
        fetch(cache_dir)
    assert not (cache_dir / "lastfm_360k.hdf5").exists()


def test_downloaded_file_that_changed_on_disk(world, cache_dir):
    fetch(cache_dir)
    with open(cache_dir / "lastfm_360k.hdf5", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match=r"delete lastfm_360k\.hdf5\.sha256 too if you trust"):
        fetch(cache_dir)
    (cache_dir / "lastfm_360k.hdf5.sha256").unlink()
    assert as_dict(fetch(cache_dir)) == world.plays
