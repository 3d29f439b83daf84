"""Prediction of ratings by stochastic gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks
from recsys.kernels import RatingSGD
from recsys.models.gradient import GradientTrainer, bands, check_epochs
from recsys.models.least_squares import LeastSquaresModel
from recsys.models.ratings import RatingIteration, RatingModel
from recsys.models.training import Start
from recsys.models.weights import Weights

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class ExplicitSGDEpoch(RatingIteration):
    """One entry of `ExplicitSGD.history`, see `Iteration`; the loss is half the mean squared error.

    Attributes
    ----------
    train_rmse : float
        Root of the mean squared error over the ratings trained on, of each before its own step.
    learning_rate : float
        Of the epoch.
    """

    learning_rate: float


class ExplicitSGD(RatingModel, LeastSquaresModel):
    """Matrix factorization of explicit feedback: stars, grades, any numbers users gave to items.

    Predicts r_ui by mean + b_u + b_i + x_u . y_i, and for each **stored** entry, with e the error
    of its prediction, takes a step (Koren, Bell and Volinsky 2009)::

        x_u += eta (e y_i - lambda x_u)    b_u += eta (e - lambda b_u)
        y_i += eta (e x_u - lambda y_i)    b_i += eta (e - lambda b_i)

    which goes down the gradient of half of ``e^2 + lambda (|x_u|^2 + |y_i|^2 + b_u^2 + b_i^2)``.
    The sum of that over all ratings is what `ExplicitALS` minimizes with
    ``weighted_regularization``. All stored entries are ratings, zeros and negative numbers too;
    what is not stored is unknown.

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
    feature_regularization : float or None, default None
        kappa > 0, how many rows' worth of evidence stands against a feature; used where `fit` is
        given features. None: by cross-validation, and ``feature_regularization_`` says what.

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
    _fitted_names = ("regularization",)
    _iterations_name = "epochs"

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
        feature_regularization: float | None = None,
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
        self.feature_regularization = feature_regularization

    def _check_parameters(self) -> np.dtype:
        checks.number("regularization", self.regularization, least=0)
        checks.flag("bias", self.bias)
        return check_epochs(self)

    def _weights(self) -> Weights:
        return Weights(self.regularization, 1.0, 0.0)

    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        return counts

    def _trainer(self, counts: sparse.csr_array) -> GradientTrainer:
        mean = float(counts.data.mean(dtype=np.float64)) if self.bias else 0.0
        return GradientTrainer(self, counts, mean)

    def _engine(self, entries: sparse.csr_array, start: Start) -> RatingSGD:
        return RatingSGD(entries, *start, bands=bands(self))

    def _epoch(self, engine: RatingSGD, rate: float, key: int) -> tuple[float, dict[str, Any]]:
        error = engine.epoch(rate, self.regularization, key, self.num_threads)
        return error / 2, {"train_rmse": math.sqrt(error) if error >= 0 else error}

    def _doubts(self, last: dict[str, Any], entries: sparse.csr_array) -> str | None:
        return None
