"""Prediction of ratings by stochastic gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys import checks, kernels
from recsys.models.alternating import AlternatingModel
from recsys.models.base import Callback, Iteration, Step
from recsys.models.candidates import Seen
from recsys.models.ratings import RatingIteration, RatingModel
from recsys.models.training import SCHEDULES, all_finite, check_callback, goes_on

if TYPE_CHECKING:
    from scipy import sparse

Learned = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True)
class ExplicitSGDEpoch(RatingIteration):
    """One entry of `ExplicitSGD.history`, see `Iteration`; the loss is half the mean squared error.

    Attributes
    ----------
    train_rmse : float
        Root of the mean squared error over the ratings trained on, of each before its own step.
    validation_rmse : float or None
        Over the ratings given as `validation`, if any were, after the epoch.
    learning_rate : float
        Of the epoch.
    """

    learning_rate: float


class ExplicitSGD(RatingModel, AlternatingModel):
    """Matrix factorization of explicit feedback: stars, grades, any numbers users gave to items.

    Predicts r_ui by mean + b_u + b_i + x_u . y_i, and for each **stored** entry, with e the error
    of its prediction, takes a step (Koren, Bell and Volinsky 2009)

        x_u += eta (e y_i - lambda x_u)    b_u += eta (e - lambda b_u)
        y_i += eta (e x_u - lambda y_i)    b_i += eta (e - lambda b_i)

    which goes down the gradient of half of e^2 + lambda (|x_u|^2 + |y_i|^2 + b_u^2 + b_i^2). The
    sum of that over all ratings is what `ExplicitALS` minimizes with ``weighted_regularization``.
    All stored entries are ratings, zeros and negative numbers too; what is not stored is unknown.

    The order of an epoch's steps follows from `random_state` alone: users and items form a grid of
    bands whose cells are gone through in rounds, all cells of a round being independent of each
    other.

    Parameters
    ----------
    factors : int, default 64
        Number of latent factors f, at least 1.
    learning_rate : float, default 0.005
        eta > 0 of the first epoch.
    regularization : float, default 0.02
        lambda >= 0.
    bias : bool, default True
        Learn b_u and b_i, and subtract the mean rating. Without, mean and biases are 0.
    epochs : int, default 20
        Epochs a call of `fit` makes; 0 stops at the initial factors.
    learning_rate_decay : float, default 0.0
        The rate of epoch e = 1, 2, ... is ``learning_rate / (1 + learning_rate_decay * (e - 1))``.
    schedule : {"deterministic", "hogwild"}, default "deterministic"
        "hogwild": threads go through users side by side and write to the same items, so that the
        result differs from run to run if there is more than one thread.
    init_scale : float, default 1.0
        Initial factors are normal, of mean 0 and standard deviation ``init_scale / sqrt(f)``; > 0.
    dtype : np.float32 or np.float64, default np.float32
        Type of factors, biases and predictions.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit, unless
        the schedule is "hogwild". At most 16 threads find work.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Source of the initial factors and of the order. An int gives the same model every time.

    Attributes
    ----------
    user_factors : ndarray, shape (n_users, factors)
    item_factors : ndarray, shape (n_items, factors)
        X and Y, read-only; may be assigned.
    user_biases : ndarray, shape (n_users,), or None
    item_biases : ndarray, shape (n_items,), or None
        b_u and b_i, read-only.
    mean : float
        The mean rating.
    history : list of ExplicitSGDEpoch
        Seconds and errors of each epoch.

    References
    ----------
    Y. Koren, R. Bell, C. Volinsky, "Matrix Factorization Techniques for Recommender Systems",
    IEEE Computer 42(8), 2009.

    Examples
    --------
    >>> import scipy.sparse
    >>> stars = scipy.sparse.csr_array([[5.0, 4.0, 0.0], [4.0, 0.0, 1.0], [0.0, 5.0, 2.0]])
    >>> model = ExplicitSGD(factors=2, learning_rate=0.05, random_state=0).fit(stars)
    >>> bool(model.predict(0, 2) < 4)
    True
    """

    _entry = ExplicitSGDEpoch
    _ratings = True

    def __init__(
        self,
        factors: int = 64,
        *,
        learning_rate: float = 0.005,
        regularization: float = 0.02,
        bias: bool = True,
        epochs: int = 20,
        learning_rate_decay: float = 0.0,
        schedule: str = "deterministic",
        init_scale: float = 1.0,
        dtype: Any = np.float32,
        num_threads: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.bias = bias
        self.epochs = epochs
        self.learning_rate_decay = learning_rate_decay
        self.schedule = schedule
        self.init_scale = init_scale
        self.dtype = dtype
        self.num_threads = num_threads
        self.random_state = random_state

    def fit(
        self,
        user_items: Any,
        *,
        validation: Any = None,
        callback: Callback | None = None,
        show_progress: bool = True,
        warm_start: bool = False,
    ) -> Self:
        """Train on a matrix of ratings, which is never changed; the model keeps a copy.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items
            Ratings r_ui, one row a user; any format (CSR is best) and any real dtype.
        validation : scipy sparse matrix or array, optional
            Ratings held out: their error, too, is in `history` after each epoch. The training does
            not look at it; to stop by it, return a true value from `callback`.
        callback : callable, optional
            ``callback(epoch, seconds, loss)`` after each epoch, counted from 1. The model may be
            used inside it. Returning a true value stops the training.
        show_progress : bool, default True
            Show a progress bar where the output is a terminal.
        warm_start : bool, default False
            Continue from the present factors and biases, as `BPR.fit` does.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            A parameter or a matrix is not as described; nothing has been changed.
        FloatingPointError
            Training diverged; the model is left as for KeyboardInterrupt.
        KeyboardInterrupt
            Ctrl-C. The model is left at the last finished epoch; if there was none, as it was. So
            it is for whatever `callback` raises.
        """
        dtype = self._check_parameters()
        check_callback(callback)
        ratings = checks.interactions(user_items, dtype)
        if validation is not None:
            validation = checks.interactions(validation, dtype, name="validation")
        warm_start = goes_on(self, warm_start, ratings.shape, self.factors, dtype)
        random = checks.random_generator(self.random_state)
        seed = int(random.integers(2**64, dtype=np.uint64))  # first: the same for a warm start
        start = self._present(dtype) if warm_start else self._fresh(ratings.shape, random, dtype)
        seen = Seen.of(ratings)
        try:
            history = self.history if warm_start else []
            self._train(ratings, seen, start, seed, validation, history, callback, show_progress)
        finally:
            if self._seen is seen:
                self._seen = seen.copied(dtype)
        return self

    def _check_parameters(self) -> np.dtype:
        """Check every parameter; returns the dtype."""
        checks.integer("factors", self.factors, 1)
        checks.number("learning_rate", self.learning_rate, above=0)
        checks.number("regularization", self.regularization, least=0)
        checks.flag("bias", self.bias)
        checks.integer("epochs", self.epochs, 0)
        checks.number("learning_rate_decay", self.learning_rate_decay, least=0)
        checks.choice("schedule", self.schedule, SCHEDULES)
        checks.number("init_scale", self.init_scale, above=0)
        checks.integer("num_threads", self.num_threads, 0)
        checks.random_state(self.random_state)
        return checks.floating_dtype(self.dtype)

    def _weights(self) -> tuple[float, float, float]:
        return self.regularization, 1.0, 0.0

    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        return counts

    # ---- where training starts -----------------------------------------------------------------

    def _fresh(
        self, shape: tuple[int, int], random: np.random.Generator, dtype: np.dtype
    ) -> Learned:
        scale = dtype.type(self.init_scale / math.sqrt(self.factors))
        items, users = (
            random.standard_normal((count, self.factors), dtype=dtype) * scale
            for count in shape[::-1]
        )
        biases = (np.zeros(count, dtype) if self.bias else None for count in shape)
        return users, items, *biases

    def _present(self, dtype: np.dtype) -> Learned:
        factors = self._user_factors.astype(dtype), self._item_factors.astype(dtype)
        biases = (
            None if not self.bias else np.zeros(len(rows), dtype) if own is None else own.copy()
            for rows, own in zip(factors, (self._user_biases, self._item_biases), strict=True)
        )
        return *factors, *biases

    # ---- training ------------------------------------------------------------------------------

    def _train(
        self,
        ratings: sparse.csr_array,
        seen: Seen,
        current: Learned,
        seed: int,
        validation: sparse.csr_array | None,
        history: list[Iteration],
        callback: Callback | None,
        show_progress: bool,
    ) -> None:
        """Make epochs from `current`, arrays of our own."""
        mean = float(ratings.data.mean(dtype=np.float64)) if self.bias else 0.0
        if self.epochs == 0:
            self._publish(_state(current, seen, mean), history)
            return
        rest = checks.assemble(
            ratings.data - ratings.dtype.type(mean), ratings.indices, ratings.indptr, ratings.shape
        )
        bands = 0 if self.schedule == "hogwild" else None
        training = kernels.RatingSGD(rest, *current, bands=bands)
        spare = tuple(None if own is None else np.empty_like(own) for own in current)

        def step() -> Step:
            nonlocal current, spare
            number = len(history) + 1
            rate = self.learning_rate / (1 + self.learning_rate_decay * (number - 1))
            key = kernels.epoch_key(seed, number)
            squares = training.epoch(rate, self.regularization, key, self.num_threads)
            if not (math.isfinite(squares) and all_finite(*training.learned(spare))):
                raise FloatingPointError(
                    f"training diverged in epoch {number}: factors grew beyond what "
                    f"{ratings.dtype} can hold. Lower learning_rate, which is {rate:g}, or "
                    f"init_scale, which is {self.init_scale:g}"
                )
            current, spare = spare, current
            state = _state(current, seen, mean)
            held_out = None if validation is None else self._with(state)._rmse(validation)
            error = squares / ratings.nnz
            details = {
                "train_rmse": math.sqrt(error),
                "validation_rmse": held_out,
                "learning_rate": rate,
            }
            return Step(state, error / 2, details)

        self._iterate(step, self.epochs, history, callback, show_progress)


def _state(learned: Learned, seen: Seen, mean: float) -> dict[str, Any]:
    """What a fit publishes, in terms of FactorModel's attributes."""
    names = ("_user_factors", "_item_factors", "_user_biases", "_item_biases")
    return {**dict(zip(names, learned, strict=True)), "_seen": seen, "_mean": mean}
