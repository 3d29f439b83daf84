"""What the entries of a matrix are taken for: ratings, or counts of what somebody met."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.interactions import Interactions

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")


def as_ratings(data: Any) -> Any:
    """Interactions with the last rating of each pair; what else is given stays what it is.

    Raises
    ------
    ValueError
        Ratings that came more than once are summed.
    """
    if not isinstance(data, Interactions) or data.events is None or data.events.values is None:
        return data
    more = data.events.n - data.nnz
    if data.aggregate == "sum":
        raise ValueError(
            f"{more} of {data.events.n} ratings are of a pair that was rated before, and "
            "aggregate='sum' added them up: two sevens are no rating of 14. Make Interactions "
            "with aggregate='last' or 'mean' (or use data.aggregated('last')), or leave it out"
        )
    if data.aggregate is not None:
        return data
    logger.info(
        "%d of %d ratings are of a pair that was rated before: the last of each counts",
        *(more, data.events.n),
    )
    return data.aggregated("last")


def check_not_full(counts: sparse.csr_array) -> None:
    """Say so where all cells are stored: nothing is left to be recommended."""
    if counts.nnz != counts.shape[0] * counts.shape[1] or min(counts.shape) < 2:
        return
    zeros = int(np.count_nonzero(counts.data == 0))
    logger.warning(
        "user_items stores all of its %d cells, %d of them zeros: every item counts as seen by "
        "everybody, so that lists stay empty. Keep only what users met: "
        "Interactions.from_frame(..., zeros='drop') of a table, matrix.eliminate_zeros() of a "
        "matrix, or ask with filter_seen=False",
        *(counts.nnz, zeros),
    )


def check_likes(counts: sparse.csr_array) -> None:
    """ValueError where there are dislikes alone, from which nothing follows to be listed."""
    if not np.any(counts.data > 0):
        raise ValueError(
            f"user_items has {counts.nnz} stored entries, none of them positive, so nobody likes "
            "anything; expected counts r_ui > 0 of what is liked"
        )
