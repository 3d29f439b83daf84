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
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from recsys import kernels
from recsys.distributed import share
from recsys.distributed.blocks import Held
from recsys.distributed.head import Head, choose, count, split_off
from recsys.distributed.iterations import Iterations
from recsys.distributed.mesh import Incoming, Mesh, Outgoing, as_bytes
from recsys.distributed.problem import ITEM, USER, Problem, Report
from recsys.distributed.share import Share

logger = logging.getLogger("recsys")


class Rank:
    """One of the ranks of a fit.

    Parameters
    ----------
    mesh : Mesh
    held : (Held, Held)
        What this rank holds of users and of items.
    problem : Problem
    num_threads : int
    check : callable
        Called with what will be held and the head, before there are factors.
    """

    def __init__(
        self,
        mesh: Mesh,
        held: tuple[Held, Held],
        problem: Problem,
        num_threads: int,
        check: Callable[[tuple[Held, Held], Head | None], None] = lambda held, head: None,
    ) -> None:
        self.mesh, self.problem = mesh, problem
        self.report = Report()
        block_counts = self._everywhere([len(side.cuts) - 1 for side in held])
        self.block_counts = [[int(count) for count in block_counts[:, s]] for s in (USER, ITEM)]
        rows = self._everywhere([len(side.keys) for side in held]).sum(axis=0).astype(np.int64)
        lambdas = share.lambdas(held, problem, rows)
        unsigned, held = held, share.signed(held, problem, self._means(held))
        mean = 0.0
        if problem.bias:
            sums = share.sums_of_targets(held[USER], problem)
            mean = share.mean_of(self._sum(sums, USER), problem, rows)
        self.report.mean = mean
        keys = self._head(unsigned[ITEM])
        head = None
        if len(keys):
            held, entries = split_off(held, keys)
            head = Head(keys, entries, held[USER].cuts, held[ITEM].keys)
            self.heads = self._everywhere([len(head.rows)])[:, 0].astype(np.int64)
        check(held, head)
        self.share = Share(problem, held, lambdas, mean, num_threads, head)
        for side in (USER, ITEM):
            self.share.prepare(side)
        self.iterations = Iterations(problem, self.share.system.starts)

    @property
    def momentum(self) -> kernels.Momentum | None:
        return self.iterations.momentum

    @property
    def factors(self) -> list[np.ndarray]:
        return [self.share.factors(side) for side in (USER, ITEM)]

    def state(self) -> list[np.ndarray]:
        """The arrays that the next iteration depends on, beside what `momentum` remembers."""
        more = [] if self.momentum is None else [self.share.arrays["before"]]
        return [*self.factors, *more]

    def _means(self, held: tuple[Held, Held]) -> tuple[np.ndarray, np.ndarray] | None:
        if not self.problem.by_user_mean:
            return None
        means = held[USER].row_means()
        needs = held[ITEM].needs
        received = np.empty((int(needs[-1]), 1), np.float32)
        into = [received[needs[peer] : needs[peer + 1]] for peer in range(self.mesh.world)]
        self._send_rows(held, USER, means[:, np.newaxis], into)
        return means, received[:, 0]

    def _head(self, items: Held) -> np.ndarray:
        """Keys of the items that are solved from sums, by block and key."""
        n_blocks = sum(self.block_counts[USER]), sum(self.block_counts[ITEM])
        told = count(items, self.problem, n_blocks)
        candidates = self._from_all(np.column_stack([told.keys, told.bins]))
        total = self._sum(told.histograms, ITEM)
        keys = choose(total, candidates[:, 0], candidates[:, 1], self.problem, n_blocks)
        if len(keys) and not self.mesh.rank:
            logger.info("the %d items with most entries are solved from sums over users", len(keys))
        return keys

    def _from_all(self, array: np.ndarray) -> np.ndarray:
        """The arrays of all ranks, one after the other; of one dtype and width."""
        counts = self._everywhere([len(array)])[:, 0].astype(np.int64)
        arrays = [np.empty((n, *array.shape[1:]), array.dtype) for n in counts]
        arrays[self.mesh.rank] = np.ascontiguousarray(array)
        others = [peer for peer in range(self.mesh.world) if peer != self.mesh.rank]
        self.mesh.exchange(
            {peer: Outgoing.of(arrays[self.mesh.rank]) for peer in others},
            {peer: Incoming.of(arrays[peer]) for peer in others},
        )
        return np.concatenate(arrays)

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
            loss, weight = self.iterations.make(self)
            self.report.add(loss, weight, time.perf_counter() - began)
            if self.mesh.rank == 0:
                logger.info("iteration %d: %s", number, self.report.last)
            if after:
                after(number)
        self.report.bytes_sent = self.mesh.bytes_sent
        self.report.retried, self.report.jittered = self.share.retried, self.share.jittered
        self._everywhere([0])  # nobody is done before all are
        return self.factors

    def copy(self, to: str, of: str) -> None:
        self.share.copy(to, of)

    def swap(self, one: str, other: str) -> None:
        self.share.swap(one, other)

    def extrapolate(self, made: float, loss: float) -> None:
        self.share.extrapolate(made, loss)

    def half_sweep(self, fixed: int, loss: bool, following: Sequence[str]) -> float | None:
        """See `iterations.Sweeps`."""
        clock = time.perf_counter()
        system = self.share.system
        total = self.mesh.sum_to_first(self.share.of_blocks(fixed), self.block_counts[fixed])
        width = system.width
        numbers = np.empty(width * width + 2 * width + 1)
        if total is not None:
            numbers[:] = share.shared_by_all(total, system)
        shared = share.unpacked(self.mesh.from_first(numbers), fixed, width)
        clock = self.report.since(clock, "gramian")
        rows = self.share.turn(fixed, shared, following)
        clock = self.report.since(clock, "rotate")
        into = [self.share.into(fixed, peer) for peer in range(self.mesh.world)]
        self._send_rows(self.share.held, fixed, rows, into)
        clock = self.report.since(clock, "exchange")
        equations = self._equations(rows) if fixed == USER and self.share.head else ()
        clock = self.report.since(clock, "head")
        losses = self.share.solve(1 - fixed, shared, loss, equations)
        self.report.since(clock, "solve")
        if losses is None:
            return None
        return float(self._sum(losses, USER)[0] + self._sum(self.share.penalties(), ITEM)[0])

    def _send_rows(
        self, held: tuple[Held, Held], side: int, rows: np.ndarray, into: Sequence[np.ndarray]
    ) -> None:
        """The rows of `side` that each rank needs go there."""
        has, needs = held[side], held[1 - side]
        outgoing, incoming = {}, {}
        for peer, received in enumerate(into):
            which, wire = has.sends[peer], received.dtype
            if peer == self.mesh.rank:
                share.put(rows, which, received)
                continue
            incoming[peer] = Incoming(needs.needs_sums[peer], as_bytes(received))
            size = len(which) * rows.shape[1] * received.itemsize
            pieces = map(as_bytes, share.pieces(rows, which, wire))
            outgoing[peer] = Outgoing(has.sends_sums[peer], size, pieces)
        self.mesh.exchange(outgoing, incoming)

    def _equations(self, rows: np.ndarray) -> list[np.ndarray]:
        """Of the heads that this rank holds, what the users of each rank add to them."""
        parts, rank = self.share.equations(rows), self.mesh.rank
        cuts = np.concatenate([[0], np.cumsum(self.heads)])
        for_each = [np.ascontiguousarray(parts[:, a:b]) for a, b in pairwise(cuts)]
        shape = for_each[rank].shape[1:]
        received = [np.empty((count, *shape)) for count in self.block_counts[USER]]
        received[rank] = for_each[rank]
        others = [peer for peer in range(self.mesh.world) if peer != rank]
        self.mesh.exchange(
            {peer: Outgoing.of(for_each[peer]) for peer in others},
            {peer: Incoming.of(received[peer]) for peer in others},
        )
        return received

    # ---- sums over all -------------------------------------------------------------------------

    def _sum(self, of_blocks: np.ndarray, side: int) -> np.ndarray:
        """On all ranks, over all blocks of a side."""
        total = self.mesh.sum_to_first(of_blocks, self.block_counts[side])
        return self.mesh.from_first(np.zeros(of_blocks.shape[1:]) if total is None else total)

    def _everywhere(self, numbers: list[int]) -> np.ndarray:
        """(world, numbers): the numbers of each rank."""
        world, table = self.mesh.world, np.zeros((self.mesh.world, len(numbers)))
        table[self.mesh.rank] = numbers
        summed = self.mesh.sum_to_first(table[np.newaxis], [1] * world)
        return self.mesh.from_first(table if summed is None else summed)
