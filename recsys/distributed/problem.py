"""What the ranks of a fit agree on, where their factors start, and how these travel."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recsys import kernels

if TYPE_CHECKING:
    from scipy import sparse

USER, ITEM = 0, 1
PIECE_ROWS = 1 << 13  # rows that are made, gathered or sent at a time


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
    split_head : bool
        Solve the items with most entries from sums over users where that saves bytes, see head.py.
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
    split_head: bool = True

    @property
    def wire(self) -> np.dtype:
        """Of rows that travel."""
        return np.dtype(np.uint16 if self.half else np.float32)


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

    def add(self, loss: float | None, weight: float | None, seconds: float) -> None:
        """An iteration has been made."""
        if loss is not None:
            self.losses.append(loss)
        if weight is not None:
            self.momentum.append(weight)
        self.seconds.append(seconds)

    @property
    def last(self) -> str:
        """The last iteration, in words."""
        ending = f", loss {self.losses[-1]:.9g}" if self.losses else ""
        return f"{self.seconds[-1]:.3g} s{ending}"

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
    for begin in range(0, len(keys), PIECE_ROWS):
        rows = slice(begin, begin + PIECE_ROWS)
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
