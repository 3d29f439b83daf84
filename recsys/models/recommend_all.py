"""Everyone's lists."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from recsys import checks
from recsys.serving import write_lists

USERS = 1 << 13  # whose lists are made together


class RecommendAll:
    """`recommend_all` for a model with `recommend` and `_n_users`."""

    def recommend_all(
        self,
        N: int = 10,
        *,
        path: str | os.PathLike | None = None,
        filter_seen: bool = True,
        filter_items: Any = None,
        items: Any = None,
        show_progress: bool = True,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The N items with the highest scores for every user of the model.

        Parameters
        ----------
        N, filter_seen, filter_items, items
            As in `recommend`.
        path : str or path, optional
            Write the lists to this Parquet file, some users at a time, and return None: memory
            then does not grow with the number of users. Columns: user, items and scores (lists,
            without empty places). Needs pyarrow.
        show_progress : bool, default True
            Show a progress bar where the output is a terminal.

        Returns
        -------
        ids, scores : ndarrays, shape (n_users, N), or None
            As in `recommend`.

        Raises
        ------
        ImportError
            `path` is given and pyarrow is not installed.
        NotFittedError, IndexError, TypeError, ValueError, OSError
            As in `recommend` and `save`.
        """
        from tqdm import tqdm

        n_users = self._n_users()
        options = {"filter_seen": filter_seen, "filter_items": filter_items, "items": items}

        def blocks() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
            with tqdm(total=n_users, unit=" users", disable=None if show_progress else True) as bar:
                for begin in range(0, n_users, USERS):
                    users = np.arange(begin, min(begin + USERS, n_users))
                    yield begin, *self.recommend(users, N=N, **options)
                    bar.update(len(users))

        if path is not None:
            write_lists(path, blocks())
            return None
        checks.integer("N", N, 1)
        ids = np.empty((n_users, N), np.int32)
        scores = np.empty((n_users, N), checks.floating_dtype(self.dtype))
        for begin, found, own in blocks():
            ids[begin : begin + len(found)], scores[begin : begin + len(found)] = found, own
        return ids, scores
