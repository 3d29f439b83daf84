"""The experiments of docs/performance.md, and the table and the picture there.

``python benchmarks/peers.py --experiments`` runs them. Each is one run in which the contenders of
contenders.py take turns. Those of alternating least squares have confidence "scaled" (c = alpha r,
raw counts) and lambda 0.01, which are implicit's defaults. Serving and neighbours are as serving.py
says.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contenders
import costs
import scipy.sparse as sp
import serving
from contenders import Ours, Problem, race_epochs, stepping_peers
from harness import (
    COLOURS,
    DOCS,
    Trace,
    days,
    headline,
    interleave,
    losses_at_equal_iterations,
    machine_line,
    markdown_table,
    replace_between,
    write_picture,
)

from recsys import plots
from recsys.datasets import Dataset
from recsys.kernels import _als

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, PICTURE = DOCS / "performance.md", DOCS / "performance.svg"
MARKS = ("<!-- experiments:begin -->", "<!-- experiments:end -->")
COMMAND = "`python benchmarks/peers.py --experiments --update-docs`"
_OURS = " / ours"
REGULARIZATION = 0.01
ITERATIONS = 15
EPOCHS = 3  # of each, in experiments with epochs
BUDGET = 60.0  # seconds of one contender, in experiments with slow ones
EQUAL = 1 + 1e-4  # an objective is equal to another up to float32 rounding


UNITS = {
    "x": "{:.2f}x",
    "%": "{:.3f} %",
    "MB": "{:.0f} MB",
    "s": "{:.0f} s",
    "ms": "{:.3f} ms",
    "ns": "{:.1f} ns",
    "M/s": "{:.1f} M/s",
}


@dataclass
class Row:
    """What was measured."""

    what: str
    value: float | None
    unit: str  # of UNITS
    note: str = ""
    valid: bool = True  # False where it does not count, as at a higher objective

    def cells(self) -> list[str]:
        value = "not measured"
        if self.value is not None:
            value = UNITS[self.unit].format(self.value)
        return [self.what, value, self.note]


@dataclass
class Bench:
    """What the experiments share."""

    dataset: Dataset
    peers: list[str]
    threads: int
    seed: int
    lightfm: str | None = None  # a Python that has it
    ratings_file: Path | None = None  # as costs.py reads it

    def ratings(self) -> sp.coo_array:
        return (
            costs.read_ratings(self.ratings_file)
            if self.ratings_file
            else costs.synthetic_ratings()
        )

    def problem(self, alpha: float) -> Problem:
        return Problem(self.dataset.user_items, "scaled", alpha, REGULARIZATION, self.threads)

    def race(
        self,
        alpha: float,
        f: int,
        ours: list[tuple[str, str | None]],
        peers: tuple[str, ...] = (),
        solver: str = "cg",
        rounds: int = 3,
        budget: float = float("inf"),
    ) -> dict[str, Trace]:
        """Traces by name, of our (solver, instruction set) pairs and of the peers installed."""
        problem = self.problem(alpha)
        names = [name for name in peers if name in self.peers]
        racers = list(stepping_peers(problem, names, f, solver, self.seed))
        racers += [Ours(problem, f, each, self.seed, isa=isa) for each, isa in ours]
        return interleave(racers, rounds, problem.objective, budget)


def versus(what: str, traces: dict[str, Trace], one: str, other: str) -> Row:
    """How many times as many seconds an iteration takes `one`."""
    row = Row(what, None, "x")
    if one not in traces:
        row.note = f"{one.split()[0]} is not installed"
        return row
    slow, fast = (traces[name].seconds_an_iteration for name in (one, other))
    row.value, row.note = slow / fast, f"{shown(slow)} against {shown(fast)}"
    return row


def shown(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{1e3 * seconds:.3g} ms"


def ratio(what: str, traces: dict[str, Trace], peer: str, solver: str) -> Row:
    """How many times as many seconds an iteration takes the peer, at equal or lower objective."""
    names = f"{peer} {solver}", f"recsys {solver}"
    row = versus(what, traces, *names)
    if row.value is not None:
        theirs, ours = (traces[name] for name in names)
        loss, other = losses_at_equal_iterations(ours, theirs)
        row.valid = loss <= other * EQUAL
        made = min(len(ours.losses), len(theirs.losses))
        row.note += f"; objective {loss / other:.4f} times theirs after {made} iterations"
    return row


# ---- the experiments: each returns its rows and traces -------------------------------------------

Result = tuple[list[Row], dict[str, Trace]]


def cg_64(bench: Bench) -> Result:
    """The long one: 15 iterations of implicit, irspack and both of our solvers. (Whole fits, with
    what else they have: `iterations.py losses`.)"""
    traces = bench.race(
        1.0,
        64,
        [("cg", None), ("cholesky", None)],
        ("implicit", "irspack"),
        rounds=ITERATIONS,
    )
    rows = [
        ratio("CG(3), f = 64, alpha 1: implicit / ours", traces, "implicit", "cg"),
        ratio("CG(3), f = 64, alpha 1: irspack / ours", traces, "irspack", "cg"),
    ]
    cg, exact = traces["recsys cg"].losses[-1], traces["recsys cholesky"].losses[-1]
    name = f"objective of CG(3) after {ITERATIONS} iterations above Cholesky's, f = 64, alpha 1"
    rows.append(Row(name, 100 * (cg / exact - 1), "%"))
    return rows, traces


def cg(f: int, alpha: float) -> Callable[[Bench], Result]:
    def experiment(bench: Bench) -> Result:
        traces = bench.race(alpha, f, [("cg", None)], ("implicit",), rounds=5)
        name = f"CG(3), f = {f}, alpha {alpha:g}: implicit / ours"
        return [ratio(name, traces, "implicit", "cg")], traces

    return experiment


def cholesky(f: int) -> Callable[[Bench], Result]:
    def experiment(bench: Bench) -> Result:
        peers = ("implicit", "irspack")
        ours = [("cholesky", None)]
        traces = bench.race(1.0, f, ours, peers, "cholesky", rounds=3, budget=BUDGET)
        name = f"Cholesky, f = {f}: {{}} / ours"
        return [
            ratio(name.format("implicit"), traces, "implicit", "cholesky"),
            ratio(name.format("irspack"), traces, "irspack", "cholesky"),
        ], traces

    return experiment


def exact_256(bench: Bench) -> Result:
    traces = bench.race(1.0, 256, [("cg", None), ("cholesky", None)])
    names = "recsys cholesky", "recsys cg"
    return [versus("f = 256: ours exact / ours CG(3)", traces, *names)], traces


def instruction_sets(bench: Bench) -> Result:
    """The others of this machine and build beside the best."""
    *others, best = _als.AVAILABLE_ISAS
    traces = bench.race(1.0, 64, [("cholesky", isa) for isa in (*others, best)])
    rows = [
        versus(
            f"Cholesky, f = 64: {isa} / {best}",
            traces,
            *(f"recsys cholesky {name}" for name in (isa, best)),
        )
        for isa in reversed(others)
    ]
    return rows, traces


def bpr(f: int) -> Callable[[Bench], Result]:
    def experiment(bench: Bench) -> Result:
        traces = race_epochs(contenders.bpr(bench, f), EPOCHS)
        name, ours = f"BPR, f = {f}, an epoch: {{}}", "recsys BPR"
        both = ours, "recsys BPR hogwild"
        return [
            versus(name.format("implicit / ours"), traces, "implicit BPR", ours),
            versus(name.format("ours deterministic / ours hogwild"), traces, *both),
        ], traces

    return experiment


def warp_64(bench: Bench) -> Result:
    racers = contenders.warp(bench, 64)
    traces = race_epochs(racers, EPOCHS)
    names = "lightfm WARP", "recsys WARP"
    row = versus("WARP, f = 64, an epoch: LightFM / ours", traces, *names)
    if row.value is None:
        row.note += " (see --lightfm)"
    else:
        terms = racers[0].terms
        twin = f" of the twin at scale {contenders.WARP_SCALE}"
        row.note += f"; {terms / 1e6:.2f} M entries"
        row.note += twin if terms != bench.dataset.user_items.nnz else ""
    return [row], traces


def logistic_64(bench: Bench) -> Result:
    racers = contenders.logistic(bench, 64)
    traces = race_epochs(racers, EPOCHS)
    rows = []
    for each in racers:
        seconds = traces[each.name].seconds_an_iteration
        note = f"{seconds:.3g} s an iteration, {each.terms / 1e6:.1f} M rows"
        what = f"{each.name}, f = 64, for each factor row looked at"
        rows.append(Row(what, 1e9 * seconds / each.terms, "ns", note))
    return rows, traces


def explicit_64(bench: Bench) -> Result:
    racers = contenders.explicit(bench, 64)
    traces = race_epochs(racers, EPOCHS)
    source = bench.ratings_file.name if bench.ratings_file else "synthetic ratings"
    entries = racers[0].terms / 1e6
    seconds = traces["recsys SGD"].seconds_an_iteration
    note = f"{source}: {entries:.2f} M, {seconds:.3g} s an epoch"
    names = "cmfrec ALS", "recsys ALS"
    return [
        Row("ExplicitSGD, f = 64, ratings", entries / seconds, "M/s", note),
        versus("ExplicitALS, f = 64, an iteration: cmfrec / ours", traces, *names),
    ], traces


def lists_64(bench: Bench) -> Result:
    """10 for each, of the same factors."""
    counts = bench.dataset.user_items.copy()  # implicit takes no read-only arrays
    model = serving.trained(counts, bench.threads, bench.seed, factors=64)
    rows, kept = [], {}
    for task, (_, traces) in serving.race_lists(counts, model, 3, bench.seed, bench.peers).items():
        what, names = f"{task}, f = 64, a list", ("implicit", "recsys")
        if "one user" in task:
            rows.append(Row(what, 1e3 * traces["recsys"].seconds_an_iteration, "ms"))
        rows.append(versus(f"{what}: implicit / ours", traces, *names))
        kept |= {f"{task}: {who}": trace for who, trace in traces.items()}
    return rows, kept


def bm25_100(bench: Bench) -> Result:
    counts = bench.dataset.user_items.copy()  # implicit takes no read-only arrays
    fits = serving.race_neighbors(counts, serving.K, bench.threads, 3, bench.peers)
    traces = {name: trace for name, (_, trace) in fits.items()}
    what = f"fit of BM25 neighbours, k = {serving.K}: implicit / ours"
    return [versus(what, traces, "implicit", "recsys")], traces


def memory_64(bench: Bench) -> Result:
    measured = costs.of_fit(
        bench.dataset.user_items, factors=64, iterations=2, num_threads=bench.threads
    )
    name = "fit's peak memory above the caller's matrix, f = 64"
    note = f"the matrix itself: {measured['matrix_mb']:.0f} MB"
    return [Row(name, measured["fit_mb"], "MB", note)], {}


def install(bench: Bench) -> Result:
    """`pip install .` of a fresh clone (of what is committed) in a fresh virtual environment."""
    row = Row("pip install . from a clean clone", None, "s")
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        clone, venv = Path(folder, "clone"), Path(folder, "venv")
        pip = venv / ("Scripts" if sys.platform == "win32" else "bin") / "pip"
        try:
            _call("git", "clone", "--quiet", str(root), str(clone))
            _call(sys.executable, "-m", "venv", str(venv))
            begin = time.perf_counter()
            _call(str(pip), "install", "--quiet", "--no-cache-dir", str(clone))
            row.value = time.perf_counter() - begin
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            row.note = said[-1][:100] if said else "failed"
    return [row], {}


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


EXPERIMENTS: dict[str, Callable[[Bench], Result]] = {
    "cg-64": cg_64,
    "cg-64-alpha-40": cg(64, 40.0),
    "cg-128": cg(128, 1.0),
    "cg-128-alpha-40": cg(128, 40.0),
    "cholesky-64": cholesky(64),
    "cholesky-128": cholesky(128),
    "exact-256": exact_256,
    "isa-64": instruction_sets,
    "bpr-64": bpr(64),
    "bpr-128": bpr(128),
    "warp-64": warp_64,
    "logistic-64": logistic_64,
    "explicit-64": explicit_64,
    "serving": lists_64,
    "neighbors": bm25_100,
    "memory": memory_64,
    "install": install,
}


def as_dict(result: Result) -> dict[str, Any]:
    rows, traces = result
    return {
        "rows": [asdict(row) for row in rows],
        "traces": {name: trace.as_dict() for name, trace in traces.items()},
    }


def rows(experiments: dict[str, dict[str, Any]]) -> list[Row]:
    """All rows of experiments as `as_dict` gives them, in the order above."""
    return [
        Row(**row)
        for name in EXPERIMENTS
        if name in experiments
        for row in experiments[name]["rows"]
    ]


def table(experiments: dict[str, dict[str, Any]]) -> str:
    """`rows` as a Markdown table."""
    header = ("what", "measured", "note")
    return markdown_table(header, (row.cells() for row in rows(experiments)))


# ---- docs/performance.md -------------------------------------------------------------------------

Report = dict[str, Any]  # as peers.py writes it


def update_docs(report: Report) -> None:
    """Put the table between the marks of docs/performance.md, and make its picture."""
    experiments = report["experiments"]
    measured = days(each["measured"] for each in experiments.values())
    text = (
        f"{headline(report['dataset'])}.\n{machine_line(report['machine'])}.\n\n"
        f"{table(experiments)}\n\nMeasured {measured} by {COMMAND}."
    )
    replace_between(PAGE, MARKS, text)
    write_picture(PICTURE, lambda: picture(experiments))


def ratios(experiments: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Task, peer, and how many times as long the peer takes, of every comparison with one."""
    pairs = []
    for row in rows(experiments):
        task, _, versus = row.what.rpartition(": ")
        peer = versus.removesuffix(_OURS)
        if row.value and row.valid and versus.endswith(_OURS) and peer.lower() in COLOURS:
            pairs.append((task, peer, row.value))
    return pairs


def picture(experiments: dict[str, Any]) -> Figure:
    """A bar for each of `ratios`, from the top in their order."""
    pairs = ratios(experiments)
    figure, [[axes]] = plots.subplots(size=(9, 1 + 0.27 * len(pairs)))
    for peer in dict.fromkeys(peer for _, peer, _ in pairs):
        places = [at for at, (_, who, _) in enumerate(pairs) if who == peer]
        values = [pairs[at][2] for at in places]
        drawn = axes.barh(places, values, color=COLOURS[peer.lower()], label=peer)
        axes.bar_label(drawn, [f"{value:.3g}" for value in values], padding=3)
    axes.set_yticks(range(len(pairs)), [task for task, _, _ in pairs])
    axes.set(xscale="log", xlabel="how many times as long as recsys")
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlim(left=min(1, *(value for _, _, value in pairs)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(False, axis="y")
    axes.legend(loc="lower right")
    return figure
