"""A synthetic twin of lastfm-360K: same size and same skew, made in seconds, no download.

How an entry comes to be. Tastes lie on a ring of 256 cells. An artist has a home cell, and the
entries of its listeners scatter around it, the more widely the more popular the artist. A user
has three favourite cells, and the entries of the user's list scatter around those. List lengths
and audiences are fixed beforehand: users and artists are two decks of nnz cards, each card with a
cell. The decks are sorted by cell and matched card by card. Where a user met an artist twice,
the surplus cards are dealt again, mixed with others.
"""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp

from .dataset import Dataset, distinct_names

N_USERS, N_ITEMS, NNZ = 358_868, 292_385, 17_559_530

# Audience by popularity rank, log-log interpolated. Fitted to the real data's figures: top artist
# 77,000; the 1,000 largest hold 60 %, the 10,000 largest 84 %; 90 % have at most 36; median 3.
_AUDIENCE_RANK = np.array([1, 10, 100, 1_000, 10_000, 29_238, 146_192, N_ITEMS])
_AUDIENCE = np.array([77_000, 49_000, 33_300, 2_400, 146, 33.5, 3.2, 0.8])
_AUDIENCE_BODY = 33.5  # above: the tenth of the artists that fills up what small scales lose
_LARGEST_SHARE = 0.3  # of all users, that no artist's audience may pass

# List length by the share of users with at most that many entries, linearly interpolated.
_LENGTH_SHARE = np.array([0, 0.09, 0.13, 0.50, 0.905, 0.95, 0.99, 0.999, 1.0])
_LENGTH = np.array([1, 33, 46, 51, 53, 59, 80, 150, 800])

_MEDIAN_PLAYS, _LOG_PLAYS_STD, _MAX_PLAYS = 94.0, 1.24, 419_157
# Bends the upper tail of the lognormal: alone it would end near 100,000 plays.
_PLAYS_TAIL = 0.01

# The share of a list that lies around the first favourite, and around the first two.
_FAVOURITES = (0.75, 0.95)
_DEALS = 16  # at most; each leaves about half of the duplicates


def lastfm360k_twin(scale: float = 1.0, seed: int = 0) -> Dataset:
    """A synthetic data set with the size, skew and shared tastes of lastfm-360K.

    At ``scale=1``: 358,868 users, 292,385 artists and about 17.56 million play counts. List
    lengths, audiences and plays are distributed as in the real data, listeners share tastes, and
    ids carry no order. Every user and every artist has at least one entry.

    Parameters
    ----------
    scale : float, default 1.0
        Multiplies users, artists and entries, so the means per user and per artist stay. Between
        0.001 and 10. Below 1, no artist reaches more than 30 % of the users, and more artists
        come near it than in the real data: a smaller world is denser.
    seed : int, default 0
        The same seed gives the same data.

    Returns
    -------
    Dataset
        With ``synthetic=True``, names such as "synthetic artist 000123".

    Raises
    ------
    TypeError, ValueError
        If ``scale`` or ``seed`` is no number of the kind or out of range.
    """
    scale, seed = _checked(scale, seed)
    rng = np.random.default_rng(seed)
    n_users, n_items = round(N_USERS * scale), round(N_ITEMS * scale)

    lengths = _list_lengths(n_users, n_items)
    nnz = int(lengths.sum())
    rng.shuffle(lengths)
    audiences = _audiences(n_users, n_items, nnz)
    rng.shuffle(audiences)

    keys = _match(lengths, audiences, rng)  # user * n_items + item, sorted, no duplicates
    users = (keys // n_items).astype(np.int32)
    keys -= users.astype(np.int64) * n_items
    items = keys.astype(np.int32)
    del keys
    indptr = np.zeros(n_users + 1, dtype=np.int32 if nnz < 2**31 else np.int64)
    np.cumsum(np.bincount(users, minlength=n_users), out=indptr[1:])
    plays = _plays(users, n_users, rng)
    matrix = sp.csr_matrix((plays, items, indptr), shape=(n_users, n_items))
    matrix.has_canonical_format = True
    return Dataset(
        user_items=matrix,
        users=distinct_names([f"synthetic user {i:06d}" for i in range(n_users)]),
        items=distinct_names([f"synthetic artist {i:06d}" for i in range(n_items)]),
        name=f"lastfm-360K synthetic twin (scale {scale:g}, seed {seed})",
        synthetic=True,
        report={"scale": scale, "seed": seed},
    )


def _checked(scale: float, seed: int) -> tuple[float, int]:
    if isinstance(scale, bool) or not isinstance(scale, Real):
        raise TypeError(f"scale must be a number between 0.001 and 10, got {scale!r}")
    if not 0.001 <= scale <= 10:
        raise ValueError(f"scale must be between 0.001 and 10, got {scale!r}")
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed must be a non-negative integer, got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
    return float(scale), int(seed)


def _list_lengths(n_users: int, n_items: int) -> np.ndarray:
    """Entries per user, ascending: the quantiles themselves, so every scale has the figures."""
    share = (np.arange(n_users) + 0.5) / n_users
    lengths = np.rint(np.interp(share, _LENGTH_SHARE, _LENGTH)).astype(np.int64)
    return np.minimum(lengths, max(1, n_items // 4))


def _audiences(n_users: int, n_items: int, nnz: int) -> np.ndarray:
    """Listeners per artist, largest first, summing to nnz exactly.

    Taken at the same share of the ranking at every scale, so the long tail keeps its figures. Below
    scale 1 the top would pass the number of users: it saturates at a share of them, and what
    is lost there is made up by raising the artists between the tail and the top.
    """
    rank = (np.arange(n_items) + 0.5) * (N_ITEMS / n_items) + 0.5
    full = np.exp(np.interp(np.log(rank), np.log(_AUDIENCE_RANK), np.log(_AUDIENCE)))
    odds = full / (_LARGEST_SHARE * N_USERS - full) * (N_USERS / n_users)
    body = _LARGEST_SHARE * n_users

    def raised(power: float) -> np.ndarray:
        high = _AUDIENCE_BODY * np.maximum(full / _AUDIENCE_BODY, 1) ** power
        lifted = odds * np.maximum(high / np.maximum(full, _AUDIENCE_BODY), 1e-9)
        return np.maximum(np.rint(body * lifted / (1 + lifted)), 1).astype(np.int64)

    low, high = 0.5, 4.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if raised(middle).sum() < nnz else (low, middle)
    audiences = raised(low)
    # Rounding leaves a small remainder: one more each for the first artists below the top.
    short = nnz - int(audiences.sum())
    order = np.arange(n_items // 100, n_items)
    while short > 0:
        audiences[order[:short]] += 1
        short -= min(short, len(order))
    return audiences


class _Tastes:
    """Where users and artists sit on the ring of 256 cells (uint8, so that sums wrap around)."""

    def __init__(self, n_users: int, audiences: np.ndarray, rng: np.random.Generator) -> None:
        self.rng = rng
        self.favourites = rng.integers(0, 256, 3 * n_users, dtype=np.uint8)
        self.homes = rng.integers(0, 256, len(audiences), dtype=np.uint8)
        # As narrow as the audience allows: an artist heard by a share of all users needs its span
        # of the ring in proportion, or the users there would have to hold it several times.
        self.spread = (1.5 + 0.3 * 256 / n_users * audiences).astype(np.float32)

    def deal(self, users: np.ndarray, items: np.ndarray, blur: float = 1.0) -> np.ndarray:
        """The keys ``user * n_items + item`` of both decks sorted by cell and matched.

        ``blur`` widens the scatter around favourites and homes.
        """
        n_items = len(self.homes)
        chance = self.rng.random(len(users), dtype=np.float32)
        card = users * np.int32(3)
        for share in _FAVOURITES:
            card += chance > share
        cells = self.favourites[card]
        del chance, card
        cells += self._scatter(np.full(len(users), blur, np.float32))
        keys = users * np.int64(n_items)
        by_cell = np.argsort(cells, kind="stable")
        cells = self.homes[items]
        cells += self._scatter(self.spread[items] * np.float32(blur))
        keys[by_cell] += items[np.argsort(cells, kind="stable")]
        return keys

    def _scatter(self, spread: np.ndarray) -> np.ndarray:
        spread *= self.rng.standard_normal(len(spread), dtype=np.float32)
        return np.rint(spread, out=spread).astype(np.int16).astype(np.uint8)


def _match(lengths: np.ndarray, audiences: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal artists to users; returns the sorted distinct keys ``user * n_items + item``.

    The cards of duplicates, and as many others, are dealt again with a wider scatter. The
    duplicates left at the end are dropped: their user and artist still hold the first card.
    """
    n_items = len(audiences)
    tastes = _Tastes(len(lengths), audiences, rng)
    items = np.repeat(np.arange(n_items, dtype=np.int32), audiences)
    rng.shuffle(items)  # so that cards of one cell meet in random order
    keys = tastes.deal(np.repeat(np.arange(len(lengths), dtype=np.int32), lengths), items)
    del items
    for attempt in range(_DEALS):
        keys.sort()
        surplus = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        if len(surplus) <= len(keys) // 20_000:
            break
        chosen = np.zeros(len(keys), dtype=bool)
        chosen[surplus] = True
        chosen[rng.integers(0, len(keys), len(surplus))] = True
        dealt = np.flatnonzero(chosen)
        users = (keys[dealt] // n_items).astype(np.int32)
        items = (keys[dealt] - users * np.int64(n_items)).astype(np.int32)
        rng.shuffle(items)
        keys[dealt] = tastes.deal(users, items, blur=1.0 + attempt)
    keys.sort()
    return keys[np.flatnonzero(np.diff(keys, prepend=-1))]


def _plays(users: np.ndarray, n_users: int, rng: np.random.Generator) -> np.ndarray:
    """Play counts (float32, whole, 1 to 419,157): lognormal, with eager and occasional users."""
    z = rng.standard_normal(len(users), dtype=np.float32)
    z *= np.float32(np.sqrt(0.7))
    eagerness = rng.standard_normal(n_users, dtype=np.float32) * np.float32(np.sqrt(0.3))
    z += eagerness[users]
    tail = np.square(z)
    tail *= np.float32(_PLAYS_TAIL)
    tail += 1
    z *= tail
    del tail
    z *= np.float32(_LOG_PLAYS_STD)
    np.exp(z, out=z)
    z *= np.float32(_MEDIAN_PLAYS)
    np.rint(z, out=z)
    return np.clip(z, 1, _MAX_PLAYS, out=z)
