"""implicit.cpu.bpr"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from scipy import sparse

from recsys import BPR, checks, csr
from recsys.models import internal

from ..gpu.matrix_factorization_base import no_gpu
from ..utils import check_csr
from .matrix_factorization_base import MatrixFactorizationBase


class BayesianPersonalizedRanking(MatrixFactorizationBase):
    """implicit's Bayesian personalized ranking, trained by `recsys.BPR`.

    Parameters are implicit's, with its defaults. Factors have one column more than `factors`, so
    that products of rows are scores: user_factors ends in 1, item_factors in the item's bias.

    A negative is the item of an entry drawn at random, so popular items are drawn more often. One
    that the user likes is always drawn again, whatever `verify_negative_samples` says.

    Factors that are set before `fit` may have `factors` columns as well. The last one is the
    biases' then, too, and one less is learned beside them.
    """

    _saved = (
        "user_factors", "item_factors", "regularization", "factors", "learning_rate",
        "verify_negative_samples", "num_threads", "iterations", "dtype", "random_state",
    )  # fmt: skip

    def __init__(
        self,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        dtype: Any = np.float32,
        iterations: int = 100,
        num_threads: int = 0,
        verify_negative_samples: bool = True,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads=num_threads)
        self.factors = factors
        self.learning_rate = learning_rate
        self.iterations = iterations
        self.regularization = regularization
        self.dtype = np.dtype(dtype)
        self.verify_negative_samples = verify_negative_samples
        self.random_state = random_state

    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Train, from the present factors if there are any.

        Parameters
        ----------
        user_items : csr_matrix or csr_array
            Every stored entry is a like, whatever its value.
        show_progress : bool, default True
        callback : callable, optional
            ``callback(epoch, elapsed, correct, skipped)`` after each epoch, counted from 0: how
            many of its steps had their two items in the right order before, and how many were not
            made, as no item was found that the user does not like.

        Raises
        ------
        ModelFitError
            Training diverged.
        ValueError
            The factors set before have other shapes, are not finite, or the users' have one column
            more than `factors` and do not end in 1; a parameter is out of range.
        """
        matrix = check_csr(user_items)
        ones = np.ones(len(matrix.indices), np.float32)
        likes = sparse.csr_matrix((ones, matrix.indices, matrix.indptr), matrix.shape)
        likes = csr.canonical(likes, np.dtype(np.float32), may_be_empty=True)
        checks.integer("factors", self.factors, 1)
        checks.floating_dtype(self.dtype)
        random = self._random()
        popularity = np.bincount(likes.indices, minlength=likes.shape[1])
        items = self._start("item_factors", popularity, random)
        users = self._start("user_factors", np.diff(likes.indptr), random)
        if users.shape[1] != items.shape[1]:
            raise ValueError(
                f"the model has user_factors of shape {users.shape} and item_factors of shape "
                f"{items.shape} to go on from: expected as many columns in both"
            )
        engine = self._engine(users.shape[1] - 1, random)
        internal.start_from(engine, users[:, :-1], items[:, :-1], item_biases=items[:, -1])
        if not likes.nnz:
            self._take(engine)
            return

        def tell(epoch: int, elapsed: float, loss: float | None) -> None:
            entry: Any = engine.history[-1]
            correct = round(entry.correct * (likes.nnz - entry.skipped))
            callback(epoch, elapsed, correct, entry.skipped)

        self._train(engine, likes, show_progress, None if callback is None else tell)

    def to_gpu(self) -> NoReturn:
        raise no_gpu()

    # ---- between here and recsys ---------------------------------------------------------------

    def _engine(self, factors: int, random: np.random.Generator) -> BPR:
        return BPR(
            factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            epochs=self.iterations,
            negatives=1,
            sampler="popular",
            popularity_exponent=1.0,
            dtype=self.dtype,
            num_threads=self.num_threads,
            random_state=random,
        )

    def _start(self, name: str, counts: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The present factors, or uniform ones as implicit draws them, of rows with entries."""
        f = self.factors
        present = self._present(name, len(counts), (f + 1, f) if f > 1 else (f + 1,))
        if present is None:
            other = self.item_factors if name == "user_factors" else self.user_factors
            columns = f + 1 if other is None else other.shape[1]
            present = random.random((len(counts), columns), self.dtype)
            present = (present - 0.5) / f
            present[counts == 0] = 0
            if name == "user_factors":
                present[:, -1] = 1
        elif name == "user_factors" and present.shape[1] > f and np.any(present[:, -1] != 1):
            raise ValueError(
                "the last column of user_factors, which item biases are multiplied by, must be 1; "
                f"got {present[present[:, -1] != 1, -1][0]}: set it to 1, or user_factors to None"
            )
        return np.asarray(present, self.dtype)

    def _take(self, engine: BPR) -> None:
        users, items = engine.user_factors, engine.item_factors
        self.user_factors = np.column_stack([users, np.ones(len(users), users.dtype)])
        self.item_factors = np.column_stack([items, engine.item_biases])
        self._user_norms = self._item_norms = None
