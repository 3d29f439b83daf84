"""A fit without connections: what ranks send each other goes through the engine, step by step.

Between two steps a rank does not exist: what it holds is cut into pieces that an engine stores,
those of its state together with what others sent it. `fit` runs where the steps are ordered from
(a driver); what it sums it sums in the order of blocks, so that the bits are those of ranks that
talk over a mesh.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from recsys import csr, kernels
from recsys._version import __version__
from recsys.distributed import share
from recsys.distributed.blocks import Held
from recsys.distributed.iterations import Iterations
from recsys.distributed.limits import build_within, check_memory, check_versions, least_isa
from recsys.distributed.mesh import NotDeterministicError, in_order
from recsys.distributed.pieces import REPORT, STATE, Inbox, Piece, cut, cut_parts
from recsys.distributed.problem import ITEM, USER, Problem, Report
from recsys.distributed.share import NAMES, Share
from recsys.distributed.systems import System

logger = logging.getLogger("recsys")

_ROUTE = ("keys", "cuts", "sends", "sends_cuts", "sends_sums", "lambdas")  # of a side, in the state
_ARRAYS = (*NAMES, "before", "kept")
_ERRORS = {
    "FloatingPointError": FloatingPointError,
    "MemoryError": MemoryError,
    "NotDeterministicError": NotDeterministicError,
    "ValueError": ValueError,
}

Step = Callable[[int, Inbox], Iterator[Piece]]  # by rank and what came


@dataclass(frozen=True)
class Job:
    """What all steps of a fit are told.

    Attributes
    ----------
    problem : Problem
    n_blocks : (int, int)
    world : int
        Ranks.
    num_threads : int
    isa : str or None
        The instruction set that all use; None: each its own.
    mean : float
        What all scores have in common, once that is known.
    """

    problem: Problem
    n_blocks: tuple[int, int]
    world: int
    num_threads: int
    isa: str | None = None
    mean: float = 0.0


class Engine(Protocol):
    """What carries the pieces; the state is what the last step made."""

    def build(self, job: Job) -> Inbox:
        """Call `build` on every rank with the entries it was sent; reports of all ranks."""

    def step(self, before: Step | None, after: Step, matrix: int | None) -> Inbox:
        """`before` on every rank's state, pieces to whom they are for, together with the matrix of
        a side, and `after` on what came there; reports of all ranks. Without `before`, `after` on
        every rank's state."""

    def keep_matrices(self) -> None:
        """What the last step made of matrices stays for all that follow, the rest is the state."""

    def made(self, number: int) -> None:
        """An iteration has been made."""


class Half(NamedTuple):
    """What ranks are told of a half-sweep."""

    fixed: int
    shared: np.ndarray  # of share.shared_by_all
    loss: bool
    following: tuple[str, ...]
    before: tuple[tuple[Any, ...], ...]  # methods of Share that are called first, with arguments


def guarded(step: Step, job: Job, rank: int, inbox: Inbox) -> Iterator[Piece]:
    """A step; what it raises that would be raised again is its report."""
    if "error" in inbox.names(REPORT, rank):  # of the first half of this step
        yield from inbox.forward(rank, REPORT, ["error"])
        return
    other = job.isa is not None and job.isa != kernels.current_isa()
    try:
        with kernels.use_isa(job.isa) if other else nullcontext():
            yield from step(rank, inbox)
    except (FloatingPointError, MemoryError, ValueError) as error:
        yield from _json(rank, "error", [type(error).__name__, str(error)])


# ---- on every rank -----------------------------------------------------------------------------


def build(
    job: Job, memory: int | None, rank: int, entries: tuple[Iterable[Any], Iterable[Any]]
) -> Iterator[Piece]:
    """Both sides as `blocks.build` makes them, and how many rows they have; `entries` as for
    `distributed.fit`."""
    held = [
        build_within(
            memory, list(entries[side]), rank, job.world, job.n_blocks[side], job.n_blocks[1 - side]
        )
        for side in (USER, ITEM)
    ]
    check_memory(memory, held, job.problem, job.n_blocks, rank, job.world)
    told = {
        "rows": [len(side.keys) for side in held],
        "version": __version__,
        "isa": kernels.current_isa(),
    }
    yield from _json(rank, "told", told)
    for side, each in enumerate(held):
        yield from _state(rank, _side_arrays(side, each))


def send_means(job: Job, rank: int, inbox: Inbox) -> Iterator[Piece]:
    """The mean of each user's counts, to those who have its entries."""
    yield from inbox.forward(rank, STATE, inbox.names(STATE, rank))
    users = _held(inbox, rank, USER)
    means = users.row_means()
    yield from _state(rank, {"means": means})
    yield from _messages(rank, users, means[:, np.newaxis], np.dtype(np.float32))


def sign(job: Job, rows: Sequence[int], rank: int, inbox: Inbox) -> Iterator[Piece]:
    """Confidences in the place of counts; from here on matrices and state are apart."""
    problem = job.problem
    held = _held(inbox, rank, USER), _held(inbox, rank, ITEM)
    lambdas = share.lambdas(held, problem, rows)
    means = None
    if problem.by_user_mean:
        received = np.empty((int(held[ITEM].needs[-1]), 1), np.float32)
        _receive(inbox, held[ITEM], received)
        means = inbox.array(STATE, rank, "means"), received[:, 0]
    held = share.signed(held, problem, means)
    for side, each in enumerate(held):
        arrays = _side_arrays(side, each, lambdas[side])
        yield from _state(rank, {name: arrays[name] for name in _route(side)})
        for name, array in arrays.items():
            if name not in _route(side):
                yield from cut(rank, side, rank, name, array)
    if problem.bias:
        targets = share.sums_of_targets(held[USER], problem)
        yield from cut(rank, REPORT, rank, "targets", targets)


def begin(job: Job, rank: int, inbox: Inbox) -> Iterator[Piece]:
    """The initial factors."""
    part = _opened(job, rank, inbox, None, arrays={})
    yield from cut(rank, REPORT, rank, "of_blocks", part.of_blocks(USER))
    yield from _closed(rank, inbox, part)


def change(job: Job, calls: tuple, side: int, rank: int, inbox: Inbox) -> Iterator[Piece]:
    """What is called between half-sweeps, where the next one has to know its result."""
    part = _opened(job, rank, inbox, None)
    _call(part, calls)
    yield from cut(rank, REPORT, rank, "of_blocks", part.of_blocks(side))
    yield from _closed(rank, inbox, part)


def send(job: Job, half: Half, rank: int, inbox: Inbox) -> Iterator[Piece]:
    """The first part of a half-sweep: the fixed side, to those who need it."""
    part = _opened(job, rank, inbox, None)
    _call(part, half.before)
    shared = share.unpacked(half.shared, half.fixed, part.system.width)
    rows = part.turn(half.fixed, shared, half.following)
    yield from _messages(rank, part.held[half.fixed], rows, job.problem.wire)
    if not part.system.starts:
        part.arrays[NAMES[1 - half.fixed]] = np.empty((0, 0), np.float32)  # nobody reads it
    yield from _closed(rank, inbox, part)


def solve(job: Job, half: Half, rank: int, inbox: Inbox) -> Iterator[Piece]:
    """The second part: the other side's rows, and what they add to the next half-sweep."""
    solved = 1 - half.fixed
    part = _opened(job, rank, inbox, solved)
    part.prepare(solved)
    _receive(inbox, part.held[solved], part.received[half.fixed])
    shared = share.unpacked(half.shared, half.fixed, part.system.width)
    losses = part.solve(solved, shared, half.loss)
    if losses is not None:
        yield from cut(rank, REPORT, rank, "losses", losses)
        yield from cut(rank, REPORT, rank, "penalties", part.penalties())
    yield from cut(rank, REPORT, rank, "of_blocks", part.of_blocks(solved))
    yield from _json(rank, "told", {"retried": part.retried, "jittered": part.jittered})
    yield from _closed(rank, inbox, part)


def finish(
    job: Job, calls: tuple, rank: int, inbox: Inbox
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Keys and factors of the rank's users and items."""
    part = _opened(job, rank, inbox, None)
    _call(part, calls)
    users, items = ((part.held[side].keys, part.factors(side)) for side in (USER, ITEM))
    return (users[0], items[0]), (users[1], items[1])


# ---- as pieces, and back -----------------------------------------------------------------------


def _route(side: int) -> list[str]:
    return [f"{side}.{name}" for name in _ROUTE]


def _side_arrays(side: int, held: Held, lambdas: np.ndarray | None = None) -> dict[str, np.ndarray]:
    counts = held.counts
    arrays = {
        "keys": held.keys,
        "cuts": held.cuts,
        "sends": np.concatenate(held.sends),
        "sends_cuts": np.cumsum([0, *map(len, held.sends)]),
        "sends_sums": np.array(held.sends_sums, np.uint32),
        "lambdas": np.empty(0) if lambdas is None else lambdas,
        "needs": held.needs,
        "needs_sums": np.array(held.needs_sums, np.uint32),
        "indptr": counts.indptr,
        "indices": counts.indices,
        "data": counts.data,
    }
    return {f"{side}.{name}": array for name, array in arrays.items()}


def _held(inbox: Inbox, rank: int, side: int, matrix: int | None = STATE) -> Held:
    """A side; without `matrix`, the kind that its matrix came as, all that is needed to send."""

    def array(name: str, kind: int) -> np.ndarray:
        return inbox.array(kind, rank, f"{side}.{name}")

    keys, sends = array("keys", STATE), array("sends", STATE)
    cuts = array("sends_cuts", STATE)
    needs, needs_sums = np.zeros(1, np.int64), np.empty(0, np.uint32)
    entries = np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(len(keys) + 1, np.int64)
    if matrix is not None:
        needs, needs_sums = array("needs", matrix), array("needs_sums", matrix)
        entries = array("data", matrix), array("indices", matrix), array("indptr", matrix)
    return Held(
        keys=keys,
        cuts=array("cuts", STATE),
        counts=csr.assemble(*entries, (len(keys), int(needs[-1]))),
        needs=needs,
        needs_sums=needs_sums.tolist(),
        sends=np.split(sends, cuts[1:-1]),
        sends_sums=array("sends_sums", STATE).tolist(),
    )


def _opened(
    job: Job,
    rank: int,
    inbox: Inbox,
    solved: int | None,
    arrays: dict[str, np.ndarray] | None = None,
) -> Share:
    """The rank's share; with the matrix of the side that is to be solved. `arrays` {}: begin."""
    sides = [_held(inbox, rank, side, side if side == solved else None) for side in (USER, ITEM)]
    lambdas = [inbox.array(STATE, rank, f"{side}.lambdas") for side in (USER, ITEM)]
    if arrays is None:
        names = [name for name in inbox.names(STATE, rank) if name in _ARRAYS]
        arrays = {name: inbox.array(STATE, rank, name) for name in names}
    part = Share(
        job.problem, (sides[USER], sides[ITEM]), lambdas, job.mean, job.num_threads, arrays or None
    )
    if solved is not None and not part.system.starts:
        width = part.system.width
        part.arrays[NAMES[solved]] = np.empty((len(sides[solved].keys), width), np.float32)
    return part


def _closed(rank: int, inbox: Inbox, part: Share) -> Iterator[Piece]:
    yield from inbox.forward(rank, STATE, [*_route(USER), *_route(ITEM)])
    yield from _state(rank, part.arrays)


def _state(rank: int, arrays: dict[str, np.ndarray]) -> Iterator[Piece]:
    for name, array in arrays.items():
        yield from cut(rank, STATE, rank, name, array)


def _messages(rank: int, held: Held, rows: np.ndarray, wire: np.dtype) -> Iterator[Piece]:
    for peer, which in enumerate(held.sends):
        shape = len(which), rows.shape[1]
        parts = share.pieces(rows, which, wire)
        yield from cut_parts(peer, STATE, rank, "rows", wire, shape, parts)
        checksum = np.array([held.sends_sums[peer]], np.uint32)
        yield from cut(peer, STATE, rank, "checksum", checksum)


def _receive(inbox: Inbox, held: Held, received: np.ndarray) -> None:
    """What all ranks sent of the columns of `held`."""
    for peer, checksum in enumerate(held.needs_sums):
        rows = inbox.array(STATE, peer, "rows")
        into = received[held.needs[peer] : held.needs[peer + 1]]
        [sent] = inbox.array(STATE, peer, "checksum")
        if rows.shape != into.shape or sent != checksum:
            raise NotDeterministicError(
                f"rank {peer} sent {len(rows)} rows with checksum {sent:08x}, and {len(into)} with "
                f"{checksum:08x} were expected: they have read different entries. Reading the "
                "input twice must give the same rows: cache or checkpoint it, or write it to a "
                "file, before fit"
            )
        into[...] = rows


def _call(part: Share, calls: tuple[tuple[Any, ...], ...]) -> None:
    for method, *arguments in calls:
        getattr(part, method)(*arguments)


def _json(rank: int, name: str, value: Any) -> Iterator[Piece]:
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    return cut(rank, REPORT, rank, name, data)


# ---- where the steps are ordered from ----------------------------------------------------------


def fit(job: Job, engine: Engine) -> tuple[Job, Report, tuple]:
    """Run all steps but `finish`: what that is given, and what is reported of the fit.

    Raises
    ------
    FloatingPointError, MemoryError, ValueError
        As `distributed.fit`.
    """
    began, report, problem = time.perf_counter(), Report(), job.problem
    told = [_told(_checked(engine.build(job), job), rank) for rank in range(job.world)]
    check_versions([each["version"] for each in told])
    job = replace(job, isa=least_isa([each["isa"] for each in told]))
    rows = np.sum([each["rows"] for each in told], axis=0).tolist()
    first = _guarded(job, send_means) if problem.by_user_mean else None
    reports = _checked(engine.step(first, _guarded(job, sign, rows), None), job)
    engine.keep_matrices()
    if problem.bias:
        targets = [reports.array(REPORT, rank, "targets") for rank in range(job.world)]
        report.mean = share.mean_of(in_order(targets), problem, rows)
        job = replace(job, mean=report.mean)
    reports = _checked(engine.step(None, _guarded(job, begin), None), job)
    report.since(began, "blocks")
    steps = Steps(job, engine, report)
    steps.take(reports, USER)
    iterations = Iterations(problem, steps.system.starts)
    for number in range(1, problem.iterations + 1):
        began = time.perf_counter()
        loss, weight = iterations.make(steps)
        report.add(loss, weight, time.perf_counter() - began)
        logger.info("iteration %d: %s", number, report.last)
        engine.made(number)
    return job, report, steps.calls


class Steps:
    """The half-sweeps of a fit as steps of an engine; see `iterations.Sweeps`.

    What is called between two of them is done with the next one.
    """

    def __init__(self, job: Job, engine: Engine, report: Report) -> None:
        self.job, self.engine, self.report = job, engine, report
        problem = job.problem
        self.system = System(
            problem.factors, problem.bias, problem.nonnegative, job.mean,
            problem.unobserved_weight, problem.cg_steps, job.num_threads,
        )  # fmt: skip
        self.calls: tuple[tuple[Any, ...], ...] = ()
        self.totals: list[np.ndarray | None] = [None, None]  # of blocks; None: they have changed

    def copy(self, to: str, of: str) -> None:
        self._later("copy", to, of)
        self._changed(to)

    def swap(self, one: str, other: str) -> None:
        self._later("swap", one, other)
        self._changed(one)
        self._changed(other)

    def extrapolate(self, made: float, loss: float) -> None:
        self._later("extrapolate", made, loss)

    def _later(self, *call: Any) -> None:
        self.calls = (*self.calls, call)

    def _changed(self, name: str) -> None:
        if name in NAMES:
            self.totals[NAMES.index(name)] = None

    def half_sweep(self, fixed: int, loss: bool, following: Sequence[str]) -> float | None:
        clock = time.perf_counter()
        total = self.totals[fixed]
        if total is None:
            step = _guarded(self.job, change, self.calls, fixed)
            self.take(_checked(self.engine.step(None, step, None), self.job), fixed)
            total, self.calls = self.totals[fixed], ()
        numbers = share.shared_by_all(total, self.system)
        share.unpacked(numbers, fixed, self.system.width)
        half = Half(fixed, numbers, loss, tuple(following), self.calls)
        clock = self.report.since(clock, "gramian")
        sends, solves = (_guarded(self.job, step, half) for step in (send, solve))
        reports = _checked(self.engine.step(sends, solves, 1 - fixed), self.job)
        self.report.since(clock, "shuffle and solve")
        self.calls = ()
        self.take(reports, 1 - fixed)
        self.totals[fixed] = None  # it has been turned
        for rank in range(self.job.world):
            told = _told(reports, rank)
            self.report.retried += told["retried"]
            self.report.jittered += told["jittered"]
        if not loss:
            return None
        sums = (self._summed(reports, name) for name in ("losses", "penalties"))
        return float(sum(each[0] for each in sums))

    def take(self, reports: Inbox, side: int) -> None:
        """What ranks report of the blocks of a side as it is."""
        self.totals[side] = self._summed(reports, "of_blocks")

    def _summed(self, reports: Inbox, name: str) -> np.ndarray:
        return in_order([reports.array(REPORT, rank, name) for rank in range(self.job.world)])


def _guarded(job: Job, step: Callable[..., Iterator[Piece]], *arguments: Any) -> Step:
    return partial(guarded, partial(step, job, *arguments), job)


def _told(reports: Inbox, rank: int) -> dict[str, Any]:
    return json.loads(reports.array(REPORT, rank, "told").tobytes())


def _checked(reports: Inbox, job: Job) -> Inbox:
    """Raise what a rank reports to have raised."""
    for rank in range(job.world):
        if "error" in reports.names(REPORT, rank):
            kind, message = json.loads(reports.array(REPORT, rank, "error").tobytes())
            raise _ERRORS.get(kind, ValueError)(message)
    return reports
