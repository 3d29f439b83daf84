"""What the leaderboard of quality.py is of and how it is shown: data sets, tables, a picture.

The data sets, each with its split:

lastfm-2k
    Plays; a random fifth of the entries is held out (seed 0).
gowalla
    Visits, all ones; the split of the LightGCN line of papers.
ml-1m
    Ratings of 4 and 5, as ones; a random fifth of them is held out (seed 0).
lastfm-15k
    Listened or not, all ones, a thousand artists; a random fifth is held out.
anime, bookcrossing, citeulike-a, electronics, retailrocket, steam
    Events, all ones whatever their values; a random fifth is held out.
bookcrossing-20
    The books of bookcrossing with at least twenty events, and their readers: all 76,952 books would
    take EASE 24 GB. Of the leaderboard alone.
lastfm-360k
    Plays of a random share of the users of lastfm-360K where `recsys.datasets` finds it or can
    download it; of its synthetic twin, of that scale, elsewhere. A random fifth is held out.

All but the last are files of a folder, whose arrays `FILES` names; none of them is part of recsys.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from harness import COLOURS, DOCS, days, markdown_table, replace_between, write_picture
from quality_models import CONTENDERS

from recsys import csr, evaluation, plots
from recsys.datasets import DatasetUnavailableError, lastfm360k, lastfm360k_twin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# ---- data sets ----------------------------------------------------------------------------------

SEED = 0  # of the splits that are made here
INNER_SEED = 1  # of that which settings are chosen on
HELD_OUT = 0.2
SCALE = 0.05  # of lastfm-360K
LEAST_EVENTS = 20  # of a book of bookcrossing-20

FILES = {
    "lastfm-2k": "shape, indptr, indices, plays",
    "gowalla": "shape, train_indptr, train_indices, test_indptr, test_indices",
    "ml-1m": "user, item, rating",
    "lastfm-15k": "shape, indptr, indices",
}
MORE = ("anime", "bookcrossing", "citeulike-a", "electronics", "retailrocket", "steam")


class Data(NamedTuple):
    """Matrices of counts, users x items, float32; no entry is in both."""

    name: str
    train: sp.csr_array
    test: sp.csr_array
    synthetic: bool = False

    def inner(self) -> Data:
        """The training part split once more, into one to train on and one to choose settings by."""
        train, held_out = evaluation.random_split(self.train, HELD_OUT, random_state=INNER_SEED)
        return self._replace(train=sp.csr_array(train), test=sp.csr_array(held_out))


def lastfm(path: Path) -> Data:
    with np.load(path) as data:
        plays = sp.csr_array((data["plays"], data["indices"], data["indptr"]), data["shape"])
    plays = csr.canonical(plays, np.dtype(np.float32))
    held_in = np.random.default_rng(SEED).random(plays.nnz) < 1 - HELD_OUT
    return Data("lastfm-2k", csr.keep(plays, held_in), csr.keep(plays, ~held_in))


def gowalla(path: Path) -> Data:
    with np.load(path) as data:
        parts = (
            sp.csr_array(
                (
                    np.ones(len(data[f"{part}_indices"]), np.float32),
                    data[f"{part}_indices"],
                    data[f"{part}_indptr"],
                ),
                data["shape"],
            )
            for part in ("train", "test")
        )
        return Data("gowalla", *parts)


def movielens(path: Path) -> Data:
    with np.load(path) as data:
        liked = data["rating"] >= 4
        at = data["user"][liked], data["item"][liked]
    return _split("ml-1m", sp.csr_array((np.ones(len(at[0]), np.float32), at)))


def events(path: Path) -> sp.csr_array:
    with np.load(path) as data:
        part = "train_" if "train_indptr" in data else ""
        indptr, indices = (data[f"{part}{each}"] for each in ("indptr", "indices"))
        ones = np.ones(len(indices), np.float32)
        return csr.canonical(sp.csr_array((ones, indices, indptr), data["shape"]), ones.dtype)


def as_ones(path: Path) -> Data:
    return _split(path.stem, events(path))


def known_books(path: Path) -> Data:
    whole = events(path)
    part = whole[:, np.flatnonzero(np.bincount(whole.indices) >= LEAST_EVENTS)]
    return _split(f"{path.stem}-20", part[np.flatnonzero(np.diff(part.indptr))])


def lastfm_large(scale: float) -> Data:
    """Of the users the share `scale`; says where it takes the twin."""
    try:
        whole = lastfm360k()
    except DatasetUnavailableError as error:
        print(f"lastfm-360k: its synthetic twin, as the real data is not here: {error}")
        return _split("lastfm-360k", lastfm360k_twin(scale, SEED).user_items)._replace(
            synthetic=True
        )
    n_users = whole.user_items.shape[0]
    users = np.random.default_rng(SEED).choice(n_users, round(scale * n_users), replace=False)
    part = whole.user_items[np.sort(users)]
    return _split("lastfm-360k", part[:, np.flatnonzero(part.getnnz(axis=0))])


def _split(name: str, user_items: sp.csr_array | sp.csr_matrix) -> Data:
    parts = evaluation.random_split(user_items, HELD_OUT, random_state=SEED)
    return Data(name, *map(sp.csr_array, parts))


READERS: dict[str, Callable[[Path], Data]] = {
    "lastfm-2k": lastfm,
    "gowalla": gowalla,
    "ml-1m": movielens,
    "lastfm-15k": as_ones,
    **dict.fromkeys(MORE, as_ones),
}
ALL_NAMES = (*READERS, "lastfm-360k")
NAMES = (  # of the leaderboard
    *("lastfm-2k", "gowalla", "ml-1m", "lastfm-15k", "anime", "bookcrossing-20", "citeulike-a"),
    *("electronics", "retailrocket", "steam", "lastfm-360k"),
)


def add_options(parser: argparse.ArgumentParser, same: str, **parts: Iterable[str]) -> None:
    """The folder, the scale, and which `parts` to measure, by option; `same`: what figures that
    are kept have in common with the new ones, if any are kept."""
    kept = f"; others keep the figures that --output holds, if they are of the same {same}"
    kept = kept if same else ""
    parser.usage = "%(prog)s [folder] [options]"  # an option with several values would swallow it
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=os.environ.get("RECSYS_DATA", "../shared/data"),
        help=f"folder of {', '.join(f'{name}.npz' for name in READERS)}; default: RECSYS_DATA, or "
        "../shared/data",
    )
    for option, names in parts.items():
        parser.add_argument(
            f"--{option}",
            nargs="+",
            choices=tuple(names),
            metavar="NAME",
            default=list(names),
            help=f"measure these alone{kept}: {'; '.join(names)}",
        )
    if "lastfm-360k" in parts.get("data", ()):
        parser.add_argument(
            "--scale",
            type=float,
            default=SCALE,
            help=f"share of lastfm-360K, or scale of its twin; default: {SCALE}",
        )


def present(names: Iterable[str], folder: Path, scale: float = SCALE) -> Iterator[Data]:
    """Those that are there, one at a time."""
    for name in names:
        data = load(name, folder, scale)
        if data is not None:
            yield data


def ndcg(model: Any, data: Data, k: int) -> float:
    """NDCG@k of a model's lists, on the test items."""
    lists = evaluation.evaluate(model, data.train, data.test, "ndcg", k, show_progress=False)
    return float(lists.mean[f"ndcg@{k}"])


def load(name: str, folder: Path, scale: float = SCALE) -> Data | None:
    """One of ALL_NAMES or NAMES; says so and returns None where it is not there."""
    if name == "lastfm-360k":
        return lastfm_large(scale)
    path = folder / f"{name.removesuffix('-20')}.npz"
    if not path.exists():
        print(f"{path.name} is not in {folder}: left out")
        return None
    return known_books(path) if name == "bookcrossing-20" else READERS[name](path)


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
    "BPR": ("BPR()", "BPR, hard", "implicit BPR"),
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
    """Put the tables between the marks of docs/quality.md, and make the picture."""
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
        write_picture(DOCS / "quality.svg", lambda: picture(report))
