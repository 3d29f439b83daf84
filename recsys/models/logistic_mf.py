"""Implicit-feedback matrix factorization by logistic regression, one side after the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys import checks, kernels
from recsys.kernels import Fixed, Learned, LmfSide
from recsys.models.base import Callback, Iteration, Step
from recsys.models.candidates import Seen
from recsys.models.confidence import SCHEMES, Scheme, signed_confidence
from recsys.models.factor_model import FactorModel
from recsys.models.training import check_callback, drawn_factors, goes_on

if TYPE_CHECKING:
    from scipy import sparse

# The defaults are those of benchmarks/logistic_defaults.py: Recall@20 and NDCG@20 of .275 and .278
# on lastfm-2k, .172 and .144 on gowalla. Pairs of alpha and regularization that are better on one
# of the two are worse on the other; larger learning rates learn faster, but no better.

# Training has got lost where the loss is that many times the loss of all scores being zero.
_LOST = 10.0
_FOLD_IN_SEED = 0


class LogisticMF(FactorModel):
    """Logistic matrix factorization of implicit feedback (plays, clicks, purchases).

    Models the probability that user u likes item i as sigma(s_ui) = 1 / (1 + e^-s_ui), with

        s_ui = x_u . y_i + b_u + b_i

    and finds factors X and Y and biases that minimize, over **all** cells of the matrix,

        sum_{ui stored} c_ui (log(1 + e^s_ui) - p_ui s_ui) + sum_ui log(1 + e^s_ui)
            + lambda/2 (sum_u |x_u|^2 + sum_i |y_i|^2)

    where the preference p_ui is 1 for a stored count r_ui > 0 and 0 for one that is not: each cell
    is a miss once, and a stored entry besides is c_ui hits, or misses (Johnson 2014, equation 4,
    where c = alpha r). A negative count is a dislike with the confidence of its absolute value.

    With one side fixed, an iteration takes one step of AdaGrad (Duchi et al. 2011) for every row of
    the other, users first: g being the gradient of the row's own part of the sum, q += g^2 and
    x -= learning_rate g / sqrt(q), for each factor and the bias. Stored entries are all looked at;
    the sum over all of a row's cells is estimated from `negatives` for each of its entries, drawn
    uniformly with replacement and weighted so that the estimate is unbiased. The stored ones
    among them belong there, so none is drawn again. A row that would draw as many cells as there
    are looks at each of them once instead.

    Biases start where users and items independent of each other would have them, so that factors
    have only the rest to explain: b_i at log((C_i + c) / (mean of C_i + c)), C_i being the sum of
    the confidences of an item's likes and c their mean; b_u alike, plus log(sum C / cells).

    Parameters
    ----------
    factors : int, default 64
        Number of latent factors f, at least 1.
    learning_rate : float, default 0.1
        Size of the first step of every factor, > 0; later ones shrink.
    regularization : float, default 30.0
        lambda >= 0, of the factors; biases have none. It competes with the confidences.
    alpha : float, default 10.0
        Scale of the confidences, > 0.
    confidence : {"log", "linear", "scaled"} or callable, default "log"
        As in `ImplicitALS`: "log" is ``c = 1 + alpha log(1 + |r| / epsilon)``, "linear"
        ``c = 1 + alpha |r|``, "scaled" (Johnson's) ``c = alpha |r|``.
    epsilon : float or None, default None
        Count at which "log" bends, > 0; None takes each user's own mean |r| over stored entries.
    negatives : int, default 30
        Cells drawn for each stored entry of a row, at least 1; a row without entries draws as many
        as one with a single one. Time grows with it.
    iterations : int, default 30
        Iterations a call of `fit` makes, and steps `fold_in` takes; 0 stops at the start.
    init_scale : float, default 0.1
        Initial factors are normal, of mean 0 and standard deviation ``init_scale / sqrt(f)``; > 0.
    dtype : np.float32 or np.float64, default np.float32
        Type of factors, biases and confidences.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Source of the initial factors and of what is drawn. An int gives the same model every time.

    Attributes
    ----------
    user_factors : ndarray, shape (n_users, factors)
    item_factors : ndarray, shape (n_items, factors)
        X and Y, read-only; may be assigned.
    user_biases : ndarray, shape (n_users,)
    item_biases : ndarray, shape (n_items,)
        b_u and b_i, read-only.
    history : list of Iteration
        Seconds, and loss as estimated from what the next step looks at, of each iteration.

    References
    ----------
    C. C. Johnson, "Logistic Matrix Factorization for Implicit Feedback Data", NIPS 2014 Workshop on
    Distributed Machine Learning and Matrix Computations.
    J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization", JMLR 12, 2011.

    Examples
    --------
    >>> import scipy.sparse
    >>> plays = scipy.sparse.csr_array([[5, 3, 0, 0], [4, 0, 0, 0], [0, 0, 2, 9]])
    >>> model = LogisticMF(factors=2, regularization=0.1, random_state=0).fit(plays)
    >>> items, scores = model.recommend(1, N=1)
    >>> items
    array([1], dtype=int32)
    """

    # Sums of squared gradients, (of factors, of biases) for users and items: how far AdaGrad is.
    _squares: tuple[tuple[np.ndarray, np.ndarray], ...] | None = None

    def __init__(
        self,
        factors: int = 64,
        *,
        learning_rate: float = 0.1,
        regularization: float = 30.0,
        alpha: float = 10.0,
        confidence: Scheme = "log",
        epsilon: float | None = None,
        negatives: int = 30,
        iterations: int = 30,
        init_scale: float = 0.1,
        dtype: Any = np.float32,
        num_threads: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.alpha = alpha
        self.confidence = confidence
        self.epsilon = epsilon
        self.negatives = negatives
        self.iterations = iterations
        self.init_scale = init_scale
        self.dtype = dtype
        self.num_threads = num_threads
        self.random_state = random_state

    def fit(
        self,
        user_items: Any,
        *,
        callback: Callback | None = None,
        show_progress: bool = True,
        warm_start: bool = False,
    ) -> Self:
        """Train on a user-item matrix, which is never changed; the model keeps a copy.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items
            Counts r_ui, one row a user; any format (CSR is best) and any real dtype. Duplicates
            are summed.
        callback : callable, optional
            ``callback(iteration, seconds, loss)`` after each iteration, counted from 1. The model
            may be used inside it. Returning a true value stops the training.
        show_progress : bool, default True
            Show a progress bar where the output is a terminal.
        warm_start : bool, default False
            Continue from the present factors, which must have the shapes of `user_items` and
            `factors`, and go on counting iterations: with an int as `random_state`, fits of 3 and
            of 4 iterations give what one of 7 gives. A model from a file continues with steps as
            large as the first ones. By default, and on a model not fitted yet, training starts
            fresh.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            A parameter or the matrix is not as described; nothing has been changed.
        FloatingPointError
            Training diverged; the model is left as for KeyboardInterrupt.
        KeyboardInterrupt
            Ctrl-C. The model is left at the last finished iteration; if there was none, as it was.
            So it is for whatever `callback` raises.

        Warns
        -----
        NumericalWarning
            Confidences spread too far for float32.
        """
        dtype = self._check_parameters()
        check_callback(callback)
        counts = checks.interactions(user_items, dtype)
        warm_start = goes_on(self, warm_start, counts.shape, self.factors, dtype)
        signed = self._signed(counts)
        random = checks.random_generator(self.random_state)
        seed = int(random.integers(2**64, dtype=np.uint64))  # first: the same for a warm start
        start = self._present(dtype) if warm_start else self._fresh(signed, random, dtype)
        seen = Seen.of(counts)
        try:
            history = self.history if warm_start else []
            self._train(signed, seen, start, seed, history, callback, show_progress)
        finally:
            if self._seen is seen:
                self._seen = seen.copied(dtype)
        return self

    def fold_in(self, user_items: Any) -> tuple[np.ndarray, np.ndarray]:
        """Factors and biases of users the model was not trained on, items held fixed.

        Takes `iterations` steps from zero factors and the mean of the users' biases; stores
        nothing. What is drawn is the same for every user and call.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n x n_items
            Counts, one row a user, as in `fit`.

        Returns
        -------
        factors : ndarray of the model's dtype, shape (n, factors)
        biases : ndarray, shape (n,)

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fit` and `recommend`.
        """
        counts = checks.interactions(user_items, self._check_parameters(), may_be_empty=True)
        checks.columns("user_items", counts.shape, len(self.item_factors), "items")
        return self._folded(counts)

    def _check_parameters(self) -> np.dtype:
        """Check every parameter; returns the dtype."""
        checks.integer("factors", self.factors, 1)
        checks.number("learning_rate", self.learning_rate, above=0)
        checks.number("regularization", self.regularization, least=0)
        checks.number("alpha", self.alpha, above=0)
        if not callable(self.confidence):
            checks.choice("confidence", self.confidence, SCHEMES, also="a callable")
        if self.epsilon is not None:
            checks.number("epsilon", self.epsilon, above=0)
        checks.integer("negatives", self.negatives, 1)
        checks.integer("iterations", self.iterations, 0)
        checks.number("init_scale", self.init_scale, above=0)
        checks.integer("num_threads", self.num_threads, 0)
        checks.random_state(self.random_state)
        return checks.floating_dtype(self.dtype)

    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        return signed_confidence(counts, self.confidence, self.alpha, self.epsilon)

    # ---- where training starts -----------------------------------------------------------------

    def _fresh(
        self, signed: sparse.csr_array, random: np.random.Generator, dtype: np.dtype
    ) -> tuple[Learned, Learned]:
        drawn = drawn_factors(random, signed.shape, self.factors, self.init_scale, dtype)
        users, items = map(Learned.of, drawn)
        likes = signed.astype(np.float64)
        likes.data = np.maximum(likes.data, 0)
        one = likes.data.sum() / max(1, np.count_nonzero(likes.data)) or 1.0
        for learned, axis in ((users, 1), (items, 0)):
            sums = likes.sum(axis=axis) + one
            learned.biases[:] = np.log(sums / sums.mean())
        users.biases[:] += np.log(max(likes.data.sum(), one) / math.prod(signed.shape))
        return users, items

    def _present(self, dtype: np.dtype) -> tuple[Learned, Learned]:
        """The model's own, copied; zeros for what it does not have."""
        sides = (self._user_factors, self._user_biases), (self._item_factors, self._item_biases)
        start = []
        for at, (factors, biases) in enumerate(sides):
            own = Learned.of(factors.astype(dtype))
            if biases is not None:
                own.biases[:] = biases
            if self._squares is not None:
                own.squares[:], own.bias_squares[:] = self._squares[at]
            start.append(own)
        return start[0], start[1]

    # ---- training ------------------------------------------------------------------------------

    def _train(
        self,
        signed: sparse.csr_array,
        seen: Seen,
        current: tuple[Learned, Learned],
        seed: int,
        history: list[Iteration],
        callback: Callback | None,
        show_progress: bool,
    ) -> None:
        """Iterate from `current`, arrays of our own."""
        if self.iterations == 0:
            self._publish(_state(*current, seen), history)
            return
        sides = kernels.lmf_sides(signed, self.negatives)
        cells = math.prod(signed.shape)
        lost = _LOST * math.log(2) * (cells + float(np.abs(signed.data).sum(dtype=np.float64)))
        spare = current[0].copy(), current[1].copy()

        def sweep(at: int, fixed: Learned, source: Learned, target: Learned) -> float:
            source.copy_to(target)
            keys = kernels.row_keys(seed, 2 * len(history) + at, len(source.biases))
            return self._half_sweep(sides[at % 2], fixed.fixed(), target, keys)

        def checked(loss: float, users: Learned, items: Learned, number: int) -> float:
            loss += self.regularization / 2 * (_squared(users.factors) + _squared(items.factors))
            if loss <= lost:
                return loss
            raise FloatingPointError(
                f"training diverged in iteration {number}: the loss is {loss:.3g}; expected at "
                f"most {lost:.3g}, {_LOST:g} times that of scores of zero. Lower learning_rate, "
                f"which is {self.learning_rate:g}, or init_scale, which is {self.init_scale:g}"
            )

        # The users' step of an iteration is taken at the end of the one before: it tells the loss
        # of what is going to be published.
        ahead = current[0].copy()
        checked(sweep(0, current[1], current[0], ahead), *current, len(history))

        def step() -> Step:
            nonlocal current, spare, ahead
            users, items = ahead, spare[1]
            sweep(1, users, current[1], items)
            loss = checked(sweep(2, items, users, spare[0]), users, items, len(history) + 1)
            current, spare, ahead = (users, items), current, spare[0]
            return Step(_state(users, items, seen), loss, {})

        self._iterate(step, self.iterations, history, callback, show_progress)

    def _half_sweep(self, side: LmfSide, fixed: Fixed, solved: Learned, keys: np.ndarray) -> float:
        return kernels.lmf_half_sweep(
            side,
            fixed,
            solved,
            keys,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            num_threads=self.num_threads,
        )

    def _folded(self, rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        dtype = self._check_parameters()
        items = np.asarray(self.item_factors, dtype)
        item_biases, user_biases = self._item_biases, self._user_biases
        if item_biases is None:
            item_biases = np.zeros(len(items), dtype)
        fixed = self._once("fixed", self._item_factors, lambda: Fixed.of(items, item_biases))
        solved = Learned.of(np.zeros((rows.shape[0], items.shape[1]), dtype))
        if user_biases is not None:
            solved.biases[:] = user_biases.mean(dtype=np.float64)
        side = LmfSide.of(self._signed(rows), self.negatives)
        for number in range(self.iterations):
            keys = np.repeat(kernels.row_keys(_FOLD_IN_SEED, number, 1), rows.shape[0])
            if not np.isfinite(self._half_sweep(side, fixed, solved, keys)):
                raise FloatingPointError(
                    f"folding in diverged in step {number + 1}: lower learning_rate, which is "
                    f"{self.learning_rate:g}"
                )
        return solved.factors, solved.biases


def _squared(x: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", x, x, dtype=np.float64))


def _state(users: Learned, items: Learned, seen: Seen) -> dict[str, Any]:
    """What a fit publishes, in terms of FactorModel's attributes."""
    return {
        "_user_factors": users.factors,
        "_item_factors": items.factors,
        "_user_biases": users.biases,
        "_item_biases": items.biases,
        "_squares": tuple((side.squares, side.bias_squares) for side in (users, items)),
        "_seen": seen,
    }
