"""What commands read: events, model files, and lists of ids."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from recsys import checks
from recsys.datasets import read_interactions
from recsys.interactions import Ids, Interactions
from recsys.models import internal
from recsys.models.model import Model

FORMATS = {"csv": "csv", "tsv": "csv", "txt": "csv", "parquet": "parquet", "npz": "npz"}
_PANEL = "Columns and rows of the events"


def _column(flag: str, text: str, usual: str | None = None) -> Any:
    return typer.Option(
        flag, metavar="COLUMN", help=text, rich_help_panel=_PANEL, show_default=usual or False
    )


@dataclass(frozen=True)
class Reading:
    """How a file of events is read."""

    user: Annotated[str | None, _column("--user", "Who.", "user, or as the model has it")] = None
    item: Annotated[str | None, _column("--item", "What.", "item, or as the model has it")] = None
    value: Annotated[
        str | None, _column("--value", "How much: plays, ratings. Without it each event is 1.")
    ] = None
    time: Annotated[str | None, _column("--time", "When: dates or numbers.")] = None
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="csv, parquet or npz, where the file's name does not end in it.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    separator: Annotated[
        str | None,
        typer.Option(
            help="Between the fields of a CSV, where that is not to be found out.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    header: Annotated[
        bool,
        typer.Option(
            " /--no-header",
            help="A CSV without names of columns, which go by number then, from 0.",
            rich_help_panel=_PANEL,
        ),
    ] = True
    aggregate: Annotated[
        str | None,
        typer.Option(
            help="What several events of one user and item come to: "
            "sum, max, mean, last, or raise for an error.",
            show_default="sum; of ratings last",
            rich_help_panel=_PANEL,
        ),
    ] = None
    zeros: Annotated[
        str | None,
        typer.Option(
            help="Whether events of value 0 are entries: keep or drop.",
            show_default="keep, unless all others are the same",
            rich_help_panel=_PANEL,
        ),
    ] = None
    decimal: Annotated[
        str, typer.Option(help="The decimal point of a CSV: . or ,", rich_help_panel=_PANEL)
    ] = "."
    time_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="How a CSV writes dates, such as %d.%m.%Y.",
            show_default="numbers, or ISO 8601",
            rich_help_panel=_PANEL,
        ),
    ] = None
    allow_negative: Annotated[
        bool,
        typer.Option(
            "--allow-negative", help="Take negative values, as dislikes.", rich_help_panel=_PANEL
        ),
    ] = False
    min_user: Annotated[
        int,
        typer.Option(help="Only users of so many items at least.", rich_help_panel=_PANEL, min=1),
    ] = 1
    min_item: Annotated[
        int,
        typer.Option(help="Only items of so many users at least.", rich_help_panel=_PANEL, min=1),
    ] = 1

    @property
    def names(self) -> tuple[str, str]:
        """The columns of users and of items."""
        return self.user or "user", self.item or "item"

    def of(self, model: Model, *, value: bool) -> Reading:
        """With columns called as in what a model was trained on, that of values too where `value`
        says so, unless they are named."""
        user, item = internal.id_names(model) or self.names
        value_column = internal.value_name(model) if value else None
        return replace(
            self,
            user=self.user or user,
            item=self.item or item,
            value=self.value or value_column,
        )

    def events(self, path: Path) -> Interactions:
        """The events of a file, without those that `min_user` and `min_item` leave out."""
        kind = _format(path, self.format)
        options: dict[str, Any] = {
            "aggregate": self.aggregate,
            "zeros": self.zeros,
            "allow_negative": self.allow_negative,
        }
        columns: list[Any] = [*self.names, self.value, self.time]
        if kind == "npz":
            dataset = read_interactions(path)
            events = Interactions.from_csr(
                dataset.user_items, dataset.users, dataset.items, allow_negative=self.allow_negative
            )
        elif kind == "parquet":
            events = Interactions.from_parquet(path, *columns, **options)
        else:
            if not self.header:
                columns = [name if name is None else _place(name) for name in columns]
            options |= {"separator": self.separator, "header": self.header}
            options |= {"decimal": self.decimal, "time_format": self.time_format}
            events = Interactions.from_csv(path, *columns, **options)
        if self.min_user > 1 or self.min_item > 1:
            events = events.filter(min_user=self.min_user, min_item=self.min_item)
        return events


EventFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Events: .parquet, .csv, .tsv, .csv.gz or .npz.")
]
ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A file that `train` or `save` wrote.")
]


def _place(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(
            f"without a header columns go by number, from 0; got {text!r}: "
            "--no-header --user 0 --item 1"
        )
    return int(text)


def check_ids(events: Interactions) -> None:
    """TypeError, before anything is trained, if a model file cannot hold the ids."""
    for ids in (events.users, events.items):
        ids.arrays()


def _format(path: Path, named: str | None) -> str:
    if named is not None:
        checks.choice("format", named, tuple(dict.fromkeys(FORMATS.values())))
        return named
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise ValueError(
            f"the ending of {str(path)!r} says nothing of its format; expected "
            f"{', '.join(f'.{each}' for each in FORMATS)}, or --format"
        )
    return FORMATS[ending]


def ids_of_file(path: Path) -> list[str]:
    """One id a line, of standard input if the path is "-"; empty lines are passed over."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is no text in UTF-8; expected one id a line") from None
    ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise ValueError(f"{str(path)!r} names nobody; expected one id a line")
    return ids


def ids_like(ids: Ids, known: Ids, name: str) -> Ids:
    """The ids of a file, which are strings in a CSV, as the kind of `known`."""
    if ids.kind == "string" and known.kind == "integer":
        return Ids.of(as_ids([str(each) for each in ids], known, name))
    return ids


def as_ids(texts: Sequence[str], known: Ids | None, name: str) -> Any:
    """What was typed as ids of the kind there is; numbers where rows have no ids."""
    if known is not None and known.kind != "integer":
        return list(texts)
    noun = "ids" if known is not None else "row numbers, as the model knows no ids"
    for text in texts:
        if not text.removeprefix("-").isdecimal():
            raise ValueError(f"{name} are integers here ({noun}); got {text!r}")
    return np.array(list(map(int, texts)), np.int64)
