"""The leaderboard: how good the lists of every model are, ours and the peers', on four data sets.

Each contender of quality_models.py has as many settings to choose from. It is trained with each on
a part of the training data and measured on the rest of it; with the setting that has the highest
NDCG@20 there it is trained on all of the training data and measured on the test items, once. With
--tune-on-test the settings are measured on the test items themselves, as those of many published
tables were, and the best is shown. All items are ranked but those of training; recall is over all
test items of a user. quality_data.py has the data sets, py makes table and picture.

    python benchmarks/quality.py ../shared/data
    python benchmarks/quality.py ../shared/data --quick
    python benchmarks/quality.py ../shared/data --data gowalla --who EASE --heavy
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightfm_peer
import numpy as np
import quality_data
from contenders import installed
from harness import (
    COLOURS,
    DOCS,
    add_no_peers,
    add_seed,
    add_threads,
    days,
    machine_facts,
    machine_line,
    markdown_table,
    now,
    replace_between,
    run,
    write_picture,
    write_report,
)
from quality_data import Data
from quality_models import CONTENDERS, Bench, Contender, Parameters
from threadpoolctl import threadpool_limits

from recsys import evaluation, kernels, plots
from recsys.memory import available_memory
from recsys.models import ease

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = dict[str, Any]
Row = dict[str, Any]
METRICS = {"metrics": ("recall", "ndcg"), "k": (10, 20)}
CHOSEN_BY = "ndcg@20"
HEAVY_ITEMS = 20_000  # EASE takes more than some GB, and minutes, from here on


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    quality_data.add_options(parser, "kind of run", data=quality_data.NAMES, who=CONTENDERS)
    parser.add_argument("--quick", action="store_true", help="a trial: one setting, few epochs")
    parser.add_argument(
        "--tune-on-test", action="store_true", help="choose the settings by the test items"
    )
    parser.add_argument(
        "--heavy",
        action="store_true",
        help=f"EASE also of more than {HEAVY_ITEMS:,} items, where memory allows: only the first "
        "setting",
    )
    add_no_peers(parser)
    lightfm_peer.add_option(parser)
    add_seed(parser)
    add_threads(parser)
    parser.add_argument(
        "--report-only", action="store_true", help="table and picture of what --output holds"
    )
    parser.add_argument(
        "--update-docs", action="store_true", help="write tables and picture into docs/"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="default: results/quality.json, quality-quick.json or quality-tuned-on-test.json",
    )
    options = parser.parse_args()
    if options.quick and options.update_docs:
        parser.error("--quick is a trial, its figures are not for docs/")
    if options.no_peers and options.lightfm:
        parser.error("--no-peers and --lightfm exclude each other")
    kind = "-quick" if options.quick else "-tuned-on-test" if options.tune_on_test else ""
    options.output = options.output or Path(f"results/quality{kind}.json")
    return options


# ---- one contender on one data set -------------------------------------------------------------


def evaluate(model: Any, data: Data) -> evaluation.Evaluation:
    return evaluation.evaluate(model, data.train, data.test, **METRICS, show_progress=False)


def trial(
    contender: Contender, setting: Parameters, data: Data, bench: Bench, quick: bool
) -> tuple[evaluation.Evaluation, float]:
    """Fits one setting; what it is worth, and the seconds of the fit."""
    parameters = contender.always | setting | (contender.quick if quick else {})
    with threadpool_limits(bench.threads, "blas"):
        model, seconds = contender.fit(data.train, bench, parameters)
        return evaluate(model, data), seconds


def trials(
    contender: Contender, settings: list[Parameters], data: Data, bench: Bench, quick: bool
) -> Iterator[tuple[dict[str, Any], evaluation.Evaluation]]:
    """What was tried, one after the other; settings that do not come to numbers are left out."""
    for setting in settings:
        try:
            found, seconds = trial(contender, setting, data, bench, quick)
        except FloatingPointError as error:
            print(f"  {words(setting)}: left out, {error}")
            continue
        tried = {"setting": setting, "mean": found.mean, "seconds": seconds}
        means = ", ".join(f"{name} {found.mean[name]:.4f}" for name in ("recall@20", CHOSEN_BY))
        print(f"  {words(setting)}: {means}, {seconds:.1f} s", flush=True)
        yield tried, found


def measure(
    who: str, data: Data, bench: Bench, options: argparse.Namespace
) -> tuple[dict[str, Any], evaluation.Evaluation]:
    """A row of the leaderboard, and the values of each user."""
    contender, quick = CONTENDERS[who], options.quick
    settings = contender.settings
    if quick or heavy(who, data):
        settings = settings[:1]
    search = data if options.tune_on_test or len(settings) == 1 else data.inner()
    tried = list(trials(contender, settings, search, bench, quick))
    if not tried:
        raise SystemExit(f"{who} on {data.name}: no setting of it came to numbers")
    best, found = max(tried, key=lambda each: each[0]["mean"][CHOSEN_BY])
    seconds = best["seconds"]
    if search is not data:
        found, seconds = trial(contender, best["setting"], data, bench, quick)
    low_high = found.interval()
    row = {
        "data": data.name,
        "who": who,
        "by": contender.by,
        "always": contender.always,
        "setting": best["setting"],
        "chosen_on": None if len(settings) == 1 else "test" if search is data else "validation",
        "tried": [each for each, _ in tried],
        "measured": {
            name: {"mean": mean, "low": low_high[name][0], "high": low_high[name][1]}
            for name, mean in found.mean.items()
        },
        "cut_ties": found.n_cut_ties,
        "seconds": seconds,
        "threads": bench.threads,
        "seed": bench.seed,
        "at": now(),
    }
    return row, found


def heavy(who: str, data: Data) -> bool:
    return who == "EASE" and data.train.shape[1] > HEAVY_ITEMS


def why_not(who: str, data: Data, options: argparse.Namespace) -> str | None:
    """Why a contender is left out, None if it is not."""
    if who != "EASE":
        return None
    if heavy(who, data) and not options.heavy:
        return f"{data.train.shape[1]:,} items, more than {HEAVY_ITEMS:,}: see --heavy"
    needed, available = ease.fit_memory(data.train.shape), available_memory()
    if needed > available:
        return f"it takes {needed / 1e9:.1f} GB, there are {available / 1e9:.1f} GB"
    return None


# ---- in words ----------------------------------------------------------------------------------


def facts_of(data: Data) -> dict[str, Any]:
    users, items = data.train.shape
    sizes = {"train": data.train.nnz, "test": data.test.nnz}
    return {"users": users, "items": items, **sizes, "synthetic": data.synthetic}


def in_words(facts: dict[str, Any]) -> str:
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
        parts.append(f"### {name}\n\n{in_words(facts)}.\n\n{lines}")
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
    seconds = [max(row["seconds"], 1e-2) for row in rows]
    axes.set_xlim(min(seconds) / 1.5, max(seconds) * 1.5)
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


# ---- the run -----------------------------------------------------------------------------------


class Results:
    """What has been measured, in a JSON file; the values of each user beside it, for comparisons.

    Figures of an earlier run of the same kind (settings chosen alike, same CPU and threads) stay
    until they are measured again.
    """

    def __init__(self, path: Path, kind: dict[str, Any], facts: dict[str, Any]) -> None:
        self.path, self.kind, self.facts = path, kind, facts
        self.data: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        if not path.exists():
            return
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if earlier["kind"] == kind:
                self.data, self.rows = earlier["data"], earlier["rows"]
        except (OSError, ValueError, KeyError) as error:
            raise SystemExit(f"{path} is no report of quality.py ({error}): move it away") from None

    def add(self, data: Data, row: dict[str, Any], found: evaluation.Evaluation) -> None:
        """After each contender, so that an interrupted run keeps what it has."""
        facts = facts_of(data)
        others = [each for each in self.rows if key(each) != key(row)]
        if self.data.get(data.name, facts) != facts:  # another scale, say
            others = [each for each in others if each["data"] != data.name]
        self.data[data.name], self.rows = facts, [*others, row]
        path = self._users_of(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, users=found.users, **found.per_user)
        self.write()

    def write(self, **more: Any) -> None:
        content = {"kind": self.kind, "data": self.data, "rows": self.rows, **more}
        write_report(self.path, machine=self.facts, **content)

    def against_best(self) -> dict[str, Any]:
        """Of each data set: the best by NDCG@20, and the differences of all others to it."""
        compared = {}
        for name in self.data:
            rows = [row for row in self.rows if row["data"] == name]
            rows = [row for row in rows if self._users_of(row).exists()]
            best = max(rows, key=lambda row: row["measured"][CHOSEN_BY]["mean"], default=None)
            if best is None:
                continue
            first = self._values(best)
            compared[name] = {"best": best["who"]} | {
                row["who"]: {
                    metric: difference._asdict()
                    for metric, difference in evaluation.compare(self._values(row), first).items()
                }
                for row in rows
                if row is not best
            }
        return compared

    def _users_of(self, row: dict[str, Any]) -> Path:
        slug = "".join(letter if letter.isalnum() else "-" for letter in row["who"])
        return self.path.with_suffix("") / row["data"] / f"{slug}.npz"

    def _values(self, row: dict[str, Any]) -> evaluation.Evaluation:
        with np.load(self._users_of(row)) as stored:
            arrays = dict(stored)
        users = arrays.pop("users")
        return evaluation.Evaluation(users, arrays, {}, 0, 0, row["cut_ties"])


def key(row: dict[str, Any]) -> tuple[str, str]:
    return row["data"], row["who"]


def usable(options: argparse.Namespace) -> tuple[list[str], str | None]:
    """Those of --who that can be measured, and a Python with LightFM."""
    asked = {CONTENDERS[who].by for who in options.who}
    makers, lightfm = {"recsys", "NumPy"}, None
    if not options.no_peers:
        makers |= set(installed([name for name in ("implicit", "irspack") if name in asked]))
        if "lightfm" in asked and (lightfm := lightfm_peer.find(options.lightfm)):
            makers.add("lightfm")
    return [who for who in options.who if CONTENDERS[who].by in makers], lightfm


def measure_all(results: Results, options: argparse.Namespace) -> None:
    contenders, lightfm = usable(options)
    bench = Bench(kernels.resolve_num_threads(options.threads), options.seed, lightfm)
    for name in options.data:
        data = quality_data.load(name, options.folder, options.scale)
        if data is None:
            continue
        print(f"{name}: {in_words(facts_of(data))}")
        for who in contenders:
            if reason := why_not(who, data, options):
                print(f"{who} on {name} is left out: {reason}")
                continue
            print(f"{who} on {name}", flush=True)
            results.add(data, *measure(who, data, bench, options))


def main() -> None:
    options = parse()
    facts = machine_facts(options.threads)
    print(machine_line(facts))
    kind = {
        "quick": options.quick,
        "chosen_on": "test" if options.tune_on_test else "validation",
        "cpu": facts["cpu"],
        "threads": facts["threads"],
        "seed": options.seed,
    }
    results = Results(options.output, kind, facts)
    if not options.report_only:
        measure_all(results, options)
    if not results.rows:
        raise SystemExit(f"nothing was measured, and {options.output} holds nothing of this kind")
    results.write(against_best=results.against_best())
    print(f"wrote {options.output}\n")
    report = json.loads(options.output.read_text(encoding="utf-8"))
    print(tables(report))
    write_picture(options.output.with_suffix(".svg"), lambda: picture(report))
    if options.update_docs:
        update_docs(report, machine_line(facts))


if __name__ == "__main__":
    run(main)
