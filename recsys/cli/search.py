"""`tune`: the parameters that serve held-out events best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.cli.command import Talk
from recsys.cli.inputs import EventFile, Reading, check_ids
from recsys.cli.output import AsJson, check_output, print_json, print_table
from recsys.cli.parameters import DEFAULT, ModelName, Parameters
from recsys.cli.splitting import Metric, MinGain, Patience, Share, Splitting, ValidateEvery
from recsys.models import internal
from recsys.tuning import Trial, TuningResult
from recsys.tuning import tune as search

_SHOWN = 10  # trials of the table
_PANEL = "The search"


def tune(
    path: EventFile,
    reading: Reading,
    parameters: Parameters,
    splitting: Splitting,
    talk: Talk,
    model: ModelName = DEFAULT,
    trials: Annotated[int, typer.Option(help="How many models.", rich_help_panel=_PANEL)] = 50,
    timeout: Annotated[
        float | None,
        typer.Option(help="Begin none after so many seconds.", rich_help_panel=_PANEL),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A .json written after each trial; if it is there, the search goes on from it.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A picture of the trials.", rich_help_panel=_PANEL),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="MODEL", help="Train the best on all events; write it here."
        ),
    ] = None,
    validation: Share = 0.2,
    metric: Metric = None,
    patience: Patience = 3,
    min_gain: MinGain = 0.0,
    validate_every: ValidateEvery = 5,
    as_json: AsJson = False,
) -> None:
    """Search for good parameters of a model; those given as options stay fixed."""
    for file in (study, plot, output):
        if file is not None:
            check_output(file, path)
    cls, fixed = parameters.of([model])[model]
    events = reading.events(path)
    if output is not None:
        check_ids(events)
    parts = splitting.parts(events, validation, parameters.seed)
    try:
        result = search(
            cls,
            *parts,
            trials=trials,
            metric=metric,
            fixed=fixed,
            patience=patience,
            min_gain=min_gain,
            validate_every=validate_every,
            timeout=timeout,
            study=study,
            random_state=parameters.seed,
            refit=output is not None,
            show_progress=not talk.quiet,
        )
    except KeyboardInterrupt:  # in the first trial, or again in the last training
        raise KeyboardInterrupt(f"the trials so far are in {study}" if study else "") from None
    if plot is not None:
        result.plot(plot)
    if output is not None:
        best: Any = result.model
        best.save(output)
    _show(result, cls, output, as_json, talk)
    if len(result.trials) < trials and timeout is None:  # the search returns what it has
        raise KeyboardInterrupt(f"after {len(result.trials)} of {trials} trials")


def _show(result: TuningResult, cls: type, output: Path | None, as_json: bool, talk: Talk) -> None:
    best = cls(**result.best_params)
    if as_json:
        content = {
            "model": cls.__name__,
            "metric": result.metric,
            "best_value": result.best_value,
            "best_parameters": internal.json_parameters(best),
            "trials": [trial._asdict() for trial in result.trials],
        }
        print_json(content)
        return
    ranked = result.ranked
    head = ["trial", result.metric, "iterations", "seconds", "parameters"]
    rows = [(t.number, t.value, t.iterations, t.seconds, _settings(t)) for t in ranked[:_SHOWN]]
    print_table(head, rows)
    if len(ranked) > _SHOWN:
        typer.echo(f"and {len(ranked) - _SHOWN} more")
    typer.echo(f"\nbest: {best!r}")
    if output is not None:
        talk.say(f"trained on all events: {output}")


def _settings(trial: Trial) -> str:
    shown = {n: f"{v:.4g}" if isinstance(v, float) else v for n, v in trial.params.items()}
    settings = " ".join(f"{name}={value}" for name, value in shown.items())
    return settings if trial.state == "complete" else f"{trial.state}: {settings}"
