"""The caller's tables: which kind one is, its rows in batches, and results as a table again."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from recsys import checks

KINDS = ("pandas", "polars", "pyarrow")  # of frames, in the order in which one is chosen
_SHOWN = 30  # names of columns that an error lists
# How the libraries of tables drop rows of which a column is missing
DROP = {
    "pandas": "drop such rows with frame.dropna(subset=[{!r}])",
    "polars": "drop such rows with frame.drop_nulls({!r})",
    "pyarrow": "drop such rows with table.filter(pyarrow.compute.field({!r}).is_valid())",
    None: "expected none: drop such rows",
}
# How types with parts are printed
_ENUM = re.compile(r"Enum\(categories=(\[.*\])\)", re.DOTALL)
_DICTIONARY = re.compile(r"dictionary<values=(\w+), indices=(\w+), ordered=0>")
ROWS = 1 << 21  # of a batch: what is held beside the caller's table stays small


def to_frame(
    columns: dict[str, np.ndarray],
    kind: str | None = None,
    types: Mapping[str, Any] | None = None,
) -> Any:
    """A table of columns.

    Parameters
    ----------
    columns : dict of str to 1-D ndarray
        Numbers, datetime64, or objects such as strings.
    kind : {"pandas", "polars", "pyarrow"} or None
        Of the table returned. None: the first of these that is installed.
    types : mapping of str to type, optional
        Of some columns, in terms of that library, or what such a type is printed as; where that
        holds all values.

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
    types = types or {}
    made = {name: _typed(library, values, types.get(name)) for name, values in columns.items()}
    if kind == "pandas":
        return library.DataFrame(made, copy=False)
    return library.DataFrame(made) if kind == "polars" else library.table(made)


def _typed(library: Any, values: np.ndarray, wanted: Any) -> Any:
    """A column of one library, of the type `wanted` if that holds all the values."""
    name = library.__name__
    # Arrays of objects would become columns of Python objects
    plain = values.tolist() if values.dtype == object and name != "pandas" else values
    if wanted is None:
        return plain
    with contextlib.suppress(*_refusals(library)):
        typed = _TYPED[name](library, plain, wanted)
        if typed is not None:
            return typed
    return plain


def _refusals(library: Any) -> tuple[type[Exception], ...]:
    """What is raised where a type does not hold the values, or there is no such type."""
    further = {
        "polars": lambda: (library.exceptions.PolarsError,),
        "pyarrow": lambda: (library.ArrowException,),
    }
    of_library = further.get(library.__name__, lambda: ())()
    return (TypeError, ValueError, OverflowError, AttributeError, KeyError, *of_library)


def _by_pandas(pandas: Any, values: np.ndarray, wanted: Any) -> Any:
    kind = pandas.api.types.pandas_dtype(wanted)
    if isinstance(kind, np.dtype) and kind.kind == "O":
        return None
    if isinstance(kind, pandas.CategoricalDtype) and kind.categories is not None:
        known = kind.categories
        more = pandas.Index(values).difference(known, sort=False)
        kind = pandas.CategoricalDtype(known.append(more), kind.ordered and not len(more))
    typed = pandas.Series(values).astype(kind)
    same = len(typed) == 0 or bool((typed.astype(object).to_numpy() == values).all())
    return typed if same else None


def _by_polars(polars: Any, values: Any, wanted: Any) -> Any:
    kind = wanted
    if isinstance(wanted, str):
        categories = _ENUM.fullmatch(wanted)
        of_enum = categories and polars.Enum(ast.literal_eval(categories[1]))
        kind = of_enum or getattr(polars, wanted)
    return polars.Series(values).cast(kind)


def _by_arrow(pyarrow: Any, values: Any, wanted: Any) -> Any:
    kind = wanted
    if isinstance(wanted, str):
        encoded = _DICTIONARY.fullmatch(wanted)
        names = encoded.group(2, 1) if encoded else (wanted,)
        kinds = [pyarrow.type_for_alias(name) for name in names]
        kind = pyarrow.dictionary(*kinds) if encoded else kinds[0]
    return pyarrow.array(values).cast(kind)


_TYPED = {"pandas": _by_pandas, "polars": _by_polars, "pyarrow": _by_arrow}


def read_frame(
    frame: Any, columns: Sequence[str]
) -> tuple[str | None, tuple[Any, ...], Iterator[list[Any]]]:
    """What kind of table `frame` is, and some of its columns in batches of rows.

    Parameters
    ----------
    frame : pandas, polars (also lazy), pyarrow, DuckDB or other table
        Whatever narwhals reads, or offers ``__arrow_c_stream__``.
    columns : sequence of str

    Returns
    -------
    kind : {"pandas", "polars", "pyarrow"} or None
    types : tuple
        Of the columns, in terms of that library; None for each where there is no such kind.
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
    known = name in KINDS
    types = tuple(_type_of(table[column].to_native()) if known else None for column in columns)
    return name if known else None, types, _batches(table, columns)


def names_of(frame: Any) -> list[str]:
    """The names of a table's columns; errors as `read_frame`."""
    import narwhals.stable.v2 as nw

    return list(_narwhals(nw, frame).collect_schema().names())


def _type_of(series: Any) -> Any:
    return series.type if hasattr(series, "type") else series.dtype


def check_columns(columns: Sequence[str], there: Sequence[str], owner: str) -> None:
    """ValueError where one of `columns` is not among those that `owner` has."""
    for name in columns:
        if list(there).count(name) > 1:
            raise ValueError(
                f"{owner} has {list(there).count(name)} columns {name!r}; expected one of that "
                "name: rename the others"
            )
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
    twice = [name for name, n in Counter(_names(frame)).items() if n > 1]
    if twice:
        raise ValueError(
            f"the table has more than one column {twice[0]!r}; expected one of each name: rename "
            "the others"
        )
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


def _names(frame: Any) -> list[Any]:
    """Of a table's columns, as far as can be seen without reading it."""
    if hasattr(frame, "collect_schema"):  # polars, which has each name once
        return []
    for attribute in ("column_names", "columns"):  # of pyarrow, and of pandas
        names = getattr(frame, attribute, None)
        if isinstance(names, list) or hasattr(names, "tolist"):
            return list(names)
    return []


def _needs_pyarrow(frame: Any) -> ImportError:
    return ImportError(
        f"reading {type(frame).__qualname__} needs pyarrow: pip install 'recsys-engine[arrow]'"
    )
