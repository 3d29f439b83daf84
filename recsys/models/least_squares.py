"""Models whose rows are least squares problems: users against items, and the other way round."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.interactions import Features
from recsys.models import growth, ids, one_side
from recsys.models.alternating import AlternatingIteration, AlternatingTrainer
from recsys.models.factor_model import FactorModel
from recsys.models.feature_methods import both_or_factors
from recsys.models.fitted import as_fitted
from recsys.models.just_added import JustAdded
from recsys.models.training import Iteration, Trainer
from recsys.models.weights import Weights

if TYPE_CHECKING:
    from scipy import sparse


class LeastSquaresModel(FactorModel):
    """A factor model of which each row is solved by least squares, the other side held: all rows
    in training, single ones later."""

    regularization: float
    bias: bool
    nonnegative: bool = False  # a parameter of models whose trainer knows it

    _entry: ClassVar[type[Iteration]] = AlternatingIteration

    _just_added: JustAdded | None = None
    _rounds = 2
    _learns_items = True
    _fitted_weights: Weights | None = None

    # ---- what a model of this kind provides ----------------------------------------------------

    @abstractmethod
    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Counts, users x items, as the kernels take them: whole users, at most all."""

    @abstractmethod
    def _weights(self) -> Weights:
        """Those of the present parameters, and of the last training what it chose."""

    def _chosen_for(self, signed: sparse.csr_array) -> tuple[Weights, bool]:
        """Those that training on this is to have, and whether there are to be biases."""
        return self._weights(), self.bias

    def _mean_target(self, signed: sparse.csr_array, unobserved_weight: float) -> float:
        """The mean of what scores are to be."""
        return 0.0

    def _details(self, sweep: kernels.Sweep, entries: int) -> dict[str, Any]:
        """What else `history` is told after a sweep over so many entries."""
        return {}

    def _with_biases(self) -> tuple[bool, bool]:
        bias = self._in_effect("bias")
        return bias, bias

    def _trainer(self, counts: sparse.csr_array) -> Trainer:
        return AlternatingTrainer(self, counts)

    # ---- single rows ---------------------------------------------------------------------------

    def fold_in_items(
        self, item_users: Any = None, *, item_features: Features | None = None
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Factors of items the model was not trained on, and their biases if it has such; users
        held fixed.

        As `fold_in`, with the rows being items. Where a user's own mean count decides on a
        confidence (see `epsilon`), it is the mean over what the model remembers of the user and
        these items.

        Parameters
        ----------
        item_users : scipy sparse matrix or array, n x n_users, or Interactions
            Counts, one row an item; of Interactions in the order of their items.
        item_features : Features, optional
            What is known of the items beside, or alone; see `fold_in`.

        Returns
        -------
        factors : ndarray of the model's dtype, shape (n, factors)
        biases : ndarray of the model's dtype, shape (n,)
            As in `fold_in`.

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fold_in`.
        """
        if item_features is not None or item_users is None:
            return super().fold_in_items(item_users, item_features=item_features)
        item_users = ids.newcomers_entries(self._vocabulary(), "items", item_users)

        count = getattr(item_users, "shape", (0,))[0]
        model = as_fitted(self)
        return both_or_factors(model._new_items(item_users, model._of_strangers("items", count)))

    def partial_fit_users(
        self,
        users: Any,
        user_items: Any = None,
        *,
        events: Any = None,
        rows: Any = None,
        user_features: Features | None = None,
    ) -> Self:
        """Learn new users, or what is new about known ones, item factors held fixed.

        Stores the users' factors, as `fold_in` finds them, and remembers their entries. Takes the
        time of a copy of all user factors and remembered entries: pass many users at once. A
        day's events, which touch items as well, are for `partial_fit`.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers, or ids; one the model does not have yet makes it grow. Rows that are
            skipped belong to users without entries.
        user_items : scipy sparse matrix or array, n x n_items, or Interactions, optional
            Counts, one row for each of `users`; Interactions have them by id, and entries of
            items that the model does not know are left out. For users without entries so far;
            of others say by one of the next two what the counts are.
        events : the same, optional
            To be added to what is remembered of the users; of ratings, the new ones replace those
            of the same items. What `partial_fit_items` has added in the call before, the same
            value for the same pair, is not added again.
        rows : the same, optional
            All that is to be remembered of the users.
        user_features : Features, optional
            What is known of the users, by id, or one row for each: of a model that was fitted with
            such. Alone, it makes them known as `fit` does those without entries; else their
            factors are drawn to what it says of them, as in `fold_in`.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fold_in`; TypeError also where not one of the three is given; ValueError for a
            user named twice. The model is unchanged then.
        """
        told = (user_items, events, rows, "user_items", user_features)
        one_side.partial_fit(self, "users", users, *told)
        return self

    def partial_fit_items(
        self,
        items: Any,
        item_users: Any = None,
        *,
        events: Any = None,
        rows: Any = None,
        item_features: Features | None = None,
    ) -> Self:
        """Learn new items, or what is new about known ones, user factors held fixed.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers, or ids; see `partial_fit_users`.
        item_users, events, rows : scipy sparse matrix or array, n x n_users, or Interactions
            Counts, one row for each of `items`; Interactions have them by id. One of the three, as
            in `partial_fit_users`.
        item_features : Features, optional
            What is known of the items beside, or alone; see there.

        Returns
        -------
        self

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `partial_fit_users`.
        """
        told = (item_users, events, rows, "item_users", item_features)
        one_side.partial_fit(self, "items", items, *told)
        return self

    def _learn_rows(
        self, counts: Any, new: growth.Rows, touched: growth.Rows, rounds: int, before: Any = None
    ) -> None:
        growth.alternate(self, counts, new, touched, rounds)

    def _folded(self, rows: sparse.csr_array, prior: np.ndarray | None = None) -> kernels.Factors:
        self._check_parameters()
        if prior is None:
            prior = self._of_strangers("users", rows.shape[0])
        return self._solve_rows(self._signed(rows), "item", prior)

    def _solve_rows(
        self, signed: sparse.csr_array, held: str, prior: np.ndarray | None = None
    ) -> kernels.Factors:
        """Factors and biases of rows against those of the other side, "user" or "item"; drawn to
        `prior`, (rows, f) or (rows, f + 1), or to zero. Rows without entries are their prior."""
        fixed = self._held(held)
        rest: dict[str, Any] = {"mean": self._mean, "ratings": self._ratings}
        if self.nonnegative:
            if prior is not None:
                raise ValueError(
                    "nonnegative=True solves rows by their entries alone, and the model knows "
                    "features, which may draw them below zero: set_params(nonnegative=False)"
                )
            return kernels.nonnegative_fold_in(
                signed, fixed, *self._weights(), self.num_threads, **rest
            )
        drawn_to = None if prior is None else as_factors(prior, fixed)
        solved = kernels.fold_in(
            signed, fixed, *self._weights(), self.num_threads, prior=drawn_to, **rest
        )
        if drawn_to is not None:  # nobody has seen them: that says nothing against them
            empty = np.diff(signed.indptr) == 0
            for array, means in zip(solved, drawn_to, strict=True):
                if array is not None:
                    array[empty] = means[empty]
        return solved

    def _drawn_to(self, side: str, rows: np.ndarray) -> np.ndarray | None:
        """What some rows are expected to be by their features, as `_solve_rows` takes it; -1: of
        somebody without, who is drawn to zero where training was. None: nothing is known by
        features."""
        known = self._features.get(side)
        if known is None or not self._weights().regularization:
            return None
        described = csr.take_rows(known.matrix, np.where(rows < known.matrix.shape[0], rows, -1))
        expected = known.ridge.mean(described)
        if not known.joint:
            expected[np.diff(described.indptr) == 0] = 0
        return expected

    def _of_strangers(self, side: str, count: int) -> np.ndarray | None:
        """The same of rows of whom there are entries alone: what training drew such to."""
        known = self._features.get(side)
        return self._drawn_to(side, np.full(count, -1)) if known and known.joint else None

    def _drawn_in_training(self, user: int) -> np.ndarray | None:
        """The same of a user the model knows."""
        known = self._features.get("users")
        if known is None or not (known.joint or user in known.rows):
            return None
        return self._drawn_to("users", np.array([user]))

    def _new_items(self, item_users: Any, prior: np.ndarray | None) -> kernels.Factors:
        dtype = self._check_parameters()
        added = self._item_users(item_users, dtype)
        known = self._known(added.shape[::-1], dtype)
        items = np.arange(known.shape[1], known.shape[1] + added.shape[0])
        return self._solve_items(self._with_columns(known, items, added), items, prior)

    def _held(self, noun: str) -> kernels.Factors:
        dtype = checks.floating_dtype(self.dtype)
        factors = np.asarray(self._factors(f"_{noun}_factors"), dtype)
        if self.nonnegative and factors.min(initial=0) < 0:
            raise ValueError(
                f"nonnegative=True, and {noun}_factors has {factors.min():.3g}, from a training "
                "without: fit again with warm_start=False"
            )
        biases = getattr(self, f"_{noun}_biases")
        return kernels.Factors(factors, None if biases is None else np.asarray(biases, dtype))

    def _solve_items(
        self, counts: sparse.csr_array, items: np.ndarray, prior: np.ndarray | None = None
    ) -> kernels.Factors:
        """Factors and biases of some columns of `counts`, which has all that is known of its
        users."""
        place = np.full(counts.shape[1], -1)
        place[items] = np.arange(len(items))
        concerned = place[counts.indices] >= 0
        users = np.flatnonzero(np.diff(np.append(0, np.cumsum(concerned))[counts.indptr]))
        signed = self._signed(csr.take_rows(counts, users))
        kept = place[signed.indices] >= 0
        rows = csr.from_triples(
            signed.data[kept],
            place[signed.indices[kept]],
            users[csr.entry_rows(signed)[kept]],
            (len(items), counts.shape[0]),
        )
        return self._solve_rows(rows, "user", prior)

    def _with_columns(
        self, matrix: sparse.csr_array, columns: np.ndarray, entries: sparse.csr_array
    ) -> sparse.csr_array:
        """`matrix` with the rows of `entries` added to some of its columns, and as many more as
        that takes."""
        shape = matrix.shape[0], max(matrix.shape[1], int(columns.max(initial=-1)) + 1)
        column_of = columns[csr.entry_rows(entries)]
        added = csr.from_triples(entries.data, entries.indices, column_of, shape)
        rows = np.flatnonzero(np.diff(added.indptr))
        wide = csr.assemble(matrix.data, matrix.indices, matrix.indptr, shape)
        both = csr.take_rows(wide, rows), csr.take_rows(added, rows)
        return csr.put_rows(wide, rows, csr.merged(*both, replaces=self._ratings))

    def _item_users(self, item_users: Any, dtype: np.dtype) -> sparse.csr_array:
        entries = csr.canonical(item_users, dtype, may_be_empty=True, name="item_users")
        checks.columns("item_users", entries.shape, len(self.user_factors), "users")
        return entries

    def _known(self, shape: tuple[int, int], dtype: np.dtype) -> sparse.csr_array:
        """What the model remembers; without a training matrix, nothing about anybody."""
        if self._training_matrix is None:
            return csr.empty((shape[0], len(self.item_factors)), dtype)
        return self._remembered().counts(dtype)


def as_factors(means: np.ndarray, like: kernels.Factors) -> kernels.Factors:
    """Means with biases as one more column, in two arrays, where factors have biases."""
    factors, biases = like
    narrow = np.ascontiguousarray(means, dtype=factors.dtype)
    if biases is None:
        return kernels.Factors(narrow)
    return kernels.Factors(
        np.ascontiguousarray(narrow[:, :-1]), np.ascontiguousarray(narrow[:, -1])
    )
