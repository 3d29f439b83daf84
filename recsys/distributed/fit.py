"""A fit as one rank sees it, from the entries it was sent to its factors; an engine calls `fit`."""

from __future__ import annotations

import json
import logging
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from recsys import kernels
from recsys._version import __version__
from recsys.distributed import handshake
from recsys.distributed.limits import build_within, check_memory, check_versions, least_isa
from recsys.distributed.mesh import Mesh
from recsys.distributed.problem import ITEM, USER, Problem, Report
from recsys.distributed.rank import Rank

logger = logging.getLogger("recsys")

_CHECKPOINT = struct.Struct("<8sIIQQ")  # magic, checksum of what follows, width, users, items
_REMEMBERED = struct.Struct("<dd")  # what momentum remembers; arrays follow
_MAGIC = b"recsysC2"


class CheckpointError(OSError):
    """A checkpoint cannot be written."""


class Store(Protocol):
    """A folder that all ranks see."""

    def names(self) -> list[str]: ...

    def check(self, name: str) -> None:
        """Write a file of that name and remove it again: CheckpointError."""

    def write(self, name: str, data: bytes) -> None:
        """The file appears whole, or not at all: CheckpointError."""

    def read(self, name: str) -> bytes: ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def clear(self) -> None:
        """Remove the folder."""


@dataclass(frozen=True)
class Place:
    """Where a rank runs, and with what.

    Attributes
    ----------
    rank, world : int
    host : str
        This machine's own interface, as the others reach it.
    all_gather : callable
        Text in, the texts of all ranks by rank out. Called once.
    secret : bytes
        What only the ranks of this fit know.
    num_threads : int
        0: all that are available.
    memory : int or None
        Bytes that this rank may use; None: not known.
    store : Store or None
        For checkpoints. It is not touched where no iteration has one.
    every : int
        Iterations from one checkpoint to the next; less than 1: none.
    """

    rank: int
    world: int
    host: str
    all_gather: Callable[[str], Sequence[str]]
    secret: bytes
    num_threads: int = 0
    memory: int | None = None
    store: Store | None = None
    every: int = 0


class Fitted(NamedTuple):
    """What a rank has at the end: keys and factors of its users and items, biases being the last
    column."""

    keys: tuple[np.ndarray, np.ndarray]
    factors: tuple[np.ndarray, np.ndarray]
    report: Report


def fit(
    place: Place,
    pieces: tuple[Iterable[Any], Iterable[Any]],
    n_blocks: tuple[int, int],
    problem: Problem,
) -> Fitted:
    """This rank's part of a fit: `fit_each` of one problem."""
    [fitted] = fit_each(place, pieces, n_blocks, [problem])
    return fitted


def fit_each(
    place: Place,
    pieces: tuple[Iterable[Any], Iterable[Any]],
    n_blocks: tuple[int, int],
    problems: Sequence[Problem],
) -> Iterator[Fitted]:
    """This rank's part of fits to the same entries, one after the other, which it builds once.

    Parameters
    ----------
    place : Place
    pieces : (iterable of bytes, iterable of bytes)
        What `blocks.split` made for this rank of the entries by user and by item, in any order.
    n_blocks : (int, int)
        Logical blocks of users and of items.
    problems : sequence of Problem

    Raises
    ------
    CheckpointError
        A rank cannot write to the store: of all ranks, and before anything is built.
    PeerError, ConnectionError, TimeoutError
        Another rank is gone, or could not be reached.
    ValueError
        Ranks run different versions of recsys, or have read different entries.
    MemoryError
        The blocks do not fit into the memory there is.
    FloatingPointError
        As in `kernels.half_sweep`.
    """
    if not 0 < place.every < max((each.iterations for each in problems), default=0):
        place = replace(place, store=None)
    listener = handshake.Listener(place.host)
    mesh = None
    try:
        complete_here, refused = _looked_at(place)
        hello = {
            "address": listener.address,
            "version": __version__,
            "isa": kernels.current_isa(),
            "checkpoints": complete_here,
            "refused": refused,
        }
        greetings = [json.loads(text) for text in place.all_gather(json.dumps(hello))]
        check_versions([each["version"] for each in greetings])
        for each in greetings:
            if each["refused"] is not None:
                raise CheckpointError(each["refused"])
        addresses = [each["address"] for each in greetings]
        peers = handshake.connect(listener, place.rank, addresses, place.secret)
        hosts = [f"{host}:{port}" for host, port in addresses]
        mesh = Mesh(place.rank, place.world, peers, hosts)
        isa = least_isa([each["isa"] for each in greetings])
        with kernels.use_isa(isa) if isa != kernels.current_isa() else nullcontext():
            complete = [{tuple(each) for each in told["checkpoints"]} for told in greetings]
            yield from _fits(place, mesh, pieces, n_blocks, problems, set.intersection(*complete))
    except BaseException as error:
        if mesh is not None:
            mesh.give_up(f"{type(error).__name__}: {error}")
        raise
    finally:
        listener.close()
    mesh.close()


def _fits(
    place: Place,
    mesh: Mesh,
    pieces: tuple[Iterable[Any], Iterable[Any]],
    n_blocks: tuple[int, int],
    problems: Sequence[Problem],
    complete: set[tuple[int, int]],
) -> Iterator[Fitted]:
    began = time.perf_counter()
    users, items = (
        build_within(
            place.memory, list(pieces[side]), place.rank, place.world, n_blocks[side],
            n_blocks[1 - side],
        )
        for side in (USER, ITEM)
    )  # fmt: skip
    held = users, items
    for number, problem in enumerate(problems):
        check = partial(
            check_memory, place.memory, problem, n_blocks, place.rank, place.world,
            place.num_threads,
        )  # fmt: skip
        rank = Rank(mesh, held, problem, place.num_threads, check)
        rank.report.since(began, "blocks")
        done = max((made for model, made in complete if model == number), default=0)
        factors = _run(place, rank, number, done)
        yield Fitted((users.keys, items.keys), (factors[USER], factors[ITEM]), rank.report)
        began = time.perf_counter()
    if place.store is not None and place.rank == 0:
        place.store.clear()


def _run(place: Place, rank: Rank, model: int, done: int) -> list[np.ndarray]:
    if done:
        _restore(place, _name(place, model, done), rank)
        logger.info("rank %d goes on from iteration %d", place.rank, done)

    def after(number: int) -> None:
        due = place.every > 0 and number % place.every == 0
        if place.store is not None and due and number < rank.problem.iterations:
            place.store.write(_name(place, model, number), _to_bytes(rank))
            # Who comes to an iteration has what the others sent after the checkpoint before it:
            # that one is whole, and the one before that of no more use.
            place.store.remove(_name(place, model, number - 2 * place.every))

    return rank.run(done, after)


# ---- checkpoints -------------------------------------------------------------------------------


def _name(place: Place, model: int, number: int) -> str:
    return f"rank-{place.rank}-of-{place.world}-model-{model}-iteration-{number}.factors"


def _looked_at(place: Place) -> tuple[list[tuple[int, int]], str | None]:
    """What `_complete` finds, and why the store cannot be written to.

    The latter is for all ranks to raise: those that the others wait for must not end before.
    """
    if place.store is None:
        return [], None
    try:
        place.store.check(f"rank-{place.rank}")
        return _complete(place, place.store), None
    except OSError as error:
        return [], str(error)


def _complete(place: Place, store: Store) -> list[tuple[int, int]]:
    """Models and iterations whose factors this rank finds again."""
    form = re.compile(rf"rank-{place.rank}-of-{place.world}-model-(\d+)-iteration-(\d+)\.factors")
    found = (form.fullmatch(name) for name in store.names())
    return [(int(match[1]), int(match[2])) for match in found if match]


def _to_bytes(rank: Rank) -> bytes:
    remembered = (0.0, 0.0) if rank.momentum is None else rank.momentum.state
    body = _REMEMBERED.pack(*remembered) + b"".join(each.tobytes() for each in rank.state())
    return _head(rank, body) + body


def _head(rank: Rank, body: bytes | memoryview) -> bytes:
    users, items = rank.factors
    return _CHECKPOINT.pack(_MAGIC, zlib.crc32(body), users.shape[1], len(users), len(items))


def _restore(place: Place, name: str, rank: Rank) -> None:
    """What `_to_bytes` wrote, into the rank's state."""
    arrays = rank.state()
    data = place.store.read(name)
    body = memoryview(data)[_CHECKPOINT.size :]
    length = _REMEMBERED.size + sum(each.nbytes for each in arrays)
    if data[: _CHECKPOINT.size] != _head(rank, body) or len(body) != length:
        raise ValueError(
            f"the checkpoint {os.path.basename(name)} does not belong to these entries or is "
            "damaged: empty the checkpoint folder and fit again"
        )
    if rank.momentum is not None:
        rank.momentum.state = _REMEMBERED.unpack_from(body)
    numbers = np.frombuffer(body, np.float32, offset=_REMEMBERED.size)
    for each, part in zip(
        arrays, np.split(numbers, np.cumsum([each.size for each in arrays[:-1]])), strict=True
    ):
        each[...] = part.reshape(each.shape)
