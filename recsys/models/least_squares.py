"""Models whose rows are least squares problems: users against items, and the other way round."""

from __future__ import annotations

import functools
import logging
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.interactions import Features
from recsys.models import growth, ids, one_side
from recsys.models.factor_model import FactorModel
from recsys.models.feature_methods import both_or_factors
from recsys.models.training import Iteration, Step, Trainer, check_size, drawn, start, warn

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

_VANISHED = 1e-4  # factors that tell apart what users like are nearly 1


class Solver(NamedTuple):
    """How the rows of a side are solved."""

    half_sweep: Callable[..., kernels.Sweep]  # called as `kernels.half_sweep` is
    starts: bool  # whether it starts from where the rows are


SOLVERS = {
    "cholesky": Solver(functools.partial(kernels.half_sweep, solver="cholesky"), starts=False),
    "cg": Solver(functools.partial(kernels.half_sweep, solver="cg"), starts=True),
}
NONNEGATIVE = Solver(kernels.nonnegative_half_sweep, starts=True)  # whatever `solver` says


STARTS = ("spectral", "random")


@dataclass(frozen=True)
class AlternatingIteration(Iteration):
    """One entry of a model's `history`, see `Iteration`.

    Attributes
    ----------
    user_seconds, item_seconds : float
        Wall time of the half-sweeps of either side.
    momentum : float
        beta: the iteration started from Y + beta (Y - Y'), Y' the item factors one iteration
        earlier; 0.0: from the item factors as they were.
    taken_back : bool
        Whether the iteration was made with momentum first, which raised the objective, and then
        again without. `loss` and `momentum` are those of what counts, seconds those of both.
    """

    user_seconds: float
    item_seconds: float
    momentum: float
    taken_back: bool


class LeastSquaresModel(FactorModel):
    """A factor model of which each row is solved by least squares, the other side held: all rows
    in training, single ones later."""

    bias: bool
    nonnegative: bool = False  # a parameter of models whose trainer knows it

    _entry: ClassVar[type[Iteration]] = AlternatingIteration

    # By which side entries were added, to what, and which
    _just_added: tuple[str, TrainingMatrix, sparse.csr_array] | None = None
    _rounds = 2
    _takes_prior = True

    # ---- what a model of this kind provides ----------------------------------------------------

    @abstractmethod
    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Counts, users x items, as the kernels take them: whole users, at most all."""

    @abstractmethod
    def _weights(self) -> tuple[float, float, float]:
        """lambda, nu and w0, see `kernels.make_sides`."""

    def _mean_target(self, signed: sparse.csr_array) -> float:
        """The mean of what scores are to be."""
        return 0.0

    def _details(self, sweep: kernels.Sweep, entries: int) -> dict[str, Any]:
        """What else `history` is told after a sweep over so many entries."""
        return {}

    def _with_biases(self) -> tuple[bool, bool]:
        return self.bias, self.bias

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

        return both_or_factors(self._new_items(item_users, None))

    def partial_fit_users(
        self,
        users: Any,
        user_items: Any = None,
        *,
        events: Any = None,
        rows: Any = None,
        user_features: Features | None = None,
    ) -> None:
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

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fold_in`; TypeError also where not one of the three is given; ValueError for a
            user named twice. The model is unchanged then.
        """
        told = (user_items, events, rows, "user_items", user_features)
        one_side.partial_fit(self, "users", users, *told)

    def partial_fit_items(
        self,
        items: Any,
        item_users: Any = None,
        *,
        events: Any = None,
        rows: Any = None,
        item_features: Features | None = None,
    ) -> None:
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

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `partial_fit_users`.
        """
        told = (item_users, events, rows, "item_users", item_features)
        one_side.partial_fit(self, "items", items, *told)

    def _learn_rows(
        self, counts: sparse.csr_array, new: growth.Rows, touched: growth.Rows, rounds: int
    ) -> None:
        growth.alternate(self, counts, new, touched, rounds)

    def _folded(self, rows: sparse.csr_array) -> kernels.Factors:
        self._check_parameters()
        return self._solve_rows(self._signed(rows), "item")

    def _solve_rows(
        self, signed: sparse.csr_array, held: str, prior: np.ndarray | None = None
    ) -> kernels.Factors:
        """Factors and biases of rows against those of the other side, "user" or "item"; drawn to
        `prior`, (rows, f) or (rows, f + 1), or to zero."""
        fold_in = kernels.nonnegative_fold_in if self.nonnegative else kernels.fold_in
        fixed = self._held(held)
        solved = fold_in(
            signed, fixed, *self._weights(), self.num_threads, mean=self._mean,
            ratings=self._ratings,
        )  # fmt: skip
        if prior is None:
            return solved
        gained = kernels.pull(
            signed, fixed, *self._weights(), prior, self.num_threads, ratings=self._ratings
        )
        width = solved.factors.shape[1]
        solved.factors[...] += gained[:, :width]
        if solved.biases is not None:
            solved.biases[...] += gained[:, width]
        return solved

    def _solved_near(self, side: str, entries: Any, prior: np.ndarray) -> kernels.Factors:
        """New users, or new items, of these entries, drawn to what features say of them."""
        if side == "items":
            return self._new_items(entries, prior)
        counts = csr.canonical(entries, self._check_parameters(), may_be_empty=True)
        checks.columns("user_items", counts.shape, len(self.item_factors), "items")
        return self._solve_rows(self._signed(counts), "item", prior)

    def _new_items(self, item_users: Any, prior: np.ndarray | None) -> kernels.Factors:
        dtype = self._check_parameters()
        added = self._item_users(item_users, dtype)
        known = self._known(added.shape[::-1], dtype)
        items = np.arange(known.shape[1], known.shape[1] + added.shape[0])
        return self._solve_items(self._with_columns(known, items, added), items, prior)

    def _held(self, noun: str) -> kernels.Factors:
        dtype = checks.floating_dtype(self.dtype)
        factors = np.asarray(self._factors(f"_{noun}_factors"), dtype)
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


# ---- training ----------------------------------------------------------------------------------


def check_alternating(model: Any) -> np.dtype:
    """Check the parameters that all models trained by alternation have; returns the dtype."""
    checks.number("regularization", model.regularization, least=0)
    checks.flag("bias", model.bias)
    checks.flag("nonnegative", model.nonnegative)
    checks.choice("solver", model.solver, tuple(SOLVERS))
    checks.integer("cg_steps", model.cg_steps, 1)
    checks.integer("iterations", model.iterations, 0)
    checks.flag("acceleration", model.acceleration)
    checks.choice("init", model.init, STARTS)
    return check_size(model)


class Both(NamedTuple):
    """All that is learned; biases are None in a model without."""

    users: kernels.Factors
    items: kernels.Factors

    def like(self) -> Both:
        """Arrays of the same shapes, not yet written."""
        return Both(*map(_like, self))


def _like(side: kernels.Factors) -> kernels.Factors:
    factors, biases = side
    return kernels.Factors(
        kernels.on_line(factors.shape, factors.dtype),
        None if biases is None else np.empty_like(biases),
    )


class AlternatingTrainer:
    """Trains a `LeastSquaresModel` by half-sweeps, users first; see `training.Trainer`."""

    def __init__(self, model: Any, counts: sparse.csr_array) -> None:
        self.model, self.shape, self.dtype = model, counts.shape, counts.dtype
        self.entries = counts.nnz
        signed = model._signed(counts)
        self.mean = model._mean_target(signed) if model.bias else 0.0
        lambda_, nu, w0 = model._weights()
        self.sides = kernels.make_sides(signed, lambda_, nu, w0, model._ratings)
        # As they are now: what a callback sets is checked at the next fit
        self.solver = NONNEGATIVE if model.nonnegative else SOLVERS[model.solver]
        self.options = {
            "mean": self.mean,
            "cg_steps": model.cg_steps,
            "num_threads": model.num_threads,
        }
        self.retried = self.jittered = 0
        self._log_paths()

    def start(self, continues: bool) -> None:
        model = self.model
        random = None if continues else checks.random_generator(model.random_state)
        spectral = random is not None and model.init == "spectral"
        users, items, *biases = start(
            model, self.shape, self.dtype, random, draws_users=not spectral
        )
        if spectral:
            found = kernels.spectral_start(
                self.sides, users, items, mean=self.mean, num_threads=model.num_threads
            )
            rest = self.shape[1], model.factors - found  # for which there is no singular vector
            items[:, found:] = drawn(random, rest, model, self.dtype)
        if model.nonnegative and random is not None:
            for factors in (users, items):
                np.abs(factors, out=factors)
        self.current = Both(*map(kernels.Factors, (users, items), biases))
        self.spare: Both | None = None
        self.momentum = kernels.Momentum(self.dtype) if model.acceleration else None

    def state(self) -> dict[str, Any]:
        users, items = self.current
        return {
            "_user_factors": users.factors,
            "_item_factors": items.factors,
            "_user_biases": users.biases,
            "_item_biases": items.biases,
            "_mean": self.mean,
        }

    def step(self, number: int) -> Step:
        # `current` is what the model shows, or goes back to if this iteration is interrupted:
        # everything is written to `spare`, which has the iteration before until then.
        if self.spare is None:
            self.spare = self.current.like()
            self.workspace = kernels.Workspace.of(
                self.sides, self.model.factors, self.model.bias, self.dtype
            )
        seconds = {"user_seconds": 0.0, "item_seconds": 0.0}
        momentum, weight, taken_back = self.momentum, 0.0, False
        if momentum and (weight := momentum.weight):
            momentum.extrapolate(self.current.items, self.spare.items)
            sweep = self._sweep_both(self.spare.items, seconds)
            if taken_back := momentum.rose(sweep.loss):
                momentum.restart()
                weight = 0.0
        if not weight:
            sweep = self._sweep_both(self.current.items, seconds)
        if momentum:
            momentum.made(sweep.loss)
        self.current, self.spare = self.spare, self.current
        details = {**seconds, "momentum": weight, "taken_back": taken_back}
        return Step(self.state(), sweep.loss, details | self.model._details(sweep, self.entries))

    def _sweep_both(self, fixed: kernels.Factors, seconds: dict[str, float]) -> kernels.Sweep:
        """Users against the items `fixed`, then items against these, into `spare`, of which `fixed`
        may be a part; `seconds` are added to."""
        now, new = self.current, self.spare
        solver, half_sweep = self.solver, functools.partial(self.solver.half_sweep, **self.options)
        begin = now if solver.starts else Both(None, None)  # where the rows are
        user_side, item_side = self.sides
        free = self.workspace
        if fixed is not new.items:
            free = free.or_else(new.items.factors)  # which are written last
        turned = now.users.biases is None  # where a solver turns anything
        loss = self.model.compute_loss or self.momentum is not None
        began = time.perf_counter()
        solved = half_sweep(user_side, fixed, begin.users, new.users, workspace=free, turned=turned)
        middle = time.perf_counter()
        sweep = half_sweep(
            item_side, new.users, begin.items, new.items, workspace=self.workspace,
            axes=solved.axes, loss=loss,
        )  # fmt: skip
        seconds["user_seconds"] += middle - began
        seconds["item_seconds"] += time.perf_counter() - middle
        self.retried += solved.retried + sweep.retried
        self.jittered += solved.jittered + sweep.jittered
        return sweep

    def finish(self) -> None:
        self._say_if_vanished()
        if self.retried or self.jittered:
            warn(
                f"{self.retried} rows were solved again in double and {self.jittered} needed a "
                "larger diagonal: their weights are too large, or the regularization too small, "
                f"for {self.dtype}. Raise regularization, scale the weights down (alpha), "
                "or use dtype=np.float64"
            )

    def _log_paths(self) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return  # as it looks at every entry
        model = self.model
        if model.nonnegative:
            model._log("solves users and items by coordinate descent: factors are not negative")
            return
        steps = model.cg_steps if self.solver.starts else 0
        for noun, side in zip(("users", "items"), self.sides, strict=True):
            paths = kernels.row_paths(side, model.factors + model.bias, steps)
            counted = ", ".join(f"{count:,} {path}" for path, count in paths.items())
            model._log("solves %s by %s: %s", noun, model.solver, counted)

    def _say_if_vanished(self) -> None:
        """Ratings may all be their mean and need no factors; counts need some."""
        model, factors = self.model, self.current.items.factors
        if model._ratings or model.bias or not model.iterations:
            return
        largest = max(factors.max(), -factors.min())
        if largest < _VANISHED:
            logger.warning(
                "the factors have all but vanished (the largest is %.1g): regularization=%g is too "
                "large for these counts, and lists mean nothing. Lower it; 2 to 6 times the mean "
                "confidence of the entries is a good start",
                largest,
                model.regularization,
            )
