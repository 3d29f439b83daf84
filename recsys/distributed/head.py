"""The head of the catalogue: items that so many users have that sums cost less than their rows.

An item with 30 million entries needs nearly all users' rows where it is solved. For such items each
block of users adds up what its own entries add to the item's equations instead, f (f + 3) / 2
numbers; these are summed over blocks, in their order, where the item's row is, and solved there.
Users with entries of such items alone are then sent nowhere. Which items these are depends on the
entries and the numbers of blocks, as though each block were a rank: so it is the same whatever the
ranks, and so are the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recsys import csr, kernels
from recsys.distributed.blocks import Held
from recsys.distributed.mesh import in_order
from recsys.distributed.problem import USER, Problem
from recsys.distributed.systems import Shared, System

if TYPE_CHECKING:
    from scipy import sparse

_BINS = 64  # item numbers of entries by powers of two: bin b holds those in [2^(b-1), 2^b)
_SAVING = 0.9  # of the bytes without: more are not worth it


class Counted(NamedTuple):
    """What a rank tells of its items."""

    histograms: np.ndarray  # (blocks, 2, bins) float64: of items, and of users that blocks need
    keys: np.ndarray  # (candidates,) int64
    bins: np.ndarray  # (candidates,) int64


def count(items: Held, problem: Problem, n_blocks: tuple[int, int]) -> Counted:
    """Items by their numbers of entries; of each block of them the users, by that of the item
    with fewest that they have there."""
    lengths = np.diff(items.counts.indptr)
    bins = np.frexp(lengths)[1].astype(np.int64)
    histograms = np.zeros((len(items.cuts) - 1, 2, _BINS))
    for block, rows in enumerate(items.blocks()):
        entries = slice(items.counts.indptr[rows.start], items.counts.indptr[rows.stop])
        fewest = np.full(items.counts.shape[1], _BINS, np.int8)
        of_entries = np.repeat(bins[rows], lengths[rows]).astype(np.int8)
        np.minimum.at(fewest, items.counts.indices[entries], of_entries)
        histograms[block, 0] = np.bincount(bins[rows], minlength=_BINS)
        histograms[block, 1] = np.bincount(fewest, minlength=_BINS + 1)[:_BINS]
    least = _least(problem, n_blocks)
    candidates = np.flatnonzero(bins >= least)
    return Counted(histograms, items.keys[candidates], bins[candidates])


def choose(
    total: np.ndarray,
    keys: np.ndarray,
    bins: np.ndarray,
    problem: Problem,
    n_blocks: tuple[int, int],
) -> np.ndarray:
    """The keys of the head, of those of the candidates of all ranks; none where that costs more.

    Parameters
    ----------
    total : (2, bins) array
        Of the histograms of all blocks.
    keys, bins : (candidates,) arrays
    """
    if not problem.split_head or problem.nonnegative or min(n_blocks) < 2:
        return keys[:0]
    items, users = total
    of_head, of_user = _bytes(problem, n_blocks)
    heads = np.append(np.cumsum(items[::-1])[::-1], 0)  # with a head from each bin on
    sent = np.append(0, np.cumsum(users))
    costs = heads * of_head + sent * of_user
    costs[: _least(problem, n_blocks)] = np.inf
    best = int(np.argmin(costs))
    return keys[bins >= best] if costs[best] < _SAVING * costs[-1] else keys[:0]


def _bytes(problem: Problem, n_blocks: tuple[int, int]) -> tuple[int, int]:
    """That an item of the head takes, and a user who is sent to a block."""
    width = problem.factors + problem.bias
    return (
        8 * kernels.equation_numbers(width) * n_blocks[USER],
        problem.wire.itemsize * (width + problem.bias),
    )


def _least(problem: Problem, n_blocks: tuple[int, int]) -> int:
    """The least bin that can save bytes. With conjugate gradient only of items whose rows are
    solved exactly anyway."""
    of_head, of_user = _bytes(problem, n_blocks)
    least = int(np.frexp(of_head / of_user)[1])
    width = problem.factors + problem.bias
    while least < _BINS and not kernels.is_exact(1 << (least - 1), width, problem.cg_steps):
        least += 1
    return least


class Head:
    """What a rank has of the head.

    Parameters
    ----------
    keys : (heads,) int64
        Of all ranks, by block and key.
    entries : sparse.csr_array
        Users that the rank holds x heads, with what kernels take, float32.
    cuts : (blocks + 1,) int64
        Where the users of a block begin.
    item_keys : (rows,) int64
        Of the items that the rank holds, in the order of `keys`.
    """

    def __init__(
        self,
        keys: np.ndarray,
        entries: sparse.csr_array,
        cuts: np.ndarray,
        item_keys: np.ndarray,
    ) -> None:
        self.entries, self.cuts = entries, cuts
        self.rows = np.flatnonzero(np.isin(item_keys, keys))  # of the items held

    def prepare(self, w0: float, ratings: bool) -> None:
        """Make what `equations` takes, once."""
        self._parts = [
            _side(self.entries, slice(begin, end), w0, ratings)
            for begin, end in pairwise(self.cuts)
        ]

    def equations(self, rows: np.ndarray, system: System) -> np.ndarray:
        """What each block of users held adds to the equations of all heads, (blocks, heads,
        numbers) float64. `rows` are the users as they are sent."""
        width, heads = system.width, self.entries.shape[1]
        out = np.zeros((len(self._parts), heads, kernels.equation_numbers(width)))
        for block, (side, (begin, end)) in enumerate(
            zip(self._parts, pairwise(self.cuts), strict=True)
        ):
            if begin < end:
                fixed = rows[begin:end].astype(np.float64)
                offsets = fixed[:, width] if system.bias else None
                out[block] = kernels.equations(
                    side, fixed, width, offsets=offsets, num_threads=system.num_threads
                )
        return out

    def solve(
        self,
        parts: Sequence[np.ndarray],
        lambdas: np.ndarray,
        items: np.ndarray,
        system: System,
        shared: Shared,
    ) -> None:
        """Solve the rows of the head that the rank holds, among all of `items`, from the equations
        of all ranks, (blocks, own heads, numbers) each."""
        solved = kernels.solve_summed(
            in_order(parts), shared.eigenvalues, lambdas[self.rows], system.w0,
            common=shared.common if system.bias else None, num_threads=system.num_threads,
        )  # fmt: skip
        items[self.rows] = solved


def split_off(
    held: tuple[Held, Held], keys: np.ndarray
) -> tuple[tuple[Held, Held], sparse.csr_array]:
    """Both sides without what the head is not sent any more, and its entries for `Head`."""
    users, items = held
    order = np.argsort(keys)
    place = order[np.searchsorted(keys[order], users.columns).clip(max=len(keys) - 1)]
    is_head = keys[place] == users.columns
    entries = _columns(users.counts, is_head, place, len(keys))
    users = users.sending(~is_head)
    return (users, items.without_entries(np.isin(items.keys, keys))), entries


def _columns(
    matrix: sparse.csr_array, kept: np.ndarray, place: np.ndarray, count: int
) -> sparse.csr_array:
    """Some columns, each where it has its place."""
    entries = kept[matrix.indices]
    before = np.concatenate([[0], np.cumsum(entries)])[matrix.indptr].astype(np.int64)
    indices = place[matrix.indices[entries]].astype(np.int32)
    return csr.assemble(matrix.data[entries], indices, before, (matrix.shape[0], count))


def _side(entries: sparse.csr_array, rows: slice, w0: float, ratings: bool) -> kernels.Side:
    """A block's entries by head; its rows of users are columns."""
    indptr = entries.indptr[rows.start : rows.stop + 1]
    at = slice(indptr[0], indptr[-1])
    shape = rows.stop - rows.start, entries.shape[1]
    block = csr.assemble(
        entries.data[at].astype(np.float64), entries.indices[at], indptr - indptr[0], shape
    )
    no_lambdas = np.zeros(entries.shape[1])
    by_column = kernels.transposed(block, 1)
    return kernels.make_side(by_column, no_lambdas, np.empty(0), w0, ratings, None)
