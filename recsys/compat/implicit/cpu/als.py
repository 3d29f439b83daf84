"""implicit.cpu.als"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
from scipy import sparse

from recsys import ImplicitALS, kernels
from recsys.models import internal

from ..utils import check_csr, check_random_state, nonzeros
from . import _als
from ._als import calculate_loss, least_squares, least_squares_cg
from .matrix_factorization_base import (
    MatrixFactorizationBase,
    _one_or_many,
    as_wide_as,
    finite_counts,
)


class AlternatingLeastSquares(MatrixFactorizationBase):
    """implicit's ALS, trained by `recsys.ImplicitALS` with ``confidence="scaled"``.

    Parameters are implicit's, with its defaults: confidence is `alpha` times the value, and
    `use_native` makes no difference.
    """

    _saved = (
        "user_factors", "item_factors", "regularization", "factors", "num_threads", "iterations",
        "use_native", "use_cg", "cg_steps", "calculate_training_loss", "dtype", "random_state",
        "alpha",
    )  # fmt: skip

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        dtype: Any = np.float32,
        use_native: bool = True,
        use_cg: bool = True,
        iterations: int = 15,
        calculate_training_loss: bool = False,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads=num_threads)
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(
                f"Invalid dtype '{self.dtype}' for cpu ALS model: expected float32 or float64"
            )
        self.use_native = use_native
        self.use_cg = use_cg
        self.iterations = iterations
        self.calculate_training_loss = calculate_training_loss
        self.fit_callback: Callable[..., Any] | None = None
        self.cg_steps = 3
        self.random_state = random_state
        self._YtY: np.ndarray | None = None
        self._XtX: np.ndarray | None = None

    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Train, from the present factors if there are any.

        Parameters
        ----------
        user_items : csr_matrix or csr_array
            v > 0: liked with confidence alpha v; v < 0: not liked with alpha |v|; a stored 0:
            nothing is known. Of `float32` precision, whatever its dtype.
        show_progress : bool, default True
        callback : callable, optional
            ``callback(iteration, elapsed, loss)`` after each iteration, counted from 0; loss is
            None unless `calculate_training_loss`. Default: `fit_callback`.

        Raises
        ------
        ModelFitError
            The values, or the factors they led to, are not finite.
        ValueError
            The factors set before have other shapes; a parameter is out of range.
        """
        counts = finite_counts(user_items)
        users, items = self._start(counts.shape)
        # what an engine with present factors calls a warm start is the only start there is here
        engine = self._engine(users, items)
        callback = callback if callback is not None else self.fit_callback

        weighted = counts * np.float32(self.alpha) if self.calculate_training_loss else None

        def tell(iteration: int, seconds: float, loss: float | None) -> None:
            callback(iteration, seconds, loss and _als.normalized_loss(loss, weighted))

        if not counts.nnz:
            self._set(np.zeros_like(users), np.zeros_like(items))
            return
        self._train(engine, counts, show_progress, None if callback is None else tell)

    def recalculate_user(self, userid: Any, user_items: Any) -> np.ndarray:
        """Factors of users by their rows of `user_items`, exactly; stores nothing."""
        solved = self._folded_in(user_items, userid, self.item_factors, "user")
        return solved[0] if np.ndim(userid) == 0 else solved

    def recalculate_item(self, itemid: Any, item_users: Any) -> np.ndarray:
        """Factors of items by their rows of `item_users`, exactly; stores nothing."""
        solved = self._folded_in(item_users, itemid, self.user_factors, "item")
        return solved[0] if np.ndim(itemid) == 0 else solved

    def partial_fit_users(self, userids: Any, user_items: Any) -> None:
        """Solve and store the factors of users, new ones included, from all they have."""
        self._check_fitted()
        rows = np.asarray(userids)
        solved = self._folded_in(user_items, rows, self.item_factors, "user")
        self.user_factors = _with_rows(self.user_factors, rows, solved)
        self._user_norms = self._XtX = None

    def partial_fit_items(self, itemids: Any, item_users: Any) -> None:
        """Solve and store the factors of items, new ones included, from all they have."""
        self._check_fitted()
        rows = np.asarray(itemids)
        solved = self._folded_in(item_users, rows, self.user_factors, "item")
        self.item_factors = _with_rows(self.item_factors, rows, solved)
        self._item_norms = self._YtY = None

    def explain(
        self, userid: int, user_items: Any, itemid: int, user_weights: Any = None, N: int = 10
    ) -> tuple[float, list[tuple[int, float]], Any]:
        """What each of a user's entries adds to the score of an item.

        `user_items` is the whole matrix, not one row. `user_weights` is the third value of an
        earlier call for the same user. Returns the score, the N largest contributions as
        (item, part), and those weights (`scipy.linalg.cho_factor` of the user's system).
        """
        self._check_fitted()
        user_items = check_csr(user_items)
        row = _one_or_many(userid, user_items.shape[0], "userid")
        item = _one_or_many(itemid, len(self.item_factors), "itemid")
        if user_weights is None:
            signed = self._weights(user_items[[row]], len(self.item_factors), "user_items")
            items = kernels.Factors(np.require(self.item_factors, self.dtype, ["C"]))
            matrix = kernels.normal_matrix(
                signed, items, self.regularization, 0.0, 1.0, self.num_threads
            )
            user_weights = scipy.linalg.cho_factor(matrix)
        pull = scipy.linalg.cho_solve(user_weights, self.item_factors[item].astype(np.float64))
        parts = [
            (liked, self.alpha * value * (self.item_factors[liked] @ pull))
            for liked, value in nonzeros(user_items, row)
            if value > 0
        ]
        parts.sort(key=lambda part: -part[1])
        return sum(score for _, score in parts), parts[:N], user_weights

    def to_cpu(self) -> AlternatingLeastSquares:
        return self

    def to_gpu(self) -> None:
        raise ValueError("No CUDA extension has been built, can't train on GPU.")

    @property
    def solver(self) -> Callable[..., None]:
        """``solver(Cui, X, Y, regularization, num_threads=0)`` solves the rows of X in place."""
        if self.use_cg:
            return functools.partial(least_squares_cg, cg_steps=self.cg_steps)
        return least_squares

    @property
    def YtY(self) -> np.ndarray:
        """Gramian of the item factors."""
        if self._YtY is None:
            self._YtY = self.item_factors.T @ self.item_factors
        return self._YtY

    @property
    def XtX(self) -> np.ndarray:
        """Gramian of the user factors."""
        if self._XtX is None:
            self._XtX = self.user_factors.T @ self.user_factors
        return self._XtX

    # ---- between here and recsys ---------------------------------------------------------------

    def _engine(self, users: np.ndarray, items: np.ndarray) -> ImplicitALS:
        engine = ImplicitALS(
            items.shape[1],
            regularization=self.regularization,
            alpha=self.alpha,
            confidence="scaled",
            solver="cg" if self.use_cg else "cholesky",
            cg_steps=self.cg_steps,
            compute_loss=self.calculate_training_loss,
            iterations=self.iterations,
            acceleration=False,
            init="random",
            dtype=self.dtype,
            num_threads=self.num_threads,
        )
        internal.start_from(engine, users, items)
        return engine

    def _take(self, engine: ImplicitALS) -> None:
        self._set(engine.user_factors.copy(), engine.item_factors.copy())

    def _set(self, users: np.ndarray, items: np.ndarray) -> None:
        self.user_factors, self.item_factors = users, items
        self._user_norms = self._item_norms = self._YtY = self._XtX = None

    def _start(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The present factors, or uniform ones: the users' drawn first, as implicit does."""
        random = check_random_state(self.random_state)
        start = []
        for name, count in zip(("user_factors", "item_factors"), shape, strict=True):
            factors = self._present(name, count)
            if factors is None:
                factors = random.random((count, self.factors), dtype=self.dtype)
                factors *= self.dtype.type(0.01)
            start.append(np.require(factors, self.dtype, ["C"]))
        return start[0], start[1]

    def _weights(self, rows: Any, count: int, name: str) -> sparse.csr_array:
        """Confidences of some rows, as wide as there are factors of the other side."""
        rows = as_wide_as(finite_counts(rows), count, name)
        weighted = sparse.csr_array(
            (rows.data * np.float32(self.alpha), rows.indices, rows.indptr), rows.shape
        )
        weighted.sum_duplicates()
        return weighted.astype(self.dtype, copy=False)

    def _folded_in(self, rows: Any, ids: Any, fixed: np.ndarray, kind: str) -> np.ndarray:
        self._check_fitted()
        name = "user_items" if kind == "user" else "item_users"
        signed = self._weights(rows, len(fixed), name)
        count = 1 if np.ndim(ids) == 0 else len(ids)
        if signed.shape[0] != count:
            raise ValueError(
                f"{name} must contain 1 row for every {kind} in {kind}ids; got {signed.shape[0]} "
                f"for {count}"
            )
        solved = np.empty((count, fixed.shape[1]), self.dtype)
        items = np.require(fixed, self.dtype, ["C"])
        least_squares(signed, solved, items, self.regularization, self.num_threads)
        return solved


def _with_rows(factors: np.ndarray, rows: np.ndarray, solved: np.ndarray) -> np.ndarray:
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise TypeError(f"expected an array of ids; got {rows!r}")
    if len(rows) and rows.min() < 0:
        raise IndexError(f"ids must not be negative; got {rows.min()}")
    grown = np.zeros((max(len(factors), rows.max(initial=-1) + 1), factors.shape[1]), factors.dtype)
    grown[: len(factors)] = factors
    grown[rows] = solved
    return grown


def user_linear_equation(
    Y: np.ndarray, YtY: np.ndarray, Cui: Any, u: int, regularization: float, n_factors: int
) -> tuple[np.ndarray, np.ndarray]:
    """A and b of ``A x_u = b``."""
    A = YtY + regularization * np.eye(n_factors)
    b = np.zeros(n_factors)
    for i, confidence in nonzeros(Cui, u):
        if confidence > 0:
            b += confidence * Y[i]
        A += (abs(confidence) - 1) * np.outer(Y[i], Y[i])
    return A, b


def user_factor(
    Y: np.ndarray, YtY: np.ndarray, Cui: Any, u: int, regularization: float, n_factors: int
) -> np.ndarray:
    """x_u."""
    return np.linalg.solve(*user_linear_equation(Y, YtY, Cui, u, regularization, n_factors))


def item_factor(
    X: np.ndarray, XtX: np.ndarray, Cui: Any, u: int, regularization: float, n_factors: int
) -> np.ndarray:
    """y_u, Cui being items x users."""
    return user_factor(X, XtX, Cui, u, regularization, n_factors)


__all__ = [
    "AlternatingLeastSquares",
    "calculate_loss",
    "item_factor",
    "least_squares",
    "least_squares_cg",
    "user_factor",
    "user_linear_equation",
]
