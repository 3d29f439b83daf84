"""Training by alternating least squares, whatever the entries mean."""

from __future__ import annotations

import logging
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, kernels
from recsys.models.alternating import AlternatingModel
from recsys.models.base import NumericalWarning, Step
from recsys.models.training import IterativeModel

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

SOLVERS = ("cholesky", "cg")
_VANISHED = 1e-6  # factors that tell apart what users like are nearly 1


class Both(NamedTuple):
    """All that is learned; biases are None in a model without."""

    users: kernels.Factors
    items: kernels.Factors

    def like(self) -> Both:
        """Arrays of the same shapes, not yet written."""
        return Both(*(kernels.Factors(*(a if a is None else np.empty_like(a) for a in rows))
                      for rows in self))  # fmt: skip

    def state(self) -> dict[str, Any]:
        """In terms of FactorModel's attributes."""
        return {
            "_user_factors": self.users.factors,
            "_item_factors": self.items.factors,
            "_user_biases": self.users.biases,
            "_item_biases": self.items.biases,
        }


class Rows(NamedTuple):
    """The least squares problems of both sides, and what all scores have in common."""

    sides: tuple[kernels.Side, kernels.Side]
    mean: float
    dtype: np.dtype
    entries: int


class LeastSquaresModel(AlternatingModel, IterativeModel):
    """A model whose rows are least squares problems that one half-sweep solves for a whole side."""

    regularization: float
    bias: bool
    solver: str
    cg_steps: int
    iterations: int
    compute_loss: bool

    # ---- what a model of this kind provides ----------------------------------------------------

    def _mean_target(self, signed: sparse.csr_array) -> float:
        """The mean of what scores are to be."""
        raise NotImplementedError

    def _details(self, sweep: kernels.Sweep, entries: int) -> dict[str, Any]:
        """What else `history` is told after a sweep over so many entries."""
        return {}

    # ---- training ------------------------------------------------------------------------------

    def _check_least_squares(self) -> np.dtype:
        """Check the parameters that all such models have; returns the dtype."""
        checks.number("regularization", self.regularization, least=0)
        checks.flag("bias", self.bias)
        checks.choice("solver", self.solver, SOLVERS)
        checks.integer("cg_steps", self.cg_steps, 1)
        checks.integer("iterations", self.iterations, 0)
        return self._check_size()

    def _iterations(self) -> int:
        return self.iterations

    def _with_biases(self) -> tuple[bool, bool]:
        return self.bias, self.bias

    def _problem(self, counts: sparse.csr_array) -> Rows:
        signed = self._signed(counts)
        mean = self._mean_target(signed) if self.bias else 0.0
        sides = kernels.make_sides(signed, *self._weights(), self._ratings)
        return Rows(sides, mean, counts.dtype, counts.nnz)

    def _training(
        self, problem: Rows, shape: tuple[int, int], continues: bool
    ) -> LeastSquaresTraining:
        return LeastSquaresTraining(self, problem, shape, continues)


class LeastSquaresTraining:
    """Training a `LeastSquaresModel`; see `Training`."""

    def __init__(
        self, model: LeastSquaresModel, problem: Rows, shape: tuple[int, int], continues: bool
    ) -> None:
        self.model, self.problem = model, problem
        random = None if continues else checks.random_generator(model.random_state)
        users, items, *biases = model._start(shape, problem.dtype, random)
        self.current = Both(*map(kernels.Factors, (users, items), biases))
        self.spare: Both | None = None
        self._log_paths()
        self.retried = self.jittered = 0
        self.how: dict[str, Any] = {
            "solver": model.solver,
            "cg_steps": model.cg_steps,
            "num_threads": model.num_threads,
            "mean": problem.mean,
            "workspace": kernels.Workspace.of(
                problem.sides, model.factors, model.bias, problem.dtype
            ),
        }

    def _log_paths(self) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return  # as it looks at every entry
        model = self.model
        steps = model.cg_steps if model.solver == "cg" else 0
        for noun, side in zip(("users", "items"), self.problem.sides, strict=True):
            paths = kernels.row_paths(side, model.factors + model.bias, steps)
            told = ", ".join(f"{count:,} {path}" for path, count in paths.items())
            model._log("solves %s by %s: %s", noun, model.solver, told)

    def state(self) -> dict[str, Any]:
        return {**self.current.state(), "_mean": self.problem.mean}

    def step(self, number: int) -> Step:
        # `current` is what the model shows, or goes back to if this iteration is interrupted:
        # everything is written to `spare`.
        if self.spare is None:
            self.spare = self.current.like()
        begin = time.perf_counter()
        users = self._solve_users()
        middle = time.perf_counter()
        items = self._solve_items()
        end = time.perf_counter()
        self.current, self.spare = self.spare, self.current
        self.retried += users.retried + items.retried
        self.jittered += users.jittered + items.jittered
        seconds = {"user_seconds": middle - begin, "item_seconds": end - middle}
        details = self.model._details(items, self.problem.entries)
        return Step(self.state(), items.loss, {**seconds, **details})

    def finish(self) -> None:
        self._say_if_vanished()
        if self.retried or self.jittered:
            warnings.warn(
                f"{self.retried} rows were solved again in double and {self.jittered} needed a "
                "larger diagonal: their weights are too large, or the regularization too small, "
                f"for {self.problem.dtype}. Raise regularization, scale the weights down (alpha), "
                "or use dtype=np.float64",
                NumericalWarning,
                stacklevel=4,
            )

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

    def _solve_users(self) -> kernels.Sweep:
        now, out = self.current, self.spare
        return kernels.half_sweep(
            self.problem.sides[0], now.items, now.users, out.users, **self.how
        )

    def _solve_items(self) -> kernels.Sweep:
        now, out = self.current, self.spare
        return kernels.half_sweep(
            self.problem.sides[1], out.users, now.items, out.items,
            loss=self.model.compute_loss, **self.how,
        )  # fmt: skip
