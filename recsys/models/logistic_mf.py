"""Implicit-feedback matrix factorization by logistic regression, one side after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.kernels import Fixed, Learned, LmfSide
from recsys.models import explanation
from recsys.models.confidence import SCHEMES, Scheme, signed_confidence
from recsys.models.factor_model import FactorModel
from recsys.models.fitted import as_fitted
from recsys.models.growth import Rows, and_as_many, lengths, taken
from recsys.models.in_file import Saved
from recsys.models.meaning import check_likes
from recsys.models.training import Step, check_size, seeded_start
from recsys.models.weights import Parameters, independent_biases, not_chosen

if TYPE_CHECKING:
    from scipy import sparse

    from recsys.models.features import Matched

# docs/defaults.md has what the defaults lose. Larger learning rates learn faster, but
# no better.
_BY_DATA = Parameters(None, 0.0, None)  # lambda of `ImplicitALS`, the same for all rows

# Training has got lost where the loss is that many times the loss of all scores being zero.
_LOST = 10.0
_FOLD_IN_SEED = 0
_LEARNED = ("user_factors", "user_biases", "item_factors", "item_biases")
_SQUARES = tuple(f"{name}_squares" for name in _LEARNED)  # in a model file


class LogisticMF(FactorModel):
    """Logistic matrix factorization of implicit feedback (plays, clicks, purchases).

    Models the probability that user u likes item i as sigma(s_ui) = 1 / (1 + e^-s_ui), with::

        s_ui = x_u . y_i + b_u + b_i

    and finds factors X and Y and biases that minimize, over **all** cells of the matrix::

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
    the confidences of an item's likes and c their mean; b_u alike, plus log(sum C / cells). In
    `partial_fit` those of all users and items move as far as that does, and of rows of which the
    share s of the entries was known s^2 is kept of the factors and of q; each step is one of the
    rows that are touched and of as many others, drawn anew.

    Parameters
    ----------
    factors : int, default 64
        Number of latent factors f, at least 1.
    learning_rate : float, default 0.1
        Size of the first step of every factor, > 0; later ones shrink.
    regularization : float or None, default None
        lambda >= 0, of the factors; biases have none. It competes with the confidences. None:
        c (sqrt(nnz / m) + sqrt(nnz / n)) / 2 for nnz entries of mean confidence c, of m users and
        n items that have any: half of what leaves no factor to entries dealt out at random, as in
        `ImplicitALS`.
    alpha : float, default 10.0
        Scale of the confidences, > 0.
    confidence : {"log", "linear", "scaled"} or callable, default "log"
        As in `ImplicitALS`: "log" is ``c = 1 + alpha log(1 + |r| / epsilon)``, "linear"
        ``c = 1 + alpha |r|``, "scaled" (Johnson's) ``c = alpha |r|``.
    epsilon : float or None, default None
        Count at which "log" bends, > 0; None takes each user's own mean ``|r|`` over stored
        entries.
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
    feature_regularization : float or None, default None
        kappa > 0, how many rows' worth of evidence stands against a feature; used where `fit` is
        given features. None: by cross-validation, and ``feature_regularization_`` says what.

    Attributes
    ----------
    user_factors : ndarray, shape (n_users, factors)
    item_factors : ndarray, shape (n_items, factors)
        X and Y, read-only; may be assigned.
    user_biases : ndarray, shape (n_users,)
    item_biases : ndarray, shape (n_items,)
        b_u and b_i, read-only.
    regularization_ : float
        lambda, as given, or as `fit` or `partial_fit` chose it.
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
    _learned_besides = ("_squares", "_fitted_lambda")
    _fitted_lambda: float | None = None  # as it was last chosen from the data
    _rounds = 8
    _fitted_names = ("regularization", "alpha", "confidence", "epsilon")

    def __init__(
        self,
        factors: int = 64,
        *,
        learning_rate: float = 0.1,
        regularization: float | None = None,
        alpha: float = 10.0,
        confidence: Scheme = "log",
        epsilon: float | None = None,
        negatives: int = 30,
        iterations: int = 30,
        init_scale: float = 0.1,
        dtype: Any = np.float32,
        num_threads: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        feature_regularization: float | None = None,
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
        self.feature_regularization = feature_regularization

    explain = explanation.explain

    def _check_counts(self, counts: sparse.csr_array) -> None:
        check_likes(counts)

    def _check_parameters(self) -> np.dtype:
        """Check every parameter; returns the dtype."""
        checks.number("learning_rate", self.learning_rate, above=0)
        if self.regularization is not None:
            checks.number("regularization", self.regularization, least=0)
        checks.number("alpha", self.alpha, above=0)
        if not callable(self.confidence):
            checks.choice("confidence", self.confidence, SCHEMES, also="a callable")
        if self.epsilon is not None:
            checks.number("epsilon", self.epsilon, above=0)
        checks.integer("negatives", self.negatives, 1)
        checks.integer("iterations", self.iterations, 0)
        return check_size(self)

    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        return signed_confidence(
            counts, self.confidence, self.alpha, self.epsilon, self.num_threads
        )

    @property
    def regularization_(self) -> float:
        """lambda, as given or as `fit` chose it."""
        lambda_ = as_fitted(self)._in_effect("regularization")
        if lambda_ is None:
            raise not_chosen()
        return lambda_

    def _in_effect(self, name: str) -> Any:
        if name == "regularization" and self.regularization is None:
            return self._fitted_lambda
        return super()._in_effect(name)

    def _chosen_on(self, counts: sparse.csr_array) -> Mapping[str, Any]:
        return {"regularization": self._chosen_for(self._signed(counts))}

    def _chosen_for(self, signed: sparse.csr_array) -> float:
        if self.regularization is not None:
            return self.regularization
        lambda_ = _BY_DATA.by_data(signed).regularization
        self._log("takes regularization=%.4g", lambda_)
        return lambda_

    # ---- training ------------------------------------------------------------------------------

    def _with_biases(self) -> tuple[bool, bool]:
        return True, True

    def _trainer(self, counts: sparse.csr_array) -> LogisticTrainer:
        return LogisticTrainer(self, self._signed(counts))

    def _half_sweep(
        self,
        side: LmfSide,
        fixed: Fixed,
        solved: Learned,
        keys: np.ndarray,
        lambda_: float,
        means: np.ndarray | None = None,
    ) -> float:
        return kernels.lmf_half_sweep(
            side,
            fixed,
            solved,
            keys,
            learning_rate=self.learning_rate,
            regularization=lambda_,
            means=means,
            num_threads=self.num_threads,
        )

    def _folded(
        self, rows: sparse.csr_array, prior: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        dtype = self._check_parameters()
        items = np.asarray(self.item_factors, dtype)
        item_biases = self._item_biases
        if item_biases is None:
            item_biases = np.zeros(len(items), dtype)
        fixed = self._once("fixed", self._item_factors, lambda: Fixed.of(items, item_biases))
        if prior is None:
            known = self._user_biases
            mean = 0.0 if known is None else known.mean(dtype=np.float64)
            solved = self._stepped(self._signed(rows), fixed, mean, _FOLD_IN_SEED)
            return solved.factors, solved.biases
        means, biases = np.ascontiguousarray(prior[:, :-1], dtype), prior[:, -1]
        solved = self._stepped(self._signed(rows), fixed, biases, _FOLD_IN_SEED, means)
        empty = np.diff(rows.indptr) == 0  # that nobody has met them says nothing against anything
        solved.factors[empty], solved.biases[empty] = means[empty], biases[empty]
        return solved.factors, solved.biases

    def _stepped(
        self,
        signed: sparse.csr_array,
        fixed: Fixed,
        biases: np.ndarray | float,
        seed: int,
        means: np.ndarray | None = None,
    ) -> Learned:
        """Rows after `iterations` steps from these biases and `means`, to which regularization
        draws their factors, or zero. All draw the same, so that none depends on the others."""
        shape = signed.shape[0], self.factors
        solved = Learned.of(np.zeros(shape, signed.dtype) if means is None else means.copy())
        solved.biases[:] = biases
        side, lambda_ = LmfSide.of(signed, self.negatives), self.regularization_
        for number in range(self.iterations):
            keys = np.repeat(kernels.row_keys(seed, number, 1), signed.shape[0])
            if not np.isfinite(self._half_sweep(side, fixed, solved, keys, lambda_, means)):
                raise FloatingPointError(
                    f"folding in diverged in step {number + 1}: lower learning_rate, which is "
                    f"{self.learning_rate:g}"
                )
        return solved

    def _learn_rows(
        self, counts: Any, new: Rows, touched: Rows, rounds: int, before: Any = None
    ) -> None:
        signed = self._signed(counts)
        if self._fitted_lambda is not None:  # it goes by how many entries there are
            self._fitted_lambda = self._chosen_for(signed)
        by_side = signed, kernels.transposed(signed, self.num_threads)
        parts, starts = self._sides_learned(), independent_biases(signed)
        if before is not None and before.nnz:
            for side, now, then in zip(
                parts, starts, independent_biases(self._signed(before)), strict=True
            ):
                side.biases[: len(then)] += now[: len(then)] - then
            _forget(parts, before, counts)
        for at in (0, 1):
            moving, other, rows, start = parts[at], parts[1 - at], new[at], starts[at]
            if len(rows):
                others = np.setdiff1d(np.flatnonzero(np.diff(by_side[at].indptr)), rows)
                beside = moving.biases[others] - start[others]  # what was learned of them besides
                entries = csr.take_rows(by_side[at], rows)
                begin = start[rows] + (beside.mean() if len(beside) else 0.0)
                _put(moving, rows, self._stepped(entries, other.fixed(), begin, counts.nnz))
        drawn = np.random.default_rng(counts.nnz)  # other ones each day
        for number in range(2 * rounds):
            at = number % 2
            rows = and_as_many(touched[at], counts.shape[at], drawn)
            keys = kernels.row_keys(counts.nnz, number, len(rows))
            self._step_of_rows(
                parts[at], parts[1 - at], csr.take_rows(by_side[at], rows), rows, keys
            )

    def _step_of_rows(
        self,
        moving: Learned,
        other: Learned,
        entries: sparse.csr_array,
        rows: np.ndarray,
        keys: np.ndarray,
    ) -> None:
        """A step for some rows of one side, written to where they are."""
        solved = Learned(*(array[rows] for array in moving))
        side = LmfSide.of(entries, self.negatives)
        loss = self._half_sweep(side, other.fixed(), solved, keys, self.regularization_)
        if not np.isfinite(loss):
            raise FloatingPointError(
                "learning the events diverged: lower learning_rate, which is "
                f"{self.learning_rate:g}"
            )
        _put(moving, rows, solved)

    def _placed(self, users: np.ndarray, items: np.ndarray, dtype: np.dtype) -> dict[str, Any]:
        state = super()._placed(users, items, dtype)
        if self._squares is not None:
            state["_squares"] = tuple(
                tuple(taken(each, rows, dtype) for each in side)
                for side, rows in zip(self._squares, (users, items), strict=True)
            )
        return state

    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        header, arrays = super()._to_file()
        return header | {"regularization": self._fitted_lambda}, arrays

    def _to_learn_on(self) -> dict[str, np.ndarray]:
        if self._squares is None:
            return {}
        named = zip(_SQUARES, (each for side in self._squares for each in side), strict=True)
        return dict(named)

    def _from_file(self, saved: Saved) -> dict[str, Any]:
        state = super()._from_file(saved)
        lambda_ = saved.header.get("regularization")
        if lambda_ is not None:
            lambda_ = checks.number("regularization", lambda_, least=0)
        state["_fitted_lambda"] = lambda_
        if _SQUARES[0] in saved.arrays:
            known = (state[f"_{name}"] for name in _LEARNED)
            squares = [
                _squares_like(array, name, saved.arrays[name])
                for array, name in zip(known, _SQUARES, strict=True)
            ]
            state["_squares"] = tuple(squares[:2]), tuple(squares[2:])
        return state

    def _sides_learned(self) -> tuple[Learned, Learned]:
        """Views of what is known of users and of items."""
        learned = []
        for at, noun in enumerate(("user", "item")):
            factors, biases = getattr(self, f"_{noun}_factors"), getattr(self, f"_{noun}_biases")
            side = Learned.of(factors)
            if biases is not None:
                side = side._replace(biases=biases)
            if self._squares is not None:
                squares, bias_squares = self._squares[at]
                side = side._replace(squares=squares, bias_squares=bias_squares)
            learned.append(side)
        users, items = learned
        vars(self).update(_state(users, items))
        return users, items


def _squares_like(array: np.ndarray, name: str, squares: np.ndarray) -> np.ndarray:
    """Sums from a file, checked, for such an array of what is learned."""
    if squares.shape != array.shape:
        raise ValueError(f"{name} has shape {squares.shape}; expected {array.shape}")
    rows = squares if squares.ndim == 2 else squares[:, np.newaxis]
    return checks.factor_matrix(name, rows, array.dtype).reshape(array.shape)


def _put(side: Learned, rows: np.ndarray, solved: Learned) -> None:
    for all_rows, some in zip(side, solved, strict=True):
        all_rows[rows] = some


def _forget(
    parts: tuple[Learned, Learned], before: sparse.csr_array, counts: sparse.csr_array
) -> None:
    """Have rows go back towards the start of a training the more there is that they have not
    learned: of one that had the share s of its entries before, s^2 is kept of its factors and of
    AdaGrad's sums of squared gradients. Else what they learned of chance when they had few entries
    stays with them, where large steps alone would take them on from it."""
    for side, then, now in zip(parts, lengths(before), lengths(counts), strict=True):
        kept = (np.maximum(then, 1) / np.maximum(now[: len(then)], 1)) ** 2
        side.factors[: len(then)] *= kept[:, np.newaxis]
        side.squares[: len(then)] *= kept[:, np.newaxis]
        side.bias_squares[: len(then)] *= kept


def _squared(x: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", x, x, dtype=np.float64))


class LogisticTrainer:
    """Trains a `LogisticMF`; see `training.Trainer`."""

    def __init__(self, model: LogisticMF, signed: sparse.csr_array) -> None:
        self.model, self.signed = model, signed
        self.lambda_ = model._chosen_for(signed)
        self.ahead: Learned | None = None
        self.spare: Any = None

    def start(self, continues: bool, features: Mapping[str, Matched]) -> None:
        model, signed = self.model, self.signed
        self.seed, drawn = seeded_start(model, signed.shape, signed.dtype, continues)
        self.current = Learned.of(drawn.users), Learned.of(drawn.items)
        for side, biases in zip(self.current, drawn[2:], strict=True):
            side.biases[:] = biases
        if not continues:
            for side, start in zip(self.current, independent_biases(signed), strict=True):
                side.biases[:] = start
        elif model._squares is not None:
            for side, squares in zip(self.current, model._squares, strict=True):
                side.squares[:], side.bias_squares[:] = squares

    def state(self) -> dict[str, Any]:
        return _state(*self.current) | {"_fitted_lambda": self.lambda_}

    def step(self, number: int) -> Step:
        if self.ahead is None:
            self._prepare(number - 1)
        users, items = self.ahead, self.spare[1]
        self._sweep(2 * number - 1, users, self.current[1], items)
        loss = self._sweep(2 * number, items, users, self.spare[0])
        loss = self._checked(loss, users, items, number)
        self.current, self.spare, self.ahead = (users, items), self.current, self.spare[0]
        return Step(loss, {})

    def finish(self) -> None:
        """There is nothing to warn of."""

    def _prepare(self, done: int) -> None:
        """The users' step of an iteration is taken at the end of the one before: it tells the loss
        of what is going to be published."""
        self.sides = kernels.lmf_sides(self.signed, self.model.negatives, self.model.num_threads)
        self.spare = self.current[0].copy(), self.current[1].copy()
        self.ahead = self.current[0].copy()
        loss = self._sweep(2 * done, self.current[1], self.current[0], self.ahead)
        self._checked(loss, *self.current, done)

    def _sweep(self, at: int, fixed: Learned, source: Learned, target: Learned) -> float:
        source.copy_to(target)
        side = self.sides[at % 2]
        keys = side.keys(self.seed, at)
        return self.model._half_sweep(side, fixed.fixed(), target, keys, self.lambda_)

    def _checked(self, loss: float, users: Learned, items: Learned, number: int) -> float:
        """The loss with the regularization; FloatingPointError where training has got lost."""
        model, cells = self.model, math.prod(self.signed.shape)
        loss += self.lambda_ / 2 * (_squared(users.factors) + _squared(items.factors))
        weights = float(np.abs(self.signed.data).sum(dtype=np.float64))
        lost = _LOST * math.log(2) * (cells + weights)
        if loss <= lost:
            return loss
        raise FloatingPointError(
            f"training diverged in iteration {number}: the loss is {loss:.3g}; expected at "
            f"most {lost:.3g}, {_LOST:g} times that of scores of zero. Lower learning_rate, "
            f"which is {model.learning_rate:g}, or init_scale, which is {model.init_scale:g}"
        )


def _state(users: Learned, items: Learned) -> dict[str, Any]:
    """In terms of FactorModel's attributes."""
    return {
        "_user_factors": users.factors,
        "_item_factors": items.factors,
        "_user_biases": users.biases,
        "_item_biases": items.biases,
        "_squares": tuple((side.squares, side.bias_squares) for side in (users, items)),
    }
