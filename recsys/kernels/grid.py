"""A grid over users and items whose cells let threads work side by side and agree to the bit.

Users are cut into bands. Items are dealt into twice as many groups, and in every epoch the groups
are paired anew: a cell is a band of users with a pair of groups. In each round every band has
another pair, so that no two cells of a round share a user or an item: they can be done at the same
time, in any order, by any number of threads. After as many rounds as there are bands every band
has met every pair. The grid follows from the shape of the data alone.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass

import numpy as np

from ._sgd import WHOLE_SHARE

logger = logging.getLogger("recsys")

BANDS = 16  # at most: threads that can work at a time
_BAND_USERS, _BAND_ITEMS = 32, 64  # at least, on average: less is not worth a round
_SPANS = 256  # of users, where there is no grid
_DEAL_SEED = 0x5EED

# recsys_cell of csrc/recsys.h: of each of a cell's two groups of items, of which the second may be
# empty, the entries, the items, and the share among all items in units of 1 / WHOLE_SHARE
CELL = np.dtype([(name, np.int64, 2) for name in ("begin", "end", "lo", "hi", "share")])


@dataclass(frozen=True)
class Grid:
    """The entries of a matrix in the order of their bands, groups, users and items.

    Items are renumbered so that each group is a run of them.
    """

    place: np.ndarray  # (items,) int32: an item's new number
    bounds: np.ndarray  # (groups + 1,) int64, in the new numbers; 2 x bands groups, or 1
    share: np.ndarray  # (groups,) float64: of the weights of all items
    begins: np.ndarray  # (bands, groups + 1) int64: where a group's entries begin in a band
    users: np.ndarray  # (nnz,) int32
    items: np.ndarray  # (nnz,) int32, in the new numbers
    values: np.ndarray | None  # (nnz,), if asked for

    @property
    def bands(self) -> int:
        return len(self.begins)

    def log(self, hogwild: bool) -> None:
        """Tell how threads are going to share the work."""
        if hogwild:
            logger.info("no grid: all threads write where they like")
        elif self.bands == 1:
            logger.info("a grid of one cell, for one thread: there are too few users or items")
        else:
            logger.info(
                "a grid of %d bands of users x %d groups of items: %d rounds an epoch, in each "
                "of which up to %d threads find work",
                self.bands, len(self.bounds) - 1, self.bands, self.bands,
            )  # fmt: skip

    def rounds(self, rng: np.random.Generator) -> np.ndarray:
        """(bands, bands) of CELL: the rounds of an epoch, each of as many cells."""
        groups = len(self.bounds) - 1
        if groups == 1:
            return self.user_spans(1)[np.newaxis]
        cells = np.zeros((self.bands, self.bands), CELL)
        share = np.floor(self.share * WHOLE_SHARE).clip(max=WHOLE_SHARE - 1).astype(np.int64)
        pairs = rng.permutation(groups).reshape(self.bands, 2)
        band = np.arange(self.bands)[:, np.newaxis]
        for now, offset in zip(cells, rng.permutation(self.bands), strict=True):
            own = np.roll(pairs, offset, axis=0)
            now["begin"], now["end"] = self.begins[band, own], self.begins[band, own + 1]
            now["lo"], now["hi"] = self.bounds[own], self.bounds[own + 1]
            now["share"] = share[own]
        return cells

    def threads_cells(self) -> np.ndarray:
        """The one round of an epoch in which threads write to the same items, of a grid of one
        band: (1, spans) of CELL."""
        return self.user_spans(min(_SPANS, max(len(self.users), 1)))[np.newaxis]

    def user_spans(self, count: int) -> np.ndarray:
        """(count,) of CELL: whole users with all items, of a grid of one band."""
        entries = np.arange(1, count) * len(self.users) // count
        cuts = np.searchsorted(self.users, self.users[entries]) if len(self.users) else entries
        cuts = np.concatenate([[0], cuts, [len(self.users)]])
        cells = np.zeros(count, CELL)
        cells["begin"][:, 0], cells["end"][:, 0] = cuts[:-1], cuts[1:]
        cells["hi"][:, 0], cells["share"] = self.bounds[-1], WHOLE_SHARE
        return cells


def make_grid(
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    values: np.ndarray | None = None,
    bands: int | None = None,
) -> Grid:
    """The grid of a matrix.

    Parameters
    ----------
    indptr, indices : (users + 1,) int64, (nnz,) int32
        Of the canonical matrix, users x items.
    weights : (items,) float64
        What the shares of the groups are shares of.
    values : (nnz,), optional
        What else is known of the entries.
    bands : int, optional
        By default as many as the shape lets threads profit from.
    """
    n_users, n_items, nnz = len(indptr) - 1, len(weights), len(indices)
    if bands is None:
        bands = min(BANDS, n_users // _BAND_USERS, n_items // (2 * _BAND_ITEMS))
    bands = max(bands, 1)
    groups = 1 if bands == 1 else 2 * bands
    group_of = _deal(np.bincount(indices, minlength=n_items), groups)
    place = np.empty(n_items, np.int32)
    place[np.argsort(group_of, kind="stable")] = np.arange(n_items, dtype=np.int32)
    mass = np.bincount(group_of, weights, groups)

    cuts = np.searchsorted(indptr, nnz * np.arange(1, bands) // bands)
    band_bounds = np.concatenate([[0], cuts, [n_users]])
    begins = np.empty((bands, groups + 1), np.int64)
    users, items = np.empty(nnz, np.int32), np.empty(nnz, np.int32)
    sorted_values = None if values is None else np.empty_like(values)
    for band, (first, last) in enumerate(itertools.pairwise(band_bounds)):
        at = slice(indptr[first], indptr[last])
        groups_here = group_of[indices[at]]
        # Stable, so that a group's entries stay in the order of users and items.
        order = np.argsort(groups_here, kind="stable")
        rows = np.arange(first, last, dtype=np.int32)
        users[at] = np.repeat(rows, np.diff(indptr[first : last + 1]))[order]
        items[at] = place[indices[at]][order]
        if values is not None:
            sorted_values[at] = values[at][order]
        counts = np.bincount(groups_here, minlength=groups)
        begins[band] = at.start + np.append(0, np.cumsum(counts))
    return Grid(
        place=place,
        bounds=np.append(0, np.cumsum(np.bincount(group_of, minlength=groups))),
        share=mass / max(mass.sum(), np.finfo(float).tiny),
        begins=begins,
        users=users,
        items=items,
        values=sorted_values,
    )


def _deal(popularity: np.ndarray, groups: int) -> np.ndarray:
    """A group for each item, int8 or int16: at random, with as much of each popularity in each."""
    rows = -(-len(popularity) // groups)
    deals = np.tile(np.arange(groups, dtype=np.int8 if groups < 128 else np.int16), (rows, 1))
    dealt = np.random.default_rng(_DEAL_SEED).permuted(deals, axis=1)
    group_of = np.empty(len(popularity), dealt.dtype)
    group_of[np.argsort(-popularity, kind="stable")] = dealt.reshape(-1)[: len(popularity)]
    return group_of
