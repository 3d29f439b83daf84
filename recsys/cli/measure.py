"""`evaluate`: how good models are on what was held out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

import recsys
from recsys import csr
from recsys.cli.command import Talk
from recsys.cli.features import Description
from recsys.cli.inputs import Reading, ids_like
from recsys.cli.output import AsJson, print_json, print_table
from recsys.cli.parameters import KINDS, Parameters, begun
from recsys.cli.splitting import PANEL, Share, Splitting
from recsys.evaluation import Difference, Evaluation, HeldOut, compare
from recsys.evaluation.unknown import with_strangers
from recsys.interactions import Interactions
from recsys.interactions.matching import in_rows
from recsys.models import growth, internal
from recsys.models.model import Model
from recsys.models.ratings import RatingModel

METRICS, CUTS = ["precision", "recall", "map", "ndcg"], [10, 20]


class Measured(NamedTuple):
    """What was found of a model, and the ids of the users it was measured on."""

    evaluation: Evaluation
    users: np.ndarray

    def in_order(self) -> Measured:
        """By id: the same user may have another row in another model."""
        order = np.argsort(self.users)
        per_user = {key: values[order] for key, values in self.evaluation.per_user.items()}
        evaluation = replace(self.evaluation, users=np.arange(len(order)), per_user=per_user)
        return Measured(evaluation, self.users[order])


def evaluate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="Models to measure, or one file of events to train on."
        ),
    ],
    reading: Reading,
    parameters: Parameters,
    splitting: Splitting,
    description: Description,
    talk: Talk,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help=f"Train this on FILE first; repeatable, to compare. "
            f"One of {', '.join(sorted(KINDS))}.",
            autocompletion=begun,
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Events to measure on; those that were trained on do not count.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    test_share: Share = 0.2,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Repeatable.", show_default=", ".join(METRICS), rich_help_panel=PANEL),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "-k",
            help="Where lists are cut; repeatable.",
            show_default="10, 20",
            rich_help_panel=PANEL,
        ),
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="What becomes of users without a history: error, skip (not measured, and "
            "counted), or popular (given popular items).",
            show_default="as the model answers",
            rich_help_panel=PANEL,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure models on held-out events, and compare them.

    recsys evaluate plays.parquet --model implicit-als --model bpr

    recsys evaluate model.safetensors --test later.parquet
    """
    measure = functools.partial(
        _measured, metrics=metric or METRICS, k=k or CUTS, unknown=unknown, talk=talk
    )
    if model:
        if len(files) > 1:
            raise ValueError(f"--model is trained on one file of events; got {len(files)} files")
        models = parameters.models(model)
        for name, unfitted in models.items():
            description.check(name, unfitted)
        events = reading.events(files[0])
        if test is None:
            parts = splitting.parts(events, test_share, parameters.seed)
        else:
            parts = events, reading.events(test)
        options: dict[str, Any] = description.read(parts[0], reading)
        results = {}
        for name, fitted in models.items():
            fitted.fit(parts[0], show_progress=not talk.quiet, **options)
            results[name] = measure(fitted, parts[1])
    elif description.files:
        raise ValueError(
            "models of files have learned their features already: files of features go with --model"
        )
    elif test is not None:
        results = _of_files(files, reading, test, measure)
    else:
        raise ValueError(
            "nothing to measure on: models of files take --test FILE; to train on a file of "
            "events, name --model"
        )
    _show(results, as_json, talk)


def _of_files(
    files: list[Path], reading: Reading, test: Path, measure: Callable[..., Measured]
) -> dict[str, Measured]:
    """Of models in files, on events whose columns are called as in what each was trained on."""
    results, held_out = {}, {}
    for path in files:
        model = recsys.load(path)
        columns = reading.of(model, value=isinstance(model, RatingModel))
        if columns not in held_out:
            held_out[columns] = columns.events(test)
        results[str(path)] = measure(model, held_out[columns])
    return results


def _measured(
    model: Model,
    test: Interactions,
    metrics: list[str],
    k: list[int],
    unknown: str | None,
    talk: Talk,
) -> Measured:
    """The metrics of a model on those of `test` that it was not trained on."""
    if model.users is None:
        raise ValueError(
            "the model knows no ids, by which it could be asked about these users: train it by "
            "`recsys train`, or fit it on Interactions"
        )
    users = ids_like(test.users, model.users, "users")
    test = replace(test, users=users, items=ids_like(test.items, model.items, "items"))
    seen = internal.remembered(model).counts(np.dtype(np.float32))
    known = model.users
    if unknown is not None:
        known = with_strangers(None, test, known)
        seen = growth.widened(seen, (len(known), seen.shape[1]))
    matrix = in_rows(test, known, model.items, "the events to measure on")
    new = csr.without(csr.canonical(matrix, may_be_empty=True, name="test"), seen)
    if not new.nnz:
        raise ValueError("all that there is to measure on was trained on; expected other events")
    if matrix.nnz > new.nnz:
        talk.say(
            f"{matrix.nnz - new.nnz:,} of {matrix.nnz:,} entries were trained on, and left out"
        )
    held_out = HeldOut(seen, new, metrics, k, items=model.items)
    evaluation = held_out.evaluate(
        model.without_ids(), unknown=unknown, show_progress=not talk.quiet
    )
    if evaluation.n_without_history:
        talk.say(f"{evaluation.n_without_history:,} users have no history, and are left out")
    return Measured(evaluation, known.take(evaluation.users))


def _differences(results: dict[str, Measured], talk: Talk) -> dict[str, dict[str, Difference]]:
    """How the others differ from the first, user by user, where they were measured on the same."""
    (first, reference), *others = ((name, result.in_order()) for name, result in results.items())
    gaps = {}
    for name, other in others:
        if np.array_equal(other.users, reference.users):
            gaps[f"{name} - {first}"] = compare(other.evaluation, reference.evaluation)
        else:
            talk.say(
                f"{name} and {first} were measured on other users: their difference is left out"
            )
    return gaps


def _show(results: dict[str, Measured], as_json: bool, talk: Talk) -> None:
    gaps = _differences(results, talk)
    if as_json:
        models = {name: result.evaluation.to_dict() for name, result in results.items()}
        differences = {
            name: {key: gap._asdict() for key, gap in metrics.items()}
            for name, metrics in gaps.items()
        }
        print_json({"models": models, "differences": differences})
        return
    columns = [_cells(result.evaluation) for result in results.values()]
    rows = [[key, *(cells[key] for cells in columns)] for key in columns[0]]
    print_table(["", *results], rows)
    for name, metrics in gaps.items():
        head = (name, "difference", "95 % from", "to", "p")
        typer.echo()
        print_table(head, [(key, g.mean, g.low, g.high, g.p_value) for key, g in metrics.items()])


def _cells(evaluation: Evaluation) -> dict[str, str]:
    """A text for each metric, after the number of users."""
    errors = evaluation.standard_error
    cells = {key: f"{mean:.4f} ±{errors[key]:.4f}" for key, mean in evaluation.mean.items()}
    overall = {key: f"{value:.4f}" for key, value in evaluation.overall.items()}
    return {"users": f"{len(evaluation.users):,}", **cells, **overall}
