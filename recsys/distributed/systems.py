"""What all rows of a half-sweep share, and how they are solved once it is known.

Each block adds its part (`System.of_block`); of the sum rank 0 makes what all ranks get
(`System.shared`). Rows are then solved in the eigenbasis of the Gramian, or, where factors may not
be negative, in their own axes.

With biases a row is [x, b]. It is solved against [y, 1], while b_i and the mean of all scores are a
given part of the scores of column i, as in `kernels.half_sweep`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys import kernels


class Shared(NamedTuple):
    """What all rows share."""

    axes: np.ndarray  # (width, width) float64: the eigenbasis, or the Gramian itself
    eigenvalues: np.ndarray  # (width,) float64
    common: np.ndarray  # (width,) float64: what is given adds to every right-hand side
    squares: float  # sum_i t_i^2 of what is given

    def packed(self) -> np.ndarray:
        return np.concatenate(
            [self.axes.ravel(), self.eigenvalues, self.common, np.array([self.squares])]
        )

    @classmethod
    def unpacked(cls, numbers: np.ndarray, width: int) -> Shared:
        axes, eigenvalues, common, squares = np.split(
            numbers, np.cumsum([width * width, width, width])
        )
        return cls(axes.reshape(width, width), eigenvalues, common, float(squares[0]))


@dataclass(frozen=True)
class System:
    """How the rows of both sides are solved.

    Parameters
    ----------
    factors : int
    bias, nonnegative : bool
    mean : float
        What all scores have in common, where there are biases.
    w0 : float
        The weight of cells without an entry.
    cg_steps : int
        0: exactly.
    num_threads : int
    """

    factors: int
    bias: bool
    nonnegative: bool
    mean: float
    w0: float
    cg_steps: int
    num_threads: int

    @property
    def starts(self) -> bool:
        """Whether rows are solved from where they are."""
        return self.nonnegative or self.cg_steps > 0

    @property
    def width(self) -> int:
        """Unknowns of a row."""
        return self.factors + self.bias

    @property
    def sent(self) -> int:
        """Numbers of a row that others are sent: [y, 1, t] in whatever axes, or y."""
        return self.factors + 2 * self.bias

    # ---- what all rows share -------------------------------------------------------------------

    def of_block(self, rows: np.ndarray) -> np.ndarray:
        """What the rows of a block, held fixed, add to what is shared; float64."""
        held = self._with_ones(rows)
        gram = kernels.gramian(held, self.num_threads).ravel()
        if not self.bias:
            return gram
        offsets = self._offsets(rows)
        common = -self.w0 * kernels.column_sums(held, offsets, self.num_threads)
        squares = np.einsum("i,i", offsets, offsets, dtype=np.float64)
        return np.concatenate([gram, common, [squares]])

    def shared(self, total: np.ndarray) -> Shared:
        """From the sum over all blocks, which is finite."""
        width = self.width
        gram = total[: width * width].reshape(width, width)
        common = total[width * width :][:width] if self.bias else np.zeros(width)
        squares = float(total[-1]) if self.bias else 0.0
        if self.nonnegative:
            return Shared(gram, np.zeros(width), common, squares)
        eigenvalues, basis = kernels.spectrum(gram)
        return Shared(basis, eigenvalues, common @ basis, squares)

    # ---- axes ----------------------------------------------------------------------------------

    def turned(self, rows: np.ndarray, shared: Shared) -> np.ndarray:
        """The fixed side as others are sent it, (rows, sent); without biases in its own memory."""
        if not self.bias:
            self.follow(rows, shared)
            return rows
        out = np.empty((len(rows), self.sent), rows.dtype)
        out[:, self.width] = self._offsets(rows)
        if self.nonnegative:
            out[:, : self.width] = self._with_ones(rows)
        else:
            kernels.rotate(self._with_ones(rows), shared.axes, self.num_threads, out)
        return out

    def follow(self, rows: np.ndarray, shared: Shared) -> None:
        """Turn rows into the axes that those solved next come in."""
        if not (self.bias or self.nonnegative):
            kernels.rotate(rows, shared.axes, self.num_threads)

    def start(self, rows: np.ndarray, shared: Shared) -> None:
        """Turn rows that are where conjugate gradient starts."""
        if self.cg_steps and not self.nonnegative:
            kernels.rotate(rows, shared.axes, self.num_threads)

    def finish(self, rows: np.ndarray, shared: Shared) -> None:
        """Turn solved rows back, where one of their columns is a bias."""
        if self.bias and not self.nonnegative:
            kernels.rotate(rows, shared.axes.T, self.num_threads)

    # ---- rows ----------------------------------------------------------------------------------

    def solve(
        self, side: kernels.Side, fixed: np.ndarray, out: np.ndarray, shared: Shared, loss: bool
    ) -> kernels.Solved:
        """Solve the rows of a block against what was sent of the fixed side, (columns, sent)."""
        offsets = fixed[:, self.width] if self.bias else None
        common = shared.common if self.bias else None
        if self.nonnegative:
            return kernels.nonnegative_rows(
                side, fixed, out, shared.axes, offsets=offsets, common=common, loss=loss,
                num_threads=self.num_threads,
            )  # fmt: skip
        return kernels.solve_rows(
            side, fixed, out, shared.eigenvalues, offsets=offsets, common=common,
            cg_steps=self.cg_steps, loss=loss, num_threads=self.num_threads,
        )  # fmt: skip

    def other_cells(self, solved: np.ndarray, shared: Shared) -> float:
        """What the objective has of solved rows, not yet turned back, beside stored entries:

        w0 sum (t_i + x_u.y_i)^2 = w0 (<X'X, Y'Y> + rows t't) - 2 (sum_u x_u).common
        """
        gram = kernels.gramian(solved, self.num_threads)
        if self.nonnegative:
            inner = float(np.sum(gram * shared.axes))
        else:
            inner = float(shared.eigenvalues @ np.diag(gram))
        cells = self.w0 * (inner + len(solved) * shared.squares)
        if not self.bias:
            return cells
        ones = np.ones(len(solved), solved.dtype)
        return cells - 2 * float(
            kernels.column_sums(solved, ones, self.num_threads) @ shared.common
        )

    # ---- biases --------------------------------------------------------------------------------

    def _with_ones(self, rows: np.ndarray) -> np.ndarray:
        """[y, 1] of [y, b], or y."""
        if not self.bias:
            return rows
        held = rows.copy()
        held[:, -1] = 1
        return held

    def _offsets(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, -1] + rows.dtype.type(self.mean)
