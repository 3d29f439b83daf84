"""What ranks send each other: arrays, straight from memory to memory, over a mesh of connections.

All ranks make the same exchanges in the same order, and each knows how many bytes every other one
will send it: what is received goes into memory that is there already, and a message of another
length, number or checksum is an error. One thread sends and receives everything, so that neither
can wait for the other.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_HEADER = struct.Struct("<4sIIIQ")  # magic, kind, number of the exchange, checksum, bytes
_MAGIC = b"rsys"
_DATA, _END = 0, 1  # kinds: an array; the reason why a rank gives up
_LONGEST_REASON = 2000  # bytes
_PIECE = 1 << 20  # bytes handed to the system at a time
_SILENCE = 1800.0  # seconds without a byte: longer than any half-sweep should take


class PeerError(ConnectionError):
    """Another rank is gone, or silent."""


class PeerGaveUpError(PeerError):
    """Another rank has given up, and said why."""


class NotDeterministicError(ValueError):
    """Two ranks have read different entries."""


class Outgoing(NamedTuple):
    """A message: its checksum, its length, and what it consists of, one after the other."""

    checksum: int
    size: int
    pieces: Iterable[Any]

    @classmethod
    def of(cls, array: np.ndarray) -> Outgoing:
        return cls(0, array.nbytes, [as_bytes(array)])


class Incoming(NamedTuple):
    """What has to come: its checksum, and the memory it goes to."""

    checksum: int
    into: memoryview

    @classmethod
    def of(cls, array: np.ndarray) -> Incoming:
        return cls(0, as_bytes(array))


def as_bytes(array: np.ndarray) -> memoryview:
    """The memory of a C-contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def in_order(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of (count, ...) float64 arrays over their first axis, one after the other."""
    total = np.zeros(parts[0].shape[1:])
    with np.errstate(invalid="ignore"):  # infinities of both signs: the sum says so itself
        for part in parts:
            for each in part:
                total += each
    return total


class Mesh:
    """Connections to all other ranks.

    Parameters
    ----------
    rank, world : int
        The number of this rank, and how many there are.
    peers : mapping of int to socket
        Of all other ranks; see `handshake.connect`.
    hosts : sequence of str
        Where each rank is, for messages.
    silence : float
        Seconds without a byte after which the others are given up.
    """

    def __init__(
        self,
        rank: int,
        world: int,
        peers: Mapping[int, socket.socket],
        hosts: Sequence[str],
        silence: float = _SILENCE,
    ) -> None:
        self.rank, self.world, self.hosts, self.silence = rank, world, list(hosts), silence
        self.bytes_sent = 0
        self._peers, self._number = dict(peers), 0
        self._sending: set[int] = set()  # to whom a message is not whole yet
        for peer in self._peers.values():
            peer.setblocking(False)

    def exchange(self, outgoing: Mapping[int, Outgoing], incoming: Mapping[int, Incoming]) -> None:
        """Send a message to some ranks and receive one from some, all at the same time.

        Raises
        ------
        PeerError
            A rank is gone, has given up (the message says why), or is silent.
        NotDeterministicError
            A checksum differs.
        """
        self._number += 1
        self._sending = set(outgoing)
        with selectors.DefaultSelector() as selector:
            for rank, peer in self._peers.items():
                sending = receiving = None
                if rank in outgoing:
                    sending = self._message(rank, outgoing[rank])
                if rank in incoming:
                    receiving = _Receiving(self, rank, incoming[rank])
                if sending or receiving:
                    line = _Line(peer, rank, sending, receiving)
                    selector.register(peer, line.events(), line)
            self._run(selector)

    def sum_to_first(self, arrays: np.ndarray, counts: Sequence[int]) -> np.ndarray | None:
        """On rank 0 the sum of all ranks' (count, ...) float64 arrays over their first axis, one
        after the other by rank and place; None elsewhere."""
        if self.rank:
            self.exchange({0: Outgoing.of(np.ascontiguousarray(arrays))}, {})
            return None
        parts = [arrays, *(np.empty((count, *arrays.shape[1:])) for count in counts[1:])]
        self.exchange({}, {rank: Incoming.of(parts[rank]) for rank in range(1, self.world)})
        return in_order(parts)

    def from_first(self, array: np.ndarray) -> np.ndarray:
        """Rank 0's float64 array, into those of all others."""
        if self.rank:
            self.exchange({}, {0: Incoming.of(array)})
        else:
            others = range(1, self.world)
            self.exchange({rank: Outgoing.of(array) for rank in others}, {})
        return array

    def give_up(self, reason: str) -> None:
        """Tell all others that there will be nothing more from here, and why."""
        text = reason.encode()[:_LONGEST_REASON]
        message = _HEADER.pack(_MAGIC, _END, 0, 0, len(text)) + text
        for rank, peer in self._peers.items():
            if rank not in self._sending:  # it would be taken for the rest of what is on its way
                with contextlib.suppress(OSError):  # it may be gone itself
                    peer.send(message)
        self.close()

    def close(self) -> None:
        for peer in self._peers.values():
            peer.close()

    def lost(self, rank: int, why: object) -> PeerError:
        """The error that says that a rank is gone."""
        return PeerError(f"rank {rank} on {self.hosts[rank]} is gone ({why})")

    # ---- one exchange --------------------------------------------------------------------------

    def _run(self, selector: selectors.BaseSelector) -> None:
        last_byte = time.monotonic()
        while selector.get_map():
            ready = selector.select(timeout=1.0)
            if ready:
                last_byte = time.monotonic()
            elif time.monotonic() - last_byte > self.silence:
                waiting = sorted(key.data.rank for key in selector.get_map().values())
                raise PeerError(
                    f"rank {self.rank} has heard nothing of ranks {waiting} for "
                    f"{self.silence:.0f} s"
                )
            for key, events in ready:
                line = key.data
                try:
                    line.proceed(events)
                except OSError as error:
                    if isinstance(error, PeerError):
                        raise
                    raise self.lost(line.rank, error) from None
                waits_for = line.events()
                if not waits_for:
                    selector.unregister(line.peer)
                elif waits_for != key.events:
                    selector.modify(line.peer, waits_for, line)

    def _message(self, rank: int, message: Outgoing) -> Iterator[memoryview]:
        yield memoryview(_HEADER.pack(_MAGIC, _DATA, self._number, message.checksum, message.size))
        left = message.size
        for piece in message.pieces:
            view = memoryview(piece).cast("B")
            left -= view.nbytes
            for begin in range(0, view.nbytes, _PIECE):
                yield view[begin : begin + _PIECE]
        if left:
            raise ValueError(f"a message of {message.size} bytes to rank {rank} is {left} short")
        self.bytes_sent += message.size
        self._sending.discard(rank)

    def check_header(self, rank: int, header: bytes, incoming: Incoming) -> str | None:
        """What is wrong with a header; raises where the rest of the message cannot tell more."""
        magic, kind, number, checksum, size = _HEADER.unpack(header)
        if magic != _MAGIC or kind not in (_DATA, _END):
            raise PeerError(f"rank {rank} on {self.hosts[rank]} sent what is no message")
        if kind == _END:
            if size > _LONGEST_REASON:
                raise PeerError(f"rank {rank} on {self.hosts[rank]} sent what is no message")
            return "end"
        if number != self._number or size != incoming.into.nbytes or checksum != incoming.checksum:
            raise NotDeterministicError(
                f"rank {rank} on {self.hosts[rank]} sent {size} bytes with checksum {checksum:08x} "
                f"in exchange {number}; rank {self.rank} expected {incoming.into.nbytes} with "
                f"{incoming.checksum:08x} in exchange {self._number}: they have read different "
                "entries. Reading the input twice must give the same rows: cache or checkpoint it, "
                "or write it to a file, before fit"
            )
        return None


class _Receiving:
    """A message that is on its way in."""

    def __init__(self, mesh: Mesh, rank: int, incoming: Incoming) -> None:
        self.mesh, self.rank, self.incoming = mesh, rank, incoming
        self.header = bytearray(_HEADER.size)
        self.left, self.in_header = memoryview(self.header), True
        self.reason: bytearray | None = None

    def take(self, peer: socket.socket) -> bool:
        """Whether the message is whole, after what there is to be had of it now."""
        while self.left.nbytes or self.in_header:
            if not self.left.nbytes:
                self._begin_body()
                continue
            try:
                count = peer.recv_into(self.left[:_PIECE])
            except BlockingIOError:
                return False
            if not count:
                raise self.mesh.lost(self.rank, "it closed the connection")
            self.left = self.left[count:]
        if self.reason is not None:
            text = bytes(self.reason).decode(errors="replace")
            raise PeerGaveUpError(
                f"rank {self.rank} on {self.mesh.hosts[self.rank]} gave up: {text}"
            )
        return True

    def _begin_body(self) -> None:
        self.in_header = False
        if self.mesh.check_header(self.rank, bytes(self.header), self.incoming) is None:
            self.left = self.incoming.into
        else:
            self.reason = bytearray(_HEADER.unpack(self.header)[-1])
            self.left = memoryview(self.reason)


class _Line:
    """Both directions of a connection in an exchange."""

    def __init__(
        self,
        peer: socket.socket,
        rank: int,
        sending: Iterator[memoryview] | None,
        receiving: _Receiving | None,
    ) -> None:
        self.peer, self.rank = peer, rank
        self.sending, self.receiving = sending, receiving
        self.piece = memoryview(b"")

    def events(self) -> int:
        events = selectors.EVENT_WRITE if self.sending is not None else 0
        return events | (selectors.EVENT_READ if self.receiving is not None else 0)

    def proceed(self, events: int) -> None:
        if events & selectors.EVENT_READ and self.receiving.take(self.peer):
            self.receiving = None
        if events & selectors.EVENT_WRITE:
            self._send()

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                while not self.piece.nbytes:
                    following = next(self.sending, None)
                    if following is None:
                        self.sending = None
                        return
                    self.piece = following
                self.piece = self.piece[self.peer.send(self.piece) :]
