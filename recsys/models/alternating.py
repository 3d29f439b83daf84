"""Training by half-sweeps of least squares: users against items, then items against these users."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, kernels
from recsys.models.both import Begun, Both, like
from recsys.models.joint import Priors
from recsys.models.samples import Carried, iterations_on, shares_of_samples
from recsys.models.training import (
    Iteration,
    Start,
    Step,
    check_room,
    check_size,
    drawn,
    start,
    warn,
)
from recsys.models.weights import Weights

if TYPE_CHECKING:
    from scipy import sparse

    from recsys.models.features import Matched

logger = logging.getLogger("recsys")

_PLAIN = 2  # iterations before features take part
_VANISHED = 1e-4  # factors that tell apart what users like are nearly 1


class Solver(NamedTuple):
    """How the rows of a side are solved."""

    half_sweep: Callable[..., kernels.Sweep]  # called as `kernels.half_sweep` is
    starts: bool  # whether it starts from where the rows are
    first: Callable[..., kernels.Sweep] | None = None  # what solves them where they are nowhere yet
    has_paths: bool = False  # whether the kernel `als_rows` solves them, each by one of its paths


EXACT, CG = (functools.partial(kernels.half_sweep, solver=name) for name in ("cholesky", "cg"))
SOLVERS = {
    "cholesky": Solver(EXACT, starts=False, has_paths=True),
    "cg": Solver(CG, starts=True, first=EXACT, has_paths=True),
}
NONNEGATIVE = Solver(kernels.nonnegative_half_sweep, starts=True)  # whatever `solver` says


STARTS = ("sample", "spectral", "random")


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
    feature_seconds : float
        Wall time of learning what features say, where the fit has such.
    """

    user_seconds: float
    item_seconds: float
    momentum: float
    taken_back: bool
    feature_seconds: float = field(default=0.0, kw_only=True)


def check_alternating(model: Any) -> np.dtype:
    """Check the parameters that all models trained by alternation have; returns the dtype."""
    if model.bias is not None or model._ratings:
        checks.flag("bias", model.bias, also="" if model._ratings else ", or None")
    checks.flag("nonnegative", model.nonnegative)
    checks.choice("solver", model.solver, tuple(SOLVERS))
    checks.integer("cg_steps", model.cg_steps, 1)
    if model.iterations is not None:
        checks.integer("iterations", model.iterations, 0)
    checks.flag("acceleration", model.acceleration)
    checks.choice("init", model.init, STARTS)
    return check_size(model)


class Alternation:
    """Iterations of alternating least squares: users against items, then items against these.

    Parameters
    ----------
    sides : (Side, Side)
        Of users and of items.
    begun : Begun
    solver : Solver
    options : dict
        Of its half-sweeps.
    acceleration, loss : bool
        Whether there is momentum, and whether to compute the objective if there is none.
    priors : Priors
        What features say of the rows.
    """

    def __init__(
        self,
        sides: tuple[kernels.Side, kernels.Side],
        begun: Begun,
        solver: Solver,
        options: dict[str, Any],
        *,
        acceleration: bool,
        loss: bool,
        priors: Priors,
    ) -> None:
        self.sides, self.solver, self.options, self.priors = sides, solver, options, priors
        self.current, self.has_users, self.spare, made = begun
        self.workspace: kernels.Workspace | None = None
        self.shown: np.ndarray | None = None  # users that the model may show
        dtype = self.current.items.factors.dtype
        self.momentum = kernels.Momentum(dtype, made) if acceleration else None
        self.loss = loss or acceleration
        self.retried = self.jittered = 0

    def whole(self) -> Both:
        """Where it is, users in the axes of the items too."""
        users, items, axes = self.current
        if axes is not None:
            # Not where users may be that the model shows: these stay whole until it has others
            out = self.spare.users
            out = like(users) if out.factors is self.shown else out
            kernels.rotate(users.factors, axes.T, self.options["num_threads"], out.factors)
            self.current, self.spare = Both(out, items), self.spare._replace(users=users)
        self.shown = self.current.users.factors
        return self.current

    def iterate(self) -> tuple[kernels.Sweep, dict[str, Any]]:
        """One iteration, and what else `history` tells of it; interrupted, it leaves all as it
        was."""
        # `current` is what there is if this iteration is interrupted: everything is written to
        # `spare`, which has the iteration before until then.
        if self.spare is None:
            self.spare = self.current.like()
        if self.workspace is None:
            factors, biases = self.current.items
            self.workspace = kernels.Workspace.of(
                self.sides, factors.shape[1], biases is not None, factors.dtype
            )
        seconds = {"user_seconds": 0.0, "item_seconds": 0.0, "feature_seconds": 0.0}
        momentum, weight, taken_back = self.momentum, 0.0, False
        self._timed(seconds, self.priors.iterate, by_side(self.current))
        if momentum and (weight := momentum.weight):
            momentum.extrapolate(self.current.items, self.spare.items)
            sweep = self._sweep_both(self.spare.items, seconds)
            if taken_back := momentum.rose(sweep.loss):
                momentum.restart()
                self.priors.go_back()
                weight = 0.0
        if not weight:
            sweep = self._sweep_both(self.current.items, seconds)
        if momentum:
            momentum.made(sweep.loss)
        self.has_users = True
        self.current, self.spare = self.spare, self.current
        return sweep, {**seconds, "momentum": weight, "taken_back": taken_back}

    def _sweep_both(self, fixed: kernels.Factors, seconds: dict[str, float]) -> kernels.Sweep:
        """Users against the items `fixed`, then items against these, into `spare`, of which `fixed`
        may be a part; `seconds` are added to."""
        now, new = self.current, self.spare
        solver, options = self.solver, self.options
        begin = now if solver.starts else Both(None, None)  # where the rows are
        solve_users = solver.half_sweep
        if not self.has_users and solver.first is not None:
            solve_users = solver.first
        user_side, item_side = self.sides
        turns = now.users.biases is None  # where a solver turns anything
        # Until somebody looks at them nothing but the next half-sweep, features and what starts
        # from where rows are asks for the axes of users
        stays = turns and not (solver.starts or self.priors)
        free = self.workspace
        if fixed is not new.items:
            free = free.or_else(new.items.factors)  # which are written last
        began = time.perf_counter()
        solved = solve_users(
            user_side, fixed, begin.users, new.users, **options, prior=self.priors.of("users"),
            workspace=free, turned="out" if turns else None,
        )  # fmt: skip
        middle = time.perf_counter()
        sweep = solver.half_sweep(
            item_side, new.users, begin.items, new.items, **options, prior=self.priors.of("items"),
            workspace=self.workspace, axes=solved.axes, loss=self.loss,
            turned="fixed" if stays else None,
        )  # fmt: skip
        self.spare = new._replace(user_axes=sweep.axes)
        seconds["user_seconds"] += middle - began
        seconds["item_seconds"] += time.perf_counter() - middle
        self.retried += solved.retried + sweep.retried
        self.jittered += solved.jittered + sweep.jittered
        self._timed(seconds, self.priors.learn, by_side(new))
        if not self.loss:
            return sweep
        return replace(sweep, loss=sweep.loss + self.priors.penalty())

    @property
    def made(self) -> int:
        """Iterations in the direction of the last one."""
        return 0 if self.momentum is None else int(self.momentum.state[0])

    @staticmethod
    def _timed(seconds: dict[str, float], call: Callable[..., None], *arguments: Any) -> None:
        began = time.perf_counter()
        call(*arguments)
        seconds["feature_seconds"] += time.perf_counter() - began


def by_side(both: Both) -> dict[str, kernels.Factors]:
    return {"users": both.users, "items": both.items}


class AlternatingTrainer:
    """Trains a `LeastSquaresModel` by half-sweeps, users first; see `training.Trainer`."""

    def __init__(self, model: Any, counts: sparse.csr_array) -> None:
        self.model, self.shape, self.dtype = model, counts.shape, counts.dtype
        self.entries = counts.nnz
        self.signed = model._signed(counts)
        self.weights: Weights
        self.weights, self.bias = model._chosen_for(self.signed)
        has = self.bias or model._in_effect("bias")  # or it had, and goes on
        self.mean = model._mean_target(self.signed, self.weights.unobserved) if has else 0.0
        # As they are now: what a callback sets is checked at the next fit
        self.solver = NONNEGATIVE if model.nonnegative else SOLVERS[model.solver]
        self.options = {"cg_steps": model.cg_steps, "num_threads": model.num_threads}

    def start(self, continues: bool, features: Mapping[str, Matched]) -> None:
        model = self.model
        check_room(model, self.shape, self.dtype, gramian=True)
        if continues and self.bias != model._in_effect("bias"):
            self.bias = not self.bias
            has = "with" if self.bias else "without"
            model._log("goes on %s biases, as it began: a fit from the start chooses anew", has)
        if not self.bias:
            self.mean = 0.0
        self.options["mean"] = self.mean
        samples = shares_of_samples(model, self.shape[0], self.entries, continues, bool(features))
        random = None if continues else checks.random_generator(model.random_state)
        # before there are sides of all entries, which take as much memory as half of them do
        begun = self._from_samples(samples, random) if samples else None
        self.sides = kernels.make_sides(
            self.signed, *self.weights, model._ratings, model.num_threads
        )
        self._log_paths()
        if continues:
            begun = self._begun(start(model, self.shape, self.dtype, None, (self.bias,) * 2))
        elif begun is None:
            begun = self._new(self.sides, random)
        rows = {
            name: (side.entries(), side.regularization)
            for name, side in zip(("users", "items"), self.sides, strict=True)
        }
        priors = Priors(model, features, rows, _PLAIN, continues)
        for side, learned in by_side(begun.current).items():
            learned.factors[priors.empty(side)] = 0  # these have been what features say
        self.alternation = self._alternation(self.sides, begun, priors)

    @staticmethod
    def _begun(begin: Start) -> Begun:
        users, items, user_biases, item_biases = begin
        return Begun(Both(kernels.Factors(users, user_biases), kernels.Factors(items, item_biases)))

    def _alternation(
        self, sides: tuple[kernels.Side, kernels.Side], begun: Begun, priors: Priors | None = None
    ) -> Alternation:
        """With `priors` the fit itself, and without the one of a sample."""
        model = self.model
        return Alternation(
            sides, begun, self.solver, self.options, acceleration=model.acceleration,
            loss=model.compute_loss and priors is not None,
            priors=Priors(model, {}, {}, 0, False) if priors is None else priors,
        )  # fmt: skip

    def _new(self, sides: tuple[kernels.Side, kernels.Side], random: np.random.Generator) -> Begun:
        """Drawn factors for these sides, or their singular vectors."""
        model, shape = self.model, (sides[0].n_rows, sides[1].n_rows)
        drawn_all = model.init == "random"
        begin = start(model, shape, self.dtype, random, (self.bias,) * 2, draws_users=drawn_all)
        users, items = begin.users, begin.items
        if not drawn_all:
            rank = kernels.spectral_start(
                sides, users, items, mean=self.mean, num_threads=model.num_threads
            )
            rest = shape[1], model.factors - rank  # for which there is no singular vector
            items[:, rank:] = drawn(random, rest, model, self.dtype)
        if model.nonnegative:
            for factors in (users, items):
                np.abs(factors, out=factors)
        return self._begun(begin)

    def _from_samples(self, samples: list[float], random: np.random.Generator) -> Begun | None:
        """Items as some of the users make them, more of these from time to time.

        An iteration costs in proportion to the users, and after a few of them some users tell
        nearly as much of most items as all do. Users are drawn once: each sample has those before
        in it. None: nobody among them likes anything.
        """
        n_users, n_items = self.shape
        order, lengths = random.permutation(n_users), np.diff(self.signed.indptr)
        lambdas = kernels.both_lambdas(self.signed, *self.weights, self.model.num_threads)
        carried = Carried(n_users, n_items, self._zeros)
        for share, times in zip(samples, iterations_on(samples), strict=True):
            users = np.sort(order[: round(share * n_users)])
            if lengths[users].any():
                self._learn_sample(carried, users, lambdas, times, random, share == samples[-1])
        if not carried.items.factors.any():
            return None
        return carried.begun(n_users, None, clear_users=self.solver.starts)

    def _learn_sample(
        self,
        carried: Carried,
        users: np.ndarray,
        lambdas: tuple[np.ndarray, np.ndarray],
        times: int,
        random: np.random.Generator,
        is_last: bool,
    ) -> None:
        """So many iterations on these users; the last sample has nearly all items, in the memory
        that they are to stay in."""
        began = time.perf_counter()
        if is_last:
            carried.drop_room()
        sides, known = kernels.some_users(
            self.signed, users, lambdas, self.weights.unobserved, self.model._ratings,
            self.model.num_threads, all_items=is_last,
        )  # fmt: skip
        if carried.is_empty:
            begun = self._new(sides, random)
        else:
            begun = carried.begun(len(users), known, clear_users=self.solver.starts)
        alternation = self._alternation(sides, begun)
        for _ in range(times):
            alternation.iterate()
        carried.keep(alternation.current, alternation.spare, alternation.made, known)
        self.model._log(
            "starts from %s users, %s entries: %d iterations, %.2g s",
            f"{len(users):,}", f"{len(sides[0].indices):,}", times, time.perf_counter() - began,
        )  # fmt: skip

    def _zeros(self, count: int) -> kernels.Factors:
        factors = kernels.on_line((count, self.model.factors), self.dtype, np.zeros)
        return kernels.Factors(factors, np.zeros(count, self.dtype) if self.bias else None)

    def state(self) -> dict[str, Any]:
        users, items, _ = self.alternation.whole()
        return {
            "_user_factors": users.factors,
            "_item_factors": items.factors,
            "_user_biases": users.biases,
            "_item_biases": items.biases,
            "_mean": self.mean,
            "_ridges": self.alternation.priors.ridges(),
            "_fitted_weights": self.weights,
        }

    def step(self, number: int) -> Step:
        sweep, details = self.alternation.iterate()
        return Step(sweep.loss, details | self.model._details(sweep, self.entries))

    def finish(self) -> None:
        self._say_if_vanished()
        retried, jittered = self.alternation.retried, self.alternation.jittered
        if retried or jittered:
            warn(
                f"{retried} rows were solved again in double and {jittered} needed a "
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
        if not self.solver.has_paths:
            model._log("solves users and items by %s", model.solver)
            return
        steps = model.cg_steps if model.solver == "cg" else 0
        for noun, side in zip(("users", "items"), self.sides, strict=True):
            paths = kernels.row_paths(side, model.factors + self.bias, steps)
            counted = ", ".join(f"{count:,} {path}" for path, count in paths.items())
            model._log("solves %s by %s: %s", noun, model.solver, counted)

    def _say_if_vanished(self) -> None:
        """Ratings may all be their mean and need no factors; counts need some."""
        model, factors = self.model, self.alternation.current.items.factors
        if model._ratings or self.bias or model.iterations == 0:
            return
        largest = max(factors.max(), -factors.min())
        if largest < _VANISHED and model._in_effect("regularization") != model.regularization:
            logger.warning(
                "the factors have all but vanished (the largest is %.1g), and lists mean nothing: "
                "no entry is greater than 0, or those that are have too little in common",
                largest,
            )
        elif largest < _VANISHED:
            logger.warning(
                "the factors have all but vanished (the largest is %.1g): regularization=%g is too "
                "large for these counts, and lists mean nothing. Lower it; %s",
                largest,
                self.weights.regularization,
                "None takes one from the data"
                if self.weights.exponent
                else "2 to 6 times the mean confidence of the entries is a good start",
            )
