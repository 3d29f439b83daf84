"""Connections between all ranks of a fit, each end having proved that it knows the fit's secret.

The secret itself never travels. A connects to B and sends its rank and a random number; B answers
with a number of its own and the HMAC of both; A answers with its HMAC. All of that has a fixed
length and a deadline: whoever else connects costs a thread for some seconds, and no memory.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any

_MAGIC = b"recsys-1"
_HELLO = struct.Struct("<8sIIQ16s")  # magic, own rank, whom it wants, ranks, random
_NONCE, _MAC = 16, 32
_HANDSHAKE_SECONDS = 10.0
_AT_A_TIME = 64  # handshakes that are waited for, beyond one for each rank
_SILENCE = 60_000  # milliseconds until the other machine counts as gone


class Listener:
    """Where the other ranks find this one, from its making until `connect` returns.

    Parameters
    ----------
    host : str
        The name or address of this machine's own interface, as others reach it.
    """

    def __init__(self, host: str) -> None:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
        self.socket = socket.create_server((host, 0), family=family, backlog=512)
        self.address: tuple[str, int] = (host, self.socket.getsockname()[1])

    def close(self) -> None:
        self.socket.close()


def connect(
    listener: Listener,
    rank: int,
    addresses: Sequence[Any],
    secret: bytes,
    timeout: float = 60.0,
) -> dict[int, socket.socket]:
    """A connection to every other rank; the listener is closed.

    Parameters
    ----------
    listener : Listener
        This rank's.
    rank : int
        Its number.
    addresses : sequence of (host, port)
        The listeners of all ranks.
    secret : bytes
        What all ranks of this fit know, and nobody else.
    timeout : float
        Seconds for all of it.

    Raises
    ------
    ConnectionError
        A rank cannot be reached, or what answers is not one of this fit.
    TimeoutError
        Some ranks did not connect; the message says which.
    """
    world, deadline = len(addresses), time.monotonic() + timeout
    peers: dict[int, socket.socket] = {}
    try:
        accepting = _Accepting(listener, rank, world, secret, deadline)
        try:
            for other in range(rank):
                peers[other] = _call(rank, other, addresses, secret, deadline)
        finally:
            peers |= accepting.finish(wait=len(peers) == rank)
        missing = sorted(set(range(world)) - set(peers) - {rank})
        if missing:
            raise TimeoutError(
                f"rank {rank} has waited {timeout:.0f} s for ranks {missing} to connect. Is there "
                "a firewall between the executors, or was one lost?"
            )
    except BaseException:
        for peer in peers.values():
            peer.close()
        raise
    for peer in peers.values():
        _keep_alive(peer)
    return peers


class _Accepting:
    """Lets in, from threads of its own, the ranks above this one."""

    def __init__(
        self, listener: Listener, rank: int, world: int, secret: bytes, deadline: float
    ) -> None:
        self.listener, self.rank, self.world = listener, rank, world
        self.secret, self.deadline = secret, deadline
        self.peers: dict[int, socket.socket] = {}
        self.changed = threading.Condition()
        self.stopped = False
        self.slots = threading.BoundedSemaphore(world + _AT_A_TIME)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def finish(self, *, wait: bool) -> dict[int, socket.socket]:
        """The connections there are once all ranks above have connected, or time is up."""
        with self.changed:
            while wait and len(self.peers) < self.world - 1 - self.rank:
                left = self.deadline - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    break
            self.stopped = True
            peers = dict(self.peers)
        self.thread.join()
        self.listener.close()
        return peers

    def _accept(self) -> None:
        self.listener.socket.settimeout(0.1)
        while not self.stopped:
            try:
                stranger, _ = self.listener.socket.accept()
            except TimeoutError:
                continue
            except OSError:  # of one that hung up before it was let in
                time.sleep(0.01)
                continue
            if not self.slots.acquire(blocking=False):
                stranger.close()
                continue
            threading.Thread(target=self._let_in, args=(stranger,), daemon=True).start()

    def _let_in(self, stranger: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):  # it is its own loss
                self._shake_hands(stranger)
        finally:
            self.slots.release()

    def _shake_hands(self, stranger: socket.socket) -> None:
        until = min(self.deadline, time.monotonic() + _HANDSHAKE_SECONDS)
        welcome = False
        try:
            hello = _exactly(stranger, _HELLO.size, until)
            magic, other, addressee, world, _ = _HELLO.unpack(hello)
            if (magic, addressee, world) != (_MAGIC, self.rank, self.world):
                return
            if not self.rank < other < self.world:
                return
            nonce = os.urandom(_NONCE)
            stranger.sendall(nonce + _proof(self.secret, b"accepts", hello, nonce))
            proof = _exactly(stranger, _MAC, until)
            if not hmac.compare_digest(proof, _proof(self.secret, b"connects", hello, nonce)):
                return
            with self.changed:
                if other not in self.peers and not self.stopped:
                    self.peers[other] = stranger
                    welcome = True
                    self.changed.notify()
        finally:
            if not welcome:
                stranger.close()


def _call(
    rank: int, other: int, addresses: Sequence[Any], secret: bytes, deadline: float
) -> socket.socket:
    host, port = addresses[other]
    where = f"rank {other} at {host}:{port}"
    left = max(deadline - time.monotonic(), 0.1)
    try:
        peer = socket.create_connection((host, port), timeout=left)
    except OSError as error:
        raise ConnectionError(
            f"rank {rank} cannot reach {where} ({error}). Executors must be able to connect to "
            "each other on any port"
        ) from None
    try:
        hello = _HELLO.pack(_MAGIC, rank, other, len(addresses), os.urandom(_NONCE))
        peer.sendall(hello)
        answer = _exactly(peer, _NONCE + _MAC, min(deadline, time.monotonic() + _HANDSHAKE_SECONDS))
        nonce, proof = answer[:_NONCE], answer[_NONCE:]
        if not hmac.compare_digest(proof, _proof(secret, b"accepts", hello, nonce)):
            raise ConnectionError("it does not know the secret of this fit")
        peer.sendall(_proof(secret, b"connects", hello, nonce))
    except OSError as error:
        peer.close()
        raise ConnectionError(f"rank {rank} is refused by {where}: {error}") from None
    return peer


def _proof(secret: bytes, role: bytes, hello: bytes, nonce: bytes) -> bytes:
    return hmac.digest(secret, role + hello + nonce, "sha256")


def _exactly(peer: socket.socket, size: int, until: float) -> bytes:
    """So many bytes, by that time."""
    got = bytearray()
    while len(got) < size:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        peer.settimeout(left)
        piece = peer.recv(size - len(got))
        if not piece:
            raise ConnectionError("it hung up")
        got += piece
    return bytes(got)


def _keep_alive(peer: socket.socket) -> None:
    """A machine that vanishes is noticed within a minute or so, though nothing is sent."""
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}
    for name, value in (options | {"TCP_USER_TIMEOUT": _SILENCE}).items():
        if hasattr(socket, name):  # not on every system
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
