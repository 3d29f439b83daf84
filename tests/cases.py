"""Every nasty matrix once: signed confidences (value > 0 liked, <= 0 preference 0) as CSR."""

import numpy as np
import scipy.sparse as sp

# Row lengths around every switch: lane counts, register tiles, the batch's longest row, panels.
LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 66, 79, 80, 81, 100]
LENGTHS += [127, 128, 129, 160, 161, 257, 300]

# Factors around the lanes of every instruction set and dtype, and one real size.
FACTORS = [1, 3, 15, 16, 17, 33, 64, 130]


def _csr(lengths, columns, values, seed=0):
    """Rows of the given lengths; values(rng, n) gives n signed confidences."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(lengths, columns)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = [np.sort(rng.choice(columns, n, replace=False)) for n in lengths]
    indices = np.concatenate(indices).astype(np.int32)
    return sp.csr_array((values(rng, len(indices)), indices, indptr), (len(lengths), columns))


def _liked(rng, n):
    return 1 + 10 * rng.random(n)


def _mixed(rng, n):
    """Likes, dislikes, confidences under, at and over the unobserved weight, stored zeros."""
    kinds = [10.0, 1.0, 0.25, 0.0, -1.0, -0.5, -8.0]
    return rng.choice(kinds, n) * (1 + 0.1 * (rng.random(n) < 0.5))


def _disliked(rng, n):
    return -1 - rng.random(n)


def _huge(rng, n):
    return np.where(rng.random(n) < 0.02, 1.6e7, 1 + rng.random(n))


CASES = {
    "every length": lambda: _csr(LENGTHS, 300, _liked),
    "many short": lambda: _csr(np.arange(200) % 23, 40, _liked),
    "mixed": lambda: _csr(LENGTHS, 300, _mixed),
    "weight equals unobserved": lambda: _csr(LENGTHS, 300, lambda rng, n: np.ones(n)),
    "all disliked": lambda: _csr(LENGTHS[:12], 30, _disliked),
    "huge confidences": lambda: _csr([5, 40, 100, 200] * 5, 300, _huge),
    "long": lambda: _csr([7000, 6000, 0, *range(5000, 4980, -1), 40], 10_000, _mixed),
    "one entry": lambda: _csr([1], 1, _liked),
    "one full column": lambda: _csr([1] * 50, 1, _liked),
    "one full row": lambda: _csr([0, 300, 0], 300, _liked),
    "nothing stored": lambda: _csr([0, 0, 0], 5, _liked),
}


def stripes(count):
    """Even users like even items, odd ones odd items; nobody has the item of their own number."""
    users, items = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    liked = (users % 2 == items % 2) & (users != items)
    return sp.csr_matrix(liked.astype(np.float64))
