"""Momentum of alternating least squares: an iteration starts beyond the items of the last one.

An iteration maps Y_k to Y_(k+1): users solved against Y_k, items against these users. It is slow
along a few directions, in which successive iterates go the same way. So the next one starts from

    Y^_k = Y_k + beta_k (Y_k - Y_(k-1)),    beta_k = j / (j + 2)

j being the iterations since the start or the last restart (Nesterov 1983, in the form of Su, Boyd
and Candes 2016). Half-sweeps leave factors in the axes of those before, so that the difference
means something. Biases of items are extrapolated with them.

The objective is known after each iteration. If it rose, the extrapolation was too bold: the
iteration is taken back, made again from Y_k as it is, and momentum starts anew (the function scheme
of O'Donoghue and Candes 2015; for ALS, Mitchell, Ye and De Sterck 2020). Without momentum each
half-sweep lowers the objective or leaves it, be it exact or some steps of conjugate gradient from
the last values: so the objective never rises, but by rounding.
"""

from __future__ import annotations

import numpy as np

from .factors import Factors

_BLOCK = 1 << 11  # rows that stay in cache between the steps of a computation


class Momentum:
    """How far beyond the items an iteration starts."""

    def __init__(self, dtype: np.dtype, made: int = 0) -> None:
        self._eps = float(np.finfo(dtype).eps)
        self._made = made  # iterations since the start, or since momentum was lost
        self._loss = np.inf  # after the last iteration

    @property
    def state(self) -> tuple[float, float]:
        """All that it remembers."""
        return float(self._made), float(self._loss)

    @state.setter
    def state(self, state: tuple[float, float]) -> None:
        self._made, self._loss = int(state[0]), float(state[1])

    @property
    def weight(self) -> float:
        """beta of the next iteration; 0: it starts from the items as they are."""
        return self._made / (self._made + 2)

    def extrapolate(self, now: Factors, before: Factors) -> None:
        """Write now + beta (now - before) to `before`."""
        for new, old in zip(now, before, strict=True):
            if new is not None:
                _extrapolate(new, old, old.dtype.type(self.weight))

    def rose(self, loss: float) -> bool:
        """Whether the objective rose, by more than rounding."""
        return not loss <= self._loss + self._eps * abs(self._loss)

    def restart(self) -> None:
        """Forget in which direction things went."""
        self._made = 0

    def made(self, loss: float) -> None:
        """An iteration has been made."""
        self._made += 1
        self._loss = loss


def _extrapolate(new: np.ndarray, old: np.ndarray, weight: np.floating) -> None:
    for begin in range(0, len(old), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        np.subtract(new[rows], old[rows], out=old[rows])
        old[rows] *= weight
        old[rows] += new[rows]
