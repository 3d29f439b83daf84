"""How many users training begins with, how many iterations it makes, and what goes from one sample
of the users to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recsys.kernels import Factors
from recsys.models.both import Begun, Both, clear, put, take

# Where there are so many entries training begins on samples of the users: the last one has half of
# them, each half of the one after it, as long as there are so many entries, and users a factor.
# docs/performance.md has what this is worth, and what else was tried.
SAMPLED = 4_000_000
LARGEST = 1 / 2
SMALLEST, USERS_A_FACTOR = 250_000, 10
FIRST, LATER, LAST = 6, 2, 1  # iterations on the first sample, on later ones and on the last
REMEMBERED = 4  # iterations that momentum remembers when it goes on with more users
# Iterations on all users if `iterations` is None
ITERATIONS, AFTER_SAMPLES = 7, 2


def shares_of_samples(
    model: Any, n_users: int, entries: int, continues: bool, features: bool
) -> list[float]:
    """What shares of the users samples have that training begins on, the smallest first."""
    # Features ask for more iterations than there are after samples
    if continues or features or model.init != "sample" or model.iterations == 0:
        return []
    if entries < SAMPLED:
        return []
    share, shares, fewest = LARGEST, list[float](), USERS_A_FACTOR * model.factors
    while share * entries >= SMALLEST and share * n_users >= fewest:
        shares.append(share)
        share /= 2
    return shares[::-1]


def iterations_on(shares: list[float]) -> list[int]:
    """How many on each of these samples."""
    return [FIRST, *[LATER] * (len(shares) - 2), LAST][: len(shares)]


def iterations_of(
    model: Any, n_users: int, entries: int, continues: bool = False, features: bool = False
) -> int:
    """How many iterations `fit` makes on so many entries of so many users."""
    if model.iterations is not None:
        return model.iterations
    samples = shares_of_samples(model, n_users, entries, continues, features)
    return AFTER_SAMPLES if samples else ITERATIONS


class Carried:
    """Items that a sample leaves to the next one, and to all users at the end.

    Samples lie one after the other in the same memory, as fresh memory takes time; no more of it is
    touched than the largest needs.

    Parameters
    ----------
    n_users, n_items : int
        Of all.
    zeros : callable
        Makes so many rows.
    """

    def __init__(self, n_users: int, n_items: int, zeros: Callable[[int], Factors]) -> None:
        self.items, self.before = zeros(n_items), zeros(n_items)
        self.is_empty = True
        self.made = 0  # iterations from `before` to `items` that momentum remembers
        self._rooms = [Both(zeros(n_users), zeros(n_items)) for _ in range(2)]

    def drop_room(self) -> None:
        """No sample follows but with all items."""
        self._rooms = [Both(room.users, self.items) for room in self._rooms]

    def begun(self, n_users: int, known: np.ndarray | None, *, clear_users: bool) -> Begun:
        """Where so many users start, and the items `known`, or all, in the memory that is kept."""
        count = 0 if known is None else len(known)
        now, last = (room.first(n_users, count) for room in self._rooms)
        if known is None:
            now, last = now._replace(items=self.items), last._replace(items=self.before)
        else:
            take(self.items, known, now.items)
            take(self.before, known, last.items)
        if clear_users:
            clear(now.users)
        return Begun(now, False, last, self.made)

    def keep(self, now: Both, last: Both, made: int, known: np.ndarray | None) -> None:
        """Items as they are after as many iterations in one direction, and after one less."""
        self.is_empty = False
        self.made = min(made, REMEMBERED)
        if known is None:
            self.items, self.before = now.items, last.items
        else:
            put(self.items, known, now.items)
            put(self.before, known, last.items)
