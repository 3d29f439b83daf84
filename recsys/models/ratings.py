"""Models whose scores are ratings: predictions and their error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.models import ids
from recsys.models.factor_model import FactorModel
from recsys.models.meaning import as_ratings
from recsys.models.scoring import pair_scores
from recsys.models.selection import pairs
from recsys.models.training import Iteration

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class RatingIteration(Iteration):
    """One entry of a model's `history`, see `Iteration`.

    Attributes
    ----------
    train_rmse : float
        Root of the mean squared error over the ratings trained on, after the iteration.
    """

    train_rmse: float


class RatingModel(FactorModel):
    """A factor model whose scores predict ratings: r_ui ~ mean + b_u + b_i + x_u . y_i."""

    _default_metric = "rmse"
    _ratings = True

    def predict(
        self, users: Any, items: Any, *, clip: bool | tuple[float, float] = False
    ) -> np.ndarray:
        """The ratings that users are expected to give to items.

        Parameters
        ----------
        users, items : int or arrays of int
            Row and column numbers, or ids, broadcast against each other as in `score`. Of a user
            or an item that was not trained on, whether the model has its number (its id) or not,
            nothing is known: its factors and bias are 0, so a prediction is the mean and the bias
            of the other, or the mean alone.
        clip : bool or (low, high), default False
            True: no prediction lies beyond the lowest and the highest rating trained on. A pair:
            nor beyond these.

        Returns
        -------
        ndarray of the model's dtype, of the broadcast shape

        Raises
        ------
        NotFittedError
            There are no factors yet; or clip=True, and no training matrix is remembered.
        IndexError, TypeError, ValueError
            Negative numbers; other things than numbers; shapes that do not broadcast; `clip` is
            not as described.
        """
        vocabulary = self._vocabulary()
        users = ids.to_rows_or_beyond(vocabulary, "users", users)
        items = ids.to_rows_or_beyond(vocabulary, "items", items)

        self._known_shape()
        rows, columns = pairs(users, items, (checks.ANYONE,) * 2)
        ratings = self._predicted(rows.reshape(-1), columns.reshape(-1), self._bounds(clip))
        return ratings.reshape(rows.shape)[()]

    def rmse(self, user_items: Any, *, clip: bool | tuple[float, float] = False) -> float:
        """sqrt(mean (r_ui - predicted r_ui)^2) over the stored entries of a matrix.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, or Interactions
            Ratings; users and items may be more than the model has, see `predict`.
        clip : bool or (low, high), default False
            As in `predict`.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As in `predict`; the matrix is not as `fit` takes it.
        """
        user_items = ids.all_entries(self._vocabulary(), as_ratings(user_items))

        shape = self._known_shape()
        ratings = csr.canonical(user_items, checks.floating_dtype(self.dtype))
        _not_transposed("user_items", ratings.shape, shape)
        return self._error(ratings, "rmse", self._bounds(clip))

    def _held_out(
        self, validation: Any, dtype: np.dtype, shape: tuple[int, int]
    ) -> sparse.csr_array:
        """`validation` of a training on a matrix of `shape`, checked."""
        ratings = csr.canonical(validation, dtype, name="validation")
        _not_transposed("validation", ratings.shape, shape)
        return ratings

    def _error(
        self,
        ratings: sparse.csr_array,
        metric: str,
        bounds: tuple[float, float] | None = None,
    ) -> float:
        """ "rmse" or "mae" of the predictions for all entries."""
        total = 0.0
        for rows, entries in csr.row_blocks(ratings.indptr):
            lengths = np.diff(ratings.indptr[rows.start : rows.stop + 1])
            users = np.repeat(np.arange(rows.start, rows.stop), lengths)
            errors = self._predicted(users, ratings.indices[entries], bounds).astype(np.float64)
            errors -= ratings.data[entries]
            total += float(errors @ errors if metric == "rmse" else np.abs(errors).sum())
        mean = total / ratings.nnz
        return math.sqrt(mean) if metric == "rmse" else mean

    def _predicted(
        self, users: np.ndarray, items: np.ndarray, bounds: tuple[float, float] | None
    ) -> np.ndarray:
        """Predictions for pairs of numbers, some perhaps beyond those the model has."""
        user_factors, item_factors = self._both_factors()
        ratings = np.full(len(users), self._mean, user_factors.dtype)
        known = users < len(user_factors), items < len(item_factors)
        for biases, rows, here in zip(
            (self._user_biases, self._item_biases), (users, items), known, strict=True
        ):
            if biases is not None:
                ratings[here] += biases[rows[here]]
        both = np.flatnonzero(known[0] & known[1])
        ratings[both] = pair_scores(self, users[both], items[both])
        return ratings if bounds is None else np.clip(ratings, *bounds)

    def _bounds(self, clip: bool | tuple[float, float]) -> tuple[float, float] | None:
        if isinstance(clip, bool | np.bool_):
            return self._once("range", self._remembered(), self._range) if clip else None
        try:
            low, high = clip
        except (TypeError, ValueError):
            raise TypeError(
                f"clip must be True, False or a pair (low, high) of ratings; got {clip!r}"
            ) from None
        low, high = checks.number("the low end of clip", low), checks.number("high end", high)
        if low > high:
            raise ValueError(f"clip must be (low, high) with low <= high; got {clip!r}")
        return low, high

    def _range(self) -> tuple[float, float]:
        values = self._training_matrix.data
        return float(values.min()), float(values.max())


def _not_transposed(name: str, shape: tuple[int, int], known: tuple[int, int]) -> None:
    if shape == known[::-1] != known:
        raise ValueError(
            f"{name} has shape {shape}, but the model has {known[0]} users and {known[1]} items. "
            f"It looks transposed: pass {name}.T"
        )
