"""`update`: a model and a day's events in, the model that has learned from them out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any

import typer

import recsys
from recsys.cli.about import about
from recsys.cli.command import Talk
from recsys.cli.inputs import EventFile, ModelFile, Reading, check_ids, ids_like
from recsys.cli.output import AsJson, check_output, print_facts, print_json
from recsys.cli.train import History, ModelOutput
from recsys.models import internal
from recsys.models.factor_model import FactorModel


def update(
    path: ModelFile,
    day: EventFile,
    output: ModelOutput,
    reading: Reading,
    talk: Talk,
    rounds: Annotated[
        int | None,
        typer.Option(help="How many times what is touched is learned.", min=1),
    ] = None,
    history: History = True,
    as_json: AsJson = False,
) -> None:
    """Have a model learn from a day's events, of known and of new users and items.

    Columns are called as in what the model was trained on, that of values too, unless named here.

    recsys update model.safetensors monday.csv -o model.safetensors
    """
    check_output(output, day)
    model = recsys.load(path)
    if internal.id_names(model) is None:
        raise ValueError(
            "the model knows no ids, and cannot learn from events by id: train one by "
            "`recsys train`"
        )
    options = _options(model, rounds)
    events = reading.of(model, value=True).events(day)
    events = replace(
        events,
        users=ids_like(events.users, model.users, "users"),
        items=ids_like(events.items, model.items, "items"),
    )
    check_ids(events)
    before, began = internal.shape(model), time.perf_counter()
    model.partial_fit(events, **options)
    seconds = time.perf_counter() - began
    model.save(output, history=history)
    users, items = (new - old for new, old in zip(internal.shape(model), before, strict=True))
    facts = {"wrote": str(output), "events": events.nnz, "new_users": users, "new_items": items}
    if as_json:
        print_json({**facts, **about(model), "seconds": seconds})
    elif not talk.quiet:
        print_facts({**facts, **about(model), "seconds": seconds, "model": repr(model)})


def _options(model: Any, rounds: int | None) -> dict[str, Any]:
    """What `partial_fit` is told beside the events."""
    if isinstance(model, FactorModel):
        return {"rounds": rounds}
    if rounds is not None:
        raise ValueError(
            f"--rounds {rounds} is for models with factors; the model is an {type(model).__name__}"
        )
    return {}
