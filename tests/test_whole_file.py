"""Files that appear as a whole or not at all."""

import os
import sys

import pytest

from recsys.whole_file import whole_file


def write(path, text):
    with whole_file(path) as temporary:
        temporary.write_text(text)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_is_followed(tmp_path):
    (tmp_path / "now").symlink_to(tmp_path / "first")
    for text in ("one", "two"):  # there is nothing to point to at first
        write(tmp_path / "now", text)
        assert (tmp_path / "first").read_text() == text
    assert (tmp_path / "now").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_a_pipe_or_a_device_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(tmp_path / "pipe")
        with pytest.raises(FileExistsError, match="is a device or a pipe"):
            write(path, "text")
    assert (tmp_path / "pipe").is_fifo()


def test_what_fails_leaves_what_was_there(tmp_path):
    write(tmp_path / "file", "before")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"
