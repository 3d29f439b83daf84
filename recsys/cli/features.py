"""Files that describe items or users, a row for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys import checks
from recsys.cli.inputs import Reading, ids_like
from recsys.interactions import Features, Ids, Interactions
from recsys.models.factor_model import FactorModel
from recsys.models.model import Model

_PANEL = "What items and users are"
_LEAST = 2  # rows that have a word: what is of one row alone says nothing of others
_READ = (".parquet", ".csv")


def _file(flag: str, text: str) -> Any:
    return typer.Option(flag, metavar="FILE", help=text, rich_help_panel=_PANEL)


def _columns(flag: str, text: str) -> Any:
    help_text = f"{text} Repeatable."
    return typer.Option(flag, metavar="COLUMN", help=help_text, rich_help_panel=_PANEL)


@dataclass(frozen=True)
class Description:
    """Which files say what items and users are, and what their columns hold."""

    item_features: Annotated[
        Path | None,
        _file("--item-features", "A .parquet or .csv with a row for each item, also for new ones."),
    ] = None
    user_features: Annotated[
        Path | None, _file("--user-features", "The same with a row for each user.")
    ] = None
    label: Annotated[
        list[str] | None,
        _columns("--label", "A column of labels with --label-separator between."),
    ] = None
    text: Annotated[list[str] | None, _columns("--text", "A column of text.")] = None
    label_separator: Annotated[
        str, typer.Option(help="Between the labels of a string.", rich_help_panel=_PANEL)
    ] = "|"

    @property
    def files(self) -> list[Path]:
        """Those that are named."""
        return [path for path in (self.item_features, self.user_features) if path is not None]

    def check(self, name: str, model: Model) -> None:
        """Raise if there are files, and a model of the type `name` learns nothing of them."""
        if self.files and not isinstance(model, FactorModel):
            raise ValueError(f"{name} knows nothing by features: leave out the files of features")

    def read(self, events: Interactions, reading: Reading) -> dict[str, Features]:
        """What `fit` is to be told, by argument.

        Numbers and lists are what they are; strings are categories unless they are named.
        """
        named = {*(self.label or ()), *(self.text or ())}
        if named and not self.files:
            raise ValueError(
                "--label and --text name columns of --item-features or --user-features: give one"
            )
        sides = {
            "item_features": (self.item_features, reading.names[1], events.items),
            "user_features": (self.user_features, reading.names[0], events.users),
        }
        tables = {side: _table(path) for side, (path, *_) in sides.items() if path}
        there = {name for table in tables.values() for name in table.column_names}
        for name in sorted(named - there):
            hint = checks.nearest(name, there)
            raise ValueError(f"no file of features has a column {name!r}{hint}")
        features = {}
        for side, table in tables.items():
            _, column, known = sides[side]
            # without a header the events' columns have numbers
            column = column if reading.header else table.column_names[0]
            features[side] = self._features(table, column, known)
        return features

    def _features(self, table: Any, column: str, known: Ids) -> Features:
        options: dict[str, Any] = {"separator": self.label_separator, "min_count": _LEAST}
        options |= self._kinds(table, [name for name in table.column_names if name != column])
        features = Features.from_frame(table, column, **options)
        return replace(features, ids=_in_kind(features.ids, known, column))

    def _kinds(self, table: Any, names: Iterable[str]) -> dict[str, list[str]]:
        from pyarrow import types

        kinds: dict[str, list[str]] = {}
        for name in names:
            kind = table.schema.field(name).type
            if name in (self.text or ()):
                where = "text"
            elif name in (self.label or ()) or types.is_nested(kind):
                where = "labels"
            elif types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
                where = "numbers"
            else:
                where = "categories"
            kinds.setdefault(where, []).append(name)
        return kinds


def _table(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError:
        raise ImportError(
            "files of features need pyarrow: pip install 'recsys-engine[arrow]'"
        ) from None
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of features {str(path)!r}")
    if path.suffix.lower() not in _READ:
        raise ValueError(f"features are read from {' and '.join(_READ)}; got {str(path)!r}")
    read = parquet.read_table if path.suffix.lower() == ".parquet" else csv.read_csv
    try:
        return read(path)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{str(path)!r} cannot be read as {path.suffix}: {error}") from None


def _in_kind(ids: Ids, known: Ids, name: str) -> Ids:
    """Numbers of a CSV are strings in the events of one, or the other way round."""
    if ids.kind == "integer" and known.kind == "string":
        return Ids.of([str(each) for each in ids])
    return ids_like(ids, known, name)
