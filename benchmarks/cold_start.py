"""The data sets of features.py, and the tables of what it has measured.

Data sets are .npz files, each split in advance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from harness import DOCS, markdown_table
from quality import Row

from recsys import Features

# ---- data sets ----------------------------------------------------------------------------------

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


# ---- tables -------------------------------------------------------------------------------------

PAGE = DOCS / "features.md"
MARKS = ("<!-- features:begin -->", "<!-- features:end -->")
AFTERWARDS = ", features afterwards"
PROFILE = "TF-IDF profile"
Report = dict[str, Any]


def tables(report: Report) -> str:
    """All that there is to show of a report, one after the other."""
    parts = (_lists, _against_afterwards, _mixed, _strangers, _newcomers, _counts, _wide)
    return "\n\n".join(shown for part in parts if (shown := part(report)))


def _having(report: Report, name: str) -> list[Row]:
    """Rows that tell of this, a data set after the other."""
    rows = [row for row in report["rows"] if name in row]
    return sorted(rows, key=lambda row: list(report["data"]).index(row["data"]))


def _lists(report: Report) -> str:
    """NDCG@20 of cold / warm lists, a column for each data set."""
    rows = [row for row in _having(report, "warm") if row["factors"] == report["kind"]["factors"]]
    names = [name for name in report["models"] if any(row["who"] == name for row in rows)]
    cells = {(row["data"], row["who"]): f"{row['cold']:.3f} / {row['warm']:.3f}" for row in rows}
    data = [name for name in report["data"] if any(row["data"] == name for row in rows)]
    body = [[name, *(cells.get((each, name)) for each in data)] for name in names]
    return markdown_table(["model", *data], body)


def _against_afterwards(report: Report) -> str:
    found = report["differences"]
    if not found:
        return ""
    names = [name for name in report["models"] if any(name in each for each in found.values())]
    body = [[data, *(_interval(each.get(name)) for name in names)] for data, each in found.items()]
    return (
        "Warm lists, NDCG@20 trained with features less that of features afterwards, which leave "
        "known items as they were, user by user, with 95 % intervals by bootstrap:\n\n"
        + markdown_table(["data", *names], body)
    )


def _interval(difference: Row | None) -> str | None:
    if difference is None:
        return None
    mean, low, high = (f"{difference[name]:+.4f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _mixed(report: Report) -> str:
    body = [
        [row["data"], f"{each['boost']:g}", f"{each['ndcg']:.3f}", f"{each['share']:.0%}"]
        for row in _having(report, "mixed")
        for each in row["mixed"]
    ]
    if not body:
        return ""
    return "Lists of trained and new items together, of the tuned ALS:\n\n" + markdown_table(
        ["data", "new_item_boost", "NDCG@20", "new items"], body
    )


def _strangers(report: Report) -> str:
    lines = []
    for row in _having(report, "strangers"):
        found = row["strangers"]
        lines.append(
            f"Users of {row['data']} without events, NDCG@20: {found['popularity']:.3f} by "
            f"popularity, {found['joint']:.3f} by their features, {found['afterwards']:.3f} by "
            "features afterwards."
        )
    return "\n\n".join(lines)


def _newcomers(report: Report) -> str:
    parts = []
    for data in report["data"]:
        rows = [row for row in _having(report, "newcomers") if row["data"] == data]
        if not rows:
            continue
        counts = [each["likes"] for each in rows[0]["newcomers"]]
        body = [[row["model"], *(_by_count(row["newcomers"], way) for way in WAYS)] for row in rows]
        parts.append(
            f"{rows[0]['users']} users of {data} whom training has not seen, by "
            f"{' / '.join(map(str, counts))} of their likes, NDCG@20 of the others:\n\n"
            + markdown_table(["model", *WAYS.values()], body)
        )
    return "\n\n".join(parts)


WAYS = {"features": "features alone", "likes alone": "likes alone", "both": "both"}


def _by_count(found: Sequence[Row], way: str) -> str:
    return " / ".join(f"{each[way]:.3f}" for each in found)


def _counts(report: Report) -> str:
    lines = []
    for row in _having(report, "counts"):
        shown = ", ".join(f"{cold:.3f} {coding}" for coding, cold in row["counts"].items())
        lines.append(f"New items of {row['data']} by its tags, of which it has counts: {shown}.")
    return "\n\n".join(lines)


def _wide(report: Report) -> str:
    lines = []
    for row in _having(report, "warm"):
        if row["factors"] == report["kind"]["factors"]:
            continue
        lines.append(f"{row['who']}, {row['data']}: {row['cold']:.3f} / {row['warm']:.3f}.")
    return "\n\n".join(lines)
