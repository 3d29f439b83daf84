"""Recommending and comparing with two factor matrices, whatever trained them."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.interactions import Features
from recsys.interactions.read_only import read_only
from recsys.models import (
    factor_file,
    factor_lists,
    feature_methods,
    fitted,
    growth,
    ids,
    reach,
    scoring,
    similar,
    training,
)
from recsys.models import feature_answers as by_features
from recsys.models.feature_methods import both_or_factors
from recsys.models.in_file import Saved
from recsys.models.meaning import as_ratings
from recsys.models.model import Lists, Model
from recsys.models.selection import Choice
from recsys.models.training import Callback, NotFittedError, Trainer

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")


class FactorModel(Model):
    """A model that scores item i for user u by the inner product of their factors, x_u . y_i; one
    that has biases adds mean + b_u + b_i.

    Fitting remembers the matrix trained on: to leave its entries out of recommendations, and so
    that single users and items can be learned later without it.
    """

    factors: int
    init_scale: float
    random_state: Any

    _iterations_name: ClassVar[str] = "iterations"  # the parameter that says how many
    _user_factors: np.ndarray | None = None
    _item_factors: np.ndarray | None = None
    _user_biases: np.ndarray | None = None
    _item_biases: np.ndarray | None = None
    _mean: float = 0.0
    _topk = staticmethod(kernels.topk)  # another one where an index answers
    _ratings: ClassVar[bool] = False  # whether entries are ratings: later ones replace earlier ones
    _learns_items: ClassVar[bool] = False  # whether single ones are learned by entries
    _learns_features: ClassVar[bool] = False  # whether training goes by features
    _rounds: ClassVar[int] = 1  # of a day's events
    _fitted_names: ClassVar[tuple[str, ...]] = ()  # parameters of what is minimized
    _fitted: Mapping[str, Any] = MappingProxyType({})  # these, as the last fit had them
    _learned_besides: ClassVar[tuple[str, ...]] = ()  # what else belongs to rows, see `_placed`

    # Written as functions of a model, which a class takes for its methods
    similar_users = similar.similar_users
    recommend_users = reach.recommend_users
    fold_in_items = feature_methods.fold_in_items
    partial_fit_items = feature_methods.partial_fit_items
    explain_features = feature_methods.explain_features
    item_features = property(feature_methods.item_features)
    user_features = property(feature_methods.user_features)
    item_feature_factors = property(feature_methods.item_feature_factors)
    user_feature_factors = property(feature_methods.user_feature_factors)
    feature_regularization_ = property(feature_methods.feature_regularization_)
    _pair_scores = scoring.pair_scores
    _similar = scoring.nearest

    def fit(
        self,
        user_items: Any,
        y: None = None,
        *,
        validation: Any = None,
        metric: str | None = None,
        patience: int | None = None,
        min_gain: float = 0.0,
        validate_every: int = 5,
        callback: Callback | None = None,
        show_progress: bool = True,
        warm_start: bool = False,
        item_features: Features | None = None,
        user_features: Features | None = None,
    ) -> Self:
        """Train on a user-item matrix, which is never changed; the model keeps a copy.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n_users x n_items, or Interactions
            Counts r_ui, or ratings, one row a user; any format (CSR is best) and any real dtype.
            Duplicates are summed. Fitted on Interactions, the model speaks their ids in place of
            row numbers, and has them as `users` and `items`.
        y : None
            There is no target: this is where scikit-learn's pipelines pass None.
        validation : scipy sparse matrix or array, or Interactions, optional
            What was held out of `user_items`, to measure the model by; training does not see it.
            Of Interactions, entries of users and items that are not in `user_items` are left out,
            and the log says how many.
        metric : str, default "ndcg@10", of models of ratings "rmse"
            Any of `recsys.evaluation.USER_METRICS` at any length of the lists, as `evaluate`
            measures it: of the items a user has no entry for in `user_items`, those with an entry
            greater than zero in `validation` are relevant. To save time 5,000 users, drawn with a
            fixed seed, stand for more. Or "rmse" or "mae" of all ratings in `validation`, where
            scores are ratings.
        patience, min_gain : int, optional; float, default 0.0
            Stop after so many validations in a row without a gain: by more than `min_gain` times
            the value that was the last gain. The model is then that of the best one, however it
            ends, see `best_iteration`. A warning is logged where the iterations are too few for
            that. None: validation is in `history`, and changes nothing.
        validate_every : int, default 5
            Validate after each so-many-th iteration, and after the last.
        callback : callable, optional
            ``callback(iteration, seconds, loss)`` after each iteration (of some models: epoch),
            counted from 1; loss is None where it is not computed. The model may be used inside it.
            Returning a true value stops the training.
        show_progress : bool, default True
            Show a progress bar where the output is a terminal or a notebook.
        warm_start : bool, default False
            Continue from what the model has, of as many `factors`, and go on counting iterations:
            with an int as `random_state`, fits of 3 and of 4 iterations give what one of 7 gives
            (of ALS without `acceleration`). There may be more users and items than before, in a
            matrix at the end, by ids anywhere: what is known of others stays theirs, and new ones
            are folded in first. By default, and on a model not fitted yet, training starts fresh.
        item_features, user_features : Features, optional
            What is known of items, of users, by id; without ids row k is column (row) k of the
            matrix. ALS and BPR are trained with them, of other models factors and biases are
            regressed on them in the end; those without entries get what is expected by features,
            new ones become part of the model. See ``docs/features.md``. Ctrl-C: without.

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
            Ctrl-C. The model is left at the last finished iteration, with `patience` at the best
            one; if there was none, as it was. So it is for whatever `callback` raises.

        Warns
        -----
        NumericalWarning
            The counts spread too far for the dtype, rows had to be solved again in double, or
            hardly any step could be made.
        """
        training.no_target(y)
        training.fit(
            self,
            user_items,
            validation=validation,
            metric=metric,
            patience=patience,
            min_gain=min_gain,
            validate_every=validate_every,
            callback=callback,
            show_progress=show_progress,
            warm_start=warm_start,
            item_features=item_features,
            user_features=user_features,
        )
        return self

    def partial_fit(self, events: Any, y: None = None, *, rounds: int | None = None) -> Self:
        """Learn from a day's events, of users and items that are known and of new ones.

        Adds the events to what is remembered (of ratings, new ones replace old ones), and learns
        the users and items that they touch from all that is then known of these, new ones first.
        Models by least squares and `ExplicitSGD` solve the users' rows and the items' in turn,
        `LogisticMF` takes steps for them and as many others, drawn anew each time, which are to go
        with them; `BPR` makes epochs of all that the users have.

        Parameters
        ----------
        events : Interactions, or scipy sparse matrix or array
            New users and items come after those the model has. A matrix has the model's rows and
            columns, and new ones beyond them.
        y : None
        rounds : int, optional
            How many times. None: 2 by least squares, 8 of `LogisticMF`, 10 of `BPR`.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fit`; nothing is remembered; a matrix is smaller than the model. Nothing is
            changed then, nor by Ctrl-C.
        """
        training.no_target(y)
        dtype = self._check_parameters()
        rounds = checks.integer("rounds", self._rounds if rounds is None else rounds, 1)
        self._both_factors()
        events = as_ratings(events) if self._ratings else events
        vocabulary, events = ids.with_newcomers(self._vocabulary(), events)
        growth.learn_day(self, csr.canonical(events, dtype, name="events"), vocabulary, rounds)
        return self

    @property
    def user_factors(self) -> np.ndarray:
        """X, n_users x factors: a read-only view. To change some of it, change a copy and assign
        that; what is assigned is copied.

        In `fit` its memory is reused two iterations later: a callback that keeps it copies it.
        """
        return read_only(self._factors("_user_factors"))

    @user_factors.setter
    def user_factors(self, value: Any) -> None:
        self._assign("user_factors", value)

    @property
    def item_factors(self) -> np.ndarray:
        """Y, n_items x factors; see `user_factors`."""
        return read_only(self._factors("_item_factors"))

    @item_factors.setter
    def item_factors(self, value: Any) -> None:
        self._assign("item_factors", value)

    @property
    def user_biases(self) -> np.ndarray | None:
        """b_u, one a user: a read-only view. None: it has none."""
        return None if self._user_biases is None else read_only(self._user_biases)

    @property
    def item_biases(self) -> np.ndarray | None:
        """b_i, one for each item; see `user_biases`."""
        return None if self._item_biases is None else read_only(self._item_biases)

    @property
    def mean(self) -> float:
        """What every score has in common beside the biases; 0 where there is no such thing."""
        return self._mean

    def fold_in(
        self, user_items: Any = None, *, user_features: Features | None = None
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Factors of users the model was not trained on, and their biases if it has such; items
        held fixed.

        Stores nothing; what a user gets does not depend on the others. Models by least squares and
        `ExplicitSGD` solve each row exactly, whatever `solver` is. `BPR` makes 30 epochs of its
        steps for x_u alone, from zero, at the first learning rate. `LogisticMF` takes `iterations`
        steps from zero factors and the mean of the users' biases. With features these two begin
        at what is expected by them.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n x n_items, or Interactions
            Counts, one row a user, as in `fit`; of Interactions in the order of their users.
        user_features : Features, optional
            Of a model fitted with such: what is known of the users, without entries or beside
            them. Then ``lambda_u |x_u - m_u|^2`` takes the place of ``lambda_u |x_u|^2``, m_u being
            what is expected by the features.

        Returns
        -------
        factors : ndarray of the model's dtype, shape (n, factors)
            Of a user without entries or features zeros, unless there are biases and unobserved
            cells weigh something.
        biases : ndarray of the model's dtype, shape (n,)
            Only of a model whose users have biases; one without returns the factors alone.

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fit` and `recommend`.
        """
        if user_features is not None:
            return both_or_factors(by_features.folded(self, "users", user_features, user_items))
        if user_items is None:
            raise TypeError("fold_in takes user_items, or user_features=..., or both; got neither")
        user_items = ids.newcomers_entries(self._vocabulary(), "users", user_items)

        counts = csr.canonical(user_items, self._check_parameters(), may_be_empty=True)
        checks.columns("user_items", counts.shape, len(self.item_factors), "items")
        return both_or_factors(self._fold(counts))

    # ---- what a model of this kind provides ----------------------------------------------------

    @abstractmethod
    def _trainer(self, counts: sparse.csr_array) -> Trainer:
        """What trains the model on checked counts; see `training.fit`."""

    def _check_counts(self, counts: sparse.csr_array) -> None:
        """Whether there is anything to learn from."""

    def _in_effect(self, name: str) -> Any:
        if name != self._iterations_name:
            return super()._in_effect(name)
        matrix = self._training_matrix
        return (
            self._times(0, 0)
            if matrix is None
            else self._times(matrix.shape[0], len(matrix.indices))
        )

    def _chosen_on(self, counts: sparse.csr_array) -> Mapping[str, Any]:
        return {self._iterations_name: self._times(counts.shape[0], counts.nnz)}

    def _times(
        self, n_users: int, entries: int, continues: bool = False, features: bool = False
    ) -> int:
        """How many iterations `fit` makes on so many entries of so many users."""
        return int(getattr(self, self._iterations_name))

    def _with_biases(self) -> tuple[bool, bool]:
        """Whether there are user and item biases."""
        return False, False

    def _learn_rows(
        self, counts: Any, new: growth.Rows, touched: growth.Rows, rounds: int, before: Any = None
    ) -> None:
        """Learn new users and items, whose rows are zeros, from all that is known; then those that
        are touched, so many times. `before`: what was known so far. Only of twins."""
        raise TypeError(f"{type(self).__name__} cannot learn newcomers or events: call fit")

    def _placed(self, users: np.ndarray, items: np.ndarray, dtype: np.dtype) -> dict[str, Any]:
        """What is learned, with that of row ``users[i]`` in row i, and zeros for -1."""
        of_rows = zip(growth.LEARNED, (users, items) * 2, strict=True)
        known = {name: (getattr(self, name), rows) for name, rows in of_rows}
        return {
            name: None if array is None else growth.taken(array, rows, dtype)
            for name, (array, rows) in known.items()
        }

    def _folded(
        self, rows: sparse.csr_array, prior: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Factors, and biases if the model has them, of users with these entries; drawn to
        `prior`, biases as one more column, which those without entries get."""
        raise TypeError(f"{type(self).__name__} cannot fold in users: pass fold_in=False")

    # ---- files ---------------------------------------------------------------------------------

    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        header, arrays = factor_file.written(self)
        return header | {"fitted": fitted.written(self)}, arrays

    def _from_file(self, saved: Saved) -> dict[str, Any]:
        state = factor_file.read(saved.header, saved.arrays, checks.floating_dtype(self.dtype))
        return state | {"_fitted": fitted.read(self, saved.header)}

    # ---- lists ---------------------------------------------------------------------------------

    def _assign(self, name: str, value: Any) -> None:
        factors = checks.factor_matrix(name, value, checks.floating_dtype(self.dtype))
        biases = getattr(self, "_" + name.replace("factors", "biases"))
        if biases is not None:
            factor_file.check_length(name, factors, len(biases))
        if np.may_share_memory(factors, value):
            factors = factors.copy()
        state = growth.in_dtype(self, factors.dtype) | {f"_{name}": factors, "_features": {}}
        self._publish(state)

    def _once(self, what: str, factors: Any, make: Callable[[], Any]) -> Any:
        """What `make` makes of `factors`, kept until there are others."""
        made_of, result = self._prepared.get(what, (None, None))
        if made_of is not factors:
            result = make()
            self._prepared[what] = factors, result
        return result

    def _norms(self, what: str, rows: np.ndarray) -> np.ndarray:
        return self._once(f"norms of {what}", rows, lambda: kernels.norms(rows))

    def _known_shape(self) -> tuple[int, int]:
        user_factors, item_factors = self._both_factors()
        return len(user_factors), len(item_factors)

    def _lists(
        self,
        users: np.ndarray,
        counts: sparse.csr_array | None,
        rows: np.ndarray,
        choice: Choice,
        N: int,
        *,
        filter_seen: bool,
        fold_in: bool,
    ) -> Lists:
        return factor_lists.lists(
            self, users, counts, rows, choice, N, filter_seen=filter_seen, fold_in=fold_in
        )

    def _fold(self, rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray | None]:
        name = type(self).__name__
        logger.debug("%s folds in %d users of %d entries", name, rows.shape[0], rows.nnz)
        return fitted.as_fitted(self)._folded(rows)

    def _factors(self, name: str) -> np.ndarray:
        factors = getattr(self, name)
        if factors is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no {name[1:]} yet: call fit(user_items) first"
            )
        return factors

    def _both_factors(self) -> tuple[np.ndarray, np.ndarray]:
        user_factors, item_factors = self._factors("_user_factors"), self._factors("_item_factors")
        if user_factors.shape[1] != item_factors.shape[1]:
            raise ValueError(
                f"user_factors has shape {user_factors.shape} and item_factors "
                f"{item_factors.shape}; expected the same number of columns"
            )
        return user_factors, item_factors
