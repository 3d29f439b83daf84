"""What every loader of this package returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp


class DatasetUnavailableError(OSError):
    """The data is neither on this machine nor within reach of the network.

    The message names the address and where to put the file.
    """


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Who listened to what, how often.

    Attributes
    ----------
    user_items : scipy.sparse.csr_matrix of float32, users x items
        Counts: canonical (sorted columns, no duplicates), in the unit of the source (plays).
    users : ndarray of str (dtype object) or None
        The id of each row; None where the source names none.
    items : ndarray of str (dtype object) or None
        The name of each column; None where the source names none.
    name : str
        What this is, to be shown beside every figure. Says "synthetic" where it is.
    synthetic : bool
        True where the data was generated.
    report : mapping
        What reading the source found, such as the rows it held and the malformed ones.
    """

    user_items: sp.csr_matrix
    users: np.ndarray | None
    items: np.ndarray | None
    name: str
    synthetic: bool = False
    report: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        n_users, n_items = self.user_items.shape
        kind = ", synthetic" if self.synthetic else ""
        return (
            f"Dataset({self.name!r}, {n_users:,} users x {n_items:,} items, "
            f"{self.user_items.nnz:,} entries{kind})"
        )


def names_array(names: list[str]) -> np.ndarray:
    """A list of str as a 1-D object array: names differ in length, a fixed width wastes memory."""
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array
