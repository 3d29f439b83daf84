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
from scipy.linalg import lapack

import recsys

_ROWS = 256  # users scored together, or rows of a large matrix handled together


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
        similarity = recsys.ItemNeighbors(self.k + 1).fit(liked).similarity
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
    being divided by its own element. Everything is float32, and the one n_items x n_items matrix
    there is becomes B in place.

    Parameters
    ----------
    regularization : float
        lambda.
    """

    def __init__(self, regularization: float) -> None:
        self.regularization = regularization

    @staticmethod
    def memory(n_items: int) -> int:
        """Bytes a fit takes, about: the matrix, and blocks of its rows."""
        return 4 * n_items * (n_items + 8 * _ROWS)

    def fit(self, user_items: sp.csr_array) -> Self:
        liked = ones(user_items)
        items = sp.csr_array(liked.T)
        n = liked.shape[1]
        gram = np.empty((n, n), np.float32)
        for begin in range(0, n, _ROWS):
            at = slice(begin, begin + _ROWS)
            gram[at] = (items[at] @ liked).toarray()
        gram[np.diag_indices(n)] += np.float32(self.regularization)
        # gram.T, the same symmetric matrix, is in the order that LAPACK works in place on.
        factor, failed = lapack.spotrf(gram.T, lower=1, overwrite_a=1, clean=0)
        if not failed:
            inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
        if failed:
            raise FloatingPointError(
                f"X'X + {self.regularization:g} I is not positive definite in float32: "
                "expected a larger regularization"
            )
        self.weights = _mirrored(inverse.T)
        diagonal = self.weights.diagonal().copy()
        self.weights /= -diagonal
        self.weights[np.diag_indices(n)] = 0
        return self

    def scores(self, liked: sp.csr_array) -> np.ndarray:
        return liked @ self.weights


def _mirrored(upper: np.ndarray) -> np.ndarray:
    """The symmetric matrix whose upper triangle is given, in its place."""
    for begin in range(0, len(upper), _ROWS):
        at, after = slice(begin, begin + _ROWS), slice(begin + _ROWS, None)
        upper[after, at] = upper[at, after].T
        block = np.triu(upper[at, at])
        upper[at, at] = block + np.triu(block, 1).T
    return upper


def available_memory() -> int:
    """Bytes a process can still have without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        [line] = [line for line in lines if line.startswith("MemAvailable:")]
        return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
