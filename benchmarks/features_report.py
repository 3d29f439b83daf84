"""Tables of what features.py has measured, for the page about features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness import DOCS, markdown_table
from result_rows import Row

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
