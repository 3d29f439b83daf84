"""`fit`, the same for every model that learns in iterations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from recsys import checks, csr
from recsys.interactions.matching import pair_in_rows
from recsys.models.base import Callback, Iteration, Step
from recsys.models.candidates import Seen
from recsys.models.estimator import no_target
from recsys.models.factor_model import FactorModel
from recsys.models.validation import NAMES, Validation
from recsys.models.vocabulary import Vocabulary

if TYPE_CHECKING:
    from scipy import sparse

# X, Y, user biases and item biases; None where there are no such biases
Start = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]


class Training(Protocol):
    """A training in progress, in arrays of its own; states are in terms of FactorModel's
    attributes."""

    def state(self) -> dict[str, Any]:
        """What is learned so far."""

    def step(self, number: int) -> Step:
        """Make iteration `number`, counted from 1. The state published before stays as it is until
        the next step."""

    def finish(self) -> None:
        """Warn of what went through, but only just."""


class IterativeModel(FactorModel):
    """A factor model that is trained by so many iterations."""

    factors: int
    init_scale: float
    random_state: Any

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
            of 4 iterations give what one of 7 gives. By default, and on a model not fitted yet,
            training starts fresh. Of a model that speaks ids they must be the same, in order.

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
        no_target(y)
        dtype = self._check_parameters()
        if callback is not None and not callable(callback):
            raise TypeError(
                "callback must be a function of (iteration, seconds, loss); got "
                f"{callback!r} ({type(callback).__name__})"
            )
        ids = Vocabulary.of(user_items)
        user_items, validation = pair_in_rows(user_items, validation, NAMES)
        counts = csr.canonical(user_items, dtype)
        self._check_counts(counts)
        judge = Validation.of(self, counts, validation, metric, patience, validate_every)
        continues = warm_start and self._can_continue(counts.shape, dtype, ids)
        history = self.history if continues else []
        self._log_start(counts, len(history))
        seen = Seen.of(counts)
        if np.may_share_memory(counts.indices, getattr(user_items, "indices", None)):
            seen = seen._replace(data=user_items.data)  # the caller's own, where values were cast
        try:
            problem = self._problem(counts)
            del counts  # a copy of values goes now, before the factors come
            training = self._training(problem, seen.shape, continues)
            kept = {"_seen": seen, "_ids": ids}
            self._run(training, kept, history, callback, show_progress, judge)
        finally:
            # Only now, when the memory of training is free again, is there room for a copy.
            problem = training = judge = None
            if self._seen is seen:
                self._seen = seen.copied(dtype)
        return self

    # ---- what a model of this kind provides ----------------------------------------------------

    def _check_counts(self, counts: sparse.csr_array) -> None:
        """Whether there is anything to learn from."""

    def _iterations(self) -> int:
        """How many a call of `fit` makes."""
        raise NotImplementedError

    def _with_biases(self) -> tuple[bool, bool]:
        """Whether there are user and item biases."""
        raise NotImplementedError

    def _problem(self, counts: sparse.csr_array) -> Any:
        """What is left of the matrix for the training to hold on to."""
        raise NotImplementedError

    def _training(self, problem: Any, shape: tuple[int, int], continues: bool) -> Training:
        """From the model's own factors if it `continues`, else from new ones."""
        raise NotImplementedError

    # ---- helpers -------------------------------------------------------------------------------

    def _run(
        self,
        training: Training,
        kept: dict[str, Any],
        history: list[Iteration],
        callback: Callback | None,
        show_progress: bool,
        judge: Validation | None,
    ) -> None:
        """Train; what else the model is to have, `kept`, it gets with the first iteration."""
        times = self._iterations()
        if not times:
            self._publish({**training.state(), **kept, "_best_iteration": None}, history)
            return

        def step() -> Step:
            done = training.step(len(history) + 1)
            return done._replace(state={**done.state, **kept})

        self._iterate(step, times, history, callback, show_progress, judge)
        training.finish()

    def _check_size(self) -> np.dtype:
        """Check the parameters that all such models have; returns the dtype."""
        checks.integer("factors", self.factors, 1)
        checks.number("init_scale", self.init_scale, above=0)
        checks.integer("num_threads", self.num_threads, 0)
        checks.random_state(self.random_state)
        return checks.floating_dtype(self.dtype)

    def _can_continue(
        self, shape: tuple[int, int], dtype: np.dtype, ids: Vocabulary | None
    ) -> bool:
        """Whether there is something to continue from, for a matrix of `shape`.

        Raises
        ------
        NotFittedError, ValueError
            There is, but one side has no factors, or some of another shape, or not finite; or
            there are biases that the model is not to have; or its rows have other ids.
        """
        if self._user_factors is None and self._item_factors is None:
            return False
        pairs = (("user", self.user_factors, shape[0]), ("item", self.item_factors, shape[1]))
        for noun, present, count in pairs:
            if present.shape != (count, self.factors):
                raise ValueError(
                    f"cannot continue from {noun}_factors of shape {present.shape}: expected "
                    f"{(count, self.factors)}, for {count} {noun}s in user_items and "
                    f"factors={self.factors}. Fit with warm_start=False to start fresh"
                )
            checks.factor_matrix(f"{noun}_factors", present, dtype)
        self._check_same_ids(ids)
        biases = self._user_biases, self._item_biases
        if any(
            own is not None and not has
            for own, has in zip(biases, self._with_biases(), strict=True)
        ):
            raise ValueError(
                "cannot continue without biases from a model that has them: fit with "
                "warm_start=False to start fresh, or set_params back"
            )
        return True

    def _start(
        self,
        shape: tuple[int, int],
        dtype: np.dtype,
        random: np.random.Generator | None,
    ) -> Start:
        """Drawn factors, or copies of the present ones where `random` is None. Biases that there
        are to be are copied as well, or zeros."""
        if random is None:
            users, items = self._user_factors.astype(dtype), self._item_factors.astype(dtype)
            biases = self._user_biases, self._item_biases
        else:
            users, items = _drawn(random, shape, self.factors, self.init_scale, dtype)
            biases = None, None
        wanted = zip(self._with_biases(), shape, biases, strict=True)
        of_users, of_items = (
            None if not has else np.zeros(count, dtype) if own is None else own.astype(dtype)
            for has, count, own in wanted
        )
        return users, items, of_users, of_items

    def _seeded_start(
        self, shape: tuple[int, int], dtype: np.dtype, continues: bool
    ) -> tuple[int, Start]:
        """What all that is drawn in training follows from, and `_start`."""
        random = checks.random_generator(self.random_state)
        seed = int(random.integers(2**64, dtype=np.uint64))  # first: the same for a warm start
        return seed, self._start(shape, dtype, None if continues else random)


def _drawn(
    random: np.random.Generator,
    shape: tuple[int, int],
    factors: int,
    init_scale: float,
    dtype: np.dtype,
) -> tuple[np.ndarray, np.ndarray]:
    """Initial factors of users and items: normal, of standard deviation init_scale / sqrt(f)."""
    scale = dtype.type(init_scale / math.sqrt(factors))
    items, users = (random.standard_normal((count, factors), dtype=dtype) for count in shape[::-1])
    for drawn in (users, items):
        drawn *= scale
    return users, items
