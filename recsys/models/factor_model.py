"""Recommending and comparing with two factor matrices, whatever trained them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from recsys import checks
from recsys.models.base import NotFittedError, Recommender

# Scores in flight: users x items is never formed, only this many bytes of it at a time.
_SCORE_BYTES = 1 << 25

# No such item: fills the list of a user for whom fewer than N items are left.
NO_ID = -1


class Seen(NamedTuple):
    """Where the training matrix has entries: the structure of a canonical CSR matrix."""

    indptr: np.ndarray
    indices: np.ndarray
    shape: tuple[int, int]


class FactorModel(Recommender):
    """A model that scores item i for user u by the inner product of their factors, x_u . y_i.

    Fitting remembers which entries were trained on, to leave them out of recommendations. Where
    the matrix given to `fit` was already in canonical form (CSR, int32 indices, sorted, without
    duplicates) its index array is shared, so remembering costs no memory; changing that array in
    place afterwards changes what counts as seen.
    """

    dtype: Any
    _user_factors: np.ndarray | None = None
    _item_factors: np.ndarray | None = None
    _seen: Seen | None = None

    @property
    def user_factors(self) -> np.ndarray:
        """X, n_users x factors, of the model's dtype. May be written to, or assigned as a whole.

        An assigned array is used without a copy where it is C-contiguous and of the model's dtype.
        During `fit` its memory is reused two iterations later: a callback that keeps it copies it.
        """
        return self._factors("_user_factors")

    @user_factors.setter
    def user_factors(self, value: Any) -> None:
        dtype = checks.floating_dtype(self.dtype)
        self._user_factors = checks.factor_matrix("user_factors", value, dtype)

    @property
    def item_factors(self) -> np.ndarray:
        """Y, n_items x factors; see `user_factors`."""
        return self._factors("_item_factors")

    @item_factors.setter
    def item_factors(self, value: Any) -> None:
        dtype = checks.floating_dtype(self.dtype)
        self._item_factors = checks.factor_matrix("item_factors", value, dtype)

    def recommend(
        self, users: Any, N: int = 10, *, filter_seen: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items with the highest scores for each user.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix.
        N : int, default 10
            Length of each list.
        filter_seen : bool, default True
            Leave out items the user has a stored entry for in the training matrix.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single user, else (n, N)
            Best first; of items with equal scores the one with the higher id first. A user with
            fewer than N items left has -1 in the places that stay empty.
        scores : ndarray of the model's dtype, same shape
            x_u . y_i; -inf in empty places.

        Raises
        ------
        NotFittedError
            Neither `fit` nor an assignment has provided the factors.
        IndexError
            Unknown users.
        TypeError, ValueError
            `users` are not row numbers; N < 1; factors that do not go together.
        """
        user_factors, item_factors = self._both_factors()
        rows = checks.row_numbers("users", users, len(user_factors))
        checks.integer("N", N, 1)
        seen = self._checked_seen(user_factors, item_factors) if filter_seen else None

        def score(block: np.ndarray) -> np.ndarray:
            scores = user_factors[block] @ item_factors.T
            if seen is not None:
                for row, user in zip(scores, block, strict=True):
                    row[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = -np.inf
            return scores

        return _best(rows, score, item_factors, N)

    def similar_items(self, items: Any, N: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The N items whose factors have the highest cosine with those of each item.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers of the training matrix.
        N : int, default 10
            Length of each list, the item itself included.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single item, else (n, N)
            The item itself first, then best first; ties and empty places as in `recommend`.
        scores : ndarray of the model's dtype, same shape
            Cosines, -1 to 1; 0 where one of the two has zero factors.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`.
        """
        return _similar("items", items, self.item_factors, N)

    def similar_users(self, users: Any, N: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The N users whose factors have the highest cosine with each user's; see `similar_items`.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix.
        N : int, default 10
            Length of each list, the user itself included.
        """
        return _similar("users", users, self.user_factors, N)

    def _factors(self, name: str) -> np.ndarray:
        factors = getattr(self, name)
        if factors is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no {name[1:]} yet: call fit(user_items) first"
            )
        return factors

    def _both_factors(self) -> tuple[np.ndarray, np.ndarray]:
        user_factors, item_factors = self.user_factors, self.item_factors
        if user_factors.shape[1] != item_factors.shape[1]:
            raise ValueError(
                f"user_factors has shape {user_factors.shape} and item_factors "
                f"{item_factors.shape}; expected the same number of columns"
            )
        return user_factors, item_factors

    def _checked_seen(self, user_factors: np.ndarray, item_factors: np.ndarray) -> Seen:
        """The remembered entries, if they belong to factors of these sizes."""
        if self._seen is None:
            raise NotFittedError(
                "no training matrix is remembered, so seen items are unknown: call "
                "fit(user_items) first or pass filter_seen=False"
            )
        trained, now = self._seen.shape, (len(user_factors), len(item_factors))
        if trained != now:
            raise ValueError(
                f"the model was trained on {trained[0]} users x {trained[1]} items, but its "
                f"factors are now for {now[0]} x {now[1]}: pass filter_seen=False or fit again"
            )
        return self._seen


def _similar(name: str, ids: Any, factors: np.ndarray, N: int) -> tuple[np.ndarray, np.ndarray]:
    """The N rows of `factors` with the highest cosine with each of `ids`, itself first."""
    rows = checks.row_numbers(name, ids, len(factors))
    checks.integer("N", N, 1)
    # In double, so that the squares of very small or large factors neither vanish nor overflow.
    norms = np.sqrt(np.einsum("ij,ij->i", factors, factors, dtype=np.float64))
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)

    def score(block: np.ndarray) -> np.ndarray:
        queries = (factors[block] * scale[block, np.newaxis]).astype(factors.dtype)
        cosines = queries @ factors.T
        np.multiply(cosines, scale, out=cosines, casting="same_kind")
        np.clip(cosines, -1, 1, out=cosines)
        cosines[np.arange(len(block)), block] = 2  # itself first, rounding or not
        return cosines

    best, cosines = _best(rows, score, factors, N)
    cosines[..., 0] = norms[rows] > 0
    return best, cosines


def _best(
    rows: np.ndarray, score: Callable[[np.ndarray], np.ndarray], targets: np.ndarray, N: int
) -> tuple[np.ndarray, np.ndarray]:
    """The N targets with the highest scores for each of `rows`, by ``score(block of rows)``."""
    flat = rows.reshape(-1)
    ids = np.full((len(flat), N), NO_ID, np.int32)
    scores = np.full((len(flat), N), -np.inf, targets.dtype)
    step = max(1, _SCORE_BYTES // (len(targets) * targets.itemsize))
    for begin in range(0, len(flat), step):
        with np.errstate(invalid="ignore", over="ignore"):  # _select reports what is not finite
            block = score(flat[begin : begin + step])
        for k, row in enumerate(block, start=begin):
            found = _select(row, N)
            ids[k, : len(found)], scores[k, : len(found)] = found, row[found]
    return ids.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)


def _select(scores: np.ndarray, N: int) -> np.ndarray:
    """Positions of the N highest scores, by (score, position) descending, -inf left out."""
    N = min(N, len(scores))
    top = np.partition(scores, len(scores) - N)[len(scores) - N :]
    # NaN is partitioned to the top like infinity, so a single one is seen here.
    if not np.all(top < np.inf):
        raise FloatingPointError(
            "scores are not finite: user_factors or item_factors hold NaN, infinite or huge "
            "values. Assign finite factors or fit again"
        )
    above = np.flatnonzero(scores > top[0])
    level = np.flatnonzero(scores == top[0])[len(above) - N :]  # the highest positions of the tie
    found = np.concatenate([above, level])
    found = found[np.lexsort((found, scores[found]))[::-1]]
    return found[scores[found] > -np.inf]
