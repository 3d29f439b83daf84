"""The data sets of features.py: .npz files, each split in advance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from recsys import Features

DATA = ("citeulike-a", "ml-1m", "lastfm-2k")
CODINGS = ("count", "idf")


class Split(NamedTuple):
    """One data set, in parts; see DATA.md of the folder."""

    name: str
    parts: dict[str, sp.csr_matrix]
    cold: dict[str, np.ndarray]  # the items of "valid" and of "test"
    codings: dict[str, Features]
    raw: sp.csr_matrix  # of items: how often each has a feature
    users: Features | None  # of users, of whom those in `cold_users` have no events
    cold_users: np.ndarray | None

    def facts(self) -> dict[str, Any]:
        """What figures are of."""
        users, items = self.parts["train"].shape
        sizes = {name: part.nnz for name, part in self.parts.items()}
        return {"users": users, "items": items, "features": self.raw.shape[1], **sizes}


def load(name: str, folder: Path) -> Split | None:
    """A data set; None where it is not there."""
    path = folder / "hybrid" / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path) as file:
        names = ("train", "valid", "test", "cold_valid", "cold_test", "item_features")
        parts = {part: _matrix(file, part) for part in names}
        cold = {part: file[f"cold_{part}_items"] for part in ("valid", "test")}
        people = cold_users = None
        if "user_test_indptr" in file:
            parts["user_test"], cold_users = _matrix(file, "user_test"), file["cold_test_users"]
            people = Features.from_csr(_matrix(file, "user_features"))
    raw = parts.pop("item_features")
    described = raw.copy()
    described.data = np.log1p(described.data)  # how many users gave a tag
    codings = {weight: Features.from_csr(described, weight=weight) for weight in CODINGS}
    return Split(name, parts, cold, codings, raw, people, cold_users)


def _matrix(file: Any, part: str) -> sp.csr_matrix:
    indices = file[f"{part}_indices"]
    data = file[f"{part}_data"] if f"{part}_data" in file else np.ones(len(indices), np.float32)
    return sp.csr_matrix((data, indices, file[f"{part}_indptr"]), file[f"{part}_shape"])


class ByScores:
    """What lists are made of that no model of ours gives: `scores` of users, (n, items)."""

    def __init__(self, scores: Callable[[np.ndarray], np.ndarray]) -> None:
        self._scores = scores

    def recommend(
        self, users: Any, user_items: Any, N: int, among: Any = None, filter_items: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The highest scores of what users do not have."""
        scores = self._scores(users)
        scores[np.asarray(user_items.todense()) > 0] = -np.inf
        if filter_items is not None:
            scores[:, filter_items] = -np.inf
        if among is not None:
            left = np.full_like(scores, -np.inf)
            left[:, among] = scores[:, among]
            scores = left
        best = np.argsort(-scores, axis=1, kind="stable")[:, :N]
        return best, np.take_along_axis(scores, best, axis=1)


def profile(split: Split) -> ByScores:
    """No model: the cosine of an item's features and the sum of those a user has, but for the
    user's length, which changes no order."""
    items = split.codings["idf"].matrix
    users = split.parts["train"] @ items
    return ByScores(lambda rows: (users[rows] @ items.T).toarray())
