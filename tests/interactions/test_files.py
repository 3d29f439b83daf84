"""CSV and Parquet files of all forms, read with and without pyarrow, and files of other forms."""

import gzip
import sys

import numpy as np
import pytest

from recsys import Interactions

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

TEXT = 'user,item,plays,when\nu1,"Simon, G.",1,5\nu2,Björk,1.5,7\n\nu1,"Simon, G.",2,6\n'
WITH = {"value": "plays", "time": "when"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.csv"


def check(data):
    assert list(data.users) == ["u1", "u2"] and list(data.items) == ["Simon, G.", "Björk"]
    assert data.user_items.toarray().tolist() == [[3, 0], [0, 1.5]]
    assert data.times.tolist() == [6, 7] and data.frame_kind is None


@pytest.mark.parametrize("batches", ["one batch", "small batches"])
@pytest.mark.parametrize(
    "content, options",
    [
        (TEXT.encode(), {}),
        (TEXT.replace("\n", "\r\n").encode(), {}),
        (b"\xef\xbb\xbf" + TEXT.encode(), {}),
        (gzip.compress(TEXT.encode()), {}),
        (TEXT.encode("latin-1"), {"encoding": "latin-1"}),
        (TEXT.encode("utf-16"), {"encoding": "utf-16"}),
        (TEXT.replace('"', "'").encode(), {"quote": "'"}),
    ],
    ids=["plain", "windows", "mark", "gzip", "latin-1", "utf-16", "quote"],
)
def test_csv(content, options, batches, reader, path, request):
    if batches == "small batches":
        request.getfixturevalue("small_batches")
    path.write_bytes(content)
    check(Interactions.from_csv(path, **WITH, **options))


@pytest.mark.parametrize("separator", "\t;|,")
@pytest.mark.parametrize("given", [True, False])
def test_separators(separator, given, reader, path):
    text = TEXT.replace(",", separator).replace(f"Simon{separator}", "Simon,")
    path.write_text(text, encoding="utf-8")
    check(Interactions.from_csv(path, **WITH, separator=separator if given else None))


def test_columns_without_header(reader, path):
    path.write_text("9,u1,x,2\n9,u2,y,3\n")
    data = Interactions.from_csv(path, 1, 2, 3, header=False)
    assert data.user_items.toarray().tolist() == [[2, 0], [0, 3]]
    assert data.names == ("user", "item", "value", None)


@pytest.mark.parametrize("rest", ['"Wi', '"', '"two ""words'])
def test_a_file_that_ends_within_quotes(reader, path, rest):
    path.write_text(f"user,artist\nann,Wire\nbob,{rest}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"ends within a field.*a part of it is missing"):
        Interactions.from_csv(path, "user", "artist")
    whole = 'user,artist\nann,"Wire"\nbob,"two, ""words"""'
    path.write_text(whole, encoding="utf-8")
    assert list(Interactions.from_csv(path, "user", "artist").items) == ["Wire", 'two, "words"']


def test_quotes_that_enclose_nothing(reader, path):
    path.write_text('user\titem\nu1\t"Heroes\nu2\t12" mix\n')
    data = Interactions.from_csv(path, quote=None)
    assert list(data.items) == ['"Heroes', '12" mix']
    path.write_text('user\titem\nu1\t"Heroes\nu2\tmix\n')
    with pytest.raises(ValueError, match=r"never closed, before 'Heroes.*quote=None"):
        Interactions.from_csv(path)


def test_numbers_stay_strings(reader, path):
    path.write_text("user,item\n007,1\n7,1\n")
    assert list(Interactions.from_csv(path).users) == ["007", "7"]


@pytest.mark.parametrize(
    "texts, moments",
    [
        (["2026-01-31", "2026-01-01 18:30:00"], ["2026-01-31T00:00", "2026-01-01T18:30"]),
        (["2026-01-31T00:00:00Z", "2026-01-31T01:00:00+02:00"], ["2026-01-31", "2026-01-30T23:00"]),
        (["2026-01-31T00:00:00Z", "2026-01-31"], ["2026-01-31", "2026-01-31"]),
    ],
)
def test_dates(texts, moments, reader, path):
    path.write_text(f"user,item,when\na,x,{texts[0]}\nb,x,{texts[1]}\n")
    data = Interactions.from_csv(path, time="when")
    assert (data.times == np.array(moments, "datetime64[s]")).all()


def test_numbers_and_dates(reader, small_batches, path):
    rows = [f"a,{n},{n}" for n in range(9)] + ["b,1,2026-01-01"] * 9
    path.write_text("\n".join(["user,item,when", *rows]))
    with pytest.raises((TypeError, ValueError), match=r"events.csv: .*(mixes numbers|'\d' in row)"):
        Interactions.from_csv(path, time="when")


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("user,item,plays\n", "there are no events"),
        ("user,item,plays\na,x,1\n,x,1\n", "'user' is missing in 1 row, first in row 1"),
        ("user,item,plays\na,x,1\na,y,many\n", "'plays' holds 'many' in row 1; expected a number"),
        ("user,item,plays\na,x,1\na,y,\n", "'plays' holds '' in row 1; expected a number"),
        ("user,item,plays\na,x,1\na,y,nan\n", r"'plays' is not finite in 1 row, first in row 1"),
        ("user,item,plays\na,x,1\na,y,-1\n", r"'plays' is negative in 1 row, first in row 1"),
        ("user,item,plays\na,x,1\na,y\n", "2.*a,y"),
        ("user,item,count\na,x,1\n", "no column 'plays'; it has 'user', 'item', 'count'"),
        ("1,2,3\n4,5,6\n", r"it has '1', '2', '3'. If that is no header: header=False, user=0"),
        ("user.item.plays\na.x.1\n", "it has 'user.item.plays'"),
        ("<!DOCTYPE html>\n<html></html>", "is a web page"),
        (b"PAR1\0\0\0\0", "is a Parquet file: read it by from_parquet"),
        (b"PK\x03\x04\0\0", "is a zip archive"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"\0\1\2\3" * 30, "is no text"),
        (TEXT.encode("latin-1"), r"encoding expected: 'utf-8' .*encoding='latin-1'"),
        (TEXT.encode("utf-16"), r"encoding expected: 'utf-8' .*Name the right one"),
        (gzip.compress(TEXT.encode() * 50)[:-9], r"is damaged or something else: .*end"),
        (b"\x1f\x8b\x08nonsense", r"is damaged or something else"),
    ],
)
def test_wrong_csv(content, message, reader, path):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"events.csv( |: ).*{message}"):
        Interactions.from_csv(path, value="plays")


def test_wrong_encoding_far_into_the_file(reader, path):
    path.write_bytes(b"user,item\n" + b"a,x\n" * 9000 + "a,Björk\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"events.csv is .*encoding='latin-1'"):
        Interactions.from_csv(path)


def test_wrong_time(reader, path):
    path.write_text("user,item,when\na,x,yesterday\n")
    with pytest.raises(ValueError, match="'when' holds 'yesterday' in row 0; expected a number or"):
        Interactions.from_csv(path, time="when")


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"separator": ", "}, ValueError, "separator must be a single character or None; got ', '"),
        ({"quote": ""}, ValueError, "quote must be a single character or None; got ''"),
        ({"header": "no"}, TypeError, "header must be True or False"),
        ({"header": False}, TypeError, r"user is a column by its number, .*; got 'user'"),
        ({"header": False, "user": 0, "item": 0}, ValueError, "0 is named twice"),
        ({"header": False, "user": 0, "item": 7}, ValueError, "no column 7; the first line has 4"),
        ({"header": False, "user": 0, "item": -1}, ValueError, "must be at least 0; got -1"),
        ({"encoding": "utf-9"}, (LookupError, ValueError), "utf-9"),
    ],
)
def test_wrong_options(options, error, message, path):
    path.write_text(TEXT, encoding="utf-8")
    with pytest.raises(error, match=message):
        Interactions.from_csv(path, **options)


@pytest.mark.parametrize("read", [Interactions.from_csv, Interactions.from_parquet])
def test_no_file(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere"):
        read(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError, match="is a folder; expected a file"):
        read(tmp_path)


COLUMNS = {
    "user": ["u1", "u2", "u1"],
    "item": ["Simon, G.", "Björk", "Simon, G."],
    "plays": [1, 1.5, 2],
    "when": [5, 7, 6],
    "unused": [None, None, None],
}


@pytest.mark.parametrize("batches", ["one batch", "small batches"])
@pytest.mark.parametrize("groups", [1, 2, 9])
def test_parquet(groups, batches, tmp_path, request):
    if batches == "small batches":
        request.getfixturevalue("small_batches")
    parquet.write_table(pa.table(COLUMNS), tmp_path / "x", row_group_size=groups)
    check(Interactions.from_parquet(tmp_path / "x", **WITH))


def test_wrong_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table(COLUMNS), path)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=r"x\.parquet: the file has no column 'count'; it has"):
        Interactions.from_parquet(path, value="count")
    with pytest.raises(TypeError, match=r"x\.parquet: column 'plays': .*, a float"):
        Interactions.from_parquet(path, user="plays")
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"x\.parquet is damaged or something else"):
        Interactions.from_parquet(path)
    path.write_bytes(whole[:4] + b"\xff" * (len(whole) // 2) + whole[4 + len(whole) // 2 :])
    with pytest.raises(ValueError, match=r"x\.parquet is damaged or something else"):
        Interactions.from_parquet(path)
    path.write_text(TEXT, encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.parquet: no Parquet file; text is read by from_csv"):
        Interactions.from_parquet(path)


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table(COLUMNS), path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"'recsys-engine\[arrow\]'"):
        Interactions.from_parquet(path)
