"""The half-sweeps of a fit in their order, and what momentum does between them.

What is decided here is decided by the objective alone, which is the same number everywhere: all
ranks decide alike, or one place decides for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from recsys import kernels
from recsys.distributed.problem import ITEM, USER, Problem


class Sweeps(Protocol):
    """What an iteration consists of. Arrays go by their names: "users", "items", "before" (the
    users of the iteration before) and "kept"."""

    def half_sweep(self, fixed: int, loss: bool, following: Sequence[str]) -> float | None:
        """Solve the other side's rows; arrays of `following` are turned as those of both sides are.
        The objective after it, if asked for, which may be where items are held fixed."""

    def copy(self, to: str, of: str) -> None: ...

    def swap(self, one: str, other: str) -> None: ...

    def extrapolate(self, made: float, loss: float) -> None:
        """Write what is beyond the users, seen from those before, to "before"; of `Momentum` of
        that state."""


class Iterations:
    """Iterations of a fit.

    Parameters
    ----------
    problem : Problem
    starts : bool
        Whether rows are solved from where they are.
    """

    def __init__(self, problem: Problem, starts: bool) -> None:
        self.loss, self.starts = problem.loss, starts
        self.momentum = kernels.Momentum(np.dtype(np.float32)) if problem.acceleration else None

    def make(self, sweeps: Sweeps) -> tuple[float | None, float | None]:
        """One iteration: the objective after it, where it is known, and the weight of momentum,
        where there is any."""
        momentum = self.momentum
        if momentum is None:
            return _both(sweeps, self.loss), None
        weight = momentum.weight
        if weight:
            loss = self._beyond(sweeps, momentum)
            if momentum.rose(loss):
                momentum.restart()
                weight = 0.0
        if not weight:
            sweeps.copy("before", "users")
            loss = _both(sweeps, True, ["before"])
        momentum.made(loss)
        return loss, weight

    def _beyond(self, sweeps: Sweeps, momentum: kernels.Momentum) -> float:
        """An iteration from beyond the users as they are, who become those before; if it raised the
        objective everything is as it was, but for the axes."""
        following = ["before"]
        if self.starts:
            sweeps.copy("kept", "items")
            following.append("kept")
        sweeps.extrapolate(*momentum.state)
        sweeps.swap("users", "before")
        loss = _both(sweeps, True, following, "before" if self.starts else None)
        if momentum.rose(loss):
            sweeps.copy("users", "before")
            if self.starts:
                sweeps.copy("items", "kept")
        return loss


def _both(
    sweeps: Sweeps, loss: bool, following: Sequence[str] = (), begin: str | None = None
) -> float | None:
    """Items against users, then users against items, from `begin` if there is one."""
    sweeps.half_sweep(USER, False, following)
    if begin is not None:
        sweeps.copy("users", begin)
    return sweeps.half_sweep(ITEM, loss, following)
