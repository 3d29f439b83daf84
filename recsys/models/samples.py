"""How many users training begins with, and how many iterations it makes."""

from __future__ import annotations

from typing import Any

# Where there are so many entries training begins on samples of the users: the last one has half of
# them, each half of the one after it, as long as there are so many entries, and users a factor.
# docs/performance.md has what these numbers, and those of iterations, were chosen by.
SAMPLED = 4_000_000
LARGEST = 1 / 2
SMALLEST, USERS_A_FACTOR = 250_000, 10
FIRST, LATER, LAST = 6, 2, 1  # iterations on the first sample, on later ones and on the last
CARRIED = 4  # iterations that momentum remembers when it goes on with more users
# Iterations on all users if `iterations` is None
ITERATIONS, AFTER_SAMPLES = 7, 2


def shares_of_samples(
    model: Any, n_users: int, entries: int, continues: bool, features: bool
) -> list[float]:
    """What shares of the users samples have that training begins on, the smallest first."""
    # Features ask for more iterations than there are after samples
    if continues or features or model.init != "sample" or model.iterations == 0:
        return []
    share, shares, fewest = LARGEST, list[float](), USERS_A_FACTOR * model.factors
    while entries >= SAMPLED and share * entries >= SMALLEST and share * n_users >= fewest:
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
