"""Rows of files in batches, whatever their size: CSV and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from recsys import checks
from recsys.interactions.columns import moment
from recsys.interactions.encode import pyarrow_or_none
from recsys.interactions.frames import check_columns

ROWS = 1 << 20  # of a batch of a Parquet file
_BYTES = 16 << 20  # of a block of a CSV that Arrow reads
_LINES = 1 << 16  # of one that Python reads
_SEPARATORS = "\t;,|"
_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"PAR1": "is a Parquet file: read it by from_parquet",
    b"PK\x03\x04": "is a zip archive, such as an .npz or a spreadsheet; expected text",
    b"\x89HDF": "is an HDF5 file; expected text",
    b"<": "is a web page; expected rows of text. Download it again",
}


class Csv(NamedTuple):
    """How a text file is written.

    Attributes
    ----------
    separator : str
    header : bool
    quote : str or None
    encoding : str
    names : list of str
        Of all columns; their numbers where there is no header.
    """

    separator: str
    header: bool
    quote: str | None
    encoding: str
    names: list[str]


class Writing(NamedTuple):
    """How values and times are written in a text file."""

    decimal: str = "."
    time_format: str | None = None

    def checked(self) -> Writing:
        """These, if they can be."""
        checks.choice("decimal", self.decimal, (".", ","))
        form = self.time_format
        if form is not None and (not isinstance(form, str) or "%" not in form):
            raise ValueError(
                "time_format must be such as '%d.%m.%Y %H:%M', as in datetime.strptime; got "
                f"{form!r}"
            )
        return self


def existing(path: str | os.PathLike) -> Path:
    """`path`, of which there must be a file."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.stat().st_size:
        raise ValueError(f"{path}: the file is empty; expected a row an event")
    return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What goes wrong within is said of this file, as TypeError or ValueError."""
    damage: tuple[type[Exception], ...] = (EOFError, zlib.error, OSError, csv.Error)
    arrow = pyarrow_or_none()
    if arrow is not None:
        damage += (arrow.ArrowException,)
    try:
        yield
    except UnicodeError as error:
        raise ValueError(f"{path} is not in the encoding expected: {error}{_ENCODING}") from None
    except damage as error:
        if getattr(error, "errno", None) is not None:  # the system's, which names the file
            raise
        hint = _ENCODING if "UTF8" in str(error) else ""
        raise ValueError(f"{path} is damaged or something else: {error}{hint}") from error
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


_ENCODING = ". Name the right one, such as encoding='latin-1'"


# ---- Parquet -----------------------------------------------------------------------------------


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """Some columns of a Parquet file, as batches of narwhals Series."""
    with open(path, "rb") as file:
        if file.read(4) != b"PAR1":
            raise ValueError("no Parquet file; text is read by from_csv")
    try:
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            "reading Parquet needs pyarrow: pip install 'recsys-engine[arrow]'"
        ) from None
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        check_columns(columns, schema.names, "the file")
    # Strings by their numbers in the file's own dictionaries, which takes a fraction of the time
    texts = [name for name in columns if str(schema.field(name).type).endswith("string")]
    with parquet.ParquetFile(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(ROWS, columns=list(columns)):
            yield [_series(batch.column(name)) for name in columns]


def _series(array: Any) -> Any:
    import narwhals.stable.v2 as nw
    import pyarrow

    return nw.from_native(pyarrow.chunked_array([array]), series_only=True)


# ---- CSV ---------------------------------------------------------------------------------------


def csv_layout(
    path: Path,
    separator: str | None = None,
    header: bool = True,
    quote: str | None = '"',
    encoding: str = "utf-8",
) -> Csv:
    """How a text file is written, from its first line and from what is known of it."""
    checks.flag("header", header)
    for name, value in (("separator", separator), ("quote", quote)):
        if value is not None and (not isinstance(value, str) or len(value) != 1):
            raise ValueError(f"{name} must be a single character or None; got {value!r}")
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    with _text(path, encoding) as file:
        first = file.readline(1 << 20)
    if not first.strip():
        raise ValueError("the file is empty, or begins with an empty line; expected rows of text")
    if "\0" in first:
        raise ValueError("the file is no text; expected rows of it")
    if separator is None:
        separator = max(_SEPARATORS, key=first.count)
    layout = Csv(separator, header, quote, encoding, [])
    fields = next(_rows(layout, [first]))
    return layout._replace(names=fields if header else [str(n) for n in range(len(fields))])


def csv_columns(layout: Csv, columns: Sequence[Any]) -> list[int]:
    """The places of columns, which are named by the header or numbered where there is none."""
    if layout.header:
        numbers = any(name.strip().replace(".", "", 1).isdecimal() for name in layout.names)
        try:
            check_columns(columns, layout.names, "the header")
        except ValueError as error:
            hint = ". If that is no header: header=False, user=0, item=1" if numbers else ""
            raise ValueError(f"{error}{hint}") from None
        return [layout.names.index(name) for name in columns]
    for column in columns:
        checks.integer("a column of a file without a header", column, 0)
        if column >= len(layout.names):
            raise ValueError(
                f"there is no column {column}; the first line has {len(layout.names)}, counted "
                f"from 0, by the separator {layout.separator!r}"
            )
    return list(columns)


def read_csv(
    path: Path,
    layout: Csv,
    places: Sequence[int],
    kinds: str,
    writing: Writing = Writing(),  # noqa: B008 (it never changes)
) -> Iterator[list[Any]]:
    """Columns of a text file in batches.

    Parameters
    ----------
    path, layout
    places : sequence of int
        Which columns.
    kinds : str
        A letter a column: ``i`` for ids, ``v`` for values, ``t`` for times.
    writing : Writing
    """
    writing = writing.checked()
    by_arrow = pyarrow_or_none() is not None
    blocks = (_by_arrow if by_arrow else _by_python)(path, layout, places)
    row = 0
    for block in blocks:
        yield [
            part if kind == "i" else _parsed(part, kind, layout.names[place], row, writing)
            for part, kind, place in zip(block, kinds, places, strict=True)
        ]
        row += len(block[0])


def _by_arrow(path: Path, layout: Csv, places: Sequence[int]) -> Iterator[list[Any]]:
    """Narwhals Series of strings, null where empty."""
    import pyarrow
    from pyarrow import csv

    names = [str(n) for n in range(len(layout.names))]
    used = [names[place] for place in places]
    utf8 = layout.encoding == "utf-8-sig"
    with _binary(path) as file:
        stream = csv.open_csv(
            file,
            csv.ReadOptions(
                block_size=_BYTES,
                column_names=names,
                skip_rows=int(layout.header),
                encoding="utf8" if utf8 else layout.encoding,
            ),
            csv.ParseOptions(
                delimiter=layout.separator,
                quote_char=layout.quote or False,
                newlines_in_values=layout.quote is not None,
            ),
            csv.ConvertOptions(
                include_columns=list(dict.fromkeys([*used, names[-1]])),
                column_types=dict.fromkeys([*used, names[-1]], pyarrow.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        last = None
        for batch in stream:
            if len(batch):
                last = batch.column(names[-1])[-1].as_py()
            yield [_series(batch.column(name)) for name in used]
    _check_closed(path, last, layout)


def _by_python(path: Path, layout: Csv, places: Sequence[int]) -> Iterator[list[Any]]:
    """Arrays of strings, None where empty."""
    width, row, last = len(layout.names), 0, None
    with _text(path, layout.encoding) as file:
        rows = _rows(layout, file)
        if layout.header:
            next(rows)
        while block := [fields for fields in itertools.islice(rows, _LINES) if fields]:
            for at, fields in enumerate(block, row):
                if len(fields) != width:
                    raise ValueError(
                        f"row {at} has {len(fields)} fields, expected {width}: "
                        f"{layout.separator.join(fields)[:100]}"
                    )
            yield [np.array([f[place] or None for f in block], object) for place in places]
            row, last = row + len(block), block[-1][-1]
    _check_closed(path, last, layout)


def _check_closed(path: Path, last: str | None, layout: Csv) -> None:
    """That the last field of a file ends before the file does."""
    if layout.quote:
        quote, field = layout.quote, last or ""
        begun = layout.separator + quote + field.replace(quote, 2 * quote)
        if _end(path, layout.encoding, len(begun)).endswith(begun):
            raise ValueError(
                f"the file ends within a field, which begins with a {quote} and {field[:40]!r}: a "
                "part of it is missing. If it is all there, and these enclose nothing: quote=None"
            )
    if last and layout.quote and last.endswith("\n"):
        raise ValueError(
            f"a {layout.quote} that is never closed, before {last[:40]!r}, makes one field of the "
            "rest of the file; expected pairs. If they enclose nothing here: quote=None"
        )


def _rows(layout: Csv, lines: Any) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        delimiter=layout.separator,
        quotechar=layout.quote or '"',
        quoting=csv.QUOTE_MINIMAL if layout.quote else csv.QUOTE_NONE,
    )


def _end(path: Path, encoding: str, count: int) -> str:
    """At least so many characters of a file without ends of lines behind them; none of one that is
    packed, which tells by itself where it is cut off."""
    with open(path, "rb") as file:
        if file.read(2) == _GZIP:
            return ""
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 4 * count - 8))
        return file.read().decode(encoding, "ignore").rstrip("\r\n")


@contextmanager
def _binary(path: Path) -> Iterator[Any]:
    """The bytes, unpacked where gzip packed them."""
    with open(path, "rb") as file:
        packed = file.read(2) == _GZIP
    with gzip.open(path) if packed else open(path, "rb") as file:
        start = file.read(4)
        for signature, what in _OTHERS.items():
            if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(signature):
                raise ValueError(f"the file {what}")
        file.seek(0)
        yield file


@contextmanager
def _text(path: Path, encoding: str) -> Iterator[IO[str]]:
    with _binary(path) as file:
        yield io.TextIOWrapper(file, encoding, newline="")


# ---- fields ------------------------------------------------------------------------------------


def _parsed(texts: Any, kind: str, name: str, row: int, writing: Writing) -> np.ndarray:
    """Values or times from strings, of which the first is in `row`."""
    as_usual = writing.decimal == "." if kind == "v" else writing.time_format is None
    if not isinstance(texts, np.ndarray):
        quick = _parsed_by_arrow(texts, kind) if as_usual else None
        if quick is not None:
            return quick
        texts = np.array(texts.to_list(), object)
    ways: tuple[Callable[[str], Any], ...] = (float,) if kind == "v" else (int, float, _moment)
    if not as_usual and kind == "v":
        ways = (_with_comma,)
    elif not as_usual:
        form = writing.time_format or ""
        ways = (lambda text: moment(datetime.strptime(text, form)),)
    for way in ways:
        try:
            read = _numbers_or_moments([way(text or "") for text in texts])
        except ValueError:
            continue
        if way is _moment:
            _check_zones(texts, name, row)
        return read
    good = [[_reads(way, text) for text in texts] for way in ways]
    best = max(good, key=sum)  # what most of them are
    bad = best.index(False)
    raise ValueError(
        f"column {name!r} holds {texts[bad] or ''!r} in row {row + bad}; expected "
        f"{_expected(kind, texts[bad] or '', writing)}"
    )


def _numbers_or_moments(read: list[Any]) -> np.ndarray:
    """An array of what was read; ValueError for whole numbers that 64 bits do not hold."""
    try:
        return np.array(read) if not read or isinstance(read[0], np.datetime64) else np.array(
            read, type(read[0]) if type(read[0]) is float else np.int64
        )  # fmt: skip
    except OverflowError:
        raise ValueError("an integer that is too large") from None


def _with_comma(text: str) -> float:
    if "." in text:
        raise ValueError(text)
    return float(text.replace(",", "."))


def _other_reading(text: str, decimal: str) -> str:
    """What is said of a text that is no number: how another decimal point reads it, or why none."""
    other = "." if decimal == "," else ","
    try:
        value = float(text) if decimal == "," else _with_comma(text)
    except ValueError:
        grouped = set(text.strip()) <= set("+-0123456789., '") and any(c.isdigit() for c in text)
        return ": take out what separates thousands" if grouped else ""
    return f": decimal={other!r} reads {value:g}, unless {other!r} separates thousands here"


def _expected(kind: str, text: str, writing: Writing) -> str:
    """What a field should have been, and what says that it is as it is."""
    if kind == "v":
        usual = "" if writing.decimal == "." else f" with {writing.decimal!r} before its fraction"
        return f"a number{usual}{_other_reading(text, writing.decimal)}"
    if writing.time_format is not None:
        return f"a date written as {writing.time_format!r}"
    return (
        "a number or a date as in ISO 8601, such as 2026-01-31 18:00:00 or 2026-01-31T18:00+01:00: "
        "time_format= says how others are written, such as '%d.%m.%Y'"
    )


def _parsed_by_arrow(texts: Any, kind: str) -> np.ndarray | None:
    import pyarrow

    if texts.null_count():
        return None
    types = [pyarrow.float64()]
    if kind == "t":
        types = [pyarrow.int64(), *types, pyarrow.timestamp("us"), pyarrow.timestamp("us", "UTC")]
    for arrow_type in types:
        try:
            return texts.to_native().cast(arrow_type).to_numpy()
        except pyarrow.ArrowInvalid:
            continue
    return None


def _check_zones(texts: Any, name: str, row: int) -> None:
    """ValueError where some dates have a zone that is not UTC, and others have none."""
    offsets = [datetime.fromisoformat(text).utcoffset() for text in texts]
    if None not in offsets or not any(offsets):
        return
    without = offsets.index(None)
    at = next(place for place, offset in enumerate(offsets) if offset)
    raise ValueError(
        f"column {name!r} holds {texts[at]!r} in row {row + at}, a date with a zone, and "
        f"{texts[without]!r} in row {row + without}, one without; expected all with or all without"
    )


def _moment(text: str) -> np.datetime64:
    return moment(datetime.fromisoformat(text))


def _reads(way: Callable[[str], Any], text: str | None) -> bool:
    try:
        way(text or "")
    except ValueError:
        return False
    return True
