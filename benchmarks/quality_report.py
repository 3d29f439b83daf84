"""What quality.py has measured, for people: tables, the picture, and both in docs/."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from harness import COLOURS, DOCS, days, markdown_table, replace_between, write_picture
from quality_data import Data
from quality_models import CONTENDERS

from recsys import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = dict[str, Any]
Row = dict[str, Any]


# ---- in words ----------------------------------------------------------------------------------


def facts_of(data: Data) -> dict[str, Any]:
    users, items = data.train.shape
    sizes = {"train": data.train.nnz, "test": data.test.nnz}
    return {"users": users, "items": items, **sizes, "synthetic": data.synthetic}


def described(facts: dict[str, Any]) -> str:
    kind = "SYNTHETIC, " if facts["synthetic"] else ""
    return (
        f"{kind}{facts['users']:,} users x {facts['items']:,} items, {facts['train']:,} entries of "
        f"training, {facts['test']:,} of test"
    )


def words(setting: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in setting.items()) or "no parameters"


# ---- tables ------------------------------------------------------------------------------------


def tables(report: Report) -> str:
    """A heading, a line and a table for each data set, the best first."""
    parts = []
    for name, facts in report["data"].items():
        header = (name, "Recall@20", "NDCG@20", "NDCG@10", "setting", "tried", "fit, s")
        lines = markdown_table(header, map(cells, ranked(report, name)))
        parts.append(f"### {name}\n\n{described(facts)}.\n\n{lines}")
        measured = {row["who"] for row in ranked(report, name)}
        if missing := [who for who in CONTENDERS if who not in measured]:
            parts.append(f"Not measured: {'; '.join(missing)}.")
    same = same_settings(report)
    return "\n\n".join([*parts, same] if same else parts)


def ranked(report: Report, data: str) -> list[Row]:
    rows = [row for row in report["rows"] if row["data"] == data]
    return sorted(rows, key=lambda row: -row["measured"]["ndcg@20"]["mean"])


def cells(row: Row) -> list[str]:
    recall, ndcg, ndcg_10 = (row["measured"][key] for key in ("recall@20", "ndcg@20", "ndcg@10"))
    tried = len(row["tried"])
    return [
        row["who"],
        with_interval(recall),
        with_interval(ndcg),
        decimals(ndcg_10["mean"]),
        words(row["setting"]),
        str(tried),
        f"{row['seconds']:.1f}",
    ]


def with_interval(measured: dict[str, float]) -> str:
    mean, low, high = (decimals(measured[key]) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def decimals(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


SAME = ("ImplicitALS, scaled", "implicit ALS")


def same_settings(report: Report) -> str:
    """One model, the same settings, by recsys and by implicit: NDCG@20 of all that was tried."""
    tried = {(row["data"], row["who"]): row["tried"] for row in report["rows"]}
    lines = []
    for data in report["data"]:
        ours, theirs = (
            {words(each["setting"]): each["mean"]["ndcg@20"] for each in tried.get((data, who), [])}
            for who in SAME
        )
        for setting in ours.keys() & theirs.keys():
            values = ours[setting], theirs[setting]
            lines.append([data, setting, *map(decimals, values)])
    if not lines:
        return ""
    header = ("data", "setting", *(f"{who}, NDCG@20" for who in SAME))
    return (
        "### The same settings in both\n\nOne model, by recsys and by implicit, each from its own "
        "initial factors, on what settings are chosen by.\n\n"
        f"{markdown_table(header, sorted(lines))}"
    )


# ---- the picture -------------------------------------------------------------------------------


def picture(report: Report) -> Figure:
    """NDCG@20 against the seconds of the fit, a panel for each data set."""
    names = list(report["data"])
    columns = min(2, len(names))
    lines = -(-len(names) // columns)
    figure, grid = plots.subplots(lines, columns, size=(8 * columns, 5.75 * lines))
    for axes, name in zip(grid.flat, names, strict=False):
        panel(axes, ranked(report, name), name, report["data"][name]["synthetic"])
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    return figure


def panel(axes: Any, rows: list[Row], name: str, synthetic: bool) -> None:
    """Points with their intervals; the names stand in a column beside them, in order."""
    axes.set(xscale="log", xlabel="seconds of the fit", ylabel="NDCG@20")
    axes.set_title(f"{name}, synthetic twin" if synthetic else name)
    axes.minorticks_off()
    heights = []
    for row in rows:
        ndcg, colour = row["measured"]["ndcg@20"], COLOURS[row["by"].lower()]
        bars = [[ndcg["mean"] - ndcg["low"]], [ndcg["high"] - ndcg["mean"]]]
        at = max(row["seconds"], 1e-2), ndcg["mean"]
        axes.errorbar(*at, yerr=bars, fmt="o", color=colour, elinewidth=0.8)
        heights.append(ndcg["mean"])
    low, high = axes.get_ylim()
    share = (np.array(heights) - low) / (high - low)
    for row, place in zip(rows, spread(share, 0.042), strict=True):
        at = max(row["seconds"], 1e-2), row["measured"]["ndcg@20"]["mean"]
        colour = COLOURS[row["by"].lower()]
        axes.annotate(
            row["who"],
            at,
            xytext=(1.04, place),
            textcoords="axes fraction",
            va="center",
            color=colour,
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0, 0.5),
                "color": colour,
                "alpha": 0.3,
                "linewidth": 0.6,
            },
        )


def spread(places: np.ndarray, apart: float) -> np.ndarray:
    """The nearest descending places that are so far apart; `places` must be descending.

    Neighbours too close are put around their mean, together with those they then come close to.
    """
    groups: list[tuple[float, int]] = []  # mean of what is wanted, how many
    for place in places:
        groups.append((float(place), 1))
        while len(groups) > 1:
            (above, n), (below, m) = groups[-2:]
            if above - below >= apart * (n + m) / 2:
                break
            groups[-2:] = [((above * n + below * m) / (n + m), n + m)]
    middle = [mean + apart * ((n - 1) / 2 - at) for mean, n in groups for at in range(n)]
    return np.array(middle)


# ---- docs/ -------------------------------------------------------------------------------------


def update_docs(report: Report, machine: str) -> None:
    """Put the tables between the marks of docs/quality.md, and make its picture."""
    on_test = report["kind"]["chosen_on"] == "test"
    name = "tuned-on-test" if on_test else "quality"
    chosen = "the test items" if on_test else "a part of the training data"
    option = " --tune-on-test" if on_test else ""
    text = (
        f"Settings chosen on {chosen}. {machine}, "
        f"{days(row['at'] for row in report['rows'])}, "
        f"`python benchmarks/quality.py{option} --update-docs`.\n\n{tables(report)}"
    )
    replace_between(DOCS / "quality.md", (f"<!-- {name}:begin -->", f"<!-- {name}:end -->"), text)
    if not on_test:
        write_picture(DOCS / "quality.svg", lambda: picture(report))
