"""The entries of a matrix divided between ranks, with no index of all users or items anywhere.

A key (int64) belongs to a *logical block*, and a rank holds a run of blocks: each user's row lies
with the rank of the user, each item's with that of the item, so that every entry is held twice.
What rank r needs of rank s are the columns on s that r's rows have, and s knows the same of its own
rows: both compute their half of the routing alone, as MLlib's blocks do (Zhou et al., AAIM 2008;
Spark's `ALS.scala`). All orders are by block and key, never by arrival, and nothing of a block
depends on which rank holds it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import csr, kernels

if TYPE_CHECKING:
    from scipy import sparse

ENTRY_BYTES = 20  # of one that travels: two keys and a value
_BLOCK_SEED = 0x5265_6373_7973  # any number: which block a key is in must not change with the seed
_DENSE = 4  # keys of a range at most so many times their number are looked up in a table


def block_of(keys: np.ndarray, n_blocks: int) -> np.ndarray:
    """The logical block of each key, int32. keys int64."""
    spread = kernels.draw(keys.astype(np.uint64), np.uint64(_BLOCK_SEED))
    return (((spread >> np.uint64(32)) * np.uint64(n_blocks)) >> np.uint64(32)).astype(np.int32)


def first_blocks(n_blocks: int, world: int) -> np.ndarray:
    """(world + 1,) int64: rank r holds the blocks from its number to the next."""
    return -(-np.arange(world + 1) * n_blocks // world)


def split(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n_blocks: int, world: int, most: int
) -> Iterator[tuple[int, bytes]]:
    """Entries for the ranks that hold the rows: (rank, bytes that `build` takes).

    Parameters
    ----------
    rows, columns : (n,) int64
        Keys of the rows and of the columns.
    values : (n,) float32
    n_blocks, world : int
        Blocks of the side of the rows, and ranks.
    most : int
        Entries in one piece.
    """
    ranks = np.searchsorted(first_blocks(n_blocks, world), np.arange(n_blocks), "right") - 1
    rank = ranks.astype(np.int16 if world <= 1 << 15 else np.int32)[block_of(rows, n_blocks)]
    order = np.argsort(rank, kind="stable")
    cuts = np.searchsorted(rank, np.arange(world + 1), sorter=order)
    for r in range(world):
        for begin in range(cuts[r], cuts[r + 1], most):
            at = order[begin : min(begin + most, cuts[r + 1])]
            yield r, rows[at].tobytes() + columns[at].tobytes() + values[at].tobytes()


class Entries(NamedTuple):
    """Of one side: keys of rows and of columns, int64, and values, float32."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, pieces: Iterable[Any]) -> Entries:
        """What `split` made, in any order."""
        read = [cls._of_one(piece) for piece in pieces]
        if not read:
            read = [cls._of_one(b"")]
        return cls(*map(np.concatenate, zip(*read, strict=True)))

    @classmethod
    def _of_one(cls, piece: Any) -> Entries:
        n = memoryview(piece).nbytes // ENTRY_BYTES
        keys = np.frombuffer(piece, np.int64, 2 * n)
        return cls(keys[:n], keys[n:], np.frombuffer(piece, np.float32, n, 16 * n))


class Part(NamedTuple):
    """A logical block with rows, ready to be solved."""

    number: int  # among the rank's blocks
    side: kernels.Side
    rows: slice  # of the rank's
    columns: np.ndarray  # (columns of the block,) int64: their rows of what the rank receives


@dataclass(frozen=True)
class Held:
    """What a rank holds of one side: rows by block and key, columns likewise."""

    keys: np.ndarray  # (rows,) int64
    cuts: np.ndarray  # (blocks + 1,) int64: where the rows of a block begin
    columns: np.ndarray  # (columns,) int64: keys of columns that any row has
    counts: sparse.csr_array  # rows x columns, float32
    needs: np.ndarray  # (world + 1,) int64: columns from each rank
    needs_sums: list[int]  # checksums of their keys
    sends: list[np.ndarray]  # rows that each rank needs, int32
    sends_sums: list[int]

    def blocks(self) -> list[slice]:
        """The rows of each block."""
        return [slice(begin, end) for begin, end in pairwise(self.cuts)]

    def without_entries(self, which: np.ndarray) -> Held:
        """The same rows, some of them without their entries, and without columns that no other row
        has. which (rows,) bool."""
        lengths, counts = np.diff(self.counts.indptr), self.counts
        kept = np.repeat(~which, lengths)
        indices = counts.indices[kept]
        used = np.zeros(counts.shape[1], bool)
        used[indices] = True
        before = np.concatenate([[0], np.cumsum(used)])
        indptr = np.concatenate([[0], np.cumsum(np.where(which, 0, lengths))]).astype(np.int64)
        columns, needs = self.columns[used], before[self.needs]
        place = before[:-1].astype(np.int32)
        return replace(
            self,
            columns=columns,
            counts=csr.assemble(
                counts.data[kept], place[indices], indptr, (len(which), len(columns))
            ),
            needs=needs,
            needs_sums=[_sum(columns[a:b]) for a, b in pairwise(needs)],
        )

    def sending(self, columns: np.ndarray) -> Held:
        """The same rows, sent only for the sake of some columns. columns (columns,) bool."""
        counts = self.counts
        kept = columns[counts.indices]
        before = np.concatenate([[0], np.cumsum(kept)])[counts.indptr].astype(np.int64)
        some = csr.assemble(counts.data[kept], counts.indices[kept], before, counts.shape)
        sends = _sends(some, self.needs)
        return replace(self, sends=sends, sends_sums=[_sum(self.keys[rows]) for rows in sends])

    def lambdas(
        self, regularization: float, exponent: float | None, w0: float, ratings: bool, columns: int
    ) -> np.ndarray:
        """lambda of each row, float64.

        With `exponent` None it is that of MLlib: times the number of entries over 0, or of ratings.
        Otherwise that of `kernels.scaled_lambda`, for a matrix with so many `columns`.
        """
        if exponent is not None:
            lengths = csr.assemble(
                self.counts.data, self.counts.indices, self.counts.indptr, (len(self.keys), columns)
            )
            return kernels.scaled_lambda(lengths, regularization, exponent, w0)
        counted = np.ones(self.counts.nnz, bool) if ratings else self.counts.data > 0
        before = np.concatenate([[0], np.cumsum(counted)])[self.counts.indptr]
        return regularization * np.diff(before).astype(np.float64)

    def row_means(self) -> np.ndarray:
        """Of |r|, (rows,) float32; 1 where all are 0."""
        indptr = self.counts.indptr
        sizes = np.abs(self.counts.data, dtype=np.float64)
        means = np.add.reduceat(sizes, indptr[:-1]) / np.diff(indptr) if len(sizes) else sizes
        return np.where(means > 0, means, 1.0).astype(np.float32)

    def parts(
        self, matrix: sparse.csr_array, lambdas: np.ndarray, w0: float, ratings: bool
    ) -> list[Part]:
        """The blocks, of signed confidences in the place of counts, or of ratings."""
        return [
            _part(number, matrix, slice(begin, end), lambdas, w0, ratings)
            for number, (begin, end) in enumerate(pairwise(self.cuts))
            if begin < end
        ]


def divided(counts: sparse.csr_array, by: np.ndarray) -> sparse.csr_array:
    """Each entry by a number of its own."""
    data = (counts.data / by.astype(np.float64)).astype(counts.data.dtype)
    return csr.assemble(data, counts.indices, counts.indptr, counts.shape)


def mean_sums(signed: sparse.csr_array, rows: slice, ratings: bool) -> tuple[float, float, int]:
    """Of the entries of a block: targets by weight, weights, and how many there are."""
    data = signed.data[signed.indptr[rows.start] : signed.indptr[rows.stop]].astype(np.float64)
    if ratings:
        return float(data.sum()), float(len(data)), len(data)
    return float(data.sum(where=data > 0)), float(np.abs(data).sum()), len(data)


def _part(
    number: int,
    matrix: sparse.csr_array,
    rows: slice,
    lambdas: np.ndarray,
    w0: float,
    ratings: bool,
) -> Part:
    """A block's own columns are numbered by how many of its rows have them: gathers of the popular
    ones then stay in cache, and the numbers are the same on whatever rank."""
    indptr = matrix.indptr[rows.start : rows.stop + 1]
    entries = slice(indptr[0], indptr[-1])
    counts = np.bincount(matrix.indices[entries], minlength=matrix.shape[1])
    columns = np.flatnonzero(counts)
    columns = columns[np.argsort(-counts[columns], kind="stable")]
    place = np.empty(matrix.shape[1], np.int32)
    place[columns] = np.arange(len(columns), dtype=np.int32)
    block = csr.assemble(
        matrix.data[entries],
        place[matrix.indices[entries]],
        indptr - indptr[0],
        (rows.stop - rows.start, len(columns)),
    )
    side = kernels.make_side(block, lambdas[rows], np.empty(0), w0, ratings, None)
    return Part(number, side, rows, columns)


def build(entries: Entries, rank: int, world: int, n_blocks: int, n_other_blocks: int) -> Held:
    """What a rank holds of one side, from the entries that `split` sent it.

    Counts of one user and item are added up, in double and by size: the sum does not depend on the
    order of arrival.
    """
    firsts = first_blocks(n_blocks, world)
    keys, row, blocks = _ranked(entries.rows, n_blocks)
    columns, column, column_blocks = _ranked(entries.columns, n_other_blocks)
    counts = _sorted(entries.values, row, column, (len(keys), len(columns)))
    other_firsts = first_blocks(n_other_blocks, world)
    needs = np.searchsorted(column_blocks, other_firsts)
    sends = _sends(counts, needs)
    return Held(
        keys=keys,
        cuts=np.searchsorted(blocks, np.arange(firsts[rank], firsts[rank + 1] + 1)),
        columns=columns,
        counts=counts,
        needs=needs,
        needs_sums=[_sum(columns[a:b]) for a, b in pairwise(needs)],
        sends=sends,
        sends_sums=[_sum(keys[rows]) for rows in sends],
    )


def _ranked(keys: np.ndarray, n_blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct keys by block and key, the place of each of `keys` among them, and their blocks."""
    distinct, codes = _distinct(keys)
    blocks = block_of(distinct, n_blocks)
    order = np.argsort(blocks, kind="stable")
    place = np.empty(len(distinct), np.int32)
    place[order] = np.arange(len(distinct), dtype=np.int32)
    return distinct[order], place[codes], blocks[order]


def _distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, ascending, and the place of each of `keys` among them, int32."""
    least, most = (int(keys.min()), int(keys.max())) if len(keys) else (0, -1)
    if most - least < _DENSE * len(keys):
        from_least = keys - least
        present = np.zeros(most - least + 1, bool)
        present[from_least] = True
        codes = np.cumsum(present, dtype=np.int32)
        codes -= 1
        return np.flatnonzero(present) + least, codes[from_least]
    distinct, codes = kernels.number_keys(keys)
    order = np.argsort(distinct)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], place[codes]


def _sorted(
    values: np.ndarray, row: np.ndarray, column: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    """The matrix of the entries, by two counting sorts: by column, then by row."""
    from scipy import sparse

    by_column = sparse.coo_array((values, (column, row)), shape=shape[::-1])
    by_column.has_canonical_format = True  # or entries of one place were added as they come
    matrix = kernels.transposed(by_column.tocsr(), 1)
    indptr = matrix.indptr
    repeats = matrix.indices[1:] == matrix.indices[:-1]
    repeats[indptr[1:-1][(indptr[1:-1] > 0) & (indptr[1:-1] < len(values))] - 1] = False
    data, indices = matrix.data, matrix.indices
    if repeats.any():
        data, indices, indptr = _added_up(data, indices, indptr, repeats)
    return csr.assemble(data, indices, indptr, shape)


def _added_up(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, repeats: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first = np.concatenate([[True], ~repeats])
    group = np.cumsum(first) - 1
    order = np.lexsort((data, group))
    starts = np.flatnonzero(first)
    sums = np.add.reduceat(data[order].astype(np.float64), starts).astype(data.dtype)
    return sums, indices[starts], np.append(group, len(starts))[indptr]


def _sends(counts: sparse.csr_array, needs: np.ndarray) -> list[np.ndarray]:
    """The rows that have a column of each rank."""
    world = len(needs) - 1
    if world == 1:
        return [np.flatnonzero(np.diff(counts.indptr)).astype(np.int32)]
    rank_of = np.repeat(np.arange(world, dtype=np.int32), np.diff(needs))
    rank = rank_of[counts.indices]
    row = np.repeat(np.arange(counts.shape[0], dtype=np.int32), np.diff(counts.indptr))
    new = np.ones(len(rank), bool)  # in a row columns come by rank
    np.logical_or(rank[1:] != rank[:-1], row[1:] != row[:-1], out=new[1:])
    rank, row = rank[new], row[new]
    order = np.argsort(rank, kind="stable")
    cuts = np.searchsorted(rank, np.arange(world + 1), sorter=order)
    return [row[order[a:b]] for a, b in pairwise(cuts)]


def _sum(keys: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(keys).data)
