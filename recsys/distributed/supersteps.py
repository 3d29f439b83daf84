"""A fit without connections: what ranks send each other goes through the engine, step by step.

`fit` runs where the steps are ordered from, a driver; what it sums it sums in the order of blocks,
so that the bits are those of ranks that talk over a mesh.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from recsys.distributed import share, steps
from recsys.distributed.head import Counted, choose
from recsys.distributed.iterations import Iterations
from recsys.distributed.limits import check_versions, least_isa
from recsys.distributed.mesh import NotDeterministicError, in_order
from recsys.distributed.pieces import REPORT, Inbox
from recsys.distributed.problem import USER, Report
from recsys.distributed.share import NAMES
from recsys.distributed.steps import Half, Job, Step, guarded
from recsys.distributed.systems import System

logger = logging.getLogger("recsys")

_ERRORS = {
    "FloatingPointError": FloatingPointError,
    "MemoryError": MemoryError,
    "NotDeterministicError": NotDeterministicError,
    "ValueError": ValueError,
}


class Engine(Protocol):
    """What carries the pieces between steps; the state is what the last step made."""

    def build(self, job: Job) -> Inbox:
        """Call `steps.build` on every rank with the entries it was sent; reports of all ranks."""

    def step(self, before: Step | None, after: Step, matrix: int | None) -> Inbox:
        """`before` on every rank's state, pieces to whom they are for, together with the matrix of
        a side, and `after` on what came there; reports of all ranks. Without `before`, `after` on
        every rank's state."""

    def keep_matrices(self) -> None:
        """What the last step made of matrices stays for all that follow, the rest is the state."""

    def made(self, number: int) -> None:
        """An iteration has been made."""


def fit(job: Job, engine: Engine) -> tuple[Job, Report, tuple]:
    """Run all steps but `steps.finish`: what that is given, and what is reported of the fit.

    Raises
    ------
    FloatingPointError, MemoryError, ValueError
        As `distributed.fit`.
    """
    began, report, problem = time.perf_counter(), Report(), job.problem
    reports = _checked(engine.build(job), job)
    told = [_told(reports, rank) for rank in range(job.world)]
    check_versions([each["version"] for each in told])
    job = replace(job, isa=least_isa([each["isa"] for each in told]), head=_head(job, reports))
    rows = np.sum([each["rows"] for each in told], axis=0).tolist()
    first = guarded(job, steps.send_means) if problem.by_user_mean else None
    reports = _checked(engine.step(first, guarded(job, steps.sign, rows), None), job)
    engine.keep_matrices()
    if problem.bias:
        targets = [reports.array(REPORT, rank, "targets") for rank in range(job.world)]
        report.mean = share.mean_of(in_order(targets), problem, rows)
        job = replace(job, mean=report.mean)
    reports = _checked(engine.step(None, guarded(job, steps.begin), None), job)
    report.since(began, "blocks")
    sweeps = Ordered(job, engine, report)
    sweeps.take(reports, USER)
    iterations = Iterations(problem, sweeps.system.starts)
    for number in range(1, problem.iterations + 1):
        began = time.perf_counter()
        loss, weight = iterations.make(sweeps)
        report.add(loss, weight, time.perf_counter() - began)
        logger.info("iteration %d: %s", number, report.last)
        engine.made(number)
    return job, report, sweeps.calls


def _head(job: Job, reports: Inbox) -> np.ndarray | None:
    """Keys of the head, if there is one; what ranks report is `head.Counted`."""
    of_ranks = [
        Counted(*(reports.array(REPORT, rank, name) for name in Counted._fields))
        for rank in range(job.world)
    ]
    histograms, keys, bins = zip(*of_ranks, strict=True)
    heads = choose(
        in_order(histograms), np.concatenate(keys), np.concatenate(bins), job.problem, job.n_blocks
    )
    if len(heads):
        logger.info("the %d items with most entries are solved from sums over users", len(heads))
    return heads if len(heads) else None


class Ordered:
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
            step = guarded(self.job, steps.change, self.calls, fixed)
            self.take(_checked(self.engine.step(None, step, None), self.job), fixed)
            total, self.calls = self.totals[fixed], ()
        numbers = share.shared_by_all(total, self.system)
        share.unpacked(numbers, fixed, self.system.width)
        half = Half(fixed, numbers, loss, tuple(following), self.calls)
        clock = self.report.since(clock, "gramian")
        sends, solves = (guarded(self.job, step, half) for step in (steps.send, steps.solve))
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


def _told(reports: Inbox, rank: int) -> dict[str, Any]:
    return json.loads(reports.array(REPORT, rank, "told").tobytes())


def _checked(reports: Inbox, job: Job) -> Inbox:
    """Raise what a rank reports to have raised."""
    for rank in range(job.world):
        if "error" in reports.names(REPORT, rank):
            kind, message = json.loads(reports.array(REPORT, rank, "error").tobytes())
            raise _ERRORS.get(kind, ValueError)(message)
    return reports
