"""What the engine has to reach, and the experiments that measure whether it does.

``python benchmarks/peers.py --bars`` runs them. Each experiment is one run in which the contenders
take turns. Those of alternating least squares have one objective (see peer_models.py) and start
from the same factors: confidence "scaled" (c = alpha r, raw counts), lambda 0.01, which are
implicit's defaults. Those of models that learn by epochs are as epoch_peers.py says, serving
and neighbours as serving.py and neighbors.py.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import epoch_peers
import fit_memory
import neighbors
import ratings
import scipy.sparse as sp
import serving
from harness import Trace, interleave, losses_at_equal_iterations, markdown_table
from peer_models import Ours, Problem, stepping_peers

from recsys import ImplicitALS
from recsys.datasets import Dataset
from recsys.kernels import _als

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
    """One bar: what was measured, what is asked for. `limit` says on which side of it to be."""

    what: str
    value: float | None
    unit: str  # of UNITS
    limit: str | None  # "at least", "at most", or None where nothing is asked for
    bar: float | None = None
    aim: float | None = None
    note: str = ""
    valid: bool = True  # False where it does not count, as at a higher objective

    def reaches(self, mark: float) -> bool:
        return self.value >= mark if self.limit == "at least" else self.value <= mark

    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.limit is None:
            return "measured"
        if not self.valid or not self.reaches(self.bar):
            return "**not met**"
        return "aim met" if self.aim is not None and self.reaches(self.aim) else "met"

    def shown(self, number: float | None) -> str | None:
        return None if number is None else UNITS[self.unit].format(number)

    def cells(self) -> list[str | None]:
        asked = [
            None
            if mark is None
            else f"{self.limit} {mark:g}{'' if self.unit == 'x' else ' '}{self.unit}"
            for mark in (self.bar, self.aim)
        ]
        return [self.what, self.shown(self.value), *asked, self.verdict(), self.note]


@dataclass
class Bench:
    """What the experiments share."""

    dataset: Dataset
    peers: list[str]
    threads: int
    seed: int
    lightfm: str | None = None  # a Python that has it
    ratings_file: Path | None = None  # as ratings.py reads it

    def ratings(self) -> sp.coo_array:
        return ratings.read(self.ratings_file) if self.ratings_file else ratings.synthetic()

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
        contenders = list(stepping_peers(problem, names, f, solver, self.seed))
        contenders += [Ours(problem, f, each, self.seed, isa=isa) for each, isa in ours]
        return interleave(contenders, rounds, problem.objective, budget)


def versus(
    what: str,
    traces: dict[str, Trace],
    one: str,
    other: str,
    *asked: Any,
) -> Row:
    """How many times as many seconds an iteration takes `one`; `asked`: limit, bar and aim."""
    row = Row(what, None, "x", *(asked or [None]))
    if one not in traces:
        row.note = f"{one.split()[0]} is not installed"
        return row
    slow, fast = (traces[name].seconds_an_iteration for name in (one, other))
    row.value, row.note = slow / fast, f"{shown(slow)} against {shown(fast)}"
    return row


def shown(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{1e3 * seconds:.3g} ms"


def ratio(
    what: str, traces: dict[str, Trace], peer: str, solver: str, bar: float, aim: float
) -> Row:
    """How many times as many seconds an iteration takes the peer, at equal or lower objective."""
    names = f"{peer} {solver}", f"recsys {solver}"
    row = versus(what, traces, *names, "at least", bar, aim)
    if row.value is not None:
        theirs, ours = (traces[name] for name in names)
        loss, other = losses_at_equal_iterations(ours, theirs)
        row.valid = loss <= other * EQUAL
        made = min(len(ours.losses), len(theirs.losses))
        row.note += f"; objective {loss / other:.4f} times theirs after {made} iterations"
    return row


# ---- the experiments: each returns its rows and traces -----------------------------------------

Result = tuple[list[Row], dict[str, Trace]]


def cg_64(bench: Bench) -> Result:
    """The long one: 15 iterations of implicit, irspack and both of our solvers."""
    default = ImplicitALS().solver
    traces = bench.race(
        1.0,
        64,
        [("cg", None), ("cholesky", None)],
        ("implicit", "irspack"),
        rounds=ITERATIONS,
    )
    rows = [
        ratio("CG(3), f = 64, alpha 1: implicit / ours", traces, "implicit", "cg", 5, 9),
        ratio("CG(3), f = 64, alpha 1: irspack / ours", traces, "irspack", "cg", 3, 5),
        seconds_to_loss(traces, default),
    ]
    cg, exact = traces["recsys cg"].losses[-1], traces["recsys cholesky"].losses[-1]
    name = f"objective of CG(3) after {ITERATIONS} iterations above Cholesky's, f = 64, alpha 1"
    rows.append(Row(name, 100 * (cg / exact - 1), "%", "at most", 0.5, 0.1))
    return rows, traces


def seconds_to_loss(traces: dict[str, Trace], solver: str) -> Row:
    name = f"seconds to implicit's CG(3) objective after {ITERATIONS} iterations: implicit / ours"
    row = Row(name, None, "x", "at least", 7, 12)
    theirs, ours = traces.get("implicit cg"), traces[f"recsys {solver}"]
    if theirs is None:
        row.note = "implicit is not installed"
        return row
    needed, reached = theirs.elapsed[-1], ours.seconds_to(theirs.losses[-1])
    if reached is None:
        row.value, row.valid = 0.0, False
        row.note = f"{solver} did not reach it in {ITERATIONS} iterations"
        return row
    made = ours.elapsed.index(reached) + 1
    row.value = needed / reached
    row.note = f"{needed:.1f} s against {reached:.1f} s ({made} iterations of {solver})"
    return row


def cg(f: int, alpha: float, bar: float, aim: float) -> Callable[[Bench], Result]:
    def experiment(bench: Bench) -> Result:
        traces = bench.race(alpha, f, [("cg", None)], ("implicit",), rounds=5)
        name = f"CG(3), f = {f}, alpha {alpha:g}: implicit / ours"
        return [ratio(name, traces, "implicit", "cg", bar, aim)], traces

    return experiment


def cholesky(f: int, bar: float, aim: float) -> Callable[[Bench], Result]:
    def experiment(bench: Bench) -> Result:
        peers = ("implicit", "irspack")
        ours = [("cholesky", None)]
        traces = bench.race(1.0, f, ours, peers, "cholesky", rounds=3, budget=BUDGET)
        name = f"Cholesky, f = {f}: {{}} / ours"
        return [
            ratio(name.format("implicit"), traces, "implicit", "cholesky", bar, aim),
            ratio(name.format("irspack"), traces, "irspack", "cholesky", 3, 6),
        ], traces

    return experiment


def exact_256(bench: Bench) -> Result:
    traces = bench.race(1.0, 256, [("cg", None), ("cholesky", None)])
    names = "recsys cholesky", "recsys cg"
    return [versus("f = 256: ours exact / ours CG(3)", traces, *names, "at most", 4, 2)], traces


def instruction_sets(bench: Bench) -> Result:
    available = _als.AVAILABLE_ISAS
    traces = bench.race(1.0, 64, [("cholesky", isa) for isa in available])
    rows = []
    for isa in ("avx2", "baseline"):
        what, names = f"Cholesky, f = 64: {isa} / AVX-512", (isa, "avx512")
        if set(names) <= set(available):
            row = versus(what, traces, *(f"recsys cholesky {name}" for name in names))
        else:
            row = Row(
                what, None, "x", None, note=f"this machine or build has {', '.join(available)}"
            )
        rows.append(row)
    return rows, traces


def bpr(f: int, *asked: Any) -> Callable[[Bench], Result]:
    def experiment(bench: Bench) -> Result:
        traces = epoch_peers.race(epoch_peers.bpr(bench, f), EPOCHS)
        name, ours = f"BPR, f = {f}, an epoch: {{}}", "recsys BPR"
        own = (ours, "recsys BPR hogwild", "at most", 1.3, 1)
        return [
            versus(name.format("implicit / ours"), traces, "implicit BPR", ours, *asked),
            versus(name.format("ours deterministic / ours hogwild"), traces, *own),
        ], traces

    return experiment


def warp_64(bench: Bench) -> Result:
    contenders = epoch_peers.warp(bench, 64)
    traces = epoch_peers.race(contenders, EPOCHS)
    names = "lightfm WARP", "recsys WARP"
    row = versus("WARP, f = 64, an epoch: LightFM / ours", traces, *names, "at least", 6)
    if row.value is None:
        row.note += " (see --lightfm)"
    else:
        terms = contenders[0].terms
        twin = f" of the twin at scale {epoch_peers.WARP_SCALE}"
        row.note += f"; {terms / 1e6:.2f} M entries"
        row.note += twin if terms != bench.dataset.user_items.nnz else ""
    return [row], traces


def logistic_64(bench: Bench) -> Result:
    contenders = epoch_peers.logistic(bench, 64)
    traces = epoch_peers.race(contenders, EPOCHS)
    rows = []
    for each in contenders:
        seconds = traces[each.name].seconds_an_iteration
        note = f"{seconds:.3g} s an iteration, {each.terms / 1e6:.1f} M rows"
        what = f"{each.name}, f = 64, for each factor row looked at"
        rows.append(Row(what, 1e9 * seconds / each.terms, "ns", None, note=note))
    return rows, traces


def explicit_64(bench: Bench) -> Result:
    contenders = epoch_peers.explicit(bench, 64)
    traces = epoch_peers.race(contenders, EPOCHS)
    source = bench.ratings_file.name if bench.ratings_file else "synthetic ratings"
    entries = contenders[0].terms / 1e6
    seconds = traces["recsys SGD"].seconds_an_iteration
    note = f"{source}: {entries:.2f} M, {seconds:.3g} s an epoch"
    names = "cmfrec ALS", "recsys ALS"
    return [
        Row("ExplicitSGD, f = 64, ratings", entries / seconds, "M/s", "at least", 10, note=note),
        versus("ExplicitALS, f = 64, an iteration: cmfrec / ours", traces, *names, "at least", 2),
    ], traces


def lists_64(bench: Bench) -> Result:
    """10 for each, of the same factors."""
    counts = bench.dataset.user_items.copy()  # implicit takes no read-only arrays
    model = serving.trained(counts, bench.threads, bench.seed, factors=64)
    rows, kept = [], {}
    for task, (_, traces) in serving.race(counts, model, 3, bench.seed, bench.peers).items():
        what, names = f"{task}, f = 64, a list", ("implicit", "recsys")
        one = "one user" in task
        if one:
            ours = 1e3 * traces["recsys"].seconds_an_iteration
            rows.append(Row(what, ours, "ms", "at most", 1.5))
        asked = () if one else ("at least", 4)
        rows.append(versus(f"{what}: implicit / ours", traces, *names, *asked))
        kept |= {f"{task}: {who}": trace for who, trace in traces.items()}
    return rows, kept


def bm25_100(bench: Bench) -> Result:
    counts = bench.dataset.user_items.copy()  # implicit takes no read-only arrays
    found = neighbors.race(counts, neighbors.K, bench.threads, 3, bench.peers)
    traces = {name: trace for name, (_, trace) in found.items()}
    what = f"fit of BM25 neighbours, k = {neighbors.K}: implicit / ours"
    return [versus(what, traces, "implicit", "recsys", "at least", 3)], traces


def memory(bench: Bench) -> Result:
    measured = fit_memory.measure(
        bench.dataset.user_items, factors=64, iterations=2, num_threads=bench.threads
    )
    name = "fit's peak memory above the caller's matrix, f = 64"
    note = f"the matrix itself: {measured['matrix_mb']:.0f} MB"
    return [Row(name, measured["fit_mb"], "MB", "at most", 650, 500, note)], {}


def install(bench: Bench) -> Result:
    """`pip install .` of a fresh clone (of what is committed) in a fresh virtual environment."""
    row = Row("pip install . from a clean clone", None, "s", "at most", 240, 90)
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
    "cg-64-alpha-40": cg(64, 40.0, 5, 9),
    "cg-128": cg(128, 1.0, 5, 8),
    "cg-128-alpha-40": cg(128, 40.0, 5, 8),
    "cholesky-64": cholesky(64, 8, 18),
    "cholesky-128": cholesky(128, 8, 20),
    "exact-256": exact_256,
    "isa-64": instruction_sets,
    "bpr-64": bpr(64, "at least", 4, 6),
    "bpr-128": bpr(128, "at least", 3.5),
    "warp-64": warp_64,
    "logistic-64": logistic_64,
    "explicit-64": explicit_64,
    "serving": lists_64,
    "neighbors": bm25_100,
    "memory": memory,
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
    header = ("what", "measured", "bar", "aim", "verdict", "note")
    return markdown_table(header, (row.cells() for row in rows(experiments)))
