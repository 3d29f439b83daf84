"""What lists are held against: models of a few lines of NumPy, with no training to go wrong.

They look at which entries are there, not at their counts. ``PublishedItemKNN`` and ``EASE`` have
published figures on gowalla, which proves data, split and metrics.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import numpy as np
import scipy.sparse as sp

import recsys

_ROWS = 512  # users scored together, or rows of a large matrix handled together
_SMALL = 4096  # rows of a matrix that is inverted at once


class Reference(ABC):
    """Ranks all items by dense scores, some users at a time."""

    @abstractmethod
    def fit(self, user_items: sp.csr_array) -> Self: ...

    @abstractmethod
    def scores(self, liked: sp.csr_array) -> np.ndarray:
        """Of all items, for users with these entries, all ones; float32, may be overwritten."""

    def recommend(
        self, users: np.ndarray, user_items: sp.csr_matrix, N: int
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.empty((len(users), N), np.int64)
        values = np.empty((len(users), N), np.float32)
        for begin in range(0, len(users), _ROWS):
            at = slice(begin, begin + _ROWS)
            liked = ones(user_items[at])
            scores = self.scores(liked)
            rows = np.repeat(np.arange(len(scores)), np.diff(liked.indptr))
            scores[rows, liked.indices] = -np.inf
            first = np.argpartition(-scores, N - 1, axis=1)[:, :N]
            found = np.take_along_axis(scores, first, axis=1)
            order = np.argsort(-found, axis=1, kind="stable")
            ids[at] = np.take_along_axis(first, order, axis=1)
            values[at] = np.take_along_axis(found, order, axis=1)
        return ids, values


def ones(user_items: sp.csr_array | sp.csr_matrix) -> sp.csr_array:
    return sp.csr_array((user_items > 0).astype(np.float32))


class Popularity(Reference):
    """Of an item: how many have it."""

    def fit(self, user_items: sp.csr_array) -> Self:
        self.likes = ones(user_items).sum(axis=0, dtype=np.float32)
        return self

    def scores(self, liked: sp.csr_array) -> np.ndarray:
        return np.tile(self.likes, (liked.shape[0], 1))


class PublishedItemKNN(Reference):
    """The "ItemCF" row of the published tables, from `recsys.ItemNeighbors`.

    Cosine, each item asking its k neighbours, not itself, whose similarities are made to add up to
    one; they vote by x - m, m being an item's mean over all users, and the item's own is added::

        s_ui = m_i + sum_j S_ij (x_uj - m_j) / sum_j S_ij

    which is `ItemNeighbors`' score and a number for each item that depends on no user.
    """

    def __init__(self, k: int = 100) -> None:
        self.k = k

    def fit(self, user_items: sp.csr_array) -> Self:
        liked = ones(user_items)
        similarity = recsys.ItemNeighbors(self.k + 1, weighting="cosine").fit(liked).similarity
        similarity.setdiag(0)
        sums = similarity.sum(axis=1)
        self.votes = sp.csr_array(sp.diags_array(1 / np.where(sums > 0, sums, 1)) @ similarity).T
        means = liked.mean(axis=0)
        self.offsets = (means - means @ self.votes).astype(np.float32)
        return self

    def scores(self, liked: sp.csr_array) -> np.ndarray:
        return (liked @ self.votes).toarray() + self.offsets


class EASE(Reference):
    """Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, arXiv:1905.03375.

    With X the likes, P = (X'X + lambda I)^-1: scores are X B, B = I - P / diag(P), each column
    being divided by its own element. Where there are fewer users than items, P is computed as
    (I - X' M X) / lambda, M = (X X' + lambda I)^-1. Everything is float32, and matrices are
    changed in place.

    Parameters
    ----------
    regularization : float
        lambda.
    """

    def __init__(self, regularization: float) -> None:
        self.regularization = np.float32(regularization)

    @staticmethod
    def memory(n_users: int, n_items: int) -> int:
        """Bytes a fit takes, about: the matrix inverted and half as much again, then P too."""
        inverted = min(n_users, n_items) ** 2
        kept = inverted + n_items**2 if n_users < n_items else n_items**2
        return 4 * (max(kept, inverted * 3 // 2) + 4 * _ROWS * max(n_users, n_items))

    def fit(self, user_items: sp.csr_array) -> Self:
        liked = ones(user_items)
        n_users, n_items = liked.shape
        if n_users < n_items:
            p = products(sp.csr_array(liked.T), self._inverse_gram(liked))
            np.negative(p, out=p)
            p[np.diag_indices(n_items)] += 1  # now lambda P; the lambda cancels
        else:
            p = self._inverse_gram(sp.csr_array(liked.T))
        p /= -p.diagonal()
        p[np.diag_indices(n_items)] = 0
        self.weights = p
        return self

    def _inverse_gram(self, rows: sp.csr_array) -> np.ndarray:
        """Of their products with each other, lambda added on the diagonal."""
        gram = products(rows, None)
        gram[np.diag_indices(len(gram))] += self.regularization
        invert(gram)
        return gram

    def scores(self, liked: sp.csr_array) -> np.ndarray:
        return liked @ self.weights


def products(a: sp.csr_array, middle: np.ndarray | None) -> np.ndarray:
    """A M A', or A A' without M; M is symmetric."""
    made = np.empty((a.shape[0], a.shape[0]), np.float32)
    transposed = sp.csr_array(a.T)
    for begin in range(0, len(made), _ROWS):
        at = slice(begin, begin + _ROWS)
        if middle is None:
            made[at] = (a[at] @ transposed).toarray()
        else:
            made[:, at] = a @ (a[at] @ middle).T
    return made


def invert(matrix: np.ndarray) -> None:
    """A symmetric positive definite matrix, in its place, by blocks.

    With A = [[F, C], [C', S]] and T = F^-1 C, the lower right block of the inverse is
    R = (S - C' T)^-1, the upper right one -T R, the upper left one F^-1 + T R T'. LAPACK's way,
    by Cholesky's factor, takes three quarters of the arithmetic, but OpenBLAS's ends in a
    segmentation fault at 30,000 rows.
    """
    if len(matrix) <= _SMALL:
        matrix[:] = np.linalg.inv(matrix)
        return
    half = len(matrix) // 2
    first, across, second = matrix[:half, :half], matrix[:half, half:], matrix[half:, half:]
    invert(first)
    t = first @ across
    second -= across.T @ t
    invert(second)
    np.matmul(t, -second, out=across)
    first -= across @ t.T
    matrix[half:, :half] = across.T


def available_memory() -> int:
    """Bytes a process can still have without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        [line] = [line for line in lines if line.startswith("MemAvailable:")]
        return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
