"""`recommend` and `similar`: ask a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import recsys
from recsys.cli.command import Talk
from recsys.cli.inputs import ModelFile, Reading, as_ids, ids_like, ids_of_file
from recsys.cli.list_files import Columns, check_list_file, rows_of, write_list_file
from recsys.cli.output import AsJson, print_json, print_table
from recsys.interactions import Interactions
from recsys.interactions.matching import known_entries
from recsys.kernels import query_blocks
from recsys.models import internal
from recsys.models.lists import IdLists
from recsys.models.model import Model
from recsys.progress import progress_bar

_SHOWN = 100  # users whose lists are printed, at most

Unknown = Annotated[
    str,
    typer.Option(
        metavar="WORD",
        help="What becomes of unknown ones: error, skip (left out, and counted), or popular "
        "(the most popular items).",
    ),
]
Length = Annotated[int, typer.Option("-N", min=1, help="Length of each list.")]


def recommend(
    path: ModelFile,
    talk: Talk,
    users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For these users, one id a line; - is standard input."),
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="For this user; repeatable.")
    ] = None,
    n: Length = 10,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write a .parquet, .csv, .tsv or .jsonl."
        ),
    ] = None,
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="List what users have met already, too.")
    ] = False,
    histories: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Events of users the model need not know, in columns named as those trained "
            "on: lists go by these alone.",
        ),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column of values in the file of --histories."),
    ] = None,
    among: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Only of these items, one id a line."),
    ] = None,
    new_item_boost: Annotated[
        float,
        typer.Option(help="What scores of items known by features alone are multiplied by."),
    ] = 1.0,
    unknown: Unknown = "error",
    threads: Annotated[int, typer.Option(help="0: all that this process may use.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """List the best items for users, by default for all of them."""
    if output is not None:
        check_list_file(output, path, users, histories, among)
    model = recsys.load(path).set_params(num_threads=threads)
    events = None if histories is None else _histories(model, histories, value)
    named = [*(user or ()), *(ids_of_file(users) if users is not None else ())]
    who = _who(model, events, named)
    if output is None and not named and len(who) > _SHOWN:
        raise ValueError(
            f"lists for all {len(who):,} users are for a file: name one by -o, or some users by "
            "--user or --users"
        )
    watched = output is not None and not talk.quiet
    options = {"N": n, "filter_seen": not keep_seen, "unknown": unknown}
    options["new_item_boost"] = new_item_boost
    if among is not None:
        options["among"] = as_ids(ids_of_file(among), model.items, "items")
    strangers = Strangers()
    lists = _lists(model, who, events, watched, options, strangers)
    if output is not None:
        write_list_file(output, lists)
        listed = len(who) - (strangers.count if unknown == "skip" else 0)
        talk.say(f"wrote lists for {listed:,} users to {output}")
    else:
        rows = [row for columns in lists for row in rows_of(columns)]
        _show(rows, as_json)
    strangers.tell(talk, "users", len(who), unknown)


def similar(
    path: ModelFile,
    names: Annotated[list[str], typer.Argument(metavar="ITEM", help="Ids of items.")],
    talk: Talk,
    n: Length = 10,
    unknown: Unknown = "error",
    as_json: AsJson = False,
) -> None:
    """List the items most similar to some."""
    model, strangers = recsys.load(path), Strangers()
    items = as_ids(names, model.items, "items")
    strangers.meet(model.similar_items(items, 1, unknown=unknown))  # all together
    rows = []
    for item in items:
        nearest = model.similar_items([item], n, filter_items=[item], unknown=unknown)
        rows += rows_of(_columns(model, nearest, [item], ("item", "similar_item")))
    _show(rows, as_json)
    strangers.tell(talk, "items", len(items), unknown)


class Strangers:
    """How many of those whose lists are made are unknown."""

    def __init__(self) -> None:
        self.count = 0

    def meet(self, lists: Any) -> None:
        """Count those of some lists."""
        if isinstance(lists, IdLists) and lists.unknown is not None:
            self.count += int(np.sum(lists.unknown))

    def tell(self, talk: Talk, noun: str, count: int, unknown: str) -> None:
        """Say what became of them."""
        if self.count:
            became = "left out" if unknown == "skip" else "given popular items"
            talk.say(f"{self.count:,} of {count:,} {noun} are unknown, and {became}")


def _who(model: Model, events: Interactions | None, named: list[str]) -> Any:
    """The users that were named, or all: of the events if there are such, else of the model."""
    known = model.users if events is None else events.users
    if named:
        return as_ids(named, known, "users")
    if known is None:
        return np.arange(internal.shape(model)[0])
    return known.take(np.arange(len(known)))


def _histories(model: Model, path: Path, value: str | None) -> Interactions:
    """Events of newcomers, in the columns of the model's items."""
    if internal.id_names(model) is None:
        raise ValueError(
            "the model knows no ids of items, which --histories needs: train it by `recsys train`, "
            "or fit it on Interactions"
        )
    user, item = internal.id_names(model)
    events = Reading(user=user, item=item, value=value).events(path)
    events = replace(events, items=ids_like(events.items, model.items, "items"))
    return known_entries(events, None, model.items, str(path))


def _lists(
    model: Model,
    who: Any,
    events: Interactions | None,
    show_progress: bool,
    options: dict[str, Any],
    strangers: Strangers,
) -> Iterator[Columns]:
    """Columns of some users at a time."""
    if events is not None:
        options = {**options, "user_items": events, "fold_in": True}
    with progress_bar(show_progress, total=len(who), unit=" users") as bar:
        for at in query_blocks(len(who)):
            some = who[at]
            lists = model.recommend(some, **options)
            strangers.meet(lists)
            yield _columns(model, lists, some, ("user", "item"))
            bar.update(len(some))


def _columns(model: Model, lists: Any, whose: Any, names: tuple[str, str]) -> Columns:
    if not isinstance(lists, IdLists):  # of a model that knows row numbers only
        ids, scores = lists
        lists = IdLists(ids, scores, np.asarray(whose), names, None)
    return lists.columns()


def _show(rows: list[dict], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo("nothing to list")
    else:
        head = [name for name in rows[0] if name != "rank"]
        print_table(head, [[row[name] for name in head] for row in rows])
