"""The leaderboard: how good the lists of every model are, ours and the peers', on many data sets.

Each contender of quality_models.py has as many settings to choose from, or the first --settings of
them. It is trained with each on a part of the training data and measured on the rest of it; with
the setting that has the highest NDCG@20 there it is trained on all of the training data and
measured on the test items, once. With --tune-on-test the settings are measured on the test items
themselves, as those of many published tables were, and the best is shown. All items are ranked but
those of training; recall is over all test items of a user. leaderboard.py has the data sets,
tables and picture.

    python benchmarks/quality.py ../shared/data --threads 1
    python benchmarks/quality.py ../shared/data --quick
    python benchmarks/quality.py ../shared/data --data gowalla --who EASE --heavy

A row is written as soon as it is measured. One that is there already, measured with the same code
and with as many settings, is not measured again, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import leaderboard
import lightfm_peer
import numpy as np
from contenders import installed
from harness import (
    add_no_peers,
    add_seed,
    add_threads,
    installed_version,
    machine_facts,
    machine_line,
    now,
    run,
    write_picture,
    write_report,
)
from leaderboard import Data, in_words, words
from quality_models import CONTENDERS, SETTINGS, Bench, Contender, Parameters, Seconds
from threadpoolctl import threadpool_limits

import recsys
from recsys import evaluation, kernels
from recsys.memory import available_memory
from recsys.models import ease

Row = dict[str, Any]  # has "data" and "who", which no two rows of a file share
METRICS = {"metrics": ("recall", "ndcg"), "k": (10, 20)}
CHOSEN_BY = "ndcg@20"
OURS = ("recsys", "NumPy")
OUTPUTS = ("quality.json", "quality-tuned-on-test.json")  # chosen on validation, on the test
HEAVY_ITEMS = 20_000  # EASE takes more than some GB, and minutes, from here on


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    leaderboard.add_options(parser, "kind of run", data=leaderboard.NAMES, who=CONTENDERS)
    parser.add_argument("--quick", action="store_true", help="a trial: one setting, few epochs")
    parser.add_argument(
        "--tune-on-test", action="store_true", help="choose the settings by the test items"
    )
    parser.add_argument(
        "--settings",
        type=int,
        choices=range(1, SETTINGS + 1),
        default=SETTINGS,
        metavar="N",
        help=f"try only the first N of each, at least 1; default: all {SETTINGS}",
    )
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument(
        "--heavy",
        action="store_true",
        help=f"EASE also of more than {HEAVY_ITEMS:,} items, where memory allows, and with the "
        "first setting only",
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
    name = "quality-quick.json" if options.quick else OUTPUTS[options.tune_on_test]
    options.output = options.output or Path("results", name)
    return options


# ---- one contender on one data set -------------------------------------------------------------


def evaluate(model: Any, data: Data) -> evaluation.Evaluation:
    return evaluation.evaluate(model, data.train, data.test, **METRICS, show_progress=False)


Measured = tuple[evaluation.Evaluation, Seconds]  # the lists, and the fit before
Known = dict[str, Measured]  # by the setting in words


def trial(
    contender: Contender,
    setting: Parameters,
    data: Data,
    bench: Bench,
    quick: bool,
    known: Known,
) -> Measured:
    """Fits one setting, unless it is known what it is worth."""
    if words(setting) in known:
        return known[words(setting)]
    parameters = contender.always | setting | (contender.quick if quick else {})
    with threadpool_limits(bench.threads, "blas"):
        model, seconds = contender.fit(data.train, bench, parameters)
        return evaluate(model, data), seconds


def trials(
    contender: Contender, settings: list[Parameters], *arguments: Any
) -> Iterator[tuple[dict[str, Any], evaluation.Evaluation]]:
    """What was tried, one after the other; settings that do not come to numbers are left out."""
    for setting in settings:
        try:
            found, seconds = trial(contender, setting, *arguments)
        except FloatingPointError as error:
            print(f"  {words(setting)}: left out, {error}")
            continue
        tried = {"setting": setting, "mean": found.mean, "seconds": seconds._asdict()}
        means = ", ".join(f"{name} {found.mean[name]:.4f}" for name in ("recall@20", CHOSEN_BY))
        print(f"  {words(setting)}: {means}, {seconds.cpu:.1f} s of CPU", flush=True)
        yield tried, found


def measure(
    who: str,
    data: Data,
    bench: Bench,
    settings: list[Parameters],
    options: argparse.Namespace,
    known: Known,
) -> tuple[Row, evaluation.Evaluation]:
    """A row of the leaderboard, and the values of each user."""
    contender, quick = CONTENDERS[who], options.quick
    search = data if options.tune_on_test or len(settings) == 1 else data.inner()
    seen = known if search is data else {}
    tried = list(trials(contender, settings, search, bench, quick, seen))
    if not tried:
        raise SystemExit(f"{who} on {data.name}: no setting of it came to numbers")
    best, found = max(tried, key=lambda each: each[0]["mean"][CHOSEN_BY])
    seconds = best["seconds"]
    if search is not data:
        found, last = trial(contender, best["setting"], data, bench, quick, known)
        seconds = last._asdict()
    low_high = found.interval()
    row = {
        **identity(who, data),
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


def settings_of(who: str, data: Data, options: argparse.Namespace) -> list[Parameters]:
    return CONTENDERS[who].settings[: 1 if options.quick or heavy(who, data) else options.settings]


def identity(who: str, data: Data) -> Row:
    """What a row is of, by whose code."""
    by = CONTENDERS[who].by
    version = code_version() if by in OURS else f"{by} {installed_version(by) or 'elsewhere'}"
    return {
        "data": data.name,
        "who": who,
        "by": by,
        "version": version,
        "always": CONTENDERS[who].always,
    }


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


# ---- rows in a file ------------------------------------------------------------------------------


@functools.cache
def code_version() -> str:
    """recsys' version, and a digest of its files."""
    digest = hashlib.sha256()
    folder = Path(recsys.__file__).parent
    for path in sorted(each for each in folder.rglob("*") if each.suffix in (".py", ".so")):
        digest.update(path.read_bytes())
    return f"recsys {recsys.__version__}, {digest.hexdigest()[:12]}"


class ResultRows:
    """What has been measured, in a JSON file; the values of each user beside it, for comparisons.

    Figures of an earlier run of the same kind (settings chosen alike, same CPU and threads) stay
    until they are measured again.

    Parameters
    ----------
    path : Path
    kind : dict
        What rows of one file have in common.
    facts : dict
        Of the machine.
    names : sequence of str
        Of data sets, in their order.
    """

    def __init__(
        self, path: Path, kind: dict[str, Any], facts: dict[str, Any], names: Iterable[str]
    ) -> None:
        self.path, self.kind, self.facts, self.names = path, kind, facts, tuple(names)
        self.data: dict[str, Any] = {}
        self.rows: list[Row] = []
        if not path.exists():
            return
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if earlier["kind"] == kind:
                self.data, self.rows = earlier["data"], earlier["rows"]
        except (OSError, ValueError, KeyError) as error:
            raise SystemExit(f"{path} is no report of rows ({error}): move it away") from None

    def like(self, facts: dict[str, Any], row: Row) -> list[Row]:
        """Those that are as `row` in all that it says, where these are the facts of its data."""
        if self.data.get(row["data"]) != facts:
            return []
        return [each for each in self.rows if row.items() <= each.items()]

    def of(self, data: str, who: str) -> Row | None:
        """The row of a data set, whatever code measured it."""
        return next((row for row in self.rows if key(row) == (data, who)), None)

    def add(self, facts: dict[str, Any], row: Row, found: evaluation.Evaluation | None) -> None:
        """After each contender, so that an interrupted run keeps what it has."""
        name = row["data"]
        others = [each for each in self.rows if key(each) != key(row)]
        if self.data.get(name, facts) != facts:  # another scale, say
            others = [each for each in others if each["data"] != name]
        self.data[name], self.rows = facts, [*others, row]
        if found is not None:
            path = self._users_of(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, users=found.users, **found.per_user)
        self.write()

    def write(self, **more: Any) -> None:
        known = {name: self.data[name] for name in self.names if name in self.data}
        content = {"kind": self.kind, "data": known, "rows": self.rows, **more}
        write_report(self.path, machine=self.facts, **content)

    def has_values(self, row: Row) -> bool:
        """Whether those of each user are there."""
        return self._users_of(row).exists()

    def values(self, row: Row) -> evaluation.Evaluation:
        """Those of each user."""
        with np.load(self._users_of(row)) as stored:
            arrays = dict(stored)
        users = arrays.pop("users")
        return evaluation.Evaluation(users, arrays, {}, 0, 0, row.get("cut_ties", 0))

    def _users_of(self, row: Row) -> Path:
        slug = "".join(letter if letter.isalnum() else "-" for letter in row["who"])
        return self.path.with_suffix("") / row["data"] / f"{slug}.npz"


def key(row: Row) -> tuple[str, str]:
    return row["data"], row["who"]


# ---- the run -----------------------------------------------------------------------------------


def facts_of(data: Data) -> dict[str, Any]:
    users, items = data.train.shape
    sizes = {"train": data.train.nnz, "test": data.test.nnz}
    return {"users": users, "items": items, **sizes, "synthetic": data.synthetic}


class Results(ResultRows):
    """Of the leaderboard, whose rows were chosen from settings."""

    beside: Results | None = None  # of settings chosen otherwise: `known` looks into it

    def has(self, data: Data, row: Row, settings: list[Parameters]) -> bool:
        """Whether there is a row like this, for which all these settings were tried."""
        for each in self.like(facts_of(data), row):
            tried = [one["setting"] for one in each["tried"]]
            return all(setting in tried for setting in settings)
        return False

    def known(self, data: Data, who: str) -> Known:
        """What settings of a contender are worth that other rows have, trained on all."""
        found = {}
        first = CONTENDERS[who].untuned
        for results, name in ((self, first), (self.beside, first), (self.beside, who)):
            if results is None or name is None or not results.has(data, identity(name, data), []):
                continue
            row = next(row for row in results.rows if key(row) == (data.name, name))
            found[words(row["setting"])] = results.values(row), Seconds(**row["seconds"])
        return found

    def against_best(self) -> dict[str, Any]:
        """Of each data set: the best by NDCG@20, and the differences of all others to it."""
        compared = {}
        for name in self.data:
            rows = [row for row in self.rows if row["data"] == name and self.has_values(row)]
            best = max(rows, key=lambda row: row["measured"][CHOSEN_BY]["mean"], default=None)
            if best is None:
                continue
            first = self.values(best)
            compared[name] = {"best": best["who"]} | {
                row["who"]: {
                    metric: difference._asdict()
                    for metric, difference in evaluation.compare(self.values(row), first).items()
                }
                for row in rows
                if row is not best
            }
        return compared


def usable(options: argparse.Namespace) -> tuple[list[str], str | None]:
    """Those of --who that can be measured, and a Python with LightFM."""
    asked = {CONTENDERS[who].by for who in options.who}
    makers, lightfm = set(OURS), None
    if not options.no_peers:
        makers |= set(installed([name for name in ("implicit", "irspack") if name in asked]))
        if "lightfm" in asked and (lightfm := lightfm_peer.find(options.lightfm)):
            makers.add("lightfm")
    return [who for who in options.who if CONTENDERS[who].by in makers], lightfm


def measure_all(results: Results, options: argparse.Namespace) -> None:
    contenders, lightfm = usable(options)
    bench = Bench(kernels.resolve_num_threads(options.threads), options.seed, lightfm)
    for data in leaderboard.present(options.data, options.folder, options.scale):
        name = data.name
        print(f"{name}: {in_words(facts_of(data))}")
        for who in contenders:
            if reason := why_not(who, data, options):
                print(f"{who} on {name} is left out: {reason}")
                continue
            settings = settings_of(who, data, options)
            if not options.again and results.has(data, identity(who, data), settings):
                print(f"{who} on {name} is there")
                continue
            print(f"{who} on {name}", flush=True)
            known = results.known(data, who)
            results.add(facts_of(data), *measure(who, data, bench, settings, options, known))


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
    results = Results(options.output, kind, facts, leaderboard.NAMES)
    other = OUTPUTS[not options.tune_on_test]
    chosen_otherwise = kind | {"chosen_on": "validation" if options.tune_on_test else "test"}
    at = options.output.with_name(other)
    results.beside = Results(at, chosen_otherwise, facts, leaderboard.NAMES)
    if not options.report_only:
        measure_all(results, options)
    if not results.rows:
        raise SystemExit(f"nothing was measured, and {options.output} holds nothing of this kind")
    results.write(against_best=results.against_best())
    print(f"wrote {options.output}\n")
    report = json.loads(options.output.read_text(encoding="utf-8"))
    print(leaderboard.tables(report))
    write_picture(options.output.with_suffix(".svg"), lambda: leaderboard.picture(report))
    if options.update_docs:
        leaderboard.update_docs(report, machine_line(facts))


if __name__ == "__main__":
    run(main)
