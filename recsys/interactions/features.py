"""Features: what is known of users or items before anybody has had to do with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.interactions.encode import Encoder
from recsys.interactions.feature_columns import (
    WEIGHTS,
    Entries,
    FeatureColumn,
    NumberColumn,
    idf,
    learned_number,
    learned_words,
)
from recsys.interactions.feature_matrix import (
    check_no_matrix,
    checked_matrix,
    checked_names,
    not_all_empty,
    say_what_hides,
    unit_rows,
)
from recsys.interactions.frames import read_frame
from recsys.interactions.ids import Ids
from recsys.interactions.read_only import arrays_of

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

UNKNOWN = ("ignore", "error")
_USUAL = {"categories": "count", "labels": "count", "text": "idf"}


@dataclass(frozen=True)
class TableSchema:
    """Which columns a table becomes: the same for every table.

    Attributes
    ----------
    id : str
        The column of ids.
    columns : tuple of FeatureColumn
    normalize : bool
        Whether the words of a row have length 1 together.
    unknown : {"ignore", "error"}
    """

    id: str
    columns: tuple[FeatureColumn, ...]
    normalize: bool
    unknown: str

    @property
    def names(self) -> list[str]:
        """Of the columns of the matrix."""
        return [name for column in self.columns for name in column.names]

    def read(self, frame: Any) -> tuple[Ids, sparse.csr_array]:
        """The ids of a table and its rows as a matrix."""
        wanted = [self.id, *(column.name for column in self.columns)]
        ids, series = _columns_of(frame, wanted)
        matrix, unknown = self.matrix(series, len(ids))
        self._tell(unknown)
        return ids, matrix

    def matrix(
        self, series: Mapping[str, Any], count: int
    ) -> tuple[sparse.csr_array, dict[str, int]]:
        """Columns of a table, each as one narwhals Series, as a matrix of so many rows; and how
        many words of which have no column."""
        words: list[Entries] = []
        numbers: list[Entries] = []
        unknown: dict[str, int] = {}
        width = 0
        for column in self.columns:
            entries, strange = column.entries(series[column.name])
            placed = entries._replace(columns=entries.columns + width)
            (numbers if isinstance(column, NumberColumn) else words).append(placed)
            width += len(column.names)
            if strange:
                unknown[column.name] = strange
        counted = _assembled(words, (count, width))
        if self.normalize:
            counted = unit_rows(counted)
        return _added(counted, _assembled(numbers, (count, width))), unknown

    def _tell(self, unknown: dict[str, int]) -> None:
        if not unknown:
            return
        shown = ", ".join(f"{count:,} of {name!r}" for name, count in unknown.items())
        if self.unknown == "error":
            raise ValueError(
                f"values that have no column: {shown}; expected only such as were there when the "
                'features were made, and not left out, as unknown="error"'
            )
        logger.info("features: values that have no column give nothing: %s", shown)


@dataclass(frozen=True)
class MatrixSchema:
    """Which columns a matrix has, and what each counts.

    Attributes
    ----------
    names : list of str
    weights : ndarray of float64 or None
        What the columns are multiplied by; None: by 1.
    normalize : bool
        Whether rows have length 1.
    """

    names: list[str]
    weights: np.ndarray | None
    normalize: bool

    def scaled(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """A matrix of these columns as models take it."""
        if self.weights is not None:
            data = (matrix.data * self.weights[matrix.indices]).astype(np.float32)
            matrix = csr.assemble(data, matrix.indices, matrix.indptr, matrix.shape)
        return unit_rows(matrix) if self.normalize else matrix


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """What is known of users or of items: a matrix with a row for each. It never changes.

    Made by `from_frame` and `from_csr`, and of further rows by `transform`. Models take it as
    ``fit(data, item_features=..., user_features=...)``.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array of float32, n x p
        Canonical; it is not to be written to.
    ids : Ids or None
        The id of each row; None: rows go by number.
    """

    matrix: sparse.csr_array
    ids: Ids | None
    schema: TableSchema | MatrixSchema

    def __post_init__(self) -> None:
        matrix = csr.assemble(*arrays_of(self.matrix), self.matrix.shape)
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        id: str,
        *,
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
        labels: Sequence[str] = (),
        text: Sequence[str] = (),
        weight: str | Mapping[str, str] | None = None,
        separator: str = "|",
        min_count: int = 1,
        normalize: bool = True,
        unknown: str = "ignore",
    ) -> Features:
        """From a table with a row for each user, or for each item.

        What the columns of the matrix are is fixed here (words, means, deviations): make the
        features of what training may see, and those of later rows by `transform`.

        Parameters
        ----------
        frame : pandas, polars (also lazy), pyarrow, DuckDB or other table
        id : str
            The column of ids, of the kind that the interactions have; each once.
        numbers : sequence of str
            Columns of numbers, or booleans: less their mean, over their standard deviation. A
            missing one is the mean, and a column says so.
        categories : sequence of str
            Columns with one value a row: strings, whole numbers, booleans.
        labels : sequence of str
            Columns with several: lists, or strings with `separator` between.
        text : sequence of str
            Columns of text: lower-case words.
        weight : {"count", "idf"}, or dict of such by column, optional
            What a word counts: 1, or ``log((1 + n) / (1 + d)) + 1`` if d of n rows have it.
            None: "idf" of text and "count" of all else.
        separator : str, default "|"
        min_count : int, default 1
            Words that fewer rows have are left out.
        normalize : bool, default True
            Scale the words of each row (categories, labels and text together) to length 1.
        unknown : {"ignore", "error"}, default "ignore"
            What becomes of words in `transform` that have no column, as they are not there now or
            are left out (rarer than `min_count`, or in every row): they give nothing, and the log
            says how many there were; or they are an error.

        Raises
        ------
        TypeError
            No table; a column of another type than it is named as; ids of more than one kind.
        ValueError
            A column that is not there, or named twice; missing ids, or one that comes twice;
            numbers that are not finite; nothing is left.
        """
        chosen = {"numbers": numbers, "categories": categories, "labels": labels, "text": text}
        columns = _checked_columns(id, chosen)
        weights = _checked_weights(weight, columns)
        checks.integer("min_count", min_count, 1)
        checks.flag("normalize", normalize)
        checks.choice("word for unknown=", unknown, UNKNOWN)
        if not isinstance(separator, str) or not separator:
            raise ValueError(
                f"separator must be a string of at least one letter; got {separator!r}"
            )
        ids, series = _columns_of(frame, [id, *columns])
        learned: list[FeatureColumn] = []
        constant: list[str] = []
        for name, kind in columns.items():
            column: FeatureColumn | None
            if kind == "numbers":
                column = learned_number(name, series[name])
            else:
                column = learned_words(
                    name, kind, separator, series[name], weights[name], min_count
                )
            if column is None:
                constant.append(name)
            else:
                learned.append(column)
        _check_any(learned, constant, min_count)
        schema = TableSchema(id, tuple(learned), normalize, unknown)
        matrix, _ = schema.matrix(series, len(ids))  # words without a column were left out just now
        return cls(not_all_empty(matrix), ids, schema)

    @classmethod
    def from_csr(
        cls,
        matrix: Any,
        ids: Iterable | None = None,
        names: Sequence[str] | None = None,
        *,
        weight: str = "count",
        normalize: bool = True,
    ) -> Features:
        """From a matrix with a row for each user, or item, and a column for each feature.

        Parameters
        ----------
        matrix : scipy sparse matrix or array, or 2-D ndarray, n x p
            Real numbers. Of a dense one zeros are left out.
        ids : iterable of str, of int or of other hashable objects, optional
            One for each row, each once. None: row k is row (column) k of the matrix that a model is
            fitted on.
        names : sequence of str, optional
            Of the columns; by default their numbers.
        weight : {"count", "idf"}, default "count"
            "idf" multiplies a column by ``log((1 + n) / (1 + d)) + 1`` if d of n rows have it.
        normalize : bool, default True
            Scale each row to length 1.

        Raises
        ------
        TypeError, ValueError
            Not such a matrix; values that are not finite; no entries; another number of ids or
            names than of rows or columns; an id or a name that comes twice.
        """
        checks.choice("weight", weight, WEIGHTS)
        checks.flag("normalize", normalize)
        entries = not_all_empty(checked_matrix(matrix))
        listed = None if ids is None else ids if isinstance(ids, Ids) else Ids.of(ids)
        if listed is not None and len(listed) != entries.shape[0]:
            raise ValueError(
                f"there are {len(listed)} ids; expected {entries.shape[0]}, one for each row of "
                "the matrix"
            )
        called = checked_names(names, entries.shape[1])
        held = np.bincount(entries.indices, minlength=entries.shape[1])
        weights = idf(held, entries.shape[0]) if weight == "idf" else None
        schema = MatrixSchema(called, weights, normalize)
        say_what_hides(entries, called, normalize=normalize, weight=weight)
        return cls(schema.scaled(entries), listed, schema)

    def transform(self, data: Any, ids: Iterable | None = None) -> Features:
        """Features of further rows, in the same columns.

        Parameters
        ----------
        data : table with the same columns, or matrix
            A table where these were made of one, a matrix of p columns where of one.
        ids : iterable, optional
            Of the rows of a matrix.

        Raises
        ------
        TypeError, ValueError
            As in `from_frame` and `from_csr`; a column is not there, or there are more or fewer;
            ``unknown="error"``, and there are words that were not there before.
        """
        if isinstance(self.schema, TableSchema):
            if ids is not None:
                raise TypeError(f"the ids are in the column {self.schema.id!r}: leave out ids=")
            listed, matrix = self.schema.read(data)
            return Features(matrix, listed, self.schema)
        entries = checked_matrix(data)
        if entries.shape[1] != len(self.names):
            raise ValueError(
                f"the matrix has {entries.shape[1]} columns; expected {len(self.names)}, as when "
                "the features were made"
            )
        listed = None if ids is None else ids if isinstance(ids, Ids) else Ids.of(ids)
        if listed is not None and len(listed) != entries.shape[0]:
            raise ValueError(f"there are {len(listed)} ids; expected {entries.shape[0]}")
        return Features(self.schema.scaled(entries), listed, self.schema)

    @property
    def names(self) -> list[str]:
        """What the columns are called, such as ``"genres=Comedy"``."""
        return self.schema.names

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of columns."""
        return self.matrix.shape

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"<Features: {rows:,} rows x {columns:,} columns, {self.matrix.nnz:,} entries>"


# ---- matrices ----------------------------------------------------------------------------------


def _assembled(parts: list[Entries], shape: tuple[int, int]) -> sparse.csr_array:
    if not parts:
        return csr.empty(shape, np.dtype(np.float32))
    rows, columns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    return csr.from_triples(values.astype(np.float32), rows, columns, shape)


def _added(first: sparse.csr_array, second: sparse.csr_array) -> sparse.csr_array:
    """The sum of two matrices without a place in common."""
    if not (first.nnz and second.nnz):
        return first if first.nnz else second
    return csr.merged(first, second)


# ---- tables ------------------------------------------------------------------------------------


def _checked_columns(id: str, chosen: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The kind of each column, by name."""
    kinds: dict[str, str] = {}
    for kind, names in chosen.items():
        if isinstance(names, str):
            raise TypeError(f"{kind} is a list of columns; got {names!r}: pass [{names!r}]")
        for name in names:
            if name == id:
                raise ValueError(f"{kind} names {name!r}, which is the column of ids")
            if name in kinds:
                raise ValueError(f"column {name!r} is named twice, as {kinds[name]} and as {kind}")
            kinds[name] = kind
    if not kinds:
        raise ValueError(
            "no columns are named, so that there would be no features: pass some as numbers=, "
            "categories=, labels= or text="
        )
    return kinds


def _checked_weights(
    weight: str | Mapping[str, str] | None, columns: Mapping[str, str]
) -> dict[str, str]:
    words = {name: _USUAL[kind] for name, kind in columns.items() if kind != "numbers"}
    if weight is None:
        return words
    by_column = weight if isinstance(weight, Mapping) else dict.fromkeys(words, weight)
    for name, each in by_column.items():
        if name not in words:
            hint = checks.nearest(name, words)
            raise ValueError(f"weight names {name!r}, which is no column of words{hint}")
        checks.choice("weight", each, WEIGHTS)
    return words | dict(by_column)


def _columns_of(frame: Any, names: Sequence[str]) -> tuple[Ids, dict[str, Any]]:
    """The ids in the first column named, and the others as one narwhals Series each."""
    import narwhals.stable.v2 as nw

    check_no_matrix(frame)
    _, _, batches = read_frame(frame, names)
    encoder, parts = Encoder(names[0]), []
    for ids, *others in batches:
        encoder.add(ids)
        parts.append(others)
    encoder.check("expected none: drop the rows in which {!r} is missing")
    if not parts:
        raise ValueError("the table has no rows")
    codes, listed = encoder.finish()
    if len(listed) < len(codes):
        counts = np.bincount(codes)
        twice = listed[int(np.argmax(counts > 1))]
        raise ValueError(
            f"the id {twice!r} comes {counts.max()} times in column {names[0]!r}; expected one row "
            "for each"
        )
    whole = [nw.concat([each.to_frame() for each in column]) for column in zip(*parts, strict=True)]
    return listed, {name: part[name] for name, part in zip(names[1:], whole, strict=True)}


def _check_any(learned: list[Any], constant: list[Any], min_count: int) -> None:
    if constant:
        logger.warning(
            "features: columns that say the same of every row, or nothing, are left out: %s",
            ", ".join(map(repr, constant)),
        )
    if not learned:
        least = f" that {min_count} rows share; expected others, or a smaller min_count"
        shared = least if min_count > 1 else "; expected others"
        raise ValueError(
            f"nothing is left of the columns {', '.join(map(repr, constant))}: they say the same "
            f"of every row, or nothing{shared}"
        )
