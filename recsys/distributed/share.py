"""What a rank holds of a fit, and what it does of a half-sweep between two exchanges.

However the ranks talk, over a mesh of connections or by an engine's own shuffles, each does this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from recsys import kernels
from recsys.distributed.blocks import Held, Part, divided, mean_sums
from recsys.distributed.head import Head
from recsys.distributed.problem import ITEM, PIECE_ROWS, USER, Problem, from_half, start, to_half
from recsys.distributed.systems import Shared, System

NAMES = ("users", "items")  # of the arrays of factors


class Share:
    """A rank's part of a fit.

    Parameters
    ----------
    problem : Problem
    held : (Held, Held)
        Of users and of items, with what kernels take in the place of counts.
    lambdas : (array, array)
        Of each row.
    mean : float
        What all scores have in common, where there are biases.
    num_threads : int
    head : Head or None
    arrays : dict of str to array, optional
        As `arrays` was; without them factors are where they start.
    """

    def __init__(
        self,
        problem: Problem,
        held: tuple[Held, Held],
        lambdas: Sequence[np.ndarray],
        mean: float,
        num_threads: int,
        head: Head | None = None,
        arrays: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.problem, self.held, self.lambdas, self.head = problem, held, lambdas, head
        self.system = System(
            problem.factors, problem.bias, problem.nonnegative, mean, problem.unobserved_weight,
            problem.cg_steps, num_threads,
        )  # fmt: skip
        self.arrays = self._start() if arrays is None else arrays
        self.retried = self.jittered = 0
        self._parts: dict[int, list[Part]] = {}
        self.received: dict[int, np.ndarray] = {}
        self._gathered = np.empty((0, self.system.sent), np.float32)

    def _start(self) -> dict[str, np.ndarray]:
        problem, arrays = self.problem, {}
        for side, name in enumerate(NAMES):
            keys = self.held[side].keys
            factors = start(keys, side, problem.factors, problem.seed, problem.init_scale)
            if problem.nonnegative:
                np.abs(factors, out=factors)
            arrays[name] = np.pad(factors, ((0, 0), (0, 1))) if problem.bias else factors
        if problem.acceleration:
            arrays["before"] = np.zeros_like(arrays["users"])
        return arrays

    def factors(self, side: int) -> np.ndarray:
        return self.arrays[NAMES[side]]

    # ---- between half-sweeps, see iterations.Sweeps ---------------------------------------------

    def copy(self, to: str, of: str) -> None:
        if to in self.arrays:
            np.copyto(self.arrays[to], self.arrays[of])
        else:
            self.arrays[to] = self.arrays[of].copy()

    def swap(self, one: str, other: str) -> None:
        arrays = self.arrays
        arrays[one], arrays[other] = arrays[other], arrays[one]

    def extrapolate(self, made: float, loss: float) -> None:
        momentum = kernels.Momentum(np.dtype(np.float32))
        momentum.state = made, loss
        momentum.extrapolate(*(kernels.Factors(self.arrays[name]) for name in ("users", "before")))

    # ---- a half-sweep --------------------------------------------------------------------------

    def prepare(self, solved: int) -> None:
        """Make what solving a side's rows takes: once, before `into` and `solve`."""
        if solved in self._parts:
            return
        problem, held = self.problem, self.held[solved]
        self._parts[solved] = held.parts(
            held.counts, self.lambdas[solved], problem.unobserved_weight, problem.signed is None
        )
        shape = int(held.needs[-1]), self.system.sent
        self.received[1 - solved] = np.empty(shape, problem.wire)
        most = max((len(part.columns) for part in self._parts[solved]), default=0)
        if max(most, 1) > len(self._gathered):
            self._gathered = np.empty((max(most, 1), self.system.sent), np.float32)

    def of_blocks(self, side: int) -> np.ndarray:
        """What each block of `side`, held fixed, adds to what is shared; float64."""
        rows = self.factors(side)
        return np.array([self.system.of_block(rows[at]) for at in self.held[side].blocks()])

    def turn(self, fixed: int, shared: Shared, following: Sequence[str]) -> np.ndarray:
        """Turn everything into the axes in which rows are solved; the fixed side as it is sent."""
        rows = self.system.turned(self.factors(fixed), shared)
        self.system.start(self.factors(1 - fixed), shared)
        for name in following:
            self.system.follow(self.arrays[name], shared)
        return rows

    def into(self, fixed: int, peer: int) -> np.ndarray:
        """The memory for what a peer sends of the fixed side."""
        needs = self.held[1 - fixed].needs
        return self.received[fixed][needs[peer] : needs[peer + 1]]

    def equations(self, rows: np.ndarray) -> np.ndarray:
        """What the users, as they are sent, add to the equations of the head."""
        self.head.prepare(self.problem.unobserved_weight, self.problem.signed is None)
        return self.head.equations(rows, self.system)

    def solve(
        self, solved: int, shared: Shared, loss: bool, equations: Sequence[np.ndarray] = ()
    ) -> np.ndarray | None:
        """Solve a side's rows from what was received, those of the head from the equations of all
        ranks; what the objective has of each of its blocks, (blocks, 1), if asked for."""
        held, rows = self.held[solved], self.factors(solved)
        losses = np.zeros((len(held.cuts) - 1, 1)) if loss else None
        for part in self._parts[solved]:
            entries = self._solve(part, solved, shared, loss)
            if losses is not None:
                losses[part.number] = entries + self.system.other_cells(rows[part.rows], shared)
                losses[part.number] += _penalty(self.lambdas[solved][part.rows], rows[part.rows])
        if equations:
            self.head.solve(equations, self.lambdas[solved], rows, self.system, shared)
        self.system.finish(rows, shared)
        return losses

    def _solve(self, part: Part, solved: int, shared: Shared, loss: bool) -> float | None:
        fixed, received = self._gathered[: max(len(part.columns), 1)], self.received[1 - solved]
        for begin in range(0, len(part.columns), PIECE_ROWS):
            at = slice(begin, begin + PIECE_ROWS)
            taken = received[part.columns[at]]
            fixed[at][: len(taken)] = from_half(taken) if self.problem.half else taken
        rows = self.system.solve(part.side, fixed, self.factors(solved)[part.rows], shared, loss)
        self.retried += rows.retried
        self.jittered += rows.jittered
        return rows.entries_loss

    def penalties(self) -> np.ndarray:
        """Of each block of items, (blocks, 1)."""
        lambdas, rows = self.lambdas[ITEM], self.factors(ITEM)
        of_blocks = [_penalty(lambdas[at], rows[at]) for at in self.held[ITEM].blocks()]
        return np.array(of_blocks).reshape(-1, 1)


# ---- before the first half-sweep ---------------------------------------------------------------


def lambdas(
    held: tuple[Held, Held], problem: Problem, rows: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """lambda of each row of both sides, which have so many `rows` on all ranks together."""
    users, items = (
        each.lambdas(
            problem.regularization, problem.exponent, problem.unobserved_weight,
            problem.signed is None, int(rows[1 - side]),
        )
        for side, each in enumerate(held)
    )  # fmt: skip
    return users, items


def signed(
    held: tuple[Held, Held], problem: Problem, means: tuple[np.ndarray, np.ndarray] | None
) -> tuple[Held, Held]:
    """With what kernels take in the place of counts: ratings, or signed confidences. `means`: of
    the users held, and of those that the items need, by which counts are divided."""
    counts = [side.counts for side in held]
    if means is not None:
        lengths = np.diff(counts[USER].indptr)
        counts[USER] = divided(counts[USER], np.repeat(means[USER], lengths))
        counts[ITEM] = divided(counts[ITEM], means[ITEM][counts[ITEM].indices])
    if problem.signed is not None:
        counts = list(map(problem.signed, counts))
    users, items = (dataclasses.replace(side, counts=counts[at]) for at, side in enumerate(held))
    return users, items


def sums_of_targets(users: Held, problem: Problem) -> np.ndarray:
    """(blocks, 3) float64, for `mean_of`; `users` as `signed` made them."""
    sums = [mean_sums(users.counts, at, problem.signed is None) for at in users.blocks()]
    return np.array(sums).reshape(-1, 3)


def mean_of(total: np.ndarray, problem: Problem, rows: Sequence[int]) -> float:
    """sum w p / sum w over all cells, or the mean rating."""
    target, weight, entries = map(float, total)
    if problem.signed is not None:
        weight += problem.unobserved_weight * (float(np.prod(rows)) - entries)
    return target / weight if target else 0.0


# ---- what travels ------------------------------------------------------------------------------


def shared_by_all(total: np.ndarray, system: System) -> np.ndarray:
    """`Shared`, packed, of the sum over all blocks; NaN where that is not finite."""
    width = system.width
    if np.isfinite(total).all():
        return system.shared(total).packed()
    return np.full(width * width + 2 * width + 1, np.nan)


def unpacked(numbers: np.ndarray, fixed: int, width: int) -> Shared:
    """Of what `shared_by_all` made; FloatingPointError if it could not."""
    if not np.isfinite(numbers).all():
        raise FloatingPointError(
            f"the factors of the {NAMES[fixed]} are not finite: raise regParam, or lower alpha"
        )
    return Shared.unpacked(numbers, width)


def pieces(rows: np.ndarray, which: np.ndarray, wire: np.dtype) -> Iterator[np.ndarray]:
    """Some rows, as they travel, one piece after the other."""
    for begin in range(0, len(which), PIECE_ROWS):
        some = rows[which[begin : begin + PIECE_ROWS]]
        yield to_half(some) if wire == np.uint16 else some


def put(rows: np.ndarray, which: np.ndarray, into: np.ndarray) -> None:
    """Some rows to where they are received, on the same rank."""
    begin = 0
    for piece in pieces(rows, which, into.dtype):
        into[begin : begin + len(piece)] = piece
        begin += len(piece)


def _penalty(lambdas: np.ndarray, rows: np.ndarray) -> float:
    return float(lambdas @ np.einsum("uf,uf->u", rows, rows, dtype=np.float64))
