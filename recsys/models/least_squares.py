"""Training by alternating least squares, whatever the entries mean."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks, kernels
from recsys.models.alternating import AlternatingModel
from recsys.models.base import Callback, Iteration, NumericalWarning, Step
from recsys.models.candidates import Seen
from recsys.models.training import check_callback, drawn_factors, goes_on

if TYPE_CHECKING:
    from scipy import sparse

SOLVERS = ("cholesky", "cg")
Details = Callable[[kernels.Sweep, dict[str, Any]], dict[str, Any]]


class Both(NamedTuple):
    """All that is learned; biases are None in a model without."""

    users: kernels.Biased
    items: kernels.Biased

    def like(self) -> Both:
        """Arrays of the same shapes, not yet written."""
        return Both(*(kernels.Biased(*(a if a is None else np.empty_like(a) for a in rows))
                      for rows in self))  # fmt: skip

    def state(self) -> dict[str, Any]:
        """In terms of FactorModel's attributes."""
        return {
            "_user_factors": self.users.factors,
            "_item_factors": self.items.factors,
            "_user_biases": self.users.biases,
            "_item_biases": self.items.biases,
        }


class LeastSquaresModel(AlternatingModel):
    """A model whose rows are least squares problems that one half-sweep solves for a whole side."""

    factors: int
    bias: bool
    solver: str
    cg_steps: int
    iterations: int
    init_scale: float
    random_state: Any
    compute_loss: bool

    def _mean_target(self, signed: sparse.csr_array) -> float:
        """The mean of what scores are to be."""
        raise NotImplementedError

    def _fit(
        self,
        user_items: Any,
        callback: Callback | None,
        show_progress: bool,
        warm_start: bool,
        details: Details = lambda sweep, state: {},
    ) -> None:
        """What `fit` does, `details` adding to `history`."""
        dtype = self._check_parameters()
        check_callback(callback)
        counts = checks.interactions(user_items, dtype)
        warm_start = goes_on(self, warm_start, counts.shape, self.factors, dtype)
        if warm_start and self._user_biases is not None and not self.bias:
            raise ValueError(
                "cannot continue from a model with biases as bias=False: "
                "set_params(bias=True), or fit with warm_start=False to start fresh"
            )
        seen = Seen.of(counts)
        if np.may_share_memory(counts.indices, getattr(user_items, "indices", None)):
            seen = seen._replace(data=user_items.data)  # the caller's own, where values were cast
        try:
            with kernels.single_threaded_blas():
                signed = self._signed(counts)
                mean = self._mean_target(signed) if self.bias else 0.0
                sides = kernels.make_sides(signed, *self._weights(), self._ratings)
                del counts, signed  # copies of values go now, before the factors come
                start = self._start(seen.shape, dtype, warm_start)
                history = self.history if warm_start else []
                common = {"_seen": seen, "_mean": mean}
                self._train(sides, common, start, details, history, callback, show_progress)
        finally:
            # Only now, when the memory of training is free again, is there room for a copy.
            sides = start = None
            if self._seen is seen:
                self._seen = seen.copied(dtype)

    def _check_least_squares(self) -> np.dtype:
        """Check the parameters that all such models have; returns the dtype."""
        checks.integer("factors", self.factors, 1)
        checks.number("regularization", self.regularization, least=0)
        checks.flag("bias", self.bias)
        checks.choice("solver", self.solver, SOLVERS)
        checks.integer("cg_steps", self.cg_steps, 1)
        checks.integer("iterations", self.iterations, 0)
        checks.number("init_scale", self.init_scale, above=0)
        checks.integer("num_threads", self.num_threads, 0)
        checks.random_state(self.random_state)
        return checks.floating_dtype(self.dtype)

    def _train(
        self,
        sides: tuple[kernels.Side, kernels.Side],
        common: dict[str, Any],
        current: Both,
        details: Details,
        history: list[Iteration],
        callback: Callback | None,
        show_progress: bool,
    ) -> None:
        """Iterate from `current`, arrays of our own; `common` is the part of the state that stays
        as it is."""
        if self.iterations == 0:
            self._publish({**current.state(), **common}, history)
            return
        spare = current.like()
        retried = jittered = 0

        def step() -> Step:
            # `current` is what the model shows, or goes back to if this iteration is interrupted:
            # everything is written to `spare`.
            nonlocal current, spare, retried, jittered
            begin = time.perf_counter()
            users = self._solve_users(sides[0], current, spare, common["_mean"])
            middle = time.perf_counter()
            items = self._solve_item_side(sides[1], users, current, spare, common["_mean"])
            end = time.perf_counter()
            current, spare = spare, current
            retried += users.retried + items.retried
            jittered += users.jittered + items.jittered
            state = {**current.state(), **common}
            seconds = {"user_seconds": middle - begin, "item_seconds": end - middle}
            return Step(state, items.loss, {**seconds, **details(items, state)})

        self._iterate(step, self.iterations, history, callback, show_progress)
        if retried or jittered:
            warnings.warn(
                f"{retried} rows were solved again in double and {jittered} needed a larger "
                "diagonal: their confidences are too large, or the regularization too small, for "
                f"{current.users.factors.dtype}. Raise regularization, scale confidences down "
                "(alpha), or use dtype=np.float64",
                NumericalWarning,
                stacklevel=4,
            )

    def _solve_users(self, side: kernels.Side, now: Both, out: Both, mean: float) -> kernels.Sweep:
        if self.bias:
            return kernels.biased_half_sweep(
                side, now.items, now.users, out.users, mean, **self._how()
            )
        scratch = out.items.factors
        return kernels.half_sweep(
            side, now.items.factors, now.users.factors, out.users.factors, scratch=scratch,
            **self._how(),
        )  # fmt: skip

    def _solve_item_side(
        self, side: kernels.Side, users: kernels.Sweep, now: Both, out: Both, mean: float
    ) -> kernels.Sweep:
        how = {**self._how(), "loss": self.compute_loss}
        if self.bias:
            return kernels.biased_half_sweep(side, out.users, now.items, out.items, mean, **how)
        return kernels.half_sweep(
            side, out.users.factors, now.items.factors, out.items.factors,
            start_basis=users.basis, **how,
        )  # fmt: skip

    def _how(self) -> dict[str, Any]:
        return {"solver": self.solver, "cg_steps": self.cg_steps, "num_threads": self.num_threads}

    def _start(self, shape: tuple[int, int], dtype: np.dtype, warm_start: bool) -> Both:
        """What training starts from, in arrays of our own."""
        if warm_start:
            factors = self.user_factors.astype(dtype), self.item_factors.astype(dtype)
            biases = self._user_biases, self._item_biases
        else:
            random = checks.random_generator(self.random_state)
            factors = drawn_factors(random, shape, self.factors, self.init_scale, dtype)
            biases = None, None
        if self.bias:
            biases = (
                np.zeros(len(rows), dtype) if own is None else own.astype(dtype)
                for rows, own in zip(factors, biases, strict=True)
            )
        return Both(*map(kernels.Biased, factors, biases))
