"""`benchmark`: how fast this machine trains, and that it computes what NumPy does."""

from __future__ import annotations

import statistics
from typing import Annotated, Any

import typer

from recsys import ImplicitALS, benchmark, checks
from recsys.cli.command import Talk
from recsys.cli.output import AsJson, print_json, print_table
from recsys.datasets import Dataset
from recsys.kernels.config import configuration

JOBS = ("lastfm-360k",)


def run(
    job: Annotated[str, typer.Argument(metavar="NAME", help="lastfm-360k, which is downloaded.")],
    talk: Talk,
    scale: Annotated[
        float | None,
        typer.Option(help="Take a synthetic twin, so many times the size (0.01 for a trial)."),
    ] = None,
    factors: Annotated[int, typer.Option(help="Latent factors.")] = 64,
    iterations: Annotated[int, typer.Option(help="Iterations.")] = 15,
    solver: Annotated[str, typer.Option(help="cholesky or cg.")] = "cholesky",
    artist: Annotated[
        list[str] | None,
        typer.Option(help="Show artists similar to this one; repeatable.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    threads: Annotated[int, typer.Option(help="0: all that this process may use.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Time implicit ALS on lastfm-360K, or on a synthetic twin where that cannot be had."""
    checks.choice("benchmark", job, JOBS)
    model = ImplicitALS(
        factors, iterations=iterations, solver=solver, num_threads=threads, random_state=seed
    )
    model._check_parameters()
    dataset, reason = benchmark.lastfm360k_or_twin(scale, seed, show_progress=not talk.quiet)
    data = benchmark.described(dataset)
    if not as_json:
        typer.echo(benchmark.headline(data))  # no figure without it
    if reason:
        talk.say(f"the real data: {reason}")
    artists = benchmark.choose_artists(dataset, artist)
    talk.say(f"training {model!r}")
    figures = _measure(model, dataset, talk)
    if as_json:
        parameters = model._header()["parameters"]
        print_json(
            {"dataset": data, "config": configuration(), "parameters": parameters, **figures}
        )
        return
    _show(figures)
    for each in artists:
        typer.echo("\n" + benchmark.similar_text(dataset, model, each, listeners=10))
    typer.echo("\n" + benchmark.user_text(dataset, model, benchmark.choose_user(dataset, None)))


def _measure(model: ImplicitALS, dataset: Dataset, talk: Talk) -> dict[str, Any]:
    """Fit; the figures of that and of the NumPy reference."""
    problem = benchmark.Problem(
        dataset.user_items,
        str(model.confidence),
        model.alpha,
        model.regularization,
        model.num_threads,
    )
    seconds, losses = benchmark.timed_fit(
        model, dataset.user_items, problem, show_progress=not talk.quiet
    )
    theirs, difference = benchmark.numpy_reference(problem, model)
    return {
        "threads": problem.num_threads,
        "seconds": seconds,
        "losses": losses,
        "seconds_an_iteration": statistics.median(seconds),
        "numpy_reference": {"seconds_an_iteration": theirs, "max_difference": difference},
    }


def _show(figures: dict[str, Any]) -> None:
    each = zip(figures["seconds"], figures["losses"], strict=True)
    rows = [(i, f"{taken:.3f}", f"{loss:.7g}") for i, (taken, loss) in enumerate(each, 1)]
    print_table(("iteration", "seconds", "loss"), rows)
    ours, threads = figures["seconds_an_iteration"], figures["threads"]
    theirs, difference = figures["numpy_reference"].values()
    typer.echo(f"{ours:.3f} s an iteration (median)")
    typer.echo(benchmark.reference_text(ours, theirs, difference, threads))
