"""Reading the original lastfm-360K rows: user sha1, artist MusicBrainz id, artist name, plays.

The file is 1.6 GB of tab-separated UTF-8, no header, no quoting. It is read in blocks of whole
lines; within a block, NumPy finds the fields, checks them and reads the counts, and Python's
dictionaries number the ids exactly. The users come grouped, so a user costs one look-up a run
of rows; ungrouped rows are only slower.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from recsys.progress import progress_bar

MEMBER = "usersha1-artmbid-artname-plays.tsv"
PUBLISHED_MD5 = "be672526eb7c69495c27ad27803148f1"  # of the member, in the archive's README

_BLOCK = 16 << 20  # bytes
_TAB, _NEWLINE, _RETURN, _ZERO = 9, 10, 13, 48
_SHA1 = 40  # characters
_MAX_DIGITS = 9  # of a play count
_IS_HEX = np.zeros(256, dtype=bool)
_IS_HEX[np.frombuffer(b"0123456789abcdefABCDEF", dtype=np.uint8)] = True


class TsvRows:
    """The rows seen so far, as codes: the position at which an id first appeared.

    Attributes
    ----------
    users, artists : dict of bytes to int
    blocks : list of (user codes int32, artist codes int32, plays float32)
    rows, malformed, zero_plays : int
        Lines seen; those without four fields, a sha1, an artist and a whole number of plays;
        well-formed ones that say zero plays. Neither of the last two enters the blocks.
    """

    def __init__(self) -> None:
        self.users: defaultdict[bytes, int] = defaultdict()
        self.users.default_factory = self.users.__len__
        self.artists: defaultdict[bytes, int] = defaultdict()
        self.artists.default_factory = self.artists.__len__
        self.blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.rows = self.malformed = self.zero_plays = 0

    def add(self, block: bytes) -> None:
        """Take in a block of whole lines, each with its newline."""
        text = np.frombuffer(block, dtype=np.uint8)
        n_lines, start, tabs, end = _split(text)
        plays, is_number = _numbers(text, tabs[:, 2] + 1, end)
        # Artists go by name: see lastfm360k. The few without one go by their MusicBrainz id.
        nameless = tabs[:, 2] == tabs[:, 1] + 1
        left = np.where(nameless, tabs[:, 0] + 1, tabs[:, 1] + 1)
        right = np.where(nameless, tabs[:, 1], tabs[:, 2])
        good = is_number & (tabs[:, 0] - start == _SHA1) & (right > left)
        start, plays, left, right = start[good], plays[good], left[good], right[good]

        heads, is_hex = _runs(text, start)
        lengths = np.diff(np.append(heads, len(start)))
        good = np.repeat(is_hex, lengths)
        listened = good & (plays > 0)
        ids = [block[i : i + _SHA1] for i in start[heads[is_hex]].tolist()]
        codes = np.fromiter(map(self.users.__getitem__, ids), dtype=np.int32, count=len(ids))
        user_codes = np.repeat(codes, lengths[is_hex])[listened[good]]
        bounds = zip(left[listened].tolist(), right[listened].tolist(), strict=True)
        names = map(self.artists.__getitem__, [block[i:j] for i, j in bounds])
        artist_codes = np.fromiter(names, dtype=np.int32, count=len(user_codes))

        self.blocks.append((user_codes, artist_codes, plays[listened].astype(np.float32)))
        self.rows += n_lines
        self.malformed += n_lines - int(good.sum())
        self.zero_plays += int(good.sum()) - len(user_codes)


def _split(text: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Lines that are not empty, and of those with four fields: start, the three tabs, end."""
    marks = np.flatnonzero(text <= _NEWLINE)
    kinds = text[marks]
    if kinds.min(initial=_TAB) < _TAB:
        marks, kinds = marks[kinds >= _TAB], kinds[kinds >= _TAB]
    newline = np.flatnonzero(kinds == _NEWLINE)
    end = marks[newline]
    start = np.concatenate([[0], end[:-1] + 1])
    n_lines = int(np.count_nonzero(end > start))
    four = np.flatnonzero(np.diff(newline, prepend=-1) == 4)
    tabs = marks[newline[four, None] + np.arange(-3, 0)]
    end = end[four]
    return n_lines, start[four], tabs, end - (text[end - 1] == _RETURN)


def _numbers(text: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unsigned whole numbers between start and end, and where there is one."""
    width = end - start
    valid = (width > 0) & (width <= _MAX_DIGITS)
    value = np.zeros(len(start), dtype=np.int64)
    for place in range(int(width[valid].max(initial=0))):
        digit = text[np.maximum(end - 1 - place, 0)] - np.uint8(_ZERO)  # wraps below "0"
        inside = place < width
        valid &= (digit < 10) | ~inside
        value += np.where(inside, digit, 0) * np.int64(10**place)
    return value, valid


def _runs(text: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first rows of runs of the same 40 characters, and whether these are hexadecimal."""
    if len(start) == 0:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=bool)
    # One 40-byte element at every offset: overlapping, read only.
    windows = np.ndarray(len(text) - _SHA1 + 1, dtype=f"V{_SHA1}", buffer=text, strides=(1,))
    ids = windows[start]
    words = ids.view(np.uint64).reshape(-1, _SHA1 // 8)
    heads = np.flatnonzero(np.append(True, (words[1:] != words[:-1]).any(axis=1)))
    characters = ids[heads].view(np.uint8).reshape(-1, _SHA1)
    return heads, _IS_HEX[characters].all(axis=1)


def read_tsv(path: Path, kind: str, show_progress: bool) -> tuple[TsvRows, dict[str, Any]]:
    """All rows of a .tsv, .tsv.gz, .tar or .tar.gz, and what there is to report.

    Raises
    ------
    ValueError
        If the file is damaged, holds no such rows, or no such member.
    """
    rows, md5 = TsvRows(), hashlib.md5(usedforsecurity=False)
    bar = progress_bar(
        show_progress,
        total=path.stat().st_size,
        unit="B",
        unit_scale=True,
        desc=f"reading {path.name}",
    )
    try:
        with bar, open(path, "rb") as raw, _open_rows(path, kind, raw) as stream:
            for block in _blocks(path, stream, md5):
                rows.add(block)
                if len(rows.blocks) == 1 and 2 * rows.malformed > rows.rows:
                    raise ValueError(_wrong_rows(path, block))
                bar.update(raw.tell() - bar.n)
    except (EOFError, tarfile.TarError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}): download it again") from error
    if not any(len(block[0]) for block in rows.blocks):
        raise ValueError(f"{path} holds no rows of lastfm-360K: it is empty")
    report = {
        "rows": rows.rows,
        "malformed": rows.malformed,
        "zero_plays": rows.zero_plays,
        "is_published_file": md5.hexdigest() == PUBLISHED_MD5,
    }
    return rows, report


def _wrong_rows(path: Path, block: bytes) -> str:
    first = block[: block.index(b"\n")].decode("utf-8", "replace")
    return (
        f"{path} is not lastfm-360K: most of its lines are not made of the four tab-separated "
        f"fields user sha1, artist MusicBrainz id, artist name, plays. Its first line is "
        f"{first[:100]!r}. For other data use recsys.datasets.read_interactions."
    )


def _blocks(path: Path, stream: IO[bytes], md5: Any) -> Iterator[bytes]:
    """The stream in blocks of whole lines."""
    rest = b""
    while chunk := stream.read(_BLOCK):
        md5.update(chunk)
        cut = chunk.rfind(b"\n") + 1
        if cut == 0 and len(chunk) == _BLOCK:
            raise ValueError(f"{path} is not lastfm-360K: it is no text file of short lines")
        if cut:
            yield rest + chunk[:cut]
            rest = b""
        rest += chunk[cut:]
    if rest:
        yield rest + b"\n"


@contextmanager
def _open_rows(path: Path, kind: str, raw: BinaryIO) -> Iterator[IO[bytes]]:
    """The bytes of the rows, decompressed on the way; reads a compressed file to its very end."""
    if kind == "text":
        yield raw
        return
    outer: Any = raw if kind == "tar" else gzip.GzipFile(fileobj=raw)
    with outer:
        if kind == "gzip":
            yield outer
        else:
            with tarfile.open(fileobj=outer, mode="r|") as archive:
                yield _member(path, archive)
        while outer.read(1 << 20):  # the checksum of gzip comes last
            pass


def _member(path: Path, archive: tarfile.TarFile) -> IO[bytes]:
    seen = []
    for member in archive:
        if member.isfile() and member.name.rsplit("/", 1)[-1] == MEMBER:
            return archive.extractfile(member)
        seen.append(member.name)
    raise ValueError(f"{path} is not the archive of lastfm-360K: no {MEMBER} among {seen[:10]}")
