"""`train`: events in, a model file out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys import checks
from recsys.cli.about import about
from recsys.cli.command import Talk
from recsys.cli.features import Description
from recsys.cli.inputs import EventFile, Reading, check_ids
from recsys.cli.output import AsJson, check_output, print_facts, print_json
from recsys.cli.parameters import DEFAULT, ModelName, Parameters, parameter_name
from recsys.cli.splitting import PANEL, Metric, MinGain, Patience, Splitting, ValidateEvery
from recsys.evaluation.metrics import check_metric
from recsys.interactions import Interactions
from recsys.models import internal
from recsys.models.factor_model import FactorModel
from recsys.models.model import Model
from recsys.models.validation import held_out_lists

History = Annotated[
    bool,
    typer.Option(
        " /--no-history",
        help="Write the model without everybody's history: smaller, for those who serve without.",
    ),
]
ModelOutput = Annotated[
    Path, typer.Option("--output", "-o", metavar="MODEL", help="The model file to write.")
]


def train(
    path: EventFile,
    output: ModelOutput,
    reading: Reading,
    parameters: Parameters,
    splitting: Splitting,
    description: Description,
    talk: Talk,
    model: ModelName = DEFAULT,
    validation: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Hold out this share of the entries, and measure the model on them.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    metric: Metric = None,
    patience: Patience = None,
    min_gain: MinGain = 0.0,
    validate_every: ValidateEvery = 5,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="Then train on all entries, for as many iterations as were best.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    history: History = True,
    as_json: AsJson = False,
) -> None:
    """Train a model and write it to a file."""
    check_output(output, path, *description.files)
    recommender = parameters.models([model])[model]
    stops = {"metric": metric, "patience": patience, "refit": refit or None}
    for name, value in stops.items():
        if validation is None and value is not None:
            raise ValueError(f"--{name} goes by what is held out: give --validation as well")
    if min_gain and patience is None:
        raise ValueError(f"--min-gain {min_gain:g} is what --patience waits for: give that as well")
    if patience is not None and not isinstance(recommender, FactorModel):
        raise ValueError(f"{model} has no iterations to stop after: leave out --patience")
    if validation is not None:
        checks.number("--validation", validation, above=0, below=1)
    description.check(model, recommender)
    events = _read(path, reading, talk)
    features = description.read(events, reading)
    measured: dict[str, Any] = {"trained_on": "all entries"}
    began = time.perf_counter()
    if validation is None:
        fit(recommender, events, output, talk, **features)
    else:
        parts = splitting.parts(events, validation, parameters.seed)
        options = {
            "metric": metric, "patience": patience, "min_gain": min_gain,
            "validate_every": validate_every, **features,
        }  # fmt: skip
        measured = fit_and_measure(recommender, parts, output, talk, options)
        if refit:
            recommender = again(recommender)
            fit(recommender, events, output, talk, **features)
            measured["trained_on"] = "all entries, after it was measured with some held out"
    measured["seconds"] = time.perf_counter() - began
    recommender.save(output, history=history)
    facts = {"wrote": str(output), **about(recommender), "validation": None, **measured}
    if as_json:
        print_json({**facts, "parameters": internal.json_parameters(recommender)})
    elif not talk.quiet:
        print_facts({**facts, "model": repr(recommender)})


def _read(path: Path, reading: Reading, talk: Talk) -> Interactions:
    began = time.perf_counter()
    events = reading.events(path)
    check_ids(events)
    talk.say(f"read {events!r} in {time.perf_counter() - began:.1f} s")
    return events


def fit(model: Model, events: Interactions, output: Path, talk: Talk, **options: Any) -> None:
    """Train; Ctrl-C leaves what was learned so far in a file of its own."""
    try:
        model.fit(events, show_progress=not talk.quiet, **options)
    except KeyboardInterrupt:
        if not model.history:
            raise
        kept = output.with_stem(f"{output.stem}-interrupted")
        model.save(kept)
        count = model.best_iteration or len(model.history)
        raise KeyboardInterrupt(f"the model of iteration {count} is in {kept}") from None


def fit_and_measure(
    model: Model, parts: Any, output: Path, talk: Talk, options: dict[str, Any]
) -> dict[str, Any]:
    """Train on the first part, measure on the second one; what that found, by name."""
    train, held_out = parts
    metric = options["metric"] or internal.default_metric(type(model))
    if isinstance(model, FactorModel):
        fit(model, train, output, talk, validation=held_out, **options)
        value = model.history[(model.best_iteration or 0) - 1].validation
    else:
        check_metric(metric, rates=False)
        fit(model, train, output, talk)
        lists = held_out_lists(train, held_out, metric, ("train", "validation"))
        [value] = lists.evaluate(model, show_progress=not talk.quiet).mean.values()
    some = f"{train.nnz:,} of {train.nnz + held_out.nnz:,} entries"
    return {metric: value, "trained_on": f"{some}; --refit trains on all"}


def again(model: Model) -> Model:
    """The same model, not fitted yet, with as many iterations as were best."""
    new, best = type(model)(**model.get_params()), model.best_iteration
    if best is not None:
        times = internal.iterations_to_repeat(model, best, len(model.history))
        new.set_params(**{parameter_name(type(model), "iterations"): times})
    return new
