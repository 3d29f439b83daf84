"""implicit.cpu.lmf"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsys import LogisticMF
from recsys.models import internal

from .matrix_factorization_base import MatrixFactorizationBase, finite_counts


class LogisticMatrixFactorization(MatrixFactorizationBase):
    """implicit's logistic matrix factorization, trained by `recsys.LogisticMF`.

    Parameters are implicit's, with its defaults. Factors have two columns more than `factors`, so
    that products of rows are scores: user_factors ends in 1 and the user's bias, item_factors in
    the item's bias and 1.

    An entry v is liked with confidence v, and each of the `neg_prop` cells drawn for it counts
    once: with ``alpha = cells / (neg_prop * entries)`` that is `LogisticMF`'s objective of
    ``confidence="scaled"``, its regularization being alpha times the one here.

    Factors that are set before `fit` may have `factors` columns as well. The last two are the
    biases' then, too, and two less are learned beside them.
    """

    _saved = (
        "user_factors", "item_factors", "regularization", "factors", "learning_rate", "neg_prop",
        "num_threads", "iterations", "dtype", "random_state",
    )  # fmt: skip

    def __init__(
        self,
        factors: int = 30,
        learning_rate: float = 1.00,
        regularization: float = 0.6,
        dtype: Any = np.float32,
        iterations: int = 30,
        neg_prop: int = 30,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads=num_threads)
        self.factors = factors
        self.learning_rate = learning_rate
        self.iterations = iterations
        self.regularization = regularization
        self.dtype = np.dtype(dtype)
        self.neg_prop = neg_prop
        self.random_state = random_state

    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Train, from the present factors if there are any.

        Parameters
        ----------
        user_items : csr_matrix or csr_array
            v > 0: liked with confidence v; v < 0: not liked, with |v|.
        show_progress : bool, default True
        callback : callable, optional
            ``callback(epoch, elapsed)`` after each iteration, counted from 0.

        Raises
        ------
        ModelFitError
            The values are not finite, or training diverged.
        ValueError
            The factors set before have other shapes; a parameter is out of range.
        """
        counts = finite_counts(user_items)
        if not counts.nnz:
            nobody = (np.zeros((count, self.factors + 1), self.dtype) for count in counts.shape)
            self._set(*((own[:, :-1], own[:, -1]) for own in nobody))
            return
        start = self._start(counts.shape)
        factors = self.factors if start is None else start[0].shape[1] - 2
        engine = self._engine(counts, factors)
        if start is not None:
            users, items = start
            internal.start_from(
                engine,
                users[:, :-2],
                items[:, :-2],
                user_biases=users[:, -1],
                item_biases=items[:, -2],
            )
        tell = None if callback is None else lambda epoch, elapsed, loss: callback(epoch, elapsed)
        self._train(engine, counts, show_progress, tell)

    # ---- between here and recsys ---------------------------------------------------------------

    def _engine(self, counts: sparse.csr_matrix, factors: int) -> LogisticMF:
        alpha = np.prod(counts.shape, dtype=np.float64) / (max(1, self.neg_prop) * counts.nnz)
        return LogisticMF(
            factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization * alpha,
            alpha=alpha,
            confidence="scaled",
            negatives=self.neg_prop,
            iterations=self.iterations,
            dtype=self.dtype,
            num_threads=self.num_threads,
            random_state=self._random(),
        )

    def _start(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
        """The present factors, if there are any."""
        present = self.user_factors, self.item_factors
        if present[0] is None and present[1] is None:
            return None
        shapes = tuple(None if factors is None else factors.shape for factors in present)
        widths = [self.factors + 2] + [self.factors] * (self.factors > 2)
        if shapes not in [tuple((count, width) for count in shape) for width in widths]:
            expected = tuple((count, widths[0]) for count in shape)
            raise ValueError(
                f"user_items has shape {shape}, but the model has user_factors and item_factors of "
                f"shapes {shapes} to go on from, not {expected}: set both to None to start anew"
            )
        users, items = (np.asarray(factors, self.dtype) for factors in present)
        return users, items

    def _take(self, engine: LogisticMF) -> None:
        self._set(
            (engine.user_factors, engine.user_biases), (engine.item_factors, engine.item_biases)
        )

    def _set(self, users: tuple[np.ndarray, ...], items: tuple[np.ndarray, ...]) -> None:
        ones = (np.ones(len(factors), factors.dtype) for factors, _ in (users, items))
        self.user_factors = np.column_stack([users[0], next(ones), users[1]])
        self.item_factors = np.column_stack([*items, next(ones)])
        self._user_norms = self._item_norms = None
