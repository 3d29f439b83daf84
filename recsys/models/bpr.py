"""Pairwise ranking of implicit feedback: BPR and WARP by stochastic gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.kernels import PairwiseFoldIn, PairwiseSGD, Rates
from recsys.models import explanation, features
from recsys.models.factor_model import FactorModel
from recsys.models.gradient import GradientTrainer, all_finite, bands, check_epochs, drawn_to
from recsys.models.growth import Rows
from recsys.models.meaning import check_likes
from recsys.models.training import Iteration, NotFittedError, Start

if TYPE_CHECKING:
    from scipy import sparse

LOSSES = ("bpr", "warp")
SAMPLERS = ("uniform", "popular", "adaptive", "hard")
# What None stands for; docs/defaults.md has what it loses.
_RATE = 0.02
_REGULARIZATION = 0.015
# WARP looks for items that violate, so that its steps stay large, and more is to draw factors back:
# the user's most, as a step has two items.
_WARP_MANY, _WARP_FEW = (0.15, 0.05, 0.05), (0.15, 0.07, 0.07)
# Of fewer items what scores high and is not liked is too often what will be.
_MANY_ITEMS = 2500

# Steps of training, so that newcomers are measured by what the items were learned for.
_FOLD_IN_EPOCHS = 30
_FOLD_IN_KEY = 0  # of what is drawn
_SKIPPED = 0.9  # the share of steps not made from which on that is worth a warning


@dataclass(frozen=True)
class PairwiseEpoch(Iteration):
    """One entry of `BPR.history`, see `Iteration`; the loss is the mean over steps.

    Attributes
    ----------
    correct : float
        Share of the steps whose two items were in the right order before it.
    skipped : int
        Steps not made, as no item was found that the user does not like.
    learning_rate : float
        Of the epoch.
    """

    correct: float
    skipped: int
    learning_rate: float


class BPR(FactorModel):
    """Matrix factorization that ranks what a user likes above the rest (plays, clicks, purchases).

    An item i that a user u likes (a stored count r_ui > 0; a count that is not positive is no like,
    but its item is not recommended) is compared with an item j that u does
    not like, by::

        s_uij = x_u . (y_i - y_j) + b_i - b_j

    and a step goes down the gradient of log(1 + e^-s_uij) (Rendle et al. 2009, section 4), with
    z = sigma(-s_uij) and rate eta::

        x_u += eta (z (y_i - y_j) - lambda_u x_u)
        y_i += eta (z x_u - lambda_i y_i)      b_i += eta (z - lambda_i b_i)
        y_j += eta (-z x_u - lambda_j y_j)     b_j += eta (-z - lambda_j b_j)

    With ``loss="warp"`` (Weston et al. 2011) items j are drawn until one has s_uij < `margin`;
    there is no step if none of `max_trials` has. If it took t draws, i ranks about
    (n_items - 1) / t th, and z is H((n_items - 1) / t) / H(n_items - 1): the loss that WARP gives
    the rank, H(k) = 1 + 1/2 + ... + 1/k, scaled to at most 1.

    An epoch has `negatives` steps for each liked entry. Its order, and every item drawn, follow
    from `random_state` alone: users and items form a grid of bands whose cells are gone through in
    rounds, all cells of a round being independent of each other. Within a cell the s_uij of up to 8
    steps, as a rule of different users, are worked out before the updates of these steps.

    Parameters
    ----------
    factors : int, default 64
        Number of latent factors f, at least 1.
    learning_rate : float or None, default None
        eta > 0 of the first epoch. None: 0.02.
    regularization : float, (float, float, float) or None, default None
        lambda >= 0; three of them are lambda_u, lambda_i and lambda_j. None: 0.015 for "bpr"; for
        "warp", whose steps stay large, (0.15, 0.05, 0.05) from 2,500 items on, else
        (0.15, 0.07, 0.07).
    epochs : int, default 50
        Epochs a call of `fit` makes; 0 stops at the initial factors.
    negatives : int or None, default None
        Steps for each liked entry in an epoch, each with an item j of its own; time grows with it.
        None: 10 for "bpr", or 5 of "hard" ones; 1 for "warp", which looks for items that matter.
    loss : {"bpr", "warp"}, default "bpr"
    sampler : {"uniform", "popular", "adaptive", "hard"} or None, default None
        How an item j is drawn; one that the user likes is drawn again, 15 times at most. None:
        "hard" for "bpr" from 2,500 items on, else "uniform". (Among few, an item that
        scores high though it is not liked is often one that will be.)

        - "uniform": every item alike.
        - "popular": by the number of its likes to the power `popularity_exponent`.
        - "adaptive": by its rank along one factor k, which is drawn by ``abs(x_uk)`` times the
          standard deviation of y_k; ranks are exponential with a mean of `adaptive_share` of the
          items (Rendle and Freudenthaler 2014). Items are ranked anew every
          n_items log2(n_items) steps.
        - "hard": of `hard_candidates` uniform draws, the one with the highest score.

        "warp" takes "uniform" and "popular".
    popularity_exponent : float, default 0.75
        At least 0.
    adaptive_share : float, default 0.1
        More than 0, at most 1. Small shares draw the same few items and want many `negatives`.
    hard_candidates : int, default 5
        At least 2.
    margin : float, default 1.0
        Of "warp", > 0.
    max_trials : int, default 50
        Of "warp", at least 1.
    item_bias : bool, default True
        Whether there are b_i.
    learning_rate_decay : float, default 0.0
        The rate of epoch e = 1, 2, ... is ``learning_rate / (1 + learning_rate_decay * (e - 1))``.
    weighted : bool, default False
        Scale a step by r_ui over the mean of all r_ui > 0.
    schedule : {"deterministic", "hogwild"}, default "deterministic"
        "hogwild": threads go through users side by side and write to the same items (Niu et al.
        2011), so that the result differs from run to run if there is more than one thread. It is
        the slower one where the items do not fit into a processor's cache.
    init_scale : float, default 0.1
        Initial factors are normal, of mean 0 and standard deviation ``init_scale / sqrt(f)``; > 0.
    dtype : np.float32 or np.float64, default np.float32
        Type of factors and biases.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit, unless
        the schedule is "hogwild". At most 16 threads find work.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default None
        Source of the initial factors and of what is drawn. An int gives the same model every time.
    feature_regularization : float or None, default None
        kappa > 0, how many rows' worth of evidence stands against a feature; used where `fit` is
        given features, to which regularization then draws in the second half of the epochs (see
        ``docs/features.md``). None: by cross-validation, and ``feature_regularization_`` says what.

    Attributes
    ----------
    user_factors : ndarray, shape (n_users, factors)
    item_factors : ndarray, shape (n_items, factors)
        X and Y, read-only; may be assigned.
    item_biases : ndarray, shape (n_items,), or None
        b_i, read-only.
    history : list of PairwiseEpoch
        Seconds, mean loss, share of correctly ordered steps and skipped steps of each epoch.

    Notes
    -----
    `fit` needs the memory of the factors three times, and 8 bytes for each entry.

    References
    ----------
    S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme, "BPR: Bayesian Personalized Ranking
    from Implicit Feedback", UAI 2009.
    S. Rendle, C. Freudenthaler, "Improving Pairwise Learning for Item Recommendation from Implicit
    Feedback", WSDM 2014.
    J. Weston, S. Bengio, N. Usunier, "WSABIE: Scaling Up To Large Vocabulary Image Annotation",
    IJCAI 2011.
    F. Niu, B. Recht, C. Re, S. Wright, "Hogwild!: A Lock-Free Approach to Parallelizing Stochastic
    Gradient Descent", NIPS 2011.

    Examples
    --------
    >>> import scipy.sparse
    >>> plays = scipy.sparse.csr_array([[5, 3, 0, 0], [4, 0, 0, 0], [0, 0, 2, 9]])
    >>> model = BPR(factors=2, learning_rate=0.2, random_state=0).fit(plays)
    >>> items, scores = model.recommend(1, N=1)
    >>> items
    array([1], dtype=int32)
    """

    _entry = PairwiseEpoch
    _iterations_name = "epochs"
    _rounds = 10
    _fitted_names = ("loss", "regularization", "margin", "weighted")
    _learns_features = True

    def __init__(
        self,
        factors: int = 64,
        *,
        learning_rate: float | None = None,
        regularization: float | tuple[float, float, float] | None = None,
        epochs: int = 50,
        negatives: int | None = None,
        loss: str = "bpr",
        sampler: str | None = None,
        popularity_exponent: float = 0.75,
        adaptive_share: float = 0.1,
        hard_candidates: int = 5,
        margin: float = 1.0,
        max_trials: int = 50,
        item_bias: bool = True,
        learning_rate_decay: float = 0.0,
        weighted: bool = False,
        schedule: str = "deterministic",
        init_scale: float = 0.1,
        dtype: Any = np.float32,
        num_threads: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        feature_regularization: float | None = None,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.epochs = epochs
        self.negatives = negatives
        self.loss = loss
        self.sampler = sampler
        self.popularity_exponent = popularity_exponent
        self.adaptive_share = adaptive_share
        self.hard_candidates = hard_candidates
        self.margin = margin
        self.max_trials = max_trials
        self.item_bias = item_bias
        self.learning_rate_decay = learning_rate_decay
        self.weighted = weighted
        self.schedule = schedule
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
        checks.choice("loss", self.loss, LOSSES)
        self._regularizations(0)
        if self.negatives is not None:
            checks.integer("negatives", self.negatives, 1)
        if self.sampler is not None:
            checks.choice("sampler", self.sampler, SAMPLERS)
        if self.loss == "warp" and self.sampler in ("adaptive", "hard"):
            raise ValueError(
                f"loss='warp' looks for hard items itself; got sampler={self.sampler!r}, expected "
                "'uniform' or 'popular'"
            )
        checks.number("popularity_exponent", self.popularity_exponent, least=0)
        if checks.number("adaptive_share", self.adaptive_share, above=0) > 1:
            raise ValueError(f"adaptive_share must be at most 1; got {self.adaptive_share}")
        checks.integer("hard_candidates", self.hard_candidates, 2)
        checks.number("margin", self.margin, above=0)
        checks.integer("max_trials", self.max_trials, 1)
        checks.flag("item_bias", self.item_bias)
        checks.flag("weighted", self.weighted)
        return check_epochs(self)

    def _in_effect(self, name: str) -> Any:
        checks.choice("loss", self.loss, LOSSES)
        if name in ("sampler", "negatives", "regularization"):
            factors = self._item_factors
            return self._chosen_among(0 if factors is None else len(factors))[name]
        value = getattr(self, name)
        return _RATE if name == "learning_rate" and value is None else value

    def _chosen_on(self, counts: sparse.csr_array) -> Mapping[str, Any]:
        return self._chosen_among(counts.shape[1])

    def _chosen_among(self, n_items: int) -> dict[str, Any]:
        """Sampler, negatives and regularization where there are so many items."""
        sampler, negatives, lambda_ = self.sampler, self.negatives, self.regularization
        warp, many = self.loss == "warp", n_items >= _MANY_ITEMS
        if sampler is None:
            sampler = "hard" if many and not warp else "uniform"
        if negatives is None:
            negatives = 1 if warp else 5 if sampler == "hard" else 10
        if lambda_ is None:
            lambda_ = (_WARP_MANY if many else _WARP_FEW) if warp else _REGULARIZATION
        return {"sampler": sampler, "negatives": negatives, "regularization": lambda_}

    def _regularizations(self, n_items: int) -> tuple[float, float, float]:
        value = self._chosen_among(n_items)["regularization"]
        if not isinstance(value, tuple | list):
            return (checks.number("regularization", value, least=0),) * 3
        if len(value) != 3:
            raise ValueError(
                f"regularization must be a number or (user, positive, negative); got {value!r}"
            )
        user, positive, negative = (
            checks.number("regularization", part, least=0) for part in value
        )
        return user, positive, negative

    # ---- training ------------------------------------------------------------------------------

    def _with_biases(self) -> tuple[bool, bool]:
        return False, self.item_bias

    def _trainer(self, counts: sparse.csr_array) -> GradientTrainer:
        chosen = self._chosen_among(counts.shape[1])
        self._log(
            "draws items by sampler=%r, negatives=%d; takes regularization=%s", *chosen.values()
        )
        return GradientTrainer(self, _liked(counts))

    def _engine(self, entries: sparse.csr_array, start: Start) -> PairwiseSGD:
        weights = None
        if self.weighted:
            weights = (entries.data / entries.data.mean()).astype(entries.dtype)
        options = self._drawing(_popularity(entries))
        return PairwiseSGD(entries, *start, weights=weights, bands=bands(self), **options)

    def _epoch(self, engine: PairwiseSGD, rate: float, key: int) -> tuple[float, dict[str, Any]]:
        sums = engine.epoch(
            Rates(rate, *self._regularizations(engine.n_items)), key, self.num_threads
        )
        steps = max(sums.steps, 1)
        return sums.loss / steps, {"correct": sums.correct / steps, "skipped": sums.skipped}

    def _doubts(self, last: dict[str, Any], entries: sparse.csr_array) -> str | None:
        steps = entries.nnz * self._chosen_among(entries.shape[1])["negatives"]
        if last["skipped"] <= _SKIPPED * steps:
            return None
        return (
            f"{last['skipped']} of the {steps} steps of the last epoch were not made, as no item "
            "was found that the user does not like: nearly everything is liked. Is user_items a "
            "dense matrix, or one of ratings? Keep only what users chose themselves"
        )

    def _drawing(self, popularity: np.ndarray) -> dict[str, Any]:
        """How items, of so many likes in training, are drawn to be compared with liked ones."""
        drawn = self._chosen_among(len(popularity))
        sampler = drawn["sampler"]
        options: dict[str, Any] = {"negatives": drawn["negatives"], "margin": self.margin}
        if sampler == "popular":
            options["chances"] = (popularity / popularity.max()) ** self.popularity_exponent
        elif sampler == "adaptive":
            options["adaptive_share"] = self.adaptive_share
        elif sampler == "hard":
            options["candidates"] = self.hard_candidates
        if self.loss == "warp":
            options["candidates"] = self.max_trials
            options["rank_weights"] = _rank_weights(len(popularity), self.max_trials)
        return options

    def _folded(
        self, rows: sparse.csr_array, prior: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        dtype = self._check_parameters()
        engine, mean = self._once(
            f"fold-in by {self!r}", self._item_factors, lambda: self._fold_in_engine(dtype)
        )
        liked = _liked(rows)
        weights = (liked.data / mean).astype(dtype) if self.weighted else None
        rate = self._in_effect("learning_rate")
        factors = engine.users(
            liked,
            Rates(rate, *self._regularizations(len(self._item_factors))),
            _FOLD_IN_KEY,
            _FOLD_IN_EPOCHS,
            means=None if prior is None else prior.astype(dtype),
            weights=weights,
            num_threads=self.num_threads,
        )
        if not np.isfinite(factors).all():
            raise FloatingPointError(f"folding in diverged: lower learning_rate, which is {rate:g}")
        return factors, None

    def _learn_rows(
        self, counts: Any, new: Rows, touched: Rows, rounds: int, before: Any = None
    ) -> None:
        if len(new[0]):
            self._user_factors[new[0]] = self._folded(csr.take_rows(counts, new[0]))[0]
        liked = _liked(csr.take_rows(counts, touched[0]))
        if not rounds or not liked.nnz:
            return
        users = touched[0]
        start = Start(self._user_factors[users], self._item_factors, None, self._item_biases)
        known = _liked(counts)
        engine, done = self._engine(liked, start), len(self._history)
        engine.draw_to(
            drawn_to(features.expected_of(self, "users", users), np.diff(known.indptr)[users]),
            drawn_to(features.expected_of(self, "items"), _popularity(known)),
        )
        rate = self._in_effect("learning_rate") / (1 + self.learning_rate_decay * done)
        seed = int(checks.random_generator(self.random_state).integers(2**64, dtype=np.uint64))
        seed = (seed + counts.nnz) % 2**64  # another one each day
        for number in range(done, done + rounds):
            self._epoch(engine, rate, kernels.epoch_key(seed, number))
        engine.learned((start.users, start.items, None, start.item_biases))
        if not all_finite(start):
            raise FloatingPointError(
                f"learning the events diverged: lower learning_rate, which is {rate:g}"
            )
        self._user_factors[users] = start.users

    def _fold_in_engine(self, dtype: np.dtype) -> tuple[PairwiseFoldIn, float]:
        """What learns users against the present items, and what their counts are relative to."""
        items, biases = np.asarray(self._item_factors, dtype), self._item_biases
        popularity, mean = np.zeros(len(items)), 1.0
        if self.weighted or self.sampler == "popular":
            remembered = self._training_matrix
            if remembered is None or remembered.shape[1] != len(items):
                raise NotFittedError(
                    f"with weighted={self.weighted} and sampler={self.sampler!r} folding in goes "
                    "by the counts of training, and none are remembered of these items: call "
                    "fit(user_items) first"
                )
            liked = _liked(remembered.counts(dtype))
            popularity, mean = _popularity(liked), float(liked.data.mean())
        biases = None if biases is None else np.asarray(biases, dtype)
        return PairwiseFoldIn(items, biases, **self._drawing(popularity)), mean


def _popularity(liked: sparse.csr_array) -> np.ndarray:
    return np.bincount(liked.indices, minlength=liked.shape[1])


def _liked(counts: sparse.csr_array) -> sparse.csr_array:
    """The positive entries."""
    return csr.keep(counts, counts.data > 0)


def _rank_weights(n_items: int, max_trials: int) -> np.ndarray:
    """H(rank) / H(n_items - 1), where t trials mean rank (n_items - 1) / t, but at least 1."""
    harmonic = np.cumsum(1 / np.arange(1, max(n_items, 2)))
    ranks = np.maximum((n_items - 1) // np.arange(1, max_trials + 1), 1)
    return harmonic[ranks - 1] / harmonic[-1]
