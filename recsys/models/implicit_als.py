"""Implicit-feedback matrix factorization by alternating least squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.models import ids
from recsys.models.alternating import check_alternating
from recsys.models.confidence import SCHEMES, Scheme, signed_confidence
from recsys.models.fitted import as_fitted
from recsys.models.in_file import Saved
from recsys.models.least_squares import LeastSquaresModel, as_factors
from recsys.models.samples import iterations_of
from recsys.models.selection import one_history
from recsys.models.trial import CORNERS, NOTHING, Tried, times, tried
from recsys.models.weights import Parameters, Weights, mean_preference, not_chosen
from recsys.models.weights import from_file as weights_from_file

if TYPE_CHECKING:
    from scipy import sparse

# docs/defaults.md has the experiment behind it. Both solvers rank alike, so the default is the
# exact one.
DEFAULT_ALPHA = 1.0
# By which name the parts of `Weights` are parameters
_WEIGHTS = {"regularization": 0, "regularization_exponent": 1, "unobserved_weight": 2}
# Standard deviation of an initial score's factors; a factor's own is this over sqrt(factors).
DEFAULT_INIT_SCALE = 0.1


class ImplicitALS(LeastSquaresModel):
    """Matrix factorization of implicit feedback (plays, clicks, purchases).

    Finds user factors X and item factors Y that minimize, over **all** cells of the matrix::

        sum_ui w_ui (p_ui - x_u . y_i)^2 + sum_u lambda_u |x_u|^2 + sum_i lambda_i |y_i|^2

    where the preference p_ui is 1 for a stored count r_ui > 0 and 0 for everything else, and the
    weight w_ui is the confidence c_ui of a stored entry and w0 = `unobserved_weight` elsewhere.
    With X or Y fixed, the other's rows are independent least squares problems::

        A_u x_u = sum_{i: p_ui = 1} c_ui y_i
        A_u = w0 Y'Y + sum_{i stored} (c_ui - w0) y_i y_i' + lambda_u I

    which one half-sweep solves for all rows, exactly or by a few steps of conjugate gradients; an
    iteration is two half-sweeps, users first.

    A negative count is a dislike: preference 0 with the confidence of its absolute value. A stored
    0 is an entry too: preference 0 with the confidence the scheme gives to 0.

    Parameters
    ----------
    factors : int, default 64
        Number of latent factors f, at least 1.
    regularization : float or None, default None
        lambda >= 0. None: it, w0 and nu are chosen from the data, see Notes. A number competes
        with the confidences: when they are scaled, scale it too.
    alpha : float, default 1.0
        Scale of the confidences, > 0.
    confidence : {"log", "linear", "scaled"} or callable, default "log"
        - "log": ``c = 1 + alpha log(1 + |r| / epsilon)``
        - "linear": ``c = 1 + alpha |r|``
        - "scaled": ``c = alpha |r|`` (what the package `implicit` does)
        - a callable is given the counts as a canonical `scipy.sparse.csr_array` with read-only
          arrays and returns one confidence, >= 0, for each of its `data`; for instance
          ``lambda counts: 1 + 10 * np.sqrt(np.abs(counts.data))``.

        The confidences of Hu, Koren and Volinsky are ``"linear"`` with ``alpha=40``; a number for
        `regularization` makes the rest of their objective.
    epsilon : float or None, default None
        Count at which "log" bends, > 0. None takes each user's own mean ``|r|`` over stored
        entries, so that neither the unit of the counts nor heavy users matter.
    unobserved_weight : float or None, default None
        w0 >= 0, the weight of cells without an entry. None: 1 where `regularization` is given, and
        else from the data.
    regularization_exponent : float or None, default None
        nu in ``lambda_u = lambda (n_u + w0 n_items)^nu`` and ``lambda_i = lambda (n_i + w0
        n_users)^nu``, n the number of entries of the row or column. 0 is plain lambda; 1, with a
        small w0 and lambda, is the setting of Rendle et al. None: 0 where `regularization` is
        given, and else 1.
    bias : bool or None, default None
        Learn biases too: scores are ``mean + b_u + b_i + x_u . y_i`` in **all** cells, mean being
        that of p_ui weighted by w_ui, and ``lambda_u b_u^2``, ``lambda_i b_i^2`` are added. What
        all users or items have in common then needs no factor; a fit takes about a tenth longer.
        None: where lambda is chosen from the data and biases turn out far better, see Notes; a
        model that goes on by ``warm_start`` keeps what it has.
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
        entries and 20 users a factor, or more, see Notes; the singular vectors of the preferences
        p_ui, by a randomized SVD, times the root of the singular values; or drawn ones. "sample" is
        "spectral" where there are fewer entries, features to learn with, or no iterations.
    init_scale : float, default 0.1
        Drawn initial factors are normal, of mean 0 and standard deviation ``init_scale / sqrt(f)``;
        > 0. Otherwise those are drawn for which the matrix has too low a rank.
    dtype : np.float32 or np.float64, default np.float32
        Type of factors and confidences. Sums over many entries are kept in double anyway.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Source of the initial factors. An int gives the same model every time.
    compute_loss : bool, default False
        Compute the objective above at every iteration, for `history`, callback and progress bar.
        With `acceleration` that is done in any case.
    feature_regularization : float or None, default None
        kappa > 0, how many rows' worth of evidence stands against a feature; used where `fit` is
        given features, with which the model is trained then (see ``docs/features.md``). None: by
        cross-validation after two iterations, and ``feature_regularization_`` says what.

    Attributes
    ----------
    user_factors : ndarray, shape (n_users, factors)
    item_factors : ndarray, shape (n_items, factors)
        X and Y, read-only; may be assigned.
    user_biases, item_biases : ndarray, shapes (n_users,) and (n_items,), or None
    mean : float
        b_u, b_i and the mean of a model with biases; None and 0.0 without.
    regularization_, regularization_exponent_, unobserved_weight_ : float
        lambda, nu and w0 that the model has: given, or chosen by the last `fit`.
    bias_ : bool
        Whether it has biases, likewise.
    history : list of AlternatingIteration
        Seconds, seconds of each half-sweep, momentum, loss and validation of each iteration.

    Notes
    -----
    ``regularization=None``: of m users and n items that have entries, d the share of their cells
    that is stored and c the mean confidence of these, ``w0 = c sqrt(d)``, ``nu = 1`` and ``lambda =
    (1 / sqrt(m) + 1 / sqrt(n)) / 2``, by and large. As lambda is multiplied by about ``w0 n`` for
    users and ``w0 m`` for items, this is half of ``c sqrt(d) (sqrt(m) + sqrt(n))`` in plain least
    squares, the largest singular value of entries that are dealt out at random: regularization is
    measured by the noise. `recsys.models.weights` has it in full, also for a w0 or nu that is
    given. Where neither is, and there are 5,000 entries, small models of a sample of 40,000 are
    compared first: w0 is divided by 8, or lambda half as large again, where that makes their
    NDCG@20 at least 3 % better (`recsys.models.trial`; some tenths of a second). With ``bias=None``
    one more has biases, and so has the model if that is another 10 % better. Each `fit` chooses
    anew, and says what in the log; `partial_fit` and the like keep it.

    `acceleration`: in the j-th iteration of a fit beta is ``(j - 1) / (j + 1)``, so that the first
    has no momentum (after samples it is up to ``(j + 3) / (j + 5)``). Where the objective rose, the
    iteration is taken back and made again with beta 0, and momentum starts anew. So the objective
    never rises (but by rounding), as without. It takes no memory, the computing of the objective,
    and for each iteration taken back the time of another. A model that goes on by ``warm_start``
    has no momentum yet: fits of 3 and of 4 iterations then give no longer what one of 7 gives.

    ``init="sample"``: an iteration costs in proportion to the users, while at first some of them
    tell nearly as much of most items as all do. So there are 6 iterations on a few users, from the
    singular vectors of their entries, 2 on twice as many, these among them, and so on until half of
    the users, who have 1. The first ones have about 250,000 entries or more. The penalty of items
    is reduced by the share of the users. Momentum goes on from one sample to the next, and to all
    users, but with a beta of at most 2/3 at first. With "cg" users are solved exactly in the first
    iteration of each sample but the first, and of all users. Seconds of all that are in the first
    iteration's.

    `fit` needs the memory of the factors twice, with `bias` about four times, and of the matrix
    once in each orientation.

    References
    ----------
    Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets",
    ICDM 2008 (the objective, and the Gramian shared by all rows).
    S. Rendle, W. Krichene, L. Zhang, Y. Koren, "Revisiting the Performance of iALS on Item
    Recommendation Benchmarks", RecSys 2022, arXiv:2110.14037 (unobserved weight and
    frequency-scaled regularization).
    G. Takacs, I. Pilaszy, D. Tikk, "Applications of the Conjugate Gradient Method for Implicit
    Feedback Collaborative Filtering", RecSys 2011 (the "cg" solver).
    D. Mitchell, N. Ye, H. De Sterck, "Nesterov Acceleration of Alternating Least Squares for
    Canonical Tensor Decomposition", Numerical Linear Algebra with Applications 27(4), 2020
    (`acceleration`).
    N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding Structure with Randomness", SIAM Review 53(2),
    2011 (``init="spectral"``, and where the first sample starts).

    Examples
    --------
    >>> import scipy.sparse
    >>> plays = scipy.sparse.csr_array([[5, 3, 0, 0], [4, 0, 0, 0], [0, 0, 2, 9]])
    >>> model = ImplicitALS(factors=2, regularization=0.1, random_state=0).fit(plays)
    >>> items, scores = model.recommend(1, N=1)
    >>> items
    array([1], dtype=int32)
    """

    _learns_features = True
    _times = iterations_of
    _fitted_names = (*_WEIGHTS, "alpha", "confidence", "epsilon")

    def __init__(
        self,
        factors: int = 64,
        *,
        regularization: float | None = None,
        alpha: float = DEFAULT_ALPHA,
        confidence: Scheme = "log",
        epsilon: float | None = None,
        unobserved_weight: float | None = None,
        regularization_exponent: float | None = None,
        bias: bool | None = None,
        solver: str = "cholesky",
        cg_steps: int = 3,
        nonnegative: bool = False,
        iterations: int | None = None,
        acceleration: bool = True,
        init: str = "sample",
        init_scale: float = DEFAULT_INIT_SCALE,
        dtype: Any = np.float32,
        num_threads: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        compute_loss: bool = False,
        feature_regularization: float | None = None,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.confidence = confidence
        self.epsilon = epsilon
        self.unobserved_weight = unobserved_weight
        self.regularization_exponent = regularization_exponent
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
        self.compute_loss = compute_loss
        self.feature_regularization = feature_regularization

    def explain(
        self, user: int, item: int, N: int = 10, *, user_items: Any = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Which of a user's entries make the score of an item, and how much of it each makes.

        As A_u x_u is the sum of c_uk y_k over the liked entries k, the score y_i . x_u is the sum
        of their c_uk y_i' A_u^-1 y_k (Hu, Koren and Volinsky 2008, section 5).

        With `bias` the same holds of what the score has beyond s_i, the item's score for a user
        of the same lambda_u without entries: it is the sum over all stored entries k of
        ``(c_uk p_uk - (c_uk - w0) s_k) y_i' A_u^-1 y_k``, y_i and y_k with a 1 for the user's bias.
        So it is where features say something of the user, which is then in s_i.

        Parameters
        ----------
        user : int
            Row number (id), or anything where `user_items` has one row.
        item : int
            Column number (id) of the item to be explained.
        N : int, default 10
            Length of the list.
        user_items : scipy sparse matrix or array, or Interactions, optional
            Counts to take the place of those the model remembers: one row for each user, or the
            row of this one.

        Returns
        -------
        score : float
            The score of the item for the factors and bias `fold_in` gives the user: the sum of
            what all entries contribute, listed or not, and with `bias` or features of s_i.
        ids : ndarray of int32 (ids: int64 or objects), at most N
            Items that contribute (without `bias` those the user likes), the one that contributes
            most first.
        contributions : ndarray of float64, same length

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`.
        """
        vocabulary, by_entries = self._vocabulary(), user_items is not None
        user, user_items = ids.with_history(vocabulary, user, user_items, newcomers=True)
        item = ids.to_rows(vocabulary, "items", item, "item")

        model = as_fitted(self)
        model._check_parameters()
        held = model._held("item")
        column = checks.one_row_number("item", item, len(held.factors))
        checks.integer("N", N, 1)
        signed = model._signed(one_history(model, user, user_items))
        drawn = model._of_strangers("users", 1) if by_entries else model._drawn_in_training(user)
        if model.nonnegative:
            held = model._held_of_positive(signed, held)
        a = kernels.normal_matrix(signed, held, *model._weights(), model.num_threads)
        # minimum norm, as a row without regularization is solved
        pull = np.linalg.lstsq(a, _with_one(held, [column])[0], rcond=None)[0]
        values, nobody = signed.data.astype(np.float64), np.zeros(len(held.factors))
        if held.biases is not None or drawn is not None:
            nobody = model._scores_without_entries(signed, held, drawn)
        weights = np.abs(values) - model._weights().unobserved
        pushes = np.maximum(values, 0) - weights * nobody[signed.indices]
        columns, pushes = signed.indices[pushes != 0], pushes[pushes != 0]
        contributions = pushes * (_with_one(held, columns) @ pull)
        best = np.argsort(-contributions, kind="stable")[:N]
        score = float(nobody[column] + contributions.sum())
        return score, ids.to_item_ids(vocabulary, columns[best]), contributions[best]

    def _held_of_positive(
        self, signed: sparse.csr_array, items: kernels.Factors
    ) -> kernels.Factors:
        """The items without the factors that are 0 for the one user of `signed`, who has what the
        others give without a bound."""
        positive = self._solve_rows(signed, "item").factors[0] > 0
        if not positive.any():
            raise ValueError(
                "the user's factors are all 0, so that no entry contributes to any score"
            )
        return kernels.Factors(np.ascontiguousarray(items.factors[:, positive]), items.biases)

    def _scores_without_entries(
        self, signed: sparse.csr_array, items: kernels.Factors, drawn: np.ndarray | None
    ) -> np.ndarray:
        """What the one user of `signed`, drawn to this, would get for each item without entries."""
        [lambda_] = kernels.scaled_lambda(signed, *self._weights())
        empty = csr.assemble(
            signed.data[:0], signed.indices[:0], np.zeros_like(signed.indptr), signed.shape
        )
        nobody = prior = None if drawn is None else as_factors(drawn, items)
        if prior is None or signed.nnz:
            nobody = kernels.fold_in(
                empty, items, lambda_, 0.0, self._weights().unobserved, self.num_threads,
                mean=self._mean, prior=prior,
            )  # fmt: skip
        scores = items.factors @ nobody.factors[0].astype(np.float64)
        if items.biases is None:
            return scores
        return scores + items.biases + (nobody.biases[0] + self._mean)

    def objective(self, user_items: Any) -> float:
        """The objective on a matrix, over all its cells, at the present factors and the
        parameters of the last fit; without what features add to it.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items, or Interactions
            Of the shape the model was trained on; see `fit`.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As in `fit` and `recommend`.
        """
        user_items = ids.known_entries(self._vocabulary(), user_items)

        dtype = self._check_parameters()
        user_factors, item_factors = self._both_factors()
        counts = csr.canonical(user_items, dtype)
        if counts.shape != (len(user_factors), len(item_factors)):
            raise ValueError(
                f"user_items is {counts.shape[0]} users x {counts.shape[1]} items, but the model "
                f"has factors for {len(user_factors)} x {len(item_factors)}: pass the matrix it "
                "was trained on, or one of that shape"
            )
        model = as_fitted(self)
        users, items = kernels.make_sides(
            model._signed(counts), *model._weights(), num_threads=self.num_threads
        )
        return kernels.objective(
            users,
            items,
            self._held("user"),
            self._held("item"),
            num_threads=self.num_threads,
            mean=self._mean,
        )

    def _check_parameters(self) -> np.dtype:
        """Check every parameter; returns the dtype."""
        checks.number("alpha", self.alpha, above=0)
        if not callable(self.confidence):
            checks.choice("confidence", self.confidence, SCHEMES, also="a callable")
        if self.epsilon is not None:
            checks.number("epsilon", self.epsilon, above=0)
        for name, least in (("regularization", 0), ("unobserved_weight", 0)):
            if getattr(self, name) is not None:
                checks.number(name, getattr(self, name), least=least)
        if self.regularization_exponent is not None:
            checks.number("regularization_exponent", self.regularization_exponent)
        return check_alternating(self)

    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        return signed_confidence(
            counts, self.confidence, self.alpha, self.epsilon, self.num_threads
        )

    @property
    def regularization_(self) -> float:
        """lambda, as given or as `fit` chose it."""
        return as_fitted(self)._weights().regularization

    @property
    def regularization_exponent_(self) -> float:
        """nu, likewise."""
        return as_fitted(self)._weights().exponent

    @property
    def unobserved_weight_(self) -> float:
        """w0, likewise."""
        return as_fitted(self)._weights().unobserved

    @property
    def bias_(self) -> bool:
        """Whether there are biases, likewise."""
        return as_fitted(self)._held("item").biases is not None

    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        header, arrays = super()._to_file()
        return header | {"weights": self._fitted_weights}, arrays

    def _from_file(self, saved: Saved) -> dict[str, Any]:
        state = super()._from_file(saved)
        return state | {"_fitted_weights": weights_from_file(saved.header)}

    def _in_effect(self, name: str) -> Any:
        if name == "bias" and self.bias is None:
            return self._item_biases is not None
        place = _WEIGHTS.get(name)
        if place is None or (self.regularization is None and self._fitted_weights is None):
            return super()._in_effect(name)
        return self._weights()[place]

    def _chosen_on(self, counts: sparse.csr_array) -> Mapping[str, Any]:
        weights, bias = self._chosen_for(self._signed(counts))
        chosen = {name: weights[place] for name, place in _WEIGHTS.items()}
        return {**super()._chosen_on(counts), "bias": bias, **chosen}

    def _wanted_weights(self) -> Parameters:
        return Parameters(*(getattr(self, name) for name in _WEIGHTS))

    def _weights(self) -> Weights:
        wanted = self._wanted_weights()
        if wanted.regularization is not None:
            return wanted.with_plain_lambda()
        if self._fitted_weights is None:
            raise not_chosen()
        return wanted.or_else(self._fitted_weights)

    def _chosen_for(self, signed: sparse.csr_array) -> tuple[Weights, bool]:
        wanted = self._wanted_weights()
        best = NOTHING._replace(bias=bool(self.bias))
        if wanted.regularization is not None:
            weights = wanted.with_plain_lambda()
        else:
            weights = wanted.by_data(signed)
            corners = CORNERS if wanted.unobserved is None and wanted.exponent is None else ()
            best = tried(signed, wanted.by_data, self.bias, self.num_threads, corners)
        weights = times(weights, best.corner)
        self._log(
            "takes regularization=%.4g, regularization_exponent=%g, unobserved_weight=%.4g%s",
            *weights,
            _of_the_trial(best, self.bias),
        )
        return weights, best.bias

    def _mean_target(self, signed: sparse.csr_array, unobserved_weight: float) -> float:
        return mean_preference(signed, unobserved_weight)


def _of_the_trial(best: Tried, bias: bool | None) -> str:
    says = []
    if best.corner != NOTHING.corner:
        says.append("w0 and lambda are {:g} and {:g} times what the rule says".format(*best.corner))
    if best.bias and bias is None:
        says.append("it learns biases, which are more than 10 % better")
    return f"; by a trial {' and '.join(says)}" if says else ""


def _with_one(held: kernels.Factors, rows: Any) -> np.ndarray:
    """Some rows of Y, or of [Y, 1] where there are biases, float64."""
    y = held.factors[rows].astype(np.float64)
    return y if held.biases is None else np.column_stack([y, np.ones(len(y))])
