"""Lists for every user of a model, some users at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recsys import checks, kernels
from recsys.models.ids import Lists
from recsys.models.selection import Choice
from recsys.progress import progress_bar


def blocks(
    model: Any, choice: Choice, N: int, *, filter_seen: bool, show_progress: bool
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The first user of each block, their lists and the scores in these."""
    n_users = model._known_shape()[0]
    with progress_bar(show_progress, total=n_users, unit=" users") as bar:
        for block in kernels.query_blocks(n_users):
            users = np.arange(block.start, block.stop)
            options = {"filter_seen": filter_seen, "fold_in": False}
            yield block.start, *model._lists(users, None, users, choice, N, **options)
            bar.update(len(users))


def together(
    model: Any, choice: Choice, N: int, *, filter_seen: bool, show_progress: bool
) -> Lists:
    """All of them in two arrays."""
    shape = model._known_shape()[0], N
    best, scores = np.empty(shape, np.int32), np.empty(shape, checks.floating_dtype(model.dtype))
    options = {"filter_seen": filter_seen, "show_progress": show_progress}
    for begin, *part in blocks(model, choice, N, **options):
        at = slice(begin, begin + len(part[0]))
        best[at], scores[at] = part
    return best, scores
