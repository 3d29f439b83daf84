"""Recommending and comparing with two factor matrices, whatever trained them."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.models import ids, training
from recsys.models.model import Lists, Model, read_only
from recsys.models.selection import Choice, list_length, scored_pairs
from recsys.models.training import Callback, NotFittedError, Trainer

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

_BLOCK = 1 << 16  # pairs scored together
_FACTORS, _BIASES = ("user_factors", "item_factors"), ("user_biases", "item_biases")


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

    def fit(
        self,
        user_items: Any,
        y: None = None,
        *,
        validation: Any = None,
        metric: str | None = None,
        patience: int | None = None,
        validate_every: int = 5,
        callback: Callback | None = None,
        show_progress: bool = True,
        warm_start: bool = False,
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
        patience : int, optional
            Stop after so many validations in a row that are not better than the best one. However
            the training ends, the model is then that of the best validation, `best_iteration`;
            a copy of it is kept meanwhile.
            None: validation changes nothing, it is in `history` only.
        validate_every : int, default 5
            Validate after each so-many-th iteration, and after the last.
        callback : callable, optional
            ``callback(iteration, seconds, loss)`` after each iteration (of some models: epoch),
            counted from 1; loss is None where it is not computed. The model may be used inside it.
            Returning a true value stops the training.
        show_progress : bool, default True
            Show a progress bar where the output is a terminal or a notebook.
        warm_start : bool, default False
            Continue from what the model has, which must have the shapes of `user_items` and
            `factors`, and go on counting iterations: with an int as `random_state`, fits of 3 and
            of 4 iterations give what one of 7 gives (of ALS without `acceleration`). By default,
            and on a model not fitted yet, training starts fresh. Of a model that speaks ids they
            must be the same, in order.

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
            validate_every=validate_every,
            callback=callback,
            show_progress=show_progress,
            warm_start=warm_start,
        )
        return self

    @property
    def user_factors(self) -> np.ndarray:
        """X, n_users x factors, of the model's dtype: a read-only view. To change some of it,
        change a copy and assign that; what is assigned is copied.

        During `fit` its memory is reused two iterations later: a callback that keeps it copies it.
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
        """b_u, one for each user, of the model's dtype: a read-only view. None: it has none."""
        return None if self._user_biases is None else read_only(self._user_biases)

    @property
    def item_biases(self) -> np.ndarray | None:
        """b_i, one for each item; see `user_biases`."""
        return None if self._item_biases is None else read_only(self._item_biases)

    @property
    def mean(self) -> float:
        """What every score has in common beside the biases; 0 where there is no such thing."""
        return self._mean

    def similar_items(
        self, items: Any, N: int = 10, *, among: Any = None, filter_items: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items whose factors have the highest cosine with those of each item.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers of the training matrix; ids, where the model speaks them.
        N : int, default 10
            Length of each list, the item itself included.
        among : int or array of int, optional
            The only items to choose from; all by default.
        filter_items : int or array of int, optional
            Items to leave out of every list.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single item, else (n, N)
            The item itself first unless it is left out, then best first; ties and empty places as
            in `recommend`.
        scores : ndarray of the model's dtype, same shape
            Cosines, -1 to 1; 0 where one of the two has zero factors, or such as the dtype holds no
            more digits of.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`.
        """
        vocabulary, items = self._vocabulary(), ids.listed(items)
        rows = ids.to_rows(vocabulary, "items", items, "items")
        among = ids.to_rows(vocabulary, "items", among, "among")
        filter_items = ids.to_rows(vocabulary, "items", filter_items, "filter_items")
        lists = self._similar("items", rows, N, among, filter_items)
        return ids.to_ids(vocabulary, "items", lists, "items", items)

    def similar_users(
        self, users: Any, N: int = 10, *, among: Any = None, filter_users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N users whose factors have the highest cosine with each user's; see `similar_items`.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix; ids, where the model speaks them.
        N : int, default 10
            Length of each list, the user itself included.
        among, filter_users : int or array of int, optional
            The only users to choose from, and users to leave out.
        """
        vocabulary, users = self._vocabulary(), ids.listed(users)
        rows = ids.to_rows(vocabulary, "users", users, "users")
        among = ids.to_rows(vocabulary, "users", among, "among")
        filter_users = ids.to_rows(vocabulary, "users", filter_users, "filter_users")
        lists = self._similar("users", rows, N, among, filter_users)
        return ids.to_ids(vocabulary, "users", lists, "users", users)

    def score(self, users: Any, items: Any = None) -> np.ndarray:
        """x_u . y_i, and mean + b_u + b_i where there are biases, for pairs of users and items.

        Parameters
        ----------
        users, items : int or arrays of int
            Row and column numbers of the training matrix, or ids, broadcast against each other:
            two arrays of length n give n scores, ``score(users[:, None], items)`` all pairs.

        Returns
        -------
        ndarray of the model's dtype, of the broadcast shape

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`; ValueError also where the shapes do not broadcast.
        """
        vocabulary = self._vocabulary()
        users = ids.to_rows(vocabulary, "users", users, "users")
        items = ids.to_rows(vocabulary, "items", items, "items")

        rows, columns = scored_pairs(users, items, self._known_shape())
        return self._scores(rows.reshape(-1), columns.reshape(-1)).reshape(rows.shape)[()]

    def fold_in(self, user_items: Any) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Factors of users the model was not trained on, and their biases if it has such; items
        held fixed.

        Stores nothing; what a user gets does not depend on the others. Models by least squares and
        `ExplicitSGD` solve each row exactly, whatever `solver` is. `BPR` makes 30 epochs of its
        steps for x_u alone, from zero, at the first learning rate. `LogisticMF` takes `iterations`
        steps from zero factors and the mean of the users' biases.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n x n_items, or Interactions
            Counts, one row a user, as in `fit`; of Interactions in the order of their users.

        Returns
        -------
        factors : ndarray of the model's dtype, shape (n, factors)
            Of a user without entries zeros, unless there are biases and unobserved cells weigh
            something.
        biases : ndarray of the model's dtype, shape (n,)
            Only of a model whose users have biases; one without returns the factors alone.

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fit` and `recommend`.
        """
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

    def _with_biases(self) -> tuple[bool, bool]:
        """Whether there are user and item biases."""
        return False, False

    def _folded(self, rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray | None]:
        """Factors, and biases if the model has them, of users with these entries."""
        raise TypeError(f"{type(self).__name__} cannot fold in users: pass fold_in=False")

    # ---- files ---------------------------------------------------------------------------------

    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        learned = {name: getattr(self, f"_{name}") for name in (*_FACTORS, *_BIASES)}
        header = {"mean": self._mean, "shape": self._known_shape()}
        return header, {name: array for name, array in learned.items() if array is not None}

    def _from_file(
        self,
        header: dict[str, Any],
        arrays: dict[str, np.ndarray],
        training_matrix: TrainingMatrix | None,
    ) -> dict[str, Any]:
        dtype = checks.floating_dtype(self.dtype)
        state = {f"_{name}": checks.factor_matrix(name, arrays[name], dtype) for name in _FACTORS}
        for name, factors in zip(_BIASES, _FACTORS, strict=True):
            if name in arrays:
                column = checks.factor_matrix(name, arrays[name][:, np.newaxis], dtype)
                _check_length(name, column, len(state[f"_{factors}"]))
                state[f"_{name}"] = column[:, 0]
        return state | {"_mean": checks.number("mean", header.get("mean", 0.0))}

    # ---- lists ---------------------------------------------------------------------------------

    def _assign(self, name: str, value: Any) -> None:
        factors = checks.factor_matrix(name, value, checks.floating_dtype(self.dtype))
        biases = getattr(self, "_" + name.replace("factors", "biases"))
        if biases is not None:
            _check_length(name, factors, len(biases))
        if np.may_share_memory(factors, value):
            factors = factors.copy()
        self._publish({f"_{name}": factors})

    def _once(self, what: str, factors: Any, make: Callable[[], Any]) -> Any:
        """What `make` makes of `factors`, kept until there are others."""
        made_of, result = self._prepared.get(what, (None, None))
        if made_of is not factors:
            result = make()
            self._prepared[what] = factors, result
        return result

    def _scored_items(self) -> np.ndarray:
        """What items have that lists go by: factors, and their biases as one more column."""
        factors, biases = self._factors("_item_factors"), self._item_biases
        if biases is None:
            return factors
        return self._once("scored", factors, lambda: np.column_stack([factors, biases]))

    def _norms(self, what: str, rows: np.ndarray) -> np.ndarray:
        return self._once(f"norms of {what}", rows, lambda: kernels.norms(rows))

    def _norm_order(self, n_users: int) -> kernels.NormOrder | None:
        """What spares the kernel work. With codes, which a few users profit from, it takes as
        long to make as dozens of lists: the first such call does without, as there may be no
        other."""
        items = self._scored_items()
        codes = n_users <= kernels.FEW_QUERIES
        if codes and self._once("asked before", items, lambda: [False]) == [False]:
            self._prepared["asked before"] = items, [True]
            return None
        norms = self._norms("scored items", items)
        what = "order and codes" if codes else "order"
        return self._once(what, items, lambda: kernels.norm_order(items, norms, codes=codes))

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
        skip = None
        if filter_seen:
            seen = self._remembered() if counts is None else counts
            skip = seen.indptr, seen.indices
        items = self._scored_items()
        order = self._norm_order(len(users)) if choice.among is None else None

        def best(queries: np.ndarray, biases: np.ndarray | None, **rows: Any) -> Lists:
            lists, scores = self._topk(
                queries,
                items,
                N,
                among=choice.among,
                order=order,
                skip=skip,
                banned=choice.banned,
                num_threads=self.num_threads,
                **rows,
            )
            if biases is not None:
                scores += (biases + biases.dtype.type(self._mean))[:, np.newaxis]
            elif self._mean:
                scores += self._mean
            return lists, scores

        if not fold_in:
            biases = None if self._user_biases is None else self._user_biases[users]
            return best(self._user_factors, biases, rows=users, skip_rows=rows)
        lists, scores = np.empty((len(rows), N), np.int32), np.empty((len(rows), N), items.dtype)
        for at in kernels.query_blocks(len(rows)):
            folded = self._fold(csr.take_rows(counts, rows[at]))
            lists[at], scores[at] = best(*folded, skip_rows=rows[at])
        return lists, scores

    def _fold(self, rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray | None]:
        logger.debug(
            "%s folds in %d users of %d entries", type(self).__name__, rows.shape[0], rows.nnz
        )
        return self._folded(rows)

    def _scores(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Scores of pairs of users and items."""
        scores = np.empty(len(rows), np.result_type(self._user_factors, self._item_factors))
        for begin in range(0, len(scores), _BLOCK):
            at = slice(begin, begin + _BLOCK)
            scores[at] = self._pair_scores(rows[at], columns[at])
        return scores

    def _pair_scores(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        scores = np.einsum("kf,kf->k", self._user_factors[rows], self._item_factors[columns])
        for biases, at in ((self._user_biases, rows), (self._item_biases, columns)):
            if biases is not None:
                scores += biases[at]
        return scores + scores.dtype.type(self._mean) if self._mean else scores

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

    def _similar(self, noun: str, numbers: Any, N: int, among: Any, left_out: Any) -> Lists:
        """The N rows of factors with the highest cosine with each one asked for, itself first."""
        what = f"{noun[:-1]}_factors"
        factors = self._factors(f"_{what}")
        rows = checks.row_numbers(noun, numbers, len(factors))
        list_length(N, len(factors))
        choice = Choice(among, left_out, len(factors), noun)
        norms = self._norms(what, factors)
        # Norms below tell of factors that have lost their digits; 1 / norm might overflow as well
        has_direction = norms >= np.finfo(factors.dtype).tiny
        scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=has_direction)
        flat = rows.reshape(-1)
        best, cosines = self._topk(
            (factors[flat] * scale[flat, np.newaxis]).astype(factors.dtype),
            factors,
            N,
            among=choice.among,
            item_scale=scale.astype(factors.dtype),
            skip=(np.arange(len(flat) + 1), flat.astype(np.int32)),
            banned=choice.banned,
            num_threads=self.num_threads,
        )
        np.clip(cosines, -1, 1, out=cosines, where=best != kernels.NO_ID)
        # Each row was skipped in its own list: rounding must not decide on its place there.
        itself = np.flatnonzero(choice.allows(flat))
        best[itself, 1:], cosines[itself, 1:] = best[itself, :-1], cosines[itself, :-1]
        best[itself, 0], cosines[itself, 0] = flat[itself], has_direction[flat[itself]]
        return best.reshape(*rows.shape, N), cosines.reshape(*rows.shape, N)


def both_or_factors(solved: tuple[np.ndarray, np.ndarray | None]) -> Any:
    """Factors and biases, or the factors alone where there are no biases."""
    return solved[0] if solved[1] is None else solved


def _check_length(name: str, rows: np.ndarray, count: int) -> None:
    if len(rows) != count:
        raise ValueError(f"{name} has {len(rows)} rows; expected {count}, as many as biases")
