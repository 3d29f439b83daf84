"""The steps of a fit as one rank does them, between which it does not exist.

What a rank holds comes to each step in pieces, together with what others have sent it, and leaves
it so: its state, the matrices that are stored once, and reports. supersteps.py orders them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from recsys import csr, kernels
from recsys._version import __version__
from recsys.distributed import share
from recsys.distributed.blocks import Held, block_of, first_blocks
from recsys.distributed.head import Head, count, split_off
from recsys.distributed.limits import build_within, check_memory
from recsys.distributed.mesh import NotDeterministicError
from recsys.distributed.pieces import REPORT, STATE, Inbox, Piece, cut, cut_parts
from recsys.distributed.problem import ITEM, USER, Problem
from recsys.distributed.share import NAMES, Share

_ROUTE = ("keys", "cuts", "sends", "sends_cuts", "sends_sums", "lambdas")  # of a side, in the state
_HEAD = ("head.indptr", "head.indices", "head.data")
_ARRAYS = (*NAMES, "before", "kept")

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
    memory : callable or None
        The bytes that a rank may use, told where it is called; None: any number.
    isa : str or None
        The instruction set that all use; None: each its own.
    mean : float
        What all scores have in common, once that is known.
    head : (heads,) int64 array or None
        Keys of the items that are solved from sums, likewise.
    """

    problem: Problem
    n_blocks: tuple[int, int]
    world: int
    num_threads: int
    memory: Callable[[], int] | None = None
    isa: str | None = None
    mean: float = 0.0
    head: np.ndarray | None = None


class Half(NamedTuple):
    """What ranks are told of a half-sweep."""

    fixed: int
    shared: np.ndarray  # of share.shared_by_all
    loss: bool
    following: tuple[str, ...]
    before: tuple[tuple[Any, ...], ...]  # methods of Share that are called first, with arguments


def guarded(job: Job, step: Callable[..., Iterator[Piece]], *arguments: Any) -> Step:
    """A step with its arguments, in the form that engines run."""
    return partial(_guarded, partial(step, job, *arguments), job)


def _guarded(step: Step, job: Job, rank: int, inbox: Inbox) -> Iterator[Piece]:
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


# ---- one after the other ---------------------------------------------------------------------


def build(job: Job, rank: int, entries: tuple[Iterable[Any], Iterable[Any]]) -> Iterator[Piece]:
    """Both sides as `blocks.build` makes them, and how many rows they have; `entries` as for
    `distributed.fit`."""
    memory = None if job.memory is None else job.memory()
    held = [
        build_within(
            memory, list(entries[side]), rank, job.world, job.n_blocks[side], job.n_blocks[1 - side]
        )
        for side in (USER, ITEM)
    ]
    facts = {
        "rows": [len(side.keys) for side in held],
        "version": __version__,
        "isa": kernels.current_isa(),
    }
    yield from _json(rank, "told", facts)
    for name, array in count(held[ITEM], job.problem, job.n_blocks)._asdict().items():
        yield from cut(rank, REPORT, rank, name, array)
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
    if problem.bias:
        targets = share.sums_of_targets(held[USER], problem)
        yield from cut(rank, REPORT, rank, "targets", targets)
    head = None
    if job.head is not None:
        held, entries = split_off(held, job.head)
        head = Head(job.head, entries, held[USER].cuts, held[ITEM].keys)
        of_entries = entries.indptr, entries.indices, entries.data
        yield from _state(rank, dict(zip(_HEAD, of_entries, strict=True)))
    memory = None if job.memory is None else job.memory()
    check_memory(memory, problem, job.n_blocks, rank, job.world, job.num_threads, held, head)
    for side, each in enumerate(held):
        arrays = _side_arrays(side, each, lambdas[side])
        yield from _state(rank, {name: arrays[name] for name in _route(side)})
        for name, array in arrays.items():
            if name not in _route(side):
                yield from cut(rank, side, rank, name, array)


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
    if half.fixed == USER and part.head is not None:
        yield from _equations(job, rank, part.equations(rows))
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
    equations = []
    if solved == ITEM and job.head is not None:
        equations = [inbox.array(STATE, peer, "equations") for peer in range(job.world)]
    losses = part.solve(solved, shared, half.loss, equations)
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
        "columns": held.columns,
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
    columns = np.empty(0, np.int64)
    entries = np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(len(keys) + 1, np.int64)
    if matrix is not None:
        needs, needs_sums = array("needs", matrix), array("needs_sums", matrix)
        columns = array("columns", matrix)
        entries = array("data", matrix), array("indices", matrix), array("indptr", matrix)
    return Held(
        keys=keys,
        cuts=array("cuts", STATE),
        columns=columns,
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
    head = None
    if job.head is not None:
        indptr, indices, data = (inbox.array(STATE, rank, name) for name in _HEAD)
        entries = csr.assemble(data, indices, indptr, (len(indptr) - 1, len(job.head)))
        head = Head(job.head, entries, sides[USER].cuts, sides[ITEM].keys)
    part = Share(
        job.problem, (sides[USER], sides[ITEM]), lambdas, job.mean, job.num_threads, head,
        arrays or None,
    )  # fmt: skip
    if solved is not None and not part.system.starts:
        width = part.system.width
        part.arrays[NAMES[solved]] = np.empty((len(sides[solved].keys), width), np.float32)
    return part


def _closed(rank: int, inbox: Inbox, part: Share) -> Iterator[Piece]:
    heads = () if part.head is None else _HEAD
    yield from inbox.forward(rank, STATE, [*_route(USER), *_route(ITEM), *heads])
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


def _equations(job: Job, rank: int, parts: np.ndarray) -> Iterator[Piece]:
    """What the rank's users add to each head, to where that is."""
    firsts = first_blocks(job.n_blocks[ITEM], job.world)
    cuts = np.searchsorted(block_of(job.head, job.n_blocks[ITEM]), firsts)
    for peer, (a, b) in enumerate(pairwise(cuts)):
        yield from cut(peer, STATE, rank, "equations", parts[:, a:b])


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
