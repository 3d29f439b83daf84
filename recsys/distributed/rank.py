"""What one rank does: alternating least squares over parts of a matrix, as one of several.

A half-sweep is that of `kernels.half_sweep` cut at its seams. The Gramian of the fixed side is
summed over all logical blocks, in their order, by rank 0, which sends its spectrum to all; each
rank rotates the rows it holds, sends to the others those that they need, and solves its own rows
block by block. So the bits depend on the data, the seed, the numbers of blocks and the instruction
set, and not on how many ranks there are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recsys import kernels
from recsys.distributed.blocks import Held, Part
from recsys.distributed.mesh import Incoming, Mesh, Outgoing, as_bytes

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

USER, ITEM = 0, 1
_PIECE_ROWS = 1 << 13  # rows that are gathered and sent at a time


@dataclass(frozen=True)
class Problem:
    """What all ranks of a fit agree on.

    Attributes
    ----------
    factors, iterations : int
    seed : int
        Of the initial factors.
    regularization : float
        lambda.
    exponent : float or None
        nu of `kernels.scaled_lambda`; None: lambda times the entries over 0 of a row, as MLlib.
    unobserved_weight : float
        w0.
    signed : callable or None
        Signed confidences of a matrix of counts, entry by entry; None: these are ratings.
    cg_steps : int
        0: rows are solved exactly.
    init_scale : float
        As in the models.
    half : bool
        Rows travel as bfloat16: half the bytes and half the memory of what is received.
    loss : bool
        Compute the objective at every iteration.
    """

    factors: int
    iterations: int
    seed: int
    regularization: float
    exponent: float | None
    unobserved_weight: float
    signed: Callable[[sparse.csr_array], sparse.csr_array] | None
    cg_steps: int = 0
    init_scale: float = 0.1
    half: bool = False
    loss: bool = False


@dataclass
class Report:
    """What a rank reports of its fit."""

    first: int = 0  # iterations that a checkpoint had
    seconds: list[float] = field(default_factory=list)  # of each iteration
    losses: list[float] = field(default_factory=list)
    retried: int = 0
    jittered: int = 0
    bytes_sent: int = 0
    spent: dict[str, float] = field(default_factory=dict)  # seconds by step

    def since(self, began: float, step: str) -> float:
        now = time.perf_counter()
        self.spent[step] = self.spent.get(step, 0.0) + now - began
        return now


def start(keys: np.ndarray, side: int, f: int, seed: int, scale: float) -> np.ndarray:
    """Initial factors (keys, f) float32: a function of seed, side and key, whatever the blocks.

    Sums of four uniform numbers, of mean 0 and standard deviation ``scale / sqrt(f)``: near enough
    to normal, and the same on every machine.
    """
    out = np.empty((len(keys), f), np.float32)
    [of_side] = kernels.draw(np.array([seed], np.int64).astype(np.uint64), np.uint64(side + 1))
    places, unit = np.arange(f, dtype=np.uint64), 3**0.5 / 65536 * scale / f**0.5
    for begin in range(0, len(keys), _PIECE_ROWS):
        rows = slice(begin, begin + _PIECE_ROWS)
        row_keys = kernels.draw(keys[rows].astype(np.uint64) ^ of_side, np.uint64(0))
        random = kernels.draw(row_keys[:, np.newaxis], places)
        four = random.view(np.uint16).reshape(len(row_keys), f, 4)
        out[rows] = (four.sum(axis=2, dtype=np.int64) - 2 * 65535) * unit
    return out


def to_half(rows: np.ndarray) -> np.ndarray:
    """float32 as bfloat16, to the nearest, ties to even; uint16 of the same shape."""
    bits = np.ascontiguousarray(rows).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(
        np.uint16
    )


def from_half(rows: np.ndarray) -> np.ndarray:
    """What `to_half` made, as float32."""
    return (rows.astype(np.uint32) << np.uint32(16)).view(np.float32)


class Rank:
    """One of the ranks of a fit.

    Parameters
    ----------
    mesh : Mesh
    held : (Held, Held)
        What this rank holds of users and of items.
    problem : Problem
    num_threads : int
    """

    def __init__(
        self, mesh: Mesh, held: tuple[Held, Held], problem: Problem, num_threads: int
    ) -> None:
        self.mesh, self.held, self.problem, self.num_threads = mesh, held, problem, num_threads
        self.report = Report()
        blocks = self._everywhere([len(side.cuts) - 1 for side in held])
        self.block_counts = [[int(count) for count in blocks[:, side]] for side in (USER, ITEM)]
        self.rows = self._everywhere([len(side.keys) for side in held]).sum(axis=0).astype(np.int64)
        self.lambdas = [
            each.lambdas(
                problem.regularization, problem.exponent, problem.unobserved_weight,
                problem.signed is None, int(self.rows[1 - side]),
            )
            for side, each in enumerate(held)
        ]  # fmt: skip
        self.parts: list[list[Part]] = [
            each.parts(problem.signed, self.lambdas[side], problem.unobserved_weight)
            for side, each in enumerate(held)
        ]
        self.factors = [
            start(each.keys, side, problem.factors, problem.seed, problem.init_scale)
            for side, each in enumerate(held)
        ]
        wire = np.uint16 if problem.half else np.float32
        # for each side what arrives of it, and for the largest block what it needs of that
        self.received = [
            np.empty((int(held[1 - side].needs[-1]), problem.factors), wire)
            for side in (USER, ITEM)
        ]
        most = max((len(part.columns) for parts in self.parts for part in parts), default=0)
        self.gathered = np.empty((max(most, 1), problem.factors), np.float32)

    def run(
        self,
        done: int = 0,
        after: Callable[[int, list[np.ndarray]], None] | None = None,
    ) -> list[np.ndarray]:
        """Factors of the users and items that this rank holds.

        Parameters
        ----------
        done : int
            Iterations that `factors` have behind them already.
        after : callable, optional
            Called after each iteration with its number and the factors, which it must not change.
        """
        self.report.first = done
        for number in range(done + 1, self.problem.iterations + 1):
            began = time.perf_counter()
            self._half_sweep(USER, None)
            loss = np.zeros((len(self.held[USER].cuts) - 1, 1)) if self.problem.loss else None
            self._half_sweep(ITEM, loss)
            if loss is not None:
                self.report.losses.append(self._total(loss))
            self.report.seconds.append(time.perf_counter() - began)
            if self.mesh.rank == 0:
                losses = self.report.losses
                ending = f", loss {losses[-1]:.9g}" if losses else ""
                logger.info("iteration %d: %.3g s%s", number, self.report.seconds[-1], ending)
            if after:
                after(number, self.factors)
        self.report.bytes_sent = self.mesh.bytes_sent
        self._everywhere([0])  # nobody is done before all are
        return self.factors

    # ---- a half-sweep --------------------------------------------------------------------------

    def _half_sweep(self, fixed: int, losses: np.ndarray | None) -> None:
        """Solve the other side's rows, `fixed` (USER or ITEM) being held; `losses` of the blocks
        that are solved become what the objective has of them, and of the fixed side on rank 0."""
        solved, clock = 1 - fixed, time.perf_counter()
        eigenvalues, basis = self._spectrum(fixed)
        clock = self.report.since(clock, "gramian")
        kernels.rotate(self.factors[fixed], basis, self.num_threads)
        if self.problem.cg_steps:  # where the rows start from
            kernels.rotate(self.factors[solved], basis, self.num_threads)
        clock = self.report.since(clock, "rotate")
        self._send_rows(fixed)
        clock = self.report.since(clock, "exchange")
        for part in self.parts[solved]:
            entries = self._solve(part, solved, eigenvalues, losses is not None)
            if losses is not None:
                losses[part.number] = entries + self._other_cells(part.rows, eigenvalues)
        self.report.since(clock, "solve")

    def _spectrum(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Of the Gramian of all rows of a side."""
        f, held = self.problem.factors, self.held[side]
        grams = np.empty((len(held.cuts) - 1, f, f))
        for number, rows in enumerate(_blocks(held)):
            grams[number] = kernels.gramian(self.factors[side][rows], self.num_threads)
        total = self.mesh.sum_to_first(grams, self.block_counts[side])
        both = np.full((f + 1, f), np.nan)
        if total is not None and np.isfinite(total).all():
            both[0], both[1:] = kernels.spectrum(total)
        self.mesh.from_first(both)
        if not np.isfinite(both[0]).all():
            raise FloatingPointError(
                f"the factors of the {('users', 'items')[side]} are not finite: raise regParam, or "
                "lower alpha"
            )
        return both[0].copy(), both[1:].copy()

    def _send_rows(self, side: int) -> None:
        """The rows of `side` that each rank needs go there."""
        held, other = self.held[side], self.held[1 - side]
        received, rank = self.received[side], self.mesh.rank
        outgoing, incoming = {}, {}
        width = received.itemsize * self.problem.factors
        for peer in range(self.mesh.world):
            into = received[other.needs[peer] : other.needs[peer + 1]]
            rows = held.sends[peer]
            if peer == rank:
                for begin in range(0, len(rows), _PIECE_ROWS):
                    at = slice(begin, begin + _PIECE_ROWS)
                    into[at] = self._on_the_wire(side, rows[at])
                continue
            incoming[peer] = Incoming(other.needs_sums[peer], as_bytes(into))
            outgoing[peer] = Outgoing(
                held.sends_sums[peer], len(rows) * width, self._pieces(side, rows)
            )
        self.mesh.exchange(outgoing, incoming)

    def _pieces(self, side: int, rows: np.ndarray) -> Iterator[memoryview]:
        for begin in range(0, len(rows), _PIECE_ROWS):
            yield as_bytes(self._on_the_wire(side, rows[begin : begin + _PIECE_ROWS]))

    def _on_the_wire(self, side: int, rows: np.ndarray) -> np.ndarray:
        taken = self.factors[side][rows]
        return to_half(taken) if self.problem.half else taken

    def _solve(self, part: Part, solved: int, eigenvalues: np.ndarray, loss: bool) -> float | None:
        fixed, received = self.gathered[: max(len(part.columns), 1)], self.received[1 - solved]
        for begin in range(0, len(part.columns), _PIECE_ROWS):
            at = slice(begin, begin + _PIECE_ROWS)
            taken = received[part.columns[at]]
            fixed[at][: len(taken)] = from_half(taken) if self.problem.half else taken
        solved_rows = kernels.solve_rows(
            part.side,
            fixed,
            self.factors[solved][part.rows],
            eigenvalues,
            cg_steps=self.problem.cg_steps,
            loss=loss,
            num_threads=self.num_threads,
        )
        self.report.retried += solved_rows.retried
        self.report.jittered += solved_rows.jittered
        return solved_rows.entries_loss

    # ---- the objective -------------------------------------------------------------------------

    def _other_cells(self, users: slice, eigenvalues: np.ndarray) -> float:
        """What the objective has of a block of users beside stored entries."""
        gram = kernels.gramian(self.factors[USER][users], self.num_threads)
        cells = self.problem.unobserved_weight * (eigenvalues @ np.diag(gram))
        return float(cells + _penalty(self.lambdas[USER][users], self.factors[USER][users]))

    def _total(self, of_users: np.ndarray) -> float:
        items = self.held[ITEM]
        of_items = np.array(
            [
                [_penalty(self.lambdas[ITEM][rows], self.factors[ITEM][rows])]
                for rows in _blocks(items)
            ]
        ).reshape(-1, 1)
        total = np.zeros(1)
        for part, counts in zip((of_users, of_items), self.block_counts, strict=True):
            summed = self.mesh.sum_to_first(part, counts)
            total += 0 if summed is None else summed
        return float(self.mesh.from_first(total)[0])

    def _everywhere(self, numbers: list[int]) -> np.ndarray:
        """(world, numbers): the numbers of each rank."""
        world, table = self.mesh.world, np.zeros((self.mesh.world, len(numbers)))
        table[self.mesh.rank] = numbers
        summed = self.mesh.sum_to_first(table[np.newaxis], [1] * world)
        return self.mesh.from_first(table if summed is None else summed)


def _blocks(held: Held) -> list[slice]:
    return [slice(a, b) for a, b in pairwise(held.cuts)]


def _penalty(lambdas: np.ndarray, rows: np.ndarray) -> float:
    return float(lambdas @ np.einsum("uf,uf->u", rows, rows, dtype=np.float64))
