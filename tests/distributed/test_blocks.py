"""Blocks hold what the entries say, whatever the order they come in, and both halves agree."""

import numpy as np
import pytest
from distributed_problem import entries
from scipy import sparse

from recsys.distributed.blocks import Entries, block_of, build, first_blocks, split
from recsys.kernels import number_keys


def held(users, items, values, n_blocks, world, most=1000):
    pieces = [([], []) for _ in range(world)]
    for side, (own, other) in enumerate(((users, items), (items, users))):
        for rank, piece in split(own, other, values, n_blocks[side], world, most):
            pieces[rank][side].append(piece)
    return [
        [
            build(Entries.of(pieces[rank][s]), rank, world, n_blocks[s], n_blocks[1 - s])
            for s in (0, 1)
        ]
        for rank in range(world)
    ]


@pytest.mark.parametrize("n_blocks, world", [((1, 1), 1), ((5, 3), 2), ((8, 8), 3), ((2, 2), 8)])
def test_all_entries_are_there_twice(n_blocks, world):
    users, items, values = entries()
    ranks = held(users, items, values, n_blocks, world)
    (user_keys, u), (item_keys, i) = (np.unique(k, return_inverse=True) for k in (users, items))
    want = sparse.coo_array((values.astype(float), (u, i))).toarray()
    for side, keys in ((0, user_keys), (1, item_keys)):
        got = np.zeros_like(want)
        for me, rank in enumerate(ranks):
            mine = rank[side]
            # the columns that this rank needs are the rows that the others send it
            sent = [other[1 - side].keys[other[1 - side].sends[me]] for other in ranks]
            assert [len(each) for each in sent] == np.diff(mine.needs).tolist()
            assert [other[1 - side].sends_sums[me] for other in ranks] == mine.needs_sums
            columns = np.concatenate(sent)
            part = mine.counts.toarray()
            rows = np.searchsorted(keys, mine.keys)
            columns = np.searchsorted(item_keys if side == 0 else user_keys, columns)
            at = np.ix_(rows, columns) if side == 0 else np.ix_(columns, rows)
            got[at] += part if side == 0 else part.T
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_block_is_the_same_on_every_number_of_ranks_and_in_every_order():
    users, items, values = entries()
    values += np.random.default_rng(1).random(len(values), np.float32)  # whose sums round
    shuffled = np.random.default_rng(2).permutation(len(users))
    whole = held(users, items, values, (6, 6), 1)[0][0]
    for rank in held(users[shuffled], items[shuffled], values[shuffled], (6, 6), 3, 77):
        mine = rank[0]
        places = np.array([np.flatnonzero(whole.keys == key)[0] for key in mine.keys])
        assert np.array_equal(places, np.arange(places[0], places[0] + len(places)))
        begin, end = whole.counts.indptr[[places[0], places[-1] + 1]]
        assert np.array_equal(mine.counts.data, whole.counts.data[begin:end])


def test_blocks_are_even_and_runs_cover_them():
    counts = np.bincount(block_of(np.arange(100_000), 16), minlength=16)
    assert counts.min() > 5800 and counts.max() < 6700
    for n_blocks in (1, 2, 7, 10):
        for world in (1, 2, 3, 12):
            firsts = first_blocks(n_blocks, world)
            assert firsts[0] == 0 and firsts[-1] == n_blocks and np.all(np.diff(firsts) >= 0)


def test_a_rank_without_entries():
    [[users, items], _, _] = held(np.array([5]), np.array([6]), np.float32([1]), (1, 1), 3)
    assert len(users.keys) == 1 and len(items.keys) == 1
    none = held(np.array([5]), np.array([6]), np.float32([1]), (1, 1), 3)[1][0]
    assert len(none.keys) == 0 and none.counts.nnz == 0


@pytest.mark.parametrize("spread", [1, 2**31, -(2**62)])
def test_keys_get_numbers(spread):
    rng = np.random.default_rng(0)
    for n in (0, 1, 5000, 100_000):
        keys = rng.integers(0, max(n // 3, 1), n) * spread
        distinct, codes = number_keys(keys)
        assert len(distinct) == len(np.unique(keys))
        assert np.array_equal(distinct[codes], keys)
