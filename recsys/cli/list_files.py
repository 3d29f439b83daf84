"""Files of lists, a row a place, written block after block, as a whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from recsys.cli.output import check_output
from recsys.whole_file import whole_file

Columns = dict[str, np.ndarray]


def check_list_file(path: Path, *inputs: Path | None) -> None:
    """As `check_output`, of a file of lists."""
    check_output(path, *inputs)
    if path.suffix not in _WRITERS:
        raise ValueError(
            f"lists are written to files that end in {', '.join(_WRITERS)}; got {str(path)!r}"
        )
    if path.suffix == ".parquet":
        _parquet()


def write_list_file(path: Path, blocks: Iterable[Columns]) -> None:
    """Write blocks of columns, all of the same names."""
    with whole_file(path) as temporary:
        _WRITERS[path.suffix](temporary, blocks)


def rows_of(columns: Columns) -> list[dict]:
    """One dictionary a row, of plain numbers and strings."""
    return [dict(zip(columns, row, strict=True)) for row in _rows(columns)]


def _rows(columns: Columns) -> Iterable[tuple]:
    # str of a float32 has the digits that tell it from others, tolist those of a float64
    plain = [
        [float(str(value)) for value in column] if column.dtype.kind == "f" else column.tolist()
        for column in columns.values()
    ]
    return zip(*plain, strict=True)


def _parquet() -> tuple:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            "writing Parquet needs pyarrow: pip install 'recsys-engine[arrow]'"
        ) from None
    return pyarrow, parquet


def _write_parquet(path: Path, blocks: Iterable[Columns]) -> None:
    pyarrow, parquet = _parquet()
    writer = None
    try:
        for columns in blocks:
            table = pyarrow.table(columns)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _separated(delimiter: str) -> Callable[[Path, Iterable[Columns]], None]:
    def write(path: Path, blocks: Iterable[Columns]) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            for number, columns in enumerate(blocks):
                if not number:
                    writer.writerow(columns)
                writer.writerows(_rows(columns))

    return write


def _write_lines(path: Path, blocks: Iterable[Columns]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for columns in blocks:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(columns))


_WRITERS = {
    ".parquet": _write_parquet,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": _write_lines,
}
