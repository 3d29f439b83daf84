"""What there is in Interactions, in a few lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.tables import aligned, html_table

if TYPE_CHECKING:
    from scipy import sparse

_SHARES = {"min": 0, "25%": 0.25, "median": 0.5, "75%": 0.75, "max": 1}


@dataclass(frozen=True, repr=False)
class Summary:
    """What `Interactions.describe` returns.

    Attributes
    ----------
    n_users, n_items, nnz : int
        Users, items and entries.
    density : float
        The share of pairs that have an entry.
    columns : dict of str to dict of str to float
        Of "entries of a user", "entries of an item" and "value": "mean", "min", "25%",
        "median", "75%", "max". Users and items without entries count as 0.
    first_time, last_time : number, datetime64 or None
    """

    n_users: int
    n_items: int
    nnz: int
    density: float
    columns: dict[str, dict[str, float]]
    first_time: Any
    last_time: Any

    @classmethod
    def of(cls, matrix: sparse.csr_matrix, times: np.ndarray | None) -> Summary:
        columns = {
            "entries of a user": np.diff(matrix.indptr),
            "entries of an item": np.bincount(matrix.indices, minlength=matrix.shape[1]),
        }
        if matrix.nnz:
            columns["value"] = matrix.data
        span = (None, None) if times is None or not matrix.nnz else (times.min(), times.max())
        figures = {name: _figures(values) for name, values in columns.items()}
        n_users, n_items = matrix.shape
        density = matrix.nnz / (n_users * n_items)
        return cls(n_users, n_items, matrix.nnz, density, figures, *span)

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain Python numbers and, for dates, strings: ready for JSON."""
        times = {"first_time": self.first_time, "last_time": self.last_time}
        plain = {
            name: str(value) if isinstance(value, np.datetime64) else value.item()
            for name, value in times.items()
            if value is not None
        }
        counts = {"n_users": self.n_users, "n_items": self.n_items, "nnz": self.nnz}
        return counts | {"density": self.density, **self.columns, **plain}

    def __repr__(self) -> str:
        lines = [self._headline(), aligned(self._rows())]
        if self.first_time is not None:
            lines.append(self._times())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        last = f"<p>{self._times()}</p>" if self.first_time is not None else ""
        return f"<p>{self._headline()}</p>{html_table(self._rows())}{last}"

    def _headline(self) -> str:
        return (
            f"{self.n_users:,} users x {self.n_items:,} items, {self.nnz:,} entries "
            f"({self.density:.3%} of all pairs)"
        )

    def _times(self) -> str:
        return f"from {self.first_time} to {self.last_time}"

    def _rows(self) -> list[list[str]]:
        names = ["mean", *_SHARES]
        rows = [
            [column, *(f"{figures[name]:,.6g}" for name in names)]
            for column, figures in self.columns.items()
        ]
        return [["", *names], *rows]


def _figures(values: np.ndarray) -> dict[str, float]:
    shares = np.quantile(values, list(_SHARES.values()))
    return {"mean": float(values.mean(dtype=np.float64))} | dict(
        zip(_SHARES, shares.tolist(), strict=True)
    )
