"""Users without a history, among those that are measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, kernels
from recsys.interactions.ids import Ids
from recsys.interactions.interactions import Interactions

if TYPE_CHECKING:
    from scipy import sparse

POLICIES = ("error", "skip", "popular")


def with_strangers(train: Any, test: Any, users: Ids | None) -> Ids | None:
    """The users there are, by default those of `train`, and after them those whom only `test`
    has."""
    if users is None and isinstance(train, Interactions):
        users = train.users
    if users is None or not isinstance(test, Interactions):
        return users
    wanted = test.users.take(np.arange(len(test.users)))
    return users.extended(wanted[users.find(wanted, "users of test") < 0])


def measured(train: sparse.csr_array, unknown: str | None) -> tuple[np.ndarray, int]:
    """Which users are measured, by their rows of `train`, and how many are not, having none."""
    everybody = np.ones(train.shape[0], bool)
    if unknown is None:
        return everybody, 0
    checks.choice("word for unknown=", unknown, POLICIES)
    without = np.diff(train.indptr) == 0
    if unknown == "error" and without.any():
        raise ValueError(
            f"{without.sum()} users with test items have no entry in train: unknown='skip' leaves "
            "them out, unknown='popular' gives them popular items"
        )
    if unknown != "skip":
        return everybody, 0
    if without.all():
        raise ValueError("no user with test items has an entry in train, so nobody is measured")
    return ~without, int(without.sum())


def with_popular(ask: Callable[..., Any], popularity: np.ndarray) -> Callable[..., Any]:
    """`ask` is a model's ``recommend``; users whose row is empty get the most popular items."""

    def recommend(users: np.ndarray, rows: Any, N: int, **options: Any) -> tuple[Any, Any]:
        has = np.diff(rows.indptr) > 0
        ids = np.full((len(users), N), -1, np.int64)
        scores = np.full((len(users), N), -np.inf)
        if has.any():
            listed, their = map(np.asarray, ask(users[has], rows[has], N=N, **options))
            ids[has, : listed.shape[1]], scores[has, : listed.shape[1]] = listed, their
        if not has.all():
            ids[~has], scores[~has] = kernels.topk(
                np.ones((int((~has).sum()), 1)), popularity[:, np.newaxis].astype(np.float64), N
            )
        return ids, scores

    return recommend
