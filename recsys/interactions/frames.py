"""The caller's tables: which kind one is, its rows in batches, and results as a table again."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from recsys import checks

KINDS = ("pandas", "polars", "pyarrow")  # of frames, in the order in which one is chosen
_SHOWN = 30  # names of columns that an error lists
ROWS = 1 << 21  # of a batch: what is held beside the caller's table stays small


def to_frame(columns: dict[str, np.ndarray], kind: str | None = None) -> Any:
    """A table of columns.

    Parameters
    ----------
    columns : dict of str to 1-D ndarray
        Numbers, datetime64, or objects such as strings.
    kind : {"pandas", "polars", "pyarrow"} or None
        Of the table returned. None: the first of these that is installed.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table

    Raises
    ------
    ImportError
        That library is not installed, or none is.
    ValueError
        An unknown kind.
    """
    if kind is None:
        kind = next((name for name in KINDS if importlib.util.find_spec(name)), None)
        if kind is None:
            raise ImportError(
                "a table needs pandas, polars or pyarrow, and none is installed: pip install pandas"
            )
    checks.choice("kind", kind, KINDS)
    try:
        library = importlib.import_module(kind)
    except ImportError:
        raise ImportError(f"a {kind} table needs {kind}: pip install {kind}") from None
    if kind == "pandas":
        return library.DataFrame(columns, copy=False)
    # Arrays of objects would become columns of Python objects
    plain = {
        name: values.tolist() if values.dtype == object else values
        for name, values in columns.items()
    }
    return library.DataFrame(plain) if kind == "polars" else library.table(plain)


def read_frame(frame: Any, columns: Sequence[str]) -> tuple[str | None, Iterator[list[Any]]]:
    """What kind of table `frame` is, and some of its columns in batches of rows.

    Parameters
    ----------
    frame : pandas, polars (also lazy), pyarrow, DuckDB or other table
        Whatever narwhals reads, or offers ``__arrow_c_stream__``.
    columns : sequence of str

    Returns
    -------
    kind : {"pandas", "polars", "pyarrow"} or None
    batches : iterator of list
        Of each batch a narwhals Series a column.

    Raises
    ------
    TypeError
        No table.
    ValueError
        A column that is not there; those that are there are named.
    ImportError
        A table that only pyarrow can read, and there is none.
    """
    import narwhals.stable.v2 as nw

    table = _narwhals(nw, frame)
    check_columns(columns, table.collect_schema().names(), "the table")
    table = table.select(list(dict.fromkeys(columns)))
    if isinstance(table, nw.LazyFrame):
        try:
            table = table.collect()
        except ImportError:
            raise _needs_pyarrow(frame) from None
    name = table.implementation.value
    return name if name in KINDS else None, _batches(table, columns)


def check_columns(columns: Sequence[str], there: Sequence[str], owner: str) -> None:
    """ValueError where one of `columns` is not among those that `owner` has."""
    for name in columns:
        if name not in there:
            names = [str(each) for each in there]
            shown = ", ".join(repr(each[:40]) for each in names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise ValueError(
                f"{owner} has no column {name!r}; it has {shown}{more}{checks.nearest(name, names)}"
            )


def _batches(table: Any, columns: Sequence[str]) -> Iterator[list[Any]]:
    parts = [table[name] for name in columns]
    for begin in range(0, len(table), ROWS):
        yield [part[begin : begin + ROWS] for part in parts]


def _narwhals(nw: Any, frame: Any) -> Any:
    """`frame` as a narwhals DataFrame or LazyFrame."""
    table = nw.from_native(frame, pass_through=True)
    if isinstance(table, nw.DataFrame | nw.LazyFrame):
        return table
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        try:
            import pyarrow
        except ImportError:
            raise _needs_pyarrow(frame) from None
        with contextlib.suppress(pyarrow.ArrowInvalid):  # a single column
            return nw.from_native(pyarrow.table(frame))
    raise TypeError(
        f"expected a pandas, polars, pyarrow or DuckDB table; got {type(frame).__qualname__}. "
        "Arrays and lists go to Interactions.from_arrays, SciPy matrices to Interactions.from_csr"
    )


def _needs_pyarrow(frame: Any) -> ImportError:
    return ImportError(
        f"reading {type(frame).__qualname__} needs pyarrow: pip install 'recsys-engine[arrow]'"
    )
