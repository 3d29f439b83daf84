"""What quality.py has measured, in tables and a picture; it writes them into docs/."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import COLOURS, DOCS, days, markdown_table, replace_between, write_picture
from quality_models import CONTENDERS

from recsys import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = dict[str, Any]
Row = dict[str, Any]

# ---- in words ----------------------------------------------------------------------------------


def in_words(facts: dict[str, Any]) -> str:
    kind = "SYNTHETIC, " if facts["synthetic"] else ""
    return (
        f"{kind}{facts['users']:,} users x {facts['items']:,} items, {facts['train']:,} entries of "
        f"training, {facts['test']:,} of test"
    )


SHORT = {"unobserved_weight": "w0", "regularization": "lambda", "learning_rate": "rate"}


def words(setting: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in setting.items()) or "no parameters"


def short_words(row: Row) -> str:
    """A setting in a table: nu = 1 goes without saying, where there is no other."""
    named = row["setting"].items()
    shorter = {
        SHORT.get(key, key): value for key, value in named if key != "regularization_exponent"
    }
    if shorter:
        return words(shorter)
    return "defaults" if row["by"] in ("recsys", "implicit") else "-"


# ---- tables ------------------------------------------------------------------------------------

BASIC = {  # who is whose, of the three models that every package has
    "item-item": ("ItemNeighbors()", "ItemNeighbors, BM25", "implicit item-item"),
    "ALS": ("ImplicitALS()", "ImplicitALS", "implicit ALS"),
    "BPR": ("BPR()", "BPR, uniform", "implicit BPR"),
}


def tables(report: Report) -> str:
    """The basic models; every model on every data set; then each data set, the best first."""
    parts = [
        f"### Item-item, ALS, BPR\n\nNDCG@20.\n\n{basic(report)}",
        "### Every model\n\nNDCG@20, the best of each data set in bold; the last column is the "
        f"mean share of the best.\n\n{matrix(report)}",
    ]
    for name, facts in report["data"].items():
        header = (name, "Recall@20", "NDCG@20", "NDCG@10", "setting", "tried", "CPU s", "s")
        lines = markdown_table(header, map(cells, ranked(report, name)))
        parts.append(f"### {name}\n\n{in_words(facts)}.\n\n{lines}")
        measured = {row["who"] for row in ranked(report, name)}
        if missing := [who for who in CONTENDERS if who not in measured]:
            parts.append(f"Not measured: {'; '.join(missing)}.")
    same = same_settings(report)
    return "\n\n".join([*parts, same] if same else parts)


def values_of(report: Report) -> dict[str, dict[str, float]]:
    """NDCG@20 by who and data set."""
    found: dict[str, dict[str, float]] = {who: {} for who in CONTENDERS}
    for row in report["rows"]:
        if row["who"] in found:
            found[row["who"]][row["data"]] = row["measured"]["ndcg@20"]["mean"]
    return {who: values for who, values in found.items() if values}


def basic(report: Report) -> str:
    values = values_of(report)
    names = "recsys, untuned", "recsys, tuned", "implicit, tuned"
    lines = [
        (f"{kind}, {name}", values.get(who, {}))
        for kind, members in BASIC.items()
        for name, who in zip(names, members, strict=True)
    ]
    return bold_table("model", list(report["data"]), lines)


def matrix(report: Report) -> str:
    """The best on average first; the mean is over data sets that all have been measured on."""
    values, data = values_of(report), list(report["data"])
    best = {name: max(each.get(name, 0) for each in values.values()) for name in data}
    shares = {who: mean(each[name] / best[name] for name in each) for who, each in values.items()}
    order = sorted(values, key=lambda who: -shares[who])
    more = [f"{shares[who]:.1%}" + ("" if len(values[who]) == len(data) else " (of fewer)")
            for who in order]  # fmt: skip
    return bold_table("model", data, [(who, values[who]) for who in order], {"of the best": more})


def bold_table(
    corner: str,
    columns: list[str],
    lines: list[tuple[str, dict[str, float]]],
    more: dict[str, list[str]] | None = None,
) -> str:
    """A line for each name, a column for each data set, the highest of each in bold."""
    more = more or {}
    best = {name: max(values.get(name, 0) for _, values in lines) for name in columns}
    texts = []
    for at, (label, values) in enumerate(lines):
        shown = [decimals(values[name]) if name in values else None for name in columns]
        marked = [
            f"**{text}**" if text is not None and values[name] == best[name] else text
            for name, text in zip(columns, shown, strict=True)
        ]
        texts.append([label, *marked, *(each[at] for each in more.values())])
    return markdown_table((corner, *columns, *more), texts)


def regrets(report: Report) -> str:
    """Of each model with a row of its defaults: what these lack of its tuned rows' best, in %.

    A row for which nothing but the defaults was tried says nothing of them.
    """
    values, data = values_of(report), list(report["data"])
    told = {
        (row["who"], row["data"])
        for row in report["rows"]
        if len(row["tried"]) > 1 or CONTENDERS[row["who"]].untuned is None
    }
    rows = []
    for who, rivals in TUNED.items():
        untuned = values.get(who, {})
        line: list[str | None] = [who]
        lacks = []
        for name in data:
            tuned = [values[each][name] for each in rivals if (each, name) in told]
            if name not in untuned or not tuned:
                line.append(None)
                continue
            best = max(*tuned, untuned[name])
            lacks.append(100 * (1 - untuned[name] / best))
            line.append(f"{lacks[-1]:.1f}")
        rows.append([*line, f"{mean(lacks):.1f}" if lacks else None])
    return markdown_table(("%", *data, "mean"), rows)


TUNED = {  # whose best a model's defaults are held against; all of 64 factors or of none
    "ImplicitALS()": [
        *("ImplicitALS", "ImplicitALS, biases", "ImplicitALS, log, plain lambda"),
        *("ImplicitALS, linear, plain lambda", "ImplicitALS, scaled, plain lambda"),
    ],
    "ItemNeighbors()": ["ItemNeighbors, BM25", "ItemNeighbors, TF-IDF", "ItemNeighbors, cosine"],
    "LogisticMF()": ["LogisticMF"],
    "BPR()": ["BPR, uniform", "BPR, popular", "BPR, adaptive", "BPR, hard"],
    'BPR(loss="warp")': ["WARP"],
}


def ranked(report: Report, data: str) -> list[Row]:
    rows = [row for row in report["rows"] if row["data"] == data]
    return sorted(rows, key=lambda row: -row["measured"]["ndcg@20"]["mean"])


def cells(row: Row) -> list[str]:
    recall, ndcg, ndcg_10 = (row["measured"][key] for key in ("recall@20", "ndcg@20", "ndcg@10"))
    return [
        row["who"],
        with_interval(recall),
        with_interval(ndcg),
        decimals(ndcg_10["mean"]),
        short_words(row),
        str(len(row["tried"])),
        *(f"{row['seconds'][kind]:.1f}" for kind in ("cpu", "wall")),
    ]


def with_interval(measured: dict[str, float]) -> str:
    mean, low, high = (decimals(measured[key]) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def decimals(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


SAME = ("ImplicitALS, scaled, plain lambda", "implicit ALS")


def same_settings(report: Report) -> str:
    """One model, the same settings, by recsys and by implicit: NDCG@20 of all that was tried."""
    tried = {(row["data"], row["who"]): row["tried"] for row in report["rows"]}
    lines = []
    for data in report["data"]:
        ours, theirs = (
            {words(each["setting"]): each["mean"]["ndcg@20"] for each in tried.get((data, who), [])}
            for who in SAME
        )
        both = sorted(ours.keys() & theirs.keys())
        if both:
            means = (decimals(mean(values[each] for each in both)) for values in (ours, theirs))
            apart = max(abs(ours[each] - theirs[each]) for each in both)
            lines.append([data, str(len(both)), *means, decimals(apart)])
    if not lines:
        return ""
    header = ("data", "settings", *(f"{who}, NDCG@20" for who in SAME), "furthest apart")
    return (
        "### The same settings in both\n\nOne model, by recsys and by implicit, each from its own "
        "initial factors: means over the settings tried, on what they are chosen by.\n\n"
        f"{markdown_table(header, lines)}"
    )


# ---- the picture -------------------------------------------------------------------------------

LEAST_SECONDS = 1e-2  # shorter fits stand here


def picture(report: Report) -> Figure:
    """NDCG@20 against the CPU seconds of the fit, a panel for each data set."""
    names = list(report["data"])
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure, grid = plots.subplots(lines, columns, size=(6.5 * columns, 4 * lines))
    for axes, name in zip(grid.flat, names, strict=False):
        panel(axes, ranked(report, name), name, report["data"][name]["synthetic"])
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    return figure


def front(rows: list[Row]) -> list[Row]:
    """Of rows in order, the best first: those that no better one is as fast as."""
    found: list[Row] = []
    for row in rows:
        if not found or row["seconds"]["cpu"] < found[-1]["seconds"]["cpu"]:
            found.append(row)
    return found


def panel(axes: Any, rows: list[Row], name: str, synthetic: bool) -> None:
    """A point for each, with its interval; those of `front` are named beside, in order."""
    axes.set(xscale="log", xlabel="CPU seconds of the fit", ylabel="NDCG@20")
    axes.set_title(f"{name}, synthetic twin" if synthetic else name)
    axes.minorticks_off()
    seconds = [max(row["seconds"]["cpu"], LEAST_SECONDS) for row in rows]
    axes.set_xlim(min(seconds) / 1.5, max(seconds) * 1.5)
    named = front(rows)
    for row, at in zip(rows, seconds, strict=True):
        ndcg, colour = row["measured"]["ndcg@20"], COLOURS[row["by"].lower()]
        bars = [[ndcg["mean"] - ndcg["low"]], [ndcg["high"] - ndcg["mean"]]]
        strength = 1 if row in named else 0.35
        axes.errorbar(
            at, ndcg["mean"], yerr=bars, fmt="o", color=colour, elinewidth=0.8, alpha=strength
        )
    low, high = axes.get_ylim()
    share = np.array([(row["measured"]["ndcg@20"]["mean"] - low) / (high - low) for row in named])
    for row, place in zip(named, spread(share, 0.075), strict=True):
        at = max(row["seconds"]["cpu"], LEAST_SECONDS), row["measured"]["ndcg@20"]["mean"]
        name_beside(axes, row["who"], at, place, COLOURS[row["by"].lower()])


def name_beside(axes: Any, name: str, at: tuple[float, float], place: float, colour: str) -> None:
    axes.annotate(
        name,
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
    """Put the tables between the marks of docs/quality.md and docs/defaults.md, and make the
    picture."""
    on_test = report["kind"]["chosen_on"] == "test"
    name = "tuned-on-test" if on_test else "quality"
    chosen = "the test items" if on_test else "a part of the training data"
    option = " --tune-on-test" if on_test else ""
    head = (
        f"{machine}, {days(row['at'] for row in report['rows'])}, "
        f"`python benchmarks/quality.py{option} --update-docs`."
    )
    text = f"Settings chosen on {chosen}. {head}\n\n{tables(report)}"
    replace_between(DOCS / "quality.md", (f"<!-- {name}:begin -->", f"<!-- {name}:end -->"), text)
    if not on_test:
        marks = "<!-- untuned:begin -->", "<!-- untuned:end -->"
        replace_between(DOCS / "defaults.md", marks, f"{head}\n\n{regrets(report)}")
        write_picture(DOCS / "quality.svg", lambda: picture(report))
