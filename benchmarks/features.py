"""Items that no event tells of, listed by their features, and what that does to the other lists.

Data sets are .npz files in FOLDER/hybrid, each split in advance: a part of each user's items held
out (warm), and a part of the items of which all events are held out (cold). Cold items are ranked
among cold test items, warm ones among those trained on. What is chosen is chosen by the sum of
NDCG@20 on the validation parts: the coding of features and, of the tuned ALS, weight and
regularization. The strength of features is what cross-validation finds, in all of them. ALS and BPR
are measured twice, trained with features and given them afterwards, at the same setting, and the
warm lists of both are compared user by user.

Where there are features of users, those without events are listed all trained items, and those who
were not there in training are folded in by features, by a few of their likes, and by both. Where
features are counts, these are measured raw as well. `--wide` adds the tuned ALS of 256 factors.
`--speed` measures nothing but CPU seconds of an iteration, on one thread: with features, without,
and of irspack with the same features where it is installed (pip install 'irspack>=0.5'), in turns.

    python benchmarks/features.py ../shared/data --wide --update-docs
    python benchmarks/features.py ../shared/data --data lastfm-2k --quick
    python benchmarks/features.py ../shared/data --data citeulike-a --speed

A row is written as soon as it is measured. One that is there already, measured with the same code,
is not measured again, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import copy
import functools
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cold_start
import numpy as np
import scipy.sparse as sp
from cold_start import AFTERWARDS, CODINGS, DATA, PROFILE, ByScores, Split, load, profile
from harness import add_threads, machine_facts, machine_line, replace_between, run
from quality import ResultRows, Row, code_version

import recsys
from recsys import Features, csr
from recsys.evaluation import Evaluation, compare, evaluate

K = 20
WIDE, WIDE_DATA = 256, "citeulike-a"  # the data set with tags enough to profit
TURNS = 10  # iterations that are timed
TUNED_ALS = "ImplicitALS, tuned"  # whose lists of old and new items are measured
BOOSTS = (1.0, 2.0, 3.0)
FEW = (1, 3, 10)  # likes that newcomers are known by
FREQUENCY = {"confidence": "scaled", "alpha": 1.0, "regularization_exponent": 1.0}
TUNED = [
    {**FREQUENCY, "unobserved_weight": w0, "regularization": regularization}
    for w0, regularization in ((0.1, 0.01), (0.1, 0.003), (0.03, 0.01), (0.01, 0.03), (0.01, 0.003))
]
MODELS: dict[str, tuple[type, list[dict[str, Any]]]] = {
    "ImplicitALS": (recsys.ImplicitALS, [{}]),
    TUNED_ALS: (recsys.ImplicitALS, TUNED),
    "BPR": (recsys.BPR, [{}]),
    "BPR, WARP": (recsys.BPR, [{"loss": "warp"}]),
    "LogisticMF": (recsys.LogisticMF, [{}]),
}
Measured = tuple[Row, Evaluation | None]  # and the warm lists, user by user
Job = Callable[[ResultRows], Measured]  # what is measured, given what is there


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder with hybrid/*.npz")
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="the first setting of each model only")
    parser.add_argument("--wide", action="store_true", help=f"also {WIDE} factors")
    parser.add_argument("--speed", action="store_true", help="seconds of iterations, no quality")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--report-only", action="store_true", help="tables of what --output holds")
    parser.add_argument("--update-docs", action="store_true")
    parser.add_argument(
        "--output", type=Path, help="default: results/features.json, or features-quick.json"
    )
    add_threads(parser)
    options = parser.parse_args()
    if options.quick and options.update_docs:
        parser.error("--quick is a trial, its figures are not for docs/")
    name = "features-quick.json" if options.quick else "features.json"
    options.output = options.output or Path("results", name)
    return options


# ---- lists -------------------------------------------------------------------------------------


def measured(model: Any, split: Split, part: str) -> tuple[dict[str, float], Evaluation]:
    """NDCG@20 of cold and of warm lists, and the latter user by user."""
    cold, everything = split.cold[part], np.concatenate(list(split.cold.values()))
    of_cold = _evaluated(model, split, f"cold_{part}", among=cold)
    of_warm = _evaluated(model, split, part, filter_items=everything)
    return {"cold": _ndcg(of_cold), "warm": _ndcg(of_warm)}, of_warm


def _evaluated(model: Any, split: Split, part: str, **options: Any) -> Evaluation:
    test, known = split.parts[part], split.parts["train"]
    if part == "test":  # what was held out to choose by is known then
        known = known + split.parts["valid"]
    return evaluate(model, known, test, "ndcg", K, options=options, show_progress=False)


def _ndcg(found: Evaluation) -> float:
    return float(found.mean[f"ndcg@{K}"])


def best_of(
    cls: type,
    settings: list[dict[str, Any]],
    split: Split,
    always: dict[str, Any],
    codings: Iterable[str] = CODINGS,
    afterwards: bool = False,
) -> tuple[Row, Evaluation, Any]:
    """The setting and coding with the best lists of what is held out for validation, measured on
    the test parts, and the model."""
    best: tuple[Row, Any] = ({"judged": -1.0}, None)
    for setting, coding in itertools.product(settings, codings):
        model = cls(**{**always, **setting})
        began = time.perf_counter()
        _fit(model, split, afterwards, item_features=split.codings[coding])
        row = {
            "setting": setting,
            "coding": coding,
            "factors": always["factors"],
            "strength": model.feature_regularization_["items"],
            "seconds": time.perf_counter() - began,
            "iteration_seconds": float(np.median([each.seconds for each in model.history])),
            "judged": sum(measured(model, split, "valid")[0].values()),
        }
        if row["judged"] > best[0]["judged"]:
            best = row, copy.copy(model)
    shown, warm = measured(best[1], split, "test")
    return {**best[0], **shown}, warm, best[1]


def _fit(model: Any, split: Split, afterwards: bool, **features: Features) -> None:
    train = split.parts["train"]
    if not afterwards:
        model.fit(train, show_progress=False, **features)
        return
    model.fit(train, show_progress=False)
    times = "iterations" if "iterations" in model.get_params() else "epochs"
    model.set_params(**{times: 0}).fit(train, warm_start=True, show_progress=False, **features)


def strangers(split: Split, setting: dict[str, Any], always: dict[str, Any]) -> Row:
    """NDCG@20 of users without events: by what most have, and by their features."""
    train, test = split.parts["train"], split.parts["user_test"]
    popular = np.asarray(train.sum(axis=0), np.float64).reshape(1, -1)
    most = ByScores(lambda users: np.repeat(popular, len(users), axis=0))
    row: Row = {"popularity": _ndcg(evaluate(most, train, test, "ndcg", K, show_progress=False))}
    for name, afterwards in (("joint", False), ("afterwards", True)):
        model = recsys.ImplicitALS(**{**always, **setting})
        _fit(model, split, afterwards, user_features=split.users)
        row[name] = _ndcg(evaluate(model, train, test, "ndcg", K, show_progress=False))
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
        found.append({"boost": boost, "ndcg": _ndcg(result), "share": share})
    return found


# ---- jobs, each of which makes a row -----------------------------------------------------------


def jobs(
    split: Split, always: dict[str, Any], quick: bool, wide: bool
) -> Iterator[tuple[str, Job]]:
    """What is measured of a data set, by name."""
    yield PROFILE, lambda _: _with_factors(measured(profile(split), split, "test"), always)
    for name, (cls, settings) in MODELS.items():
        tried = settings[:1] if quick else settings
        yield name, functools.partial(trained, name, cls, tried, split, always)
        if cls._learns_features:
            yield name + AFTERWARDS, functools.partial(given_later, name, cls, split, always)
    for name in ("ImplicitALS", "BPR", "LogisticMF"):
        if split.users is not None:
            few = functools.partial(newcomers, name, split, always)
            yield f"{name}, by few likes", few
    if (split.raw.data != 1).any():
        yield "ImplicitALS, by counts", functools.partial(by_counts, split, always)
    if wide and split.name == WIDE_DATA:
        name, more = f"{TUNED_ALS}, {WIDE} factors", {**always, "factors": WIDE}
        cls = recsys.ImplicitALS
        yield name, functools.partial(trained, name, cls, TUNED[-2:], split, more)
        yield name + AFTERWARDS, functools.partial(given_later, name, cls, split, more)


def _with_factors(found: tuple[Row, Evaluation], always: dict[str, Any]) -> Measured:
    return {**found[0], "factors": always["factors"]}, found[1]


def trained(
    name: str,
    cls: type,
    settings: list[dict[str, Any]],
    split: Split,
    always: dict[str, Any],
    results: ResultRows,
) -> Measured:
    """With features from the start, where the model learns with them."""
    row, warm, model = best_of(cls, settings, split, always)
    if name == TUNED_ALS:
        row["mixed"] = mixed(model, split)
        if split.users is not None:
            row["strangers"] = strangers(split, row["setting"], always)
    return row, warm


def given_later(
    name: str, cls: type, split: Split, always: dict[str, Any], results: ResultRows
) -> Measured:
    """At the setting that is the best one with features."""
    best = results.of(split.name, name)
    at_best = [best["setting"]], split, always, [best["coding"]]
    row, warm, _ = best_of(cls, *at_best, afterwards=True)
    return row, warm


def newcomers(name: str, split: Split, always: dict[str, Any], results: ResultRows) -> Measured:
    """NDCG@20 of users who were not there in training: by their features, by a few of their likes,
    and by both; of what else they like."""
    model = MODELS[name][0](**always)
    _fit(model, split, False, user_features=split.users)
    test = csr.canonical(split.parts["user_test"], np.dtype(np.float32))
    who = split.cold_users[np.diff(test.indptr)[split.cold_users] > max(FEW) + 1]
    features = Features(csr.take_rows(split.users.matrix, who), None, split.users.schema)
    liked = csr.take_rows(test, who)
    users, drawn = csr.entry_rows(liked), np.random.default_rng(0).random(liked.nnz)
    # of each entry, its place among those of the user in the order drawn
    place = np.argsort(np.lexsort((drawn, users))) - liked.indptr[users]
    found = []
    for count in FEW:
        known, rest = csr.keep(liked, place < count), csr.keep(liked, place >= count)
        ways = {
            "features": model.fold_in(user_features=features),
            "likes alone": model.fold_in(known),
            "both": model.fold_in(known, user_features=features),
        }
        lists = {
            way: evaluate(_placed(model, solved), known, rest, "ndcg", K, show_progress=False)
            for way, solved in ways.items()
        }
        gain = compare(lists["both"], lists["likes alone"])[f"ndcg@{K}"]._asdict()
        means = {way: _ndcg(each) for way, each in lists.items()}
        found.append({"likes": count, **means, "gain": gain})
    return {"model": name, "users": len(who), "newcomers": found}, None


def _placed(model: Any, solved: Any) -> ByScores:
    """Lists of users who have such factors; their biases change no order."""
    factors = solved[0] if isinstance(solved, tuple) else solved
    biases = 0 if model.item_biases is None else model.item_biases
    return ByScores(lambda users: factors[users] @ model.item_factors.T + biases)


def by_counts(split: Split, always: dict[str, Any], results: ResultRows) -> Measured:
    """NDCG@20 of cold items by raw counts of their features, and by the logarithm of these."""
    found = {}
    logs = split.raw.copy()
    logs.data = np.log1p(logs.data)
    for said, matrix in (("by raw counts", split.raw), ("by their logarithm", logs)):
        for weight in CODINGS:
            model = recsys.ImplicitALS(**always)
            features = Features.from_csr(matrix, weight=weight)
            _fit(model, split, False, item_features=features)
            of_cold = _evaluated(model, split, "cold_test", among=split.cold["test"])
            found[said if weight == "count" else f'{said} with weight="{weight}"'] = _ndcg(of_cold)
    return {"counts": found}, None


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
        item_features=csr.scipy_matrix(features).copy(), lambda_item_feature=1.0,
    )  # fmt: skip

    def turns() -> Iterator[float]:
        trainer.run_epoch()  # which sets up what is used again
        while True:
            began = time.process_time()
            trainer.run_epoch()
            yield time.process_time() - began

    return turns()


# ---- the run -----------------------------------------------------------------------------------


def measure(results: ResultRows, split: Split, options: argparse.Namespace) -> None:
    """Each job of a data set, but those whose rows are there."""
    always = {"factors": options.factors, "random_state": 0, "num_threads": options.threads}
    for who, job in jobs(split, always, options.quick, options.wide):
        identity = {"data": split.name, "who": who, "version": code_version()}
        if not options.again and results.like(split.facts(), identity):
            print(f"{who} on {split.name} is there")
            continue
        row, warm = job(results)
        results.add(split.facts(), {**identity, **row}, warm)
        print(split.name, results.of(split.name, who), flush=True)


def differences(results: ResultRows) -> dict[str, dict[str, Any]]:
    """Of warm lists, trained with features and given them afterwards, by data set and model."""
    found: dict[str, dict[str, Any]] = {}
    for data, name in itertools.product(results.names, MODELS):
        rows = [results.of(data, who) for who in (name, name + AFTERWARDS)]
        if all(row is not None and results.has_values(row) for row in rows):
            [difference] = compare(*map(results.values, rows)).values()
            found.setdefault(data, {})[name] = difference._asdict()
    return found


def main() -> None:
    """Measure, print the tables, and write them to the page if asked to."""
    options = parse()
    machine = machine_facts(options.threads)
    kind = {
        "quick": options.quick,
        "factors": options.factors,
        "cpu": machine["cpu"],
        "threads": machine["threads"],
    }
    results = ResultRows(options.output, kind, machine, DATA)
    for name in () if options.report_only else options.data:
        split = load(name, options.folder)
        if split is None:
            print(f"{name}: no file in {options.folder / 'hybrid'}, left out")
        elif options.speed:
            speed(split, options.factors)
        else:
            measure(results, split, options)
    if options.speed:
        return
    if not results.rows:
        raise SystemExit(f"nothing was measured, and {options.output} holds nothing of this kind")
    models = [PROFILE, *(name + end for name in MODELS for end in ("", AFTERWARDS))]
    results.write(differences=differences(results), models=models)
    print(f"wrote {options.output}\n")
    report = json.loads(options.output.read_text(encoding="utf-8"))
    text = f"{machine_line(machine)}\n\n{cold_start.tables(report)}"
    print(text)
    if options.update_docs:
        replace_between(cold_start.PAGE, cold_start.MARKS, text)


if __name__ == "__main__":
    run(main)
