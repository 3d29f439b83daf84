"""What every loader of this package returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys.interactions import Interactions
from recsys.interactions.id_values import as_objects
from recsys.interactions.ids import StringIds


class DatasetUnavailableError(OSError):
    """The data is neither on this machine nor within reach of the network.

    The message names the address and where to put the file.
    """


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Interactions):
    """Interactions that have a name: who listened to what, how often.

    Its parts (`split`, `filter`, ...) are plain Interactions.

    Attributes
    ----------
    user_items : scipy.sparse.csr_matrix, users x items
        Counts, in the unit of the source (plays).
    users, items : Ids
        Of rows and columns; their numbers where the source names none.
    name : str
        What this is, to be shown beside every figure. Says "synthetic" where it is.
    synthetic : bool
        True where the data was generated.
    report : mapping
        What reading the source found, such as the rows it held and the malformed ones.
    """

    name: str = ""
    synthetic: bool = False
    report: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        kind = ", synthetic" if self.synthetic else ""
        return (
            f"Dataset({self.name!r}, {self.shape[0]:,} users x {self.shape[1]:,} items, "
            f"{self.nnz:,} entries{kind})"
        )


def distinct_names(names: list[str]) -> StringIds:
    """Ids of names that are known to be distinct."""
    return StringIds.of_objects(as_objects(names))
