"""Items that no event tells of, listed by their features, and what that does to the other lists.

Data sets are .npz files in FOLDER/hybrid, each split in advance: a part of each user's items held
out (warm), and a part of the items of which all events are held out (cold). Cold items are ranked
among cold test items, warm ones among those trained on. What is chosen is chosen by the sum of
NDCG@20 on the validation parts: the coding of features and, of the tuned ALS, weight and
regularization. The strength of features is what cross-validation finds, in all of them. Each ALS is
measured twice, trained with features and given them afterwards, at the same setting.

Where there are features of users, those without events are listed all trained items. BPR is
measured twice as well, and `--wide` adds the tuned ALS of 256 factors. `--speed` measures nothing
but CPU seconds of an iteration, on one thread: with features, without, and of irspack with the same
features where it is installed (pip install 'irspack>=0.5'), in turns.

    python benchmarks/features.py ../shared/data --wide --update-docs
    python benchmarks/features.py ../shared/data --data lastfm-2k --quick
    python benchmarks/features.py ../shared/data --data citeulike-a --speed
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from harness import (
    DOCS,
    add_threads,
    machine_facts,
    machine_line,
    markdown_table,
    replace_between,
    run,
    write_report,
)

import recsys
from recsys import Features
from recsys.evaluation import evaluate

PAGE = DOCS / "features.md"
MARKS = ("<!-- features:begin -->", "<!-- features:end -->")
DATA = ("citeulike-a", "ml-1m", "lastfm-2k")
CODINGS = ("count", "idf")
K = 20
WIDE, WIDE_DATA = 256, "citeulike-a"  # the data set with tags enough to profit
TURNS = 10  # iterations that are timed
MIXED = "ImplicitALS, tuned"  # whose lists of old and new items are measured
AFTERWARDS = ", features afterwards"
BOOSTS = (1.0, 2.0, 3.0)
FREQUENCY = {"confidence": "scaled", "alpha": 1.0, "regularization_exponent": 1.0}
TUNED = [
    {**FREQUENCY, "unobserved_weight": w0, "regularization": regularization}
    for w0, regularization in ((0.1, 0.01), (0.1, 0.003), (0.03, 0.01), (0.01, 0.03), (0.01, 0.003))
]
MODELS: dict[str, tuple[type, list[dict[str, Any]]]] = {
    "ImplicitALS": (recsys.ImplicitALS, [{}]),
    MIXED: (recsys.ImplicitALS, TUNED),
    "BPR": (recsys.BPR, [{}]),
    "BPR, WARP": (recsys.BPR, [{"loss": "warp"}]),
    "LogisticMF": (recsys.LogisticMF, [{}]),
}
Row = dict[str, Any]


class Split(NamedTuple):
    """One data set, in parts; see DATA.md of the folder."""

    name: str
    parts: dict[str, sp.csr_matrix]
    cold: dict[str, np.ndarray]  # the items of "valid" and of "test"
    codings: dict[str, Features]
    users: Features | None  # of users, of whom those in `cold_users` have no events
    cold_users: np.ndarray | None


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
    described = parts.pop("item_features")
    described.data = np.log1p(described.data)  # how many users gave a tag
    codings = {weight: Features.from_csr(described, weight=weight) for weight in CODINGS}
    return Split(name, parts, cold, codings, people, cold_users)


def _matrix(file: Any, part: str) -> sp.csr_matrix:
    indices = file[f"{part}_indices"]
    data = file[f"{part}_data"] if f"{part}_data" in file else np.ones(len(indices), np.float32)
    return sp.csr_matrix((data, indices, file[f"{part}_indptr"]), file[f"{part}_shape"])


def measured(model: Any, split: Split, part: str) -> dict[str, float]:
    """NDCG@20 of cold and of warm lists."""
    cold, everything = split.cold[part], np.concatenate(list(split.cold.values()))
    return {
        "cold": _ndcg(model, split, f"cold_{part}", among=cold),
        "warm": _ndcg(model, split, part, filter_items=everything),
    }


def _ndcg(model: Any, split: Split, part: str, **options: Any) -> float:
    test, known = split.parts[part], split.parts["train"]
    if part == "test":  # what was held out to choose by is known then
        known = known + split.parts["valid"]
    result = evaluate(model, known, test, "ndcg", K, options=options, show_progress=False)
    return float(result.mean[f"ndcg@{K}"])


def best_of(
    cls: type,
    settings: list[dict[str, Any]],
    split: Split,
    options: dict[str, Any],
    codings: Iterable[str] = CODINGS,
    afterwards: bool = False,
) -> tuple[Row, Any]:
    """The setting and coding with the best lists of what is held out for validation, measured on
    the test parts, and the model."""
    best: tuple[Row, Any] = ({"judged": -1.0}, None)
    for setting, coding in itertools.product(settings, codings):
        model = cls(**{**options, **setting})
        began = time.perf_counter()
        _fit(model, split, afterwards, item_features=split.codings[coding])
        row = {
            "setting": setting,
            "coding": coding,
            "strength": model.feature_regularization_["items"],
            "seconds": time.perf_counter() - began,
            "iteration_seconds": float(np.median([each.seconds for each in model.history])),
            "judged": sum(measured(model, split, "valid").values()),
        }
        if row["judged"] > best[0]["judged"]:
            best = row, copy.copy(model)
    return {**best[0], **measured(best[1], split, "test")}, best[1]


def _fit(model: Any, split: Split, afterwards: bool, **features: Features) -> None:
    train = split.parts["train"]
    if not afterwards:
        model.fit(train, show_progress=False, **features)
        return
    model.fit(train, show_progress=False)
    times = "iterations" if "iterations" in model.get_params() else "epochs"
    model.set_params(**{times: 0}).fit(train, warm_start=True, show_progress=False, **features)


def strangers(split: Split, setting: dict[str, Any], options: dict[str, Any]) -> Row:
    """NDCG@20 of users without events: by what most have, and by their features."""
    train, test = split.parts["train"], split.parts["user_test"]
    popular = np.asarray(train.sum(axis=0)).reshape(-1)
    ideal = np.cumsum(1 / np.log2(np.arange(2, K + 2)))
    found = []
    for user in split.cold_users:
        own = test.indices[test.indptr[user] : test.indptr[user + 1]]
        hits = np.isin(np.argsort(-popular, kind="stable")[:K], own)
        found.append((hits / np.log2(np.arange(2, K + 2))).sum() / ideal[min(K, len(own)) - 1])
    row: Row = {"popularity": float(np.mean(found))}
    for name, afterwards in (("joint", False), ("afterwards", True)):
        model = recsys.ImplicitALS(**{**options, **setting})
        _fit(model, split, afterwards, user_features=split.users)
        result = evaluate(model, train, test, "ndcg", K, show_progress=False)
        row[name] = float(result.mean[f"ndcg@{K}"])
    return row


def mixed(model: Any, split: Split) -> list[dict[str, float]]:
    """Lists of warm and cold items together, cold ones boosted."""
    test = split.parts["test"] + split.parts["cold_test"]
    cold, found = split.cold["test"], []
    for boost in BOOSTS:
        options = {"new_item_boost": boost, "filter_items": split.cold["valid"]}
        train = split.parts["train"]
        result = evaluate(model, train, test, "ndcg", K, options=options, show_progress=False)
        users = np.flatnonzero(np.diff(test.indptr))[:1000]
        best, _ = model.recommend(users, N=K, **options)
        share = float(np.isin(best, cold).mean())
        found.append({"boost": boost, "ndcg": float(result.mean[f"ndcg@{K}"]), "share": share})
    return found


class Profile:
    """No model: the cosine of an item's features and the sum of those a user has."""

    def __init__(self, split: Split) -> None:
        self._items = split.codings["idf"].matrix
        self._users = split.parts["train"] @ self._items

    def recommend(
        self, users: Any, user_items: Any, N: int, among: Any = None, filter_items: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The highest cosines; a user's length changes no order."""
        scores = (self._users[users] @ self._items.T).toarray()
        scores[np.asarray(user_items.todense()) > 0] = -np.inf
        if filter_items is not None:
            scores[:, filter_items] = -np.inf
        if among is not None:
            left = np.full_like(scores, -np.inf)
            left[:, among] = scores[:, among]
            scores = left
        best = np.argsort(-scores, axis=1, kind="stable")[:, :N]
        return best, np.take_along_axis(scores, best, axis=1)


def rows_of(split: Split, options: dict[str, Any], quick: bool) -> list[Row]:
    """A row for the profile and one for each model, its best setting by validation."""
    rows: list[Row] = [{"model": "TF-IDF profile", **measured(Profile(split), split, "test")}]
    for name, (cls, settings) in MODELS.items():
        row, model = best_of(cls, settings[:1] if quick else settings, split, options)
        rows.append({"model": name, **row})
        if name == MIXED:
            rows[-1]["mixed"] = mixed(model, split)
            if split.users is not None:
                rows[-1]["strangers"] = strangers(split, row["setting"], options)
        print(split.name, rows[-1], flush=True)
        if cls in (recsys.ImplicitALS, recsys.BPR):  # which are trained with features
            same = [row["setting"]], split, options, [row["coding"]]
            rows.append({"model": name + AFTERWARDS, **best_of(cls, *same, afterwards=True)[0]})
            print(split.name, rows[-1], flush=True)
    return rows


def wide_row(split: Split, options: dict[str, Any]) -> Row:
    """The tuned ALS of more factors: joint, afterwards and without features, at the setting that is
    the best one with features."""
    options = options | {"factors": WIDE}
    row, _ = best_of(recsys.ImplicitALS, TUNED[-2:], split, options)
    same = [row["setting"]], split, options, [row["coding"]]
    after, _ = best_of(recsys.ImplicitALS, *same, afterwards=True)
    print(split.name, WIDE, row, after, flush=True)
    return {"model": f"{MIXED}, {WIDE} factors", "data": split.name, **row, "afterwards": after}


def speed(split: Split, factors: int) -> None:
    """Print CPU seconds of an iteration, and how many times ours those of irspack are."""
    train, features = split.parts["train"], split.codings["idf"]
    spent: dict[str, list[float]] = {"with features": [], "without": [], "irspack": []}
    others = [("without", _iterations(train, factors, None))]
    peer = _irspack(train, features.matrix, factors)
    if peer is not None:
        others.append(("irspack", peer))
    ours = _iterations(train, factors, features)
    for _ in range(TURNS):
        for name, turn in (("with features", ours), *others):
            spent[name].append(next(turn))
    line = ", ".join(
        f"{name} {np.median(seconds):.4f} s" for name, seconds in spent.items() if seconds
    )
    ratios = [
        f"{what} {np.median(np.array(spent[above]) / np.array(spent[below])):.2f}"
        for what, above, below in (
            ("with / without", "with features", "without"),
            ("irspack / ours", "irspack", "with features"),
        )
        if spent[above]
    ]
    print(f"{split.name}, {factors} factors, exact, one thread: {line}; {', '.join(ratios)}")


def _iterations(train: Any, factors: int, features: Features | None) -> Iterator[float]:
    """CPU seconds of one iteration after the other, from a model that knows its features."""
    known = {} if features is None else {"item_features": features}
    model = recsys.ImplicitALS(factors, iterations=4, random_state=0, num_threads=1, **TUNED[-1])
    model.fit(train, show_progress=False, **known)
    model.set_params(iterations=1)
    while True:
        # of two iterations less one, so that what a call of `fit` does besides is not counted
        seconds = []
        for iterations in (1, 3):
            began = time.process_time()
            model.set_params(iterations=iterations)
            model.fit(train, show_progress=False, warm_start=True, **known)
            seconds.append(time.process_time() - began)
        yield (seconds[1] - seconds[0]) / 2


def _irspack(train: Any, features: Any, factors: int) -> Iterator[float] | None:
    """The same of irspack, where it is installed."""
    try:
        from irspack.recommenders.ials import IALSTrainer, str_to_loss_type, str_to_solver_type
    except ImportError:
        print("irspack: not installed, left out")
        return None
    setting = TUNED[-1]
    trainer = IALSTrainer(
        sp.csr_matrix(train), n_components=factors, alpha0=1 / setting["unobserved_weight"],
        reg=setting["regularization"], nu=1.0, init_std=0.1,
        solver_type=str_to_solver_type("cholesky"), max_cg_steps=3,
        ialspp_subspace_dimension=64, loss_type=str_to_loss_type("ialspp"), random_seed=0,
        n_threads=1, prediction_time_max_cg_steps=3, prediction_time_ialspp_iteration=1,
        item_features=sp.csr_matrix(features), lambda_item_feature=1.0,
    )  # fmt: skip

    def turns() -> Iterator[float]:
        trainer.run_epoch()  # which sets up what is used again
        while True:
            began = time.process_time()
            trainer.run_epoch()
            yield time.process_time() - began

    return turns()


def table(results: dict[str, list[Row]]) -> str:
    """NDCG@20 of cold / warm lists, a column for each data set."""
    names = [row["model"] for row in next(iter(results.values()))]
    cells = {
        (data, row["model"]): f"{row['cold']:.3f} / {row['warm']:.3f}"
        for data, rows in results.items()
        for row in rows
    }
    body = [[name, *(cells[data, name] for data in results)] for name in names]
    lists = []
    for data, rows in results.items():
        best = next(row for row in rows if row["model"] == MIXED)
        lists += [
            [data, f"{each['boost']:g}", f"{each['ndcg']:.3f}", f"{each['share']:.0%}"]
            for each in best["mixed"]
        ]
    return (
        markdown_table(["model", *results], body)
        + "\n\nLists of trained and new items together, of the tuned ALS:\n\n"
        + markdown_table(["data", "new_item_boost", "NDCG@20", "new items"], lists)
        + "".join(_strangers_line(data, rows) for data, rows in results.items())
    )


def _strangers_line(data: str, rows: list[Row]) -> str:
    found = next(row for row in rows if row["model"] == MIXED).get("strangers")
    if found is None:
        return ""
    return (
        f"\n\nUsers of {data} without events, NDCG@20: {found['popularity']:.3f} by popularity, "
        f"{found['joint']:.3f} by their features, {found['afterwards']:.3f} by features afterwards."
    )


def _wide_line(row: Row) -> str:
    after = row["afterwards"]
    return (
        f"\n\n{row['model']}, {row['data']}: {row['cold']:.3f} / {row['warm']:.3f}, features "
        f"afterwards {after['cold']:.3f} / {after['warm']:.3f}; it found "
        f"feature_regularization {row['strength']:g}."
    )


def main() -> None:
    """Measure, print the table, and write it to the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder with hybrid/*.npz")
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="the first setting of each model only")
    parser.add_argument("--wide", action="store_true", help=f"also {WIDE} factors")
    parser.add_argument("--speed", action="store_true", help="seconds of iterations, no quality")
    parser.add_argument("--update-docs", action="store_true")
    parser.add_argument("--output", type=Path, help="a JSON file for all that was measured")
    add_threads(parser)
    options = parser.parse_args()
    always = {"factors": options.factors, "random_state": 0, "num_threads": options.threads}
    results: dict[str, list[Row]] = {}
    wide: list[Row] = []
    for name in options.data:
        split = load(name, options.folder)
        if split is None:
            print(f"{name}: no file in {options.folder / 'hybrid'}, left out")
            continue
        if options.speed:
            speed(split, options.factors)
            continue
        results[name] = rows_of(split, always, options.quick)
        if options.wide and name == WIDE_DATA:
            wide.append(wide_row(split, always))
    if options.speed:
        return
    if not results:
        raise SystemExit("nothing was measured: the folder has none of the data sets")
    machine = machine_facts(options.threads)
    text = f"{machine_line(machine)}\n\n{table(results)}" + "".join(map(_wide_line, wide))
    print(text)
    if options.update_docs:
        replace_between(PAGE, MARKS, text)
    if options.output:
        write_report(options.output, machine=machine, results=results, wide=wide)


if __name__ == "__main__":
    run(main)
