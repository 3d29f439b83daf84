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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recsys import kernels
from recsys.distributed.blocks import Held, Part, divided, mean_sums
from recsys.distributed.mesh import Incoming, Mesh, Outgoing, as_bytes
from recsys.distributed.systems import Shared, System

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
    by_user_mean : bool
        Counts are divided by the mean of the user's first.
    cg_steps : int
        0: rows are solved exactly.
    bias : bool
        Users and items have biases, and all scores a mean in common; factors then have one column
        more, the bias.
    nonnegative : bool
        Factors are not negative, solved by coordinate descent; biases may be.
    acceleration : bool
        Momentum, as `kernels.Momentum` has it; the objective is computed for it.
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
    by_user_mean: bool = False
    cg_steps: int = 0
    bias: bool = False
    nonnegative: bool = False
    acceleration: bool = False
    init_scale: float = 0.1
    half: bool = False
    loss: bool = False


@dataclass
class Report:
    """What a rank reports of its fit."""

    first: int = 0  # iterations that a checkpoint had
    seconds: list[float] = field(default_factory=list)  # of each iteration
    losses: list[float] = field(default_factory=list)
    momentum: list[float] = field(default_factory=list)  # of each iteration; 0: none, or taken back
    mean: float = 0.0  # that all scores have in common, where there are biases
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
        signed = self._signed()
        self.parts: list[list[Part]] = [
            each.parts(signed[side], self.lambdas[side], problem.unobserved_weight, self._ratings)
            for side, each in enumerate(held)
        ]
        self.system = System(
            problem.factors, problem.bias, problem.nonnegative, self._mean(signed[USER]),
            problem.unobserved_weight, problem.cg_steps, num_threads,
        )  # fmt: skip
        self.report.mean = self.system.mean
        self.factors = [self._start(side) for side in (USER, ITEM)]
        self.momentum = kernels.Momentum(np.dtype(np.float32)) if problem.acceleration else None
        # The users of the iteration before, in the axes of today's
        self.before = np.zeros_like(self.factors[USER]) if problem.acceleration else None
        wire = np.uint16 if problem.half else np.float32
        # for each side what arrives of it, and for the largest block what it needs of that
        self.received = [
            np.empty((int(held[1 - side].needs[-1]), self.system.sent), wire)
            for side in (USER, ITEM)
        ]
        most = max((len(part.columns) for parts in self.parts for part in parts), default=0)
        self.gathered = np.empty((max(most, 1), self.system.sent), np.float32)

    @property
    def _ratings(self) -> bool:
        return self.problem.signed is None

    def _signed(self) -> list[sparse.csr_array]:
        """What the kernels take, of users and of items: ratings, or signed confidences."""
        counts = [side.counts for side in self.held]
        if self.problem.by_user_mean:
            means = self.held[USER].row_means()
            received = np.empty((int(self.held[ITEM].needs[-1]), 1), np.float32)
            self._send_rows(USER, means[:, np.newaxis], received)
            counts[USER] = divided(counts[USER], np.repeat(means, np.diff(counts[USER].indptr)))
            counts[ITEM] = divided(counts[ITEM], received[counts[ITEM].indices, 0])
        return counts if self._ratings else list(map(self.problem.signed, counts))

    def _mean(self, signed: sparse.csr_array) -> float:
        """sum w p / sum w over all cells, or the mean rating; 0 without biases."""
        if not self.problem.bias:
            return 0.0
        blocks = _blocks(self.held[USER])
        sums = np.array([mean_sums(signed, rows, self._ratings) for rows in blocks])
        total = self.mesh.sum_to_first(sums.reshape(-1, 3), self.block_counts[USER])
        both = self.mesh.from_first(np.zeros(3) if total is None else total)
        target, weight, entries = map(float, both)
        if not self._ratings:
            weight += self.problem.unobserved_weight * (float(self.rows.prod()) - entries)
        return target / weight if target else 0.0

    def _start(self, side: int) -> np.ndarray:
        problem, keys = self.problem, self.held[side].keys
        factors = start(keys, side, problem.factors, problem.seed, problem.init_scale)
        if problem.nonnegative:
            np.abs(factors, out=factors)
        return np.pad(factors, ((0, 0), (0, 1))) if problem.bias else factors

    # ---- iterations ----------------------------------------------------------------------------

    def run(
        self,
        done: int = 0,
        after: Callable[[int], None] | None = None,
    ) -> list[np.ndarray]:
        """Factors of the users and items that this rank holds.

        Parameters
        ----------
        done : int
            Iterations that the state has behind it already.
        after : callable, optional
            Called after each iteration with its number.
        """
        self.report.first = done
        for number in range(done + 1, self.problem.iterations + 1):
            began = time.perf_counter()
            loss = self._iterate()
            if loss is not None:
                self.report.losses.append(loss)
            self.report.seconds.append(time.perf_counter() - began)
            if self.mesh.rank == 0:
                ending = "" if loss is None else f", loss {loss:.9g}"
                logger.info("iteration %d: %.3g s%s", number, self.report.seconds[-1], ending)
            if after:
                after(number)
        self.report.bytes_sent = self.mesh.bytes_sent
        self._everywhere([0])  # nobody is done before all are
        return self.factors

    def state(self) -> list[np.ndarray]:
        """The arrays that the next iteration depends on, beside what `momentum` remembers."""
        return self.factors if self.momentum is None else [*self.factors, self.before]

    def _iterate(self) -> float | None:
        momentum = self.momentum
        if momentum is None:
            return self._sweep_both(self.problem.loss)
        weight = momentum.weight
        if weight:
            loss = self._sweep_beyond(momentum)
            if momentum.rose(loss):  # the same number, hence the same answer, on all ranks
                momentum.restart()
                weight = 0.0
        if not weight:
            np.copyto(self.before, self.factors[USER])
            loss = self._sweep_both(True, [self.before])
        momentum.made(loss)
        self.report.momentum.append(weight)
        return loss

    def _sweep_beyond(self, momentum: kernels.Momentum) -> float:
        """An iteration from beyond the users as they are, who become those before; if it raised the
        objective everything is as it was, but for the axes."""
        users, items = self.factors[USER], self.factors[ITEM]
        kept = items.copy() if self.system.starts else None
        momentum.extrapolate(kernels.Factors(users), kernels.Factors(self.before))
        self.factors[USER], self.before = self.before, users
        following = [users] if kept is None else [users, kept]
        loss = self._sweep_both(True, following, users if self.system.starts else None)
        if momentum.rose(loss):
            np.copyto(self.factors[USER], users)
            if kept is not None:
                np.copyto(items, kept)
        return loss

    def _sweep_both(
        self,
        loss: bool,
        following: Sequence[np.ndarray] = (),
        begin: np.ndarray | None = None,
    ) -> float | None:
        """Items against users, then users against items, from `begin` if there is one; rows of
        `following` are turned as those of both sides are."""
        losses = np.zeros((len(self.held[USER].cuts) - 1, 1)) if loss else None
        for fixed, of_blocks in ((USER, None), (ITEM, losses)):
            shared = self._half_sweep(fixed, of_blocks)
            for rows in following:
                self.system.follow(rows, shared)
            if fixed == USER and begin is not None:
                np.copyto(self.factors[USER], begin)
        return None if losses is None else self._total(losses)

    # ---- a half-sweep --------------------------------------------------------------------------

    def _half_sweep(self, fixed: int, losses: np.ndarray | None) -> Shared:
        """Solve the other side's rows, `fixed` (USER or ITEM) being held; `losses` of the blocks
        that are solved become what the objective has of them."""
        solved, clock = 1 - fixed, time.perf_counter()
        shared = self._shared(fixed)
        clock = self.report.since(clock, "gramian")
        rows = self.system.turned(self.factors[fixed], shared)
        self.system.start(self.factors[solved], shared)
        clock = self.report.since(clock, "rotate")
        self._send_rows(fixed, rows, self.received[fixed])
        clock = self.report.since(clock, "exchange")
        for part in self.parts[solved]:
            entries = self._solve(part, solved, shared, losses is not None)
            if losses is not None:
                out = self.factors[solved][part.rows]
                losses[part.number] = entries + self.system.other_cells(out, shared)
                losses[part.number] += _penalty(self.lambdas[solved][part.rows], out)
        self.system.finish(self.factors[solved], shared)
        self.report.since(clock, "solve")
        return shared

    def _shared(self, side: int) -> Shared:
        """What all rows share with all rows of `side` held."""
        width, held = self.system.width, self.held[side]
        parts = np.array([self.system.of_block(self.factors[side][rows]) for rows in _blocks(held)])
        total = self.mesh.sum_to_first(parts, self.block_counts[side])
        numbers = np.full(width * width + 2 * width + 1, np.nan)
        if total is not None and np.isfinite(total).all():
            numbers[:] = self.system.shared(total).packed()
        self.mesh.from_first(numbers)
        if not np.isfinite(numbers).all():
            raise FloatingPointError(
                f"the factors of the {('users', 'items')[side]} are not finite: raise regParam, or "
                "lower alpha"
            )
        return Shared.unpacked(numbers, width)

    def _send_rows(self, side: int, rows: np.ndarray, received: np.ndarray) -> None:
        """The rows of `side` that each rank needs go there."""
        held, other, rank = self.held[side], self.held[1 - side], self.mesh.rank
        outgoing, incoming = {}, {}
        for peer in range(self.mesh.world):
            into = received[other.needs[peer] : other.needs[peer + 1]]
            which = held.sends[peer]
            if peer == rank:
                for begin in range(0, len(which), _PIECE_ROWS):
                    at = slice(begin, begin + _PIECE_ROWS)
                    into[at] = _on_the_wire(rows[which[at]], received.dtype)
                continue
            incoming[peer] = Incoming(other.needs_sums[peer], as_bytes(into))
            size = len(which) * rows.shape[1] * received.itemsize
            pieces = _pieces(rows, which, received.dtype)
            outgoing[peer] = Outgoing(held.sends_sums[peer], size, pieces)
        self.mesh.exchange(outgoing, incoming)

    def _solve(self, part: Part, solved: int, shared: Shared, loss: bool) -> float | None:
        fixed, received = self.gathered[: max(len(part.columns), 1)], self.received[1 - solved]
        for begin in range(0, len(part.columns), _PIECE_ROWS):
            at = slice(begin, begin + _PIECE_ROWS)
            taken = received[part.columns[at]]
            fixed[at][: len(taken)] = from_half(taken) if self.problem.half else taken
        rows = self.system.solve(part.side, fixed, self.factors[solved][part.rows], shared, loss)
        self.report.retried += rows.retried
        self.report.jittered += rows.jittered
        return rows.entries_loss

    # ---- the objective -------------------------------------------------------------------------

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


def _pieces(rows: np.ndarray, which: np.ndarray, wire: np.dtype) -> Iterator[memoryview]:
    for begin in range(0, len(which), _PIECE_ROWS):
        yield as_bytes(_on_the_wire(rows[which[begin : begin + _PIECE_ROWS]], wire))


def _on_the_wire(rows: np.ndarray, wire: np.dtype) -> np.ndarray:
    return to_half(rows) if wire == np.uint16 else rows


def _penalty(lambdas: np.ndarray, rows: np.ndarray) -> float:
    return float(lambdas @ np.einsum("uf,uf->u", rows, rows, dtype=np.float64))
