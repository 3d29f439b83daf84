"""The main job: factorize lastfm-360K, look at what came out, and at how long it took.

Where the data is neither found nor can be downloaded, its synthetic twin takes its place; the
first line says which one it is.
"""

from __future__ import annotations

import argparse
import difflib
import statistics
from collections.abc import Hashable, Iterable
from pathlib import Path

import contenders
import costs
import numpy as np
from contenders import Implicit, Problem
from harness import (
    Trace,
    add_data_options,
    installed_version,
    interleave,
    machine_facts,
    machine_line,
    markdown_table,
    measure_peaks,
    open_data,
    plot_losses,
    run,
    write_json,
    write_picture,
)
from kernels import numpy_iteration, reference_text

from recsys import ImplicitALS
from recsys.datasets import Dataset

EXAMPLE_ARTIST = "Joy Division"
# Of the plain objective, which implicit has too; what ImplicitALS chooses from data it has not
REGULARIZATION, ALPHA = 80.0, 20.0
# Of implicit's, so that all of this ends in about two minutes
PEER_ITERATIONS, PEER_SECONDS = 7, 40.0


def parse() -> argparse.Namespace:
    defaults = ImplicitALS()
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_options(parser)
    for name, kind, default, text in (
        ("factors", int, defaults.factors, "latent factors"),
        ("regularization", float, REGULARIZATION, "lambda"),
        ("alpha", float, ALPHA, "scale of the confidences"),
    ):
        parser.add_argument(
            f"--{name}", type=kind, default=default, help=f"{text}; default: {default}"
        )
    parser.add_argument(
        "--iterations", type=int, help="on all users; default: as many as the model takes by itself"
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
    facts = machine_facts(options.threads)
    print(machine_line(facts))

    problem = Problem(
        dataset.user_items,
        options.confidence,
        options.alpha,
        options.regularization,
        options.threads,
    )
    model, ours, seconds = train(dataset, problem, options)
    numpy_seconds, difference = numpy_iteration(problem, model)
    print("\n" + reference_text(seconds, numpy_seconds, difference, facts["threads"]))
    theirs = None if options.no_peers else train_implicit(problem, ours, seconds, options)
    for artist in artists:
        print("\n" + similar_text(dataset, model, artist, options.listeners))
    print("\n" + user_text(dataset, model, user))
    taken = show_memory(dataset, options)
    where = show_where_time_goes(problem, seconds, options)

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
        memory=taken,
        where_time_goes=where,
    )
    print(f"\nwrote {report}")
    title = f"{dataset.name}, {options.factors} factors, {facts['threads']} threads"
    write_picture(output.with_name(output.name + ".png"), lambda: plot_losses(traces, title))


# ---- training ----------------------------------------------------------------------------------


def train(
    dataset: Dataset, problem: Problem, options: argparse.Namespace
) -> tuple[ImplicitALS, Trace, float]:
    """Fit with a progress bar; the seconds of an iteration are without what it starts from, which
    is in those of the first in the trace."""
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
    trace = Trace(f"recsys {options.solver}", *timed_fit(model, dataset, problem))
    lines = zip(range(1, len(trace.seconds) + 1), trace.seconds, trace.losses, strict=True)
    print(
        markdown_table(
            ("iteration", "seconds", "loss"),
            ((i, f"{seconds:.3f}", f"{loss:.7g}") for i, seconds, loss in lines),
        )
    )
    seconds = statistics.median(each.user_seconds + each.item_seconds for each in model.history)
    print(f"{seconds:.3f} s an iteration on all users (median)")
    return model, trace, seconds


def timed_fit(
    model: ImplicitALS, dataset: Dataset, problem: Problem
) -> tuple[list[float], list[float]]:
    """Fit; returns the seconds of each iteration, and the objective after it.

    The objective is computed in the callback, outside the time.
    """
    taken, losses = [], []

    def note(iteration: int, seconds: float, loss: float | None) -> None:
        taken.append(seconds)
        losses.append(problem.objective(model.user_factors, model.item_factors))

    model.fit(dataset.user_items, callback=note)
    return taken, losses


def train_implicit(
    problem: Problem, ours: Trace, seconds: float, options: argparse.Namespace
) -> Trace | None:
    if not contenders.installed(("implicit",)):
        return None
    contender = Implicit(problem, options.factors, "cg", options.seed)
    asked = options.iterations or PEER_ITERATIONS
    traces = interleave([contender], asked, problem.objective, PEER_SECONDS)
    trace = traces[contender.name]
    made = len(trace.seconds)
    few = f" (stopped after {made} of {asked} to keep this short)" if made < asked else ""
    print(
        f"implicit {installed_version('implicit')}, CG(3), the same objective: "
        f"{trace.seconds_an_iteration:.3f} s an iteration{few}: "
        f"{trace.seconds_an_iteration / seconds:.1f} times ours"
    )
    print(
        f"its loss is {trace.losses[-1]:.7g} after {made} iterations, ours {ours.losses[-1]:.7g} "
        f"after {len(ours.losses)}"
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
    figures = costs.of_fit(
        dataset.user_items,
        factors=options.factors,
        solver=options.solver,
        iterations=1,
        num_threads=options.threads,
    )
    print(
        "\npeak memory of the fit: {fit_mb:.0f} MB above the matrix's {matrix_mb:.0f}".format(
            **figures
        )
    )
    return figures


def show_where_time_goes(
    problem: Problem, seconds: float, options: argparse.Namespace
) -> dict[str, float]:
    flops = moved = 0.0
    for side, columns in zip(problem.sides, problem.shape[::-1], strict=True):
        work = half_sweep_work(np.diff(side.indptr), columns, options.factors, options.solver)
        flops, moved = flops + work[0], moved + work[1]
    peaks = measure_peaks(options.threads)
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


# How csrc/kernels/als.h chooses a row's path.
_BATCH_MOST = 64
_CG_FEWEST = 16
_LONG_ROW_BYTES = 1048576
_CG_PRIMAL_FACTORS = 256


def half_sweep_work(
    lengths: np.ndarray, columns: int, f: int, solver: str, cg_steps: int = 3
) -> tuple[float, float]:
    """FLOPs and bytes of one half-sweep in float32.

    FLOPs: a multiplication and an addition are two. A row of n entries takes n^2 f + n^3 / 3 where
    it is short (n x n system), n f^2 + f^3 / 3 where it is long (f x f system), (steps + 1) 4 n f
    by conjugate gradient; the Gramian of the fixed side takes f^2 a column, its rotation 2 f^2.
    Bytes: what has to move at least: the factors of each entry once with its index and confidence,
    each solved row once, the fixed side three times (Gramian, read and written rotated).

    Parameters
    ----------
    lengths : ndarray of int
        Entries of each row solved.
    columns : int
        Rows of the fixed side.
    """
    n = lengths.astype(np.float64)
    dual = n**2 * f + n**3 / 3
    primal = n * f**2 + f**3 / 3
    exact = np.where(n <= max(min(f, _BATCH_MOST), f * 5 // 8), dual, primal)
    flops = np.where(n > 0, exact, 0.0)
    if solver == "cg":
        stepped = n > _CG_FEWEST
        if f <= _CG_PRIMAL_FACTORS:
            stepped &= n * f * 4 <= _LONG_ROW_BYTES
        flops = np.where(stepped, (cg_steps + 1) * 4 * n * f, flops)
    moved = n.sum() * (4 * f + 8) + 4 * f * (len(n) + 3 * columns)
    dense = 3.0 * columns * f**2
    if solver == "cg":  # the rows it starts from are rotated too
        dense += 2.0 * len(n) * f**2
        moved += 8 * f * len(n)
    return float(flops.sum() + dense), float(moved)


# ---- what the model says -----------------------------------------------------------------------


def choose_artists(dataset: Dataset, names: Iterable[str] | None) -> list[int]:
    """Columns of the artists named, in any case, by default of an example.

    Raises
    ------
    ValueError
        One is unknown; the nearest names are given.
    """
    known = [_text(name).lower() for name in dataset.items]
    column = {name: i for i, name in reversed(list(enumerate(known)))}
    if names is None:
        if EXAMPLE_ARTIST.lower() in column:
            return [column[EXAMPLE_ARTIST.lower()]]
        audience = np.bincount(dataset.user_items.indices, minlength=len(known))
        return [int(np.argsort(-audience, kind="stable")[min(100, len(known) - 1)])]
    for name in names:
        if name.lower() not in column:
            match = difflib.get_close_matches(name.lower(), known, n=3)
            near = ", ".join(repr(_item_name(dataset, column[each])) for each in match)
            raise ValueError(
                f"no artist is named {name!r} in {dataset.name}"
                + (f"; did you mean {near}?" if near else "")
            )
    return [column[name.lower()] for name in names]


def choose_user(dataset: Dataset, row: int | None) -> int:
    """That row, by default one of about 50 entries; ValueError if there is none such."""
    lengths = np.diff(dataset.user_items.indptr)
    if row is None:
        return int(np.argmin(np.abs(lengths - 50)))
    if not 0 <= row < len(lengths):
        raise ValueError(f"--user {row}: rows go from 0 to {len(lengths) - 1}")
    return row


def similar_text(dataset: Dataset, model: ImplicitALS, artist: int, listeners: int) -> str:
    """Artists near one, among those with so many listeners."""
    n_items = dataset.user_items.shape[1]
    ids, scores = model.similar_items(artist, n_items)
    audience = np.bincount(dataset.user_items.indices, minlength=n_items)
    known = np.flatnonzero((audience[ids] >= listeners) & (ids != artist))[:10]
    name = _item_name(dataset, artist)
    head = f"nearest to {name}, of artists with at least {listeners} listeners:"
    return "\n".join([head, *_lines(dataset, ids[known], scores[known], "{:.3f}")])


def user_text(dataset: Dataset, model: ImplicitALS, user: int) -> str:
    """What a user listened to, and what is recommended."""
    row = dataset.user_items[[user]]
    heard = np.argsort(-row.data, kind="stable")[:10]
    return "\n".join(
        [
            f"user {user} listened to {row.nnz} artists, most to:",
            *_lines(dataset, row.indices[heard], row.data[heard], "{:,.0f}"),
            "and is recommended:",
            *_lines(dataset, *model.recommend(user), "{:.3f}"),
        ]
    )


def _item_name(dataset: Dataset, item: int) -> str:
    return _text(dataset.items[item])


def _text(name: Hashable) -> str:
    return name if isinstance(name, str) else f"item {name}"


def _lines(dataset: Dataset, ids: np.ndarray, scores: np.ndarray, form: str) -> list[str]:
    pairs = zip(ids, scores, strict=True)
    return [f"  {form.format(s):>9}  {_item_name(dataset, i)}" for i, s in pairs if i >= 0]


if __name__ == "__main__":
    run(main)
