"""Arrays cut into pieces that an engine's shuffle carries, and put together again in any order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

USERS_MATRIX, ITEMS_MATRIX, STATE, REPORT = range(4)  # kinds: the first two are numbers of sides
_HEAD = -1  # the place of the piece that says what the array is
_BYTES = 160_000  # of a piece: ten thousand of them come in one Arrow batch


class Piece(NamedTuple):
    """Part of an array."""

    rank: int  # whom it is for
    kind: int
    source: int  # who made it
    name: str
    at: int  # its first byte
    data: Any  # bytes


def cut(rank: int, kind: int, source: int, name: str, array: np.ndarray) -> Iterator[Piece]:
    """An array, in pieces."""
    parts = [array] if array.size else []
    return cut_parts(rank, kind, source, name, array.dtype, array.shape, parts)


def cut_parts(
    rank: int,
    kind: int,
    source: int,
    name: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    parts: Iterable[np.ndarray],
) -> Iterator[Piece]:
    """An array that is made part after part."""
    head = json.dumps([np.dtype(dtype).str, list(shape)]).encode()
    yield Piece(rank, kind, source, name, _HEAD, head)
    at = 0
    for part in parts:
        view = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        for begin in range(0, len(view), _BYTES):
            yield Piece(rank, kind, source, name, at + begin, view[begin : begin + _BYTES].data)
        at += len(view)


class Inbox:
    """What has come for a rank."""

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._pieces: dict[tuple[int, int, str], list[tuple[int, Any]]] = {}
        for piece in pieces:
            self.add(piece)

    def add(self, piece: Piece) -> None:
        came = self._pieces.setdefault((piece.kind, piece.source, piece.name), [])
        came.append((piece.at, piece.data))

    def names(self, kind: int, source: int) -> list[str]:
        """Of arrays that have come."""
        return sorted(name for k, s, name in self._pieces if (k, s) == (kind, source))

    def array(self, kind: int, source: int, name: str) -> np.ndarray:
        """One array, to be written to."""
        pieces = self._pieces[kind, source, name]
        dtype, shape = json.loads(bytes(next(data for at, data in pieces if at == _HEAD)))
        array = np.empty(shape, dtype)
        flat = array.reshape(-1).view(np.uint8)
        count = 0
        for at, data in pieces:
            if at != _HEAD:
                part = np.frombuffer(data, np.uint8)
                flat[at : at + len(part)] = part
                count += len(part)
        if count != len(flat):
            raise ValueError(f"{count} of the {len(flat)} bytes of {name!r} have come")
        return array

    def forward(self, rank: int, kind: int, names: Iterable[str]) -> Iterator[Piece]:
        """Arrays that the rank had from itself, as they came."""
        for name in names:
            for at, data in self._pieces[kind, rank, name]:
                yield Piece(rank, kind, rank, name, at, data)
