"""Strangers are turned away; whatever comes over a connection costs no memory and little time."""

import contextlib
import os
import socket
import threading
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.distributed import handshake
from recsys.distributed.handshake import Listener, connect
from recsys.distributed.local import in_threads
from recsys.distributed.mesh import Incoming, Mesh, NotDeterministicError, Outgoing, PeerError


def pair(silence=5.0):
    """A mesh of rank 0 of 2, and the other end of its connection."""
    here, there = socket.socketpair()
    there.settimeout(5)
    return Mesh(0, 2, {1: here}, ["here", "there"], silence), there


def received(mesh, size=64):
    into = np.zeros(size, np.uint8)
    mesh.exchange({}, {1: Incoming.of(into)})
    return into


@pytest.mark.parametrize("world", [1, 2, 5])
def test_everybody_meets_everybody(world):
    def work(rank, all_gather):
        listener = Listener("127.0.0.1")
        addresses = [tuple(eval(text)) for text in all_gather(repr(listener.address))]
        mesh = Mesh(rank, world, connect(listener, rank, addresses, b"s"), ["x"] * world)
        others = [other for other in range(world) if other != rank]
        sent = {o: np.full(300_000, rank * 100 + o, np.int64) for o in others}
        into = {o: np.zeros(300_000, np.int64) for o in others}
        for _ in range(2):
            mesh.exchange(
                {o: Outgoing.of(sent[o]) for o in others}, {o: Incoming.of(into[o]) for o in others}
            )
        total = mesh.sum_to_first(np.full((2, 3), rank + 1.0), [2] * world)
        mesh.close()
        assert all(np.all(into[o] == o * 100 + rank) for o in others)
        return total

    total, *others = in_threads(world, work)
    assert np.array_equal(total, np.full(3, world * (world + 1.0)))
    assert all(other is None for other in others)


@pytest.mark.parametrize("wrong", ["acceptor", "caller"])
def test_a_wrong_secret_is_refused(wrong, monkeypatch):
    def work(rank, all_gather):
        listener = Listener("127.0.0.1")
        addresses = [tuple(eval(text)) for text in all_gather(repr(listener.address))]
        secret = b"wrong" if (rank == 0) == (wrong == "acceptor") else b"right"
        try:
            connect(listener, rank, addresses, secret, timeout=1.0)
        except OSError as error:
            return error

    errors = in_threads(2, work)
    assert isinstance(errors[1], ConnectionError) and "secret" in str(errors[1])
    assert isinstance(errors[0], TimeoutError) and "[1]" in str(errors[0])


def test_an_impostor_that_is_first_is_not_let_in():
    """It knows all that travels but the secret: also what another rank has sent before."""
    listener = Listener("127.0.0.1")
    accepting = threading.Thread(target=lambda: found.append(_try(listener)), daemon=True)
    found = []
    accepting.start()
    with socket.create_connection(listener.address, timeout=5) as impostor:
        hello = handshake._HELLO.pack(handshake._MAGIC, 1, 0, 2, os.urandom(16))
        impostor.sendall(hello)
        answer = impostor.recv(100)
        impostor.sendall(answer[16:])  # the acceptor's own proof, sent back
        assert impostor.recv(1) == b""
    peers = connect(Listener("127.0.0.1"), 1, [listener.address, ("x", 0)], b"right")
    accepting.join(5)
    assert list(found[0]) == [1]
    for peer in (*peers.values(), *found[0].values()):
        peer.close()


def _try(listener, timeout=5.0, world=2):
    try:
        return connect(listener, 0, [listener.address] * world, b"right", timeout)
    except OSError as error:
        return error


def test_garbage_and_silence_cost_no_time_beyond_the_deadline():
    listener = Listener("127.0.0.1")
    rng = np.random.default_rng(0)
    strangers = []
    for size in (0, 1, 31, 32, 33, 5000, 1_000_000):
        stranger = socket.create_connection(listener.address)
        stranger.setblocking(False)
        with contextlib.suppress(OSError):
            stranger.send(rng.bytes(size))
        strangers.append(stranger)
    began = time.monotonic()
    tracemalloc.start()
    error = _try(listener, timeout=1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, TimeoutError) and "ranks [1]" in str(error)
    assert time.monotonic() - began < 3 and peak < 2_000_000
    with pytest.raises(OSError):
        socket.create_connection(listener.address, timeout=1)  # nobody listens any more
    for stranger in strangers:
        stranger.close()


@settings(max_examples=60, deadline=5000)
@given(st.binary(max_size=200))
def test_whatever_comes_is_an_error_in_a_moment(data):
    mesh, there = pair()
    there.sendall(data)
    there.close()
    with pytest.raises((PeerError, NotDeterministicError)):
        received(mesh)
    mesh.close()


@pytest.mark.parametrize("kind, size", [(0, 2**63), (0, 65), (1, 2**40), (1, 2001), (7, 64)])
def test_a_length_that_is_wrong_allocates_nothing(kind, size):
    from recsys.distributed import mesh as module

    mesh, there = pair()
    there.sendall(module._HEADER.pack(module._MAGIC, kind, 1, 0, size))
    tracemalloc.start()
    with pytest.raises((PeerError, NotDeterministicError)):
        received(mesh)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    mesh.close()
    there.close()


def test_a_message_that_breaks_off_names_the_peer():
    mesh, there = pair()
    from recsys.distributed import mesh as module

    there.sendall(module._HEADER.pack(module._MAGIC, 0, 1, 0, 64) + b"x" * 63)
    there.close()
    with pytest.raises(PeerError, match="rank 1 on there is gone"):
        received(mesh)
    mesh.close()


def test_a_silent_peer_is_given_up():
    mesh, there = pair(silence=0.5)
    with pytest.raises(PeerError, match=r"heard nothing of ranks \[1\]"):
        received(mesh)
    mesh.close()
    there.close()


def test_giving_up_in_the_middle_of_a_message_is_not_taken_for_data():
    mesh, there = pair()

    def pieces():
        yield b"x" * 10
        raise FloatingPointError("no more")

    with pytest.raises(FloatingPointError):
        mesh.exchange({1: Outgoing(0, 64, pieces())}, {})
    mesh.give_up("no more")
    data = there.recv(1000)
    assert data[-10:] == b"x" * 10 and there.recv(1) == b""
    there.close()
