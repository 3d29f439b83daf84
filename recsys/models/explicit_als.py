"""Prediction of ratings by alternating least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, kernels
from recsys.models.alternating import AlternatingIteration, check_alternating
from recsys.models.least_squares import LeastSquaresModel
from recsys.models.ratings import RatingIteration, RatingModel
from recsys.models.samples import iterations_of
from recsys.models.weights import Weights

if TYPE_CHECKING:
    from scipy import sparse


# The best on MovieLens 1M for 64 factors out of 0.03, 0.05, 0.07, 0.08 and 0.09; with 128 factors
# 0.075 is (benchmarks/costs.py has how to measure).
DEFAULT_REGULARIZATION = 0.07


@dataclass(frozen=True)
class ExplicitALSIteration(RatingIteration, AlternatingIteration):
    __doc__ = RatingIteration.__doc__


class ExplicitALS(RatingModel, LeastSquaresModel):
    """Matrix factorization of explicit feedback: stars, grades, any numbers users gave to items.

    Finds factors X, Y and biases b that minimize, over the **stored** entries r_ui::

        sum_ui (r_ui - mean - b_u - b_i - x_u . y_i)^2
            + sum_u lambda_u (|x_u|^2 + b_u^2) + sum_i lambda_i (|y_i|^2 + b_i^2)

    with ``lambda_u = lambda n_u``, ``lambda_i = lambda n_i``, n being numbers of ratings (ALS-WR,
    Zhou et al. 2008), or plain lambda. With the items fixed, x_u and b_u solve::

        (sum_i z_i z_i' + lambda_u I) (x_u, b_u) = sum_i (r_ui - mean - b_i) z_i,   z_i = (y_i, 1)

    over the items of user u, and so the other way round; an iteration does both, users first. All
    stored entries are ratings, zeros and negative numbers too; what is not stored is unknown.
    Ratings of one user for one item that are stored more than once are summed, as SciPy does.

    Parameters
    ----------
    factors : int, default 64
        Number of latent factors f, at least 1.
    regularization : float, default 0.07
        lambda >= 0.
    weighted_regularization : bool, default True
        Multiply lambda by the number of ratings of each user and item.
    bias : bool, default True
        Learn b_u and b_i, and subtract the mean rating. Without, mean and biases are 0.
    solver : {"cholesky", "cg"}, default "cholesky"
        Solve rows exactly, or by `cg_steps` steps of conjugate gradients from their last values.
    cg_steps : int, default 3
        At least 1; used by "cg" only.
    nonnegative : bool, default False
        Find factors that are not negative (biases may be), so that each can be read as a taste
        that users have more or less of. Rows are then solved by coordinate descent, whatever
        `solver` says: no gradient is off by more than 1e-5 of the row's largest `b`. Lists are
        usually worse, and fits take longer.
    iterations : int or None, default None
        Iterations a call of `fit` makes on all users; 0 stops at the initial factors. None: 7, or 2
        where training begins on samples, see `init`.
    acceleration : bool, default True
        Start an iteration from ``Y + beta (Y - Y')``, Y' being the item factors (and biases) one
        iteration earlier; see Notes.
    init : {"sample", "spectral", "random"}, default "sample"
        Initial factors: items as fits of samples of the users make them, where there are 4 million
        ratings and 20 users a factor, or more; the singular vectors of the ratings less their mean,
        by a randomized SVD, times the root of the singular values; or drawn ones. "sample" is
        "spectral" where there are fewer ratings, features to learn with, or no iterations.
    init_scale : float, default 1.0
        Drawn initial factors are normal, of mean 0 and standard deviation ``init_scale / sqrt(f)``;
        > 0. Otherwise those are drawn for which the matrix has too low a rank.
    dtype : np.float32 or np.float64, default np.float32
        Type of factors and ratings. Sums over many entries are kept in double anyway.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Source of the initial factors. An int gives the same model every time.
    feature_regularization : float or None, default None
        kappa > 0, how many rows' worth of evidence stands against a feature; used where `fit` is
        given features, with which the model is trained then (see ``docs/features.md``). None: by
        cross-validation after two iterations, and ``feature_regularization_`` says what.

    Attributes
    ----------
    user_factors, item_factors : ndarray, shapes (n_users, factors) and (n_items, factors)
        X and Y, read-only; may be assigned.
    user_biases, item_biases : ndarray, shapes (n_users,) and (n_items,), or None
    mean : float
        The mean of the ratings trained on.
    history : list of ExplicitALSIteration
        Seconds, momentum, loss (the objective above) and errors of each iteration.

    Notes
    -----
    `acceleration` and ``init="sample"``: as of `ImplicitALS`.

    References
    ----------
    Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan, "Large-scale Parallel Collaborative Filtering for
    the Netflix Prize", AAIM 2008 (ALS-WR).
    Y. Koren, R. Bell, C. Volinsky, "Matrix Factorization Techniques for Recommender Systems",
    IEEE Computer 42(8), 2009 (biases).

    Examples
    --------
    >>> import scipy.sparse
    >>> stars = scipy.sparse.csr_array([[5, 4, 0, 1], [4, 0, 1, 1], [1, 1, 5, 0]])
    >>> model = ExplicitALS(factors=2, random_state=0).fit(stars)
    >>> bool(model.predict(2, 3) > model.predict(0, 2))
    True
    """

    _entry = ExplicitALSIteration
    _learns_features = True
    _times = iterations_of
    _fitted_names = ("regularization", "weighted_regularization")
    compute_loss = True

    def __init__(
        self,
        factors: int = 64,
        *,
        regularization: float = DEFAULT_REGULARIZATION,
        weighted_regularization: bool = True,
        bias: bool = True,
        solver: str = "cholesky",
        cg_steps: int = 3,
        nonnegative: bool = False,
        iterations: int | None = None,
        acceleration: bool = True,
        init: str = "sample",
        init_scale: float = 1.0,
        dtype: Any = np.float32,
        num_threads: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        feature_regularization: float | None = None,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.weighted_regularization = weighted_regularization
        self.bias = bias
        self.solver = solver
        self.cg_steps = cg_steps
        self.nonnegative = nonnegative
        self.iterations = iterations
        self.acceleration = acceleration
        self.init = init
        self.init_scale = init_scale
        self.dtype = dtype
        self.num_threads = num_threads
        self.random_state = random_state
        self.feature_regularization = feature_regularization

    def _check_parameters(self) -> np.dtype:
        checks.number("regularization", self.regularization, least=0)
        checks.flag("weighted_regularization", self.weighted_regularization)
        return check_alternating(self)

    def _weights(self) -> Weights:
        return Weights(self.regularization, float(self.weighted_regularization), 0.0)

    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        return counts

    def _mean_target(self, signed: sparse.csr_array, unobserved_weight: float) -> float:
        return float(np.mean(signed.data, dtype=np.float64))

    def _details(self, sweep: kernels.Sweep, entries: int) -> dict[str, Any]:
        return {"train_rmse": math.sqrt(sweep.entries_loss / entries)}
