"""The main job: factorize lastfm-360K, look at what came out, and at how long it took.

Where the data is neither found nor can be downloaded, its synthetic twin takes its place; the
first line says which one it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import fit_memory
import machine
import numpy as np
import peer_models
from harness import (
    Trace,
    add_data_options,
    interleave,
    markdown_table,
    open_data,
    plot_losses,
    run,
    write_json,
    write_picture,
)
from peer_models import Implicit, Problem

from recsys import ImplicitALS
from recsys.benchmark import (
    EXAMPLE_ARTIST,
    choose_artists,
    choose_user,
    numpy_reference,
    reference_text,
    similar_text,
    timed_fit,
    user_text,
)
from recsys.datasets import Dataset

PEER_SECONDS = 40.0  # of implicit's iterations, so that all of this ends in about two minutes


def parse() -> argparse.Namespace:
    defaults = ImplicitALS()
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_options(parser)
    for name, kind, text in (
        ("factors", int, "latent factors"),
        ("iterations", int, "iterations"),
        ("regularization", float, "lambda"),
        ("alpha", float, "scale of the confidences"),
    ):
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name}", type=kind, default=default, help=f"{text}; default: {default}"
        )
    parser.add_argument(
        "--solver",
        choices=("cholesky", "cg"),
        default=defaults.solver,
        help=f"exact rows or conjugate gradient; default: {defaults.solver}",
    )
    parser.add_argument(
        "--confidence",
        choices=("log", "linear", "scaled"),
        default=defaults.confidence,
        help=f"how counts become confidences; default: {defaults.confidence}",
    )
    parser.add_argument(
        "--no-peers",
        action="store_true",
        help=f"do not train implicit (default: its CG(3) for as many iterations as fit in "
        f"{PEER_SECONDS:.0f} s)",
    )
    parser.add_argument(
        "--artist",
        action="append",
        metavar="NAME",
        help=f"list artists similar to this one; may be repeated; default: {EXAMPLE_ARTIST!r}, or "
        "a popular one where that is unknown",
    )
    parser.add_argument(
        "--listeners",
        type=int,
        default=10,
        metavar="N",
        help="list as similar only artists with at least N listeners; default: 10",
    )
    parser.add_argument(
        "--user",
        type=int,
        metavar="ROW",
        help="whose recommendations to show, a row number; default: one with about 50 entries",
    )
    parser.add_argument(
        "--output",
        default="results/lastfm360k",
        metavar="PATH",
        help="writes PATH.json and the picture PATH.png; default: results/lastfm360k",
    )
    return parser.parse_args()


def main() -> None:
    options = parse()
    dataset = open_data(options)
    try:
        artists = choose_artists(dataset, options.artist)
        user = choose_user(dataset, options.user)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    facts = machine.facts(options.threads)
    print(machine.one_line(facts))

    problem = Problem(
        dataset.user_items,
        options.confidence,
        options.alpha,
        options.regularization,
        options.threads,
    )
    model, ours = train(dataset, problem, options)
    numpy_seconds, difference = numpy_reference(problem, model)
    seconds = ours.seconds_an_iteration
    print("\n" + reference_text(seconds, numpy_seconds, difference, facts["threads"]))
    theirs = None if options.no_peers else train_implicit(problem, ours, options)
    for artist in artists:
        print("\n" + similar_text(dataset, model, artist, options.listeners))
    print("\n" + user_text(dataset, model, user))
    memory = show_memory(dataset, options)
    where = show_where_time_goes(problem, ours, options)

    traces = [ours] if theirs is None else [ours, theirs]
    output = Path(options.output)
    if output.suffix in (".json", ".png"):
        output = output.with_suffix("")
    report = output.with_name(output.name + ".json")
    write_json(
        report,
        dataset,
        facts,
        parameters={name: value for name, value in vars(options).items() if name != "output"},
        traces={trace.name: trace.as_dict() for trace in traces},
        numpy_reference={"seconds_an_iteration": numpy_seconds, "max_difference": difference},
        memory=memory,
        where_time_goes=where,
    )
    print(f"\nwrote {report}")
    title = f"{dataset.name}, {options.factors} factors, {facts['threads']} threads"
    write_picture(output.with_name(output.name + ".png"), lambda: plot_losses(traces, title))


# ---- training ----------------------------------------------------------------------------------


def train(
    dataset: Dataset, problem: Problem, options: argparse.Namespace
) -> tuple[ImplicitALS, Trace]:
    """Fit with a progress bar."""
    model = ImplicitALS(
        options.factors,
        regularization=options.regularization,
        alpha=options.alpha,
        confidence=options.confidence,
        solver=options.solver,
        iterations=options.iterations,
        num_threads=options.threads,
        random_state=options.seed,
    )
    print(f"\ntraining {model!r}")
    trace = Trace(f"recsys {options.solver}", *timed_fit(model, dataset.user_items, problem))
    lines = zip(range(1, len(trace.seconds) + 1), trace.seconds, trace.losses, strict=True)
    print(
        markdown_table(
            ("iteration", "seconds", "loss"),
            ((i, f"{seconds:.3f}", f"{loss:.7g}") for i, seconds, loss in lines),
        )
    )
    print(f"{trace.seconds_an_iteration:.3f} s an iteration (median)")
    return model, trace


def train_implicit(problem: Problem, ours: Trace, options: argparse.Namespace) -> Trace | None:
    if not peer_models.installed(("implicit",)):
        return None
    contender = Implicit(problem, options.factors, "cg", options.seed)
    traces = interleave([contender], options.iterations, problem.objective, PEER_SECONDS)
    trace = traces[contender.name]
    made, asked = len(trace.seconds), options.iterations
    few = f" (stopped after {made} of {asked} to keep this short)" if made < asked else ""
    print(
        f"implicit {machine.version('implicit')}, CG(3), the same objective: "
        f"{trace.seconds_an_iteration:.3f} s an iteration{few}: "
        f"{trace.seconds_an_iteration / ours.seconds_an_iteration:.1f} times ours"
    )
    last = min(made, len(ours.losses)) - 1
    print(
        f"after {last + 1} iterations its loss is {trace.losses[last]:.7g}, ours "
        f"{ours.losses[last]:.7g}"
    )
    reached, needed = ours.seconds_to(trace.losses[-1]), trace.elapsed[-1]
    if reached is not None:
        print(
            f"seconds to the loss it ends at: {needed:.2f}, ours {reached:.2f}: "
            f"{needed / reached:.1f} times ours"
        )
    return trace


# ---- what it costs -----------------------------------------------------------------------------


def show_memory(dataset: Dataset, options: argparse.Namespace) -> dict[str, float]:
    memory = fit_memory.measure(
        dataset.user_items,
        factors=options.factors,
        solver=options.solver,
        iterations=1,
        num_threads=options.threads,
    )
    print(
        "\npeak memory of the fit: {fit_mb:.0f} MB above the matrix's {matrix_mb:.0f}".format(
            **memory
        )
    )
    return memory


def show_where_time_goes(
    problem: Problem, ours: Trace, options: argparse.Namespace
) -> dict[str, float]:
    flops = moved = 0.0
    for side, columns in zip(problem.sides, problem.shape[::-1], strict=True):
        work = machine.half_sweep_work(
            np.diff(side.indptr), columns, options.factors, options.solver
        )
        flops, moved = flops + work[0], moved + work[1]
    peaks = machine.measure_peaks(options.threads)
    seconds = ours.seconds_an_iteration
    where = {
        "gflop": flops / 1e9,
        "gb": moved / 1e9,
        "gflops": flops / seconds / 1e9,
        "gbs": moved / seconds / 1e9,
        "sgemm_gflops": peaks.sgemm_gflops,
        "read_gbs": peaks.read_gbs,
    }
    print(
        "where the time goes: an iteration is {gflop:.1f} GFLOP and moves at least {gb:.1f} GB: "
        "{gflops:.0f} GFLOP/s\n({share:.0%} of the {sgemm_gflops:.0f} of this machine's sgemm) and "
        "{gbs:.1f} GB/s ({read:.0%} of the {read_gbs:.1f} it reads in order)".format(
            **where,
            share=where["gflops"] / peaks.sgemm_gflops,
            read=where["gbs"] / peaks.read_gbs,
        )
    )
    return where


if __name__ == "__main__":
    run(main)
