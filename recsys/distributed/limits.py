"""What is checked before a fit iterates: versions, instruction sets, memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from recsys import kernels
from recsys.distributed.blocks import ENTRY_BYTES, Entries, Held, build
from recsys.distributed.head import Head
from recsys.distributed.problem import ITEM, USER, Problem

logger = logging.getLogger("recsys")

_ENTRY_MEMORY = 2 * ENTRY_BYTES + 24  # of an entry while blocks are built: as it came, and sorted
_SQUARES = 8  # sums, spectrum, what travels of them
_SETTING = "spark.executor.memoryOverhead, where Python's memory comes from"
_ISAS = ("baseline", "avx2", "avx512")  # each can do what those before it do


def check_versions(versions: Sequence[str]) -> None:
    """Raise if they are not all one."""
    if len(set(versions)) > 1:
        counts = ", ".join(f"{each} on {versions.count(each)}" for each in sorted(set(versions)))
        raise ValueError(
            f"the workers have different versions of recsys ({counts}): install the same wheel of "
            "recsys-engine everywhere"
        )


def least_isa(names: Sequence[str]) -> str:
    """The instruction set that all have."""
    return min(names, key=_ISAS.index)


def build_within(
    memory: int | None, pieces: list[Any], rank: int, world: int, n_blocks: int, n_other: int
) -> Held:
    """`blocks.build`, if that fits into so many bytes."""
    entries = sum(memoryview(piece).nbytes for piece in pieces) // ENTRY_BYTES
    what = f"building blocks of {entries:,} entries"
    _check_fits(memory, entries * _ENTRY_MEMORY, what, world)
    return build(Entries.of(pieces), rank, world, n_blocks, n_other)


def memory_of(
    held: Sequence[Held], problem: Problem, head: Head | None = None, user_blocks: int = 0
) -> int:
    """Bytes that a rank needs while it iterates, beside those of `squares_of`: 12 an entry and
    side, the factors of its own rows, what it receives of the other side, and again as much as the
    largest block needs of that.
    Momentum takes the users twice, where rows are solved from where they are the items, too; biases
    two columns more, and twice the longer side's rows, as they are sent. With a head its entries
    are held once more, in double, and equations of all its items for each block of users here, of
    those here for each of all."""
    width, wire = problem.factors + problem.bias, problem.wire.itemsize
    total = 0
    if head is not None:
        blocks, heads = len(head.cuts) - 1, head.entries.shape[1]
        equations = blocks * heads + user_blocks * len(head.rows)
        total += 24 * head.entries.nnz + 8 * kernels.equation_numbers(width) * equations
    entries = sum(side.counts.nnz for side in held)
    users, items = (len(side.keys) for side in held)
    needed = [int(side.needs[-1]) for side in held]
    rows = users + items
    if problem.acceleration:
        rows += users + (items if problem.cg_steps or problem.nonnegative else 0)
    if problem.bias:
        width += 1
        rows += 2 * max(users, items)
    return total + 12 * entries + width * (4 * rows + wire * sum(needed) + 4 * max(needed))


def squares_of(blocks: int, rows: int, problem: Problem, num_threads: int) -> int:
    """Bytes of what has factors x factors numbers, in double: the Gramian of each of `blocks`, the
    parts of one of so many `rows`, sums, spectrum and what travels of them, scratch of threads."""
    squares = blocks + kernels.gramian_groups(rows) + _SQUARES
    squares += 2 * kernels.resolve_num_threads(num_threads)
    return 8 * (problem.factors + problem.bias) ** 2 * squares


def check_memory(
    memory: int | None,
    problem: Problem,
    n_blocks: tuple[int, int],
    rank: int,
    world: int,
    num_threads: int,
    held: Sequence[Held],
    head: Head | None,
) -> None:
    """MemoryError if a rank could not iterate within so many bytes."""
    rows = max(int(np.diff(side.cuts).max(initial=0)) for side in held)
    gathered = 0 if rank else max(n_blocks)  # by rank 0, which sums them
    own = 2 * max(len(side.cuts) - 1 for side in held)  # each, and all of them in one array
    least = squares_of(max(2, gathered), rows, problem, num_threads)
    needed = memory_of(held, problem, head, n_blocks[USER])
    needed += squares_of(max(own, gathered), rows, problem, num_threads)
    logger.info("rank %d needs %.3g GB to iterate", rank, needed / 1e9)
    if memory is not None and least > memory:
        f = problem.factors
        fewer = squares_of(2, rows, problem, num_threads) <= memory
        also = f", have fewer blocks ({n_blocks[USER]} x {n_blocks[ITEM]})" if fewer else ""
        raise MemoryError(
            f"matrices of {f} x {f} numbers take {least / 1e9:.3g} GB of each worker, whatever "
            f"their number, and there are {memory / 1e9:.3g} GB: lower rank (factors), which is "
            f"{f}{also}, or raise {_SETTING}"
        )
    _check_fits(memory, needed, f"{n_blocks[USER]} x {n_blocks[ITEM]} blocks", world, least)


def _check_fits(memory: int | None, needed: int, what: str, world: int, least: int = 0) -> None:
    """`least`: what a worker needs of that whatever their number."""
    if memory is not None and needed > memory:
        most = -(-world * (needed - least) // max(memory - least, 1))
        raise MemoryError(
            f"{what} on {world} workers take {needed / 1e9:.3g} GB each, and there are "
            f"{memory / 1e9:.3g} GB: use at least {most} workers (and as many blocks), or "
            f"raise {_SETTING}"
        )
