"""What fits, tables of events and measuring cost: memory, seconds, and errors beside them.

    python benchmarks/costs.py fit matrix.npz --factors 64
    python benchmarks/costs.py tables --scale 0.1
    python benchmarks/costs.py ratings ../shared/data/ml-1m.npz --setting default
    python benchmarks/costs.py evaluation ../shared/data

`fit`, `tables`: each is measured in a process of its own. `fit`: peak memory above the matrix;
everything is imported, and a small model trained, before the measurement begins. `tables`: seconds
and peak memory of `Interactions` reading a table of the size of lastfm-360K (17.56 million rows,
shuffled; users have ids of 40 characters) from a Parquet and a CSV file, and from what other
libraries made of these; the peak is that of the whole process, the table included.

`ratings`: the error of named settings over folds, and the time a fit takes. The ratings are cut
into folds at random (seed 0). Each fold is predicted by a model trained on the others; errors are
roots of mean squares, of predictions clipped to the scale, and averaged over folds. cmfrec, if it
is installed, fits the same folds in between where the model is ExplicitALS, with the same factors,
regularization and iterations.

`evaluation`: `evaluate` against the lists alone and against implicit, and `fit` with validation
against `fit` without, on the data sets of leaderboard.py; all take turns. The lists are those of
ImplicitALS, f = 64, for every user with test items. implicit measures its four metrics at 10, from
the same factors; ours beside it are the same four.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import leaderboard
import numpy as np
import scipy.sparse as sp
from contenders import cmfrec_model, implicit_with_factors, installed
from harness import (
    Turn,
    add_no_peers,
    add_threads,
    machine_facts,
    machine_line,
    markdown_table,
    run,
    single_blas,
    take_turns,
    timed,
    write_report,
)
from leaderboard import Data

import recsys
from recsys import ImplicitALS, Interactions, csr, evaluation
from recsys.datasets import lastfm360k_twin
from recsys.models import samples

# ---- a fit -------------------------------------------------------------------------------------


def in_child(*arguments: str) -> Any:
    """What this program prints as JSON in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"measuring memory failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def of_fit(user_items: sp.csr_matrix, **parameters: object) -> dict[str, float]:
    """Megabytes (10^6 bytes) of a fit of ``ImplicitALS(**parameters)``, in a child process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "matrix.npz")
        sp.save_npz(path, user_items, compressed=False)
        return in_child("fit", str(path), "--json", json.dumps(parameters))


def peak_of_fit(user_items: sp.csr_matrix, **parameters: object) -> dict[str, float]:
    """The same in this process: a true figure only where nothing else has run in it."""
    ImplicitALS(4, iterations=1).fit(user_items[: min(100, user_items.shape[0])])
    reset_peak()
    before = megabytes("VmRSS") or peak()
    ImplicitALS(**parameters).fit(user_items, show_progress=False)
    parts = (user_items.data, user_items.indices, user_items.indptr)
    return {
        "fit_mb": peak() - before,
        "matrix_mb": sum(part.nbytes for part in parts) / 1e6,
    }


def main_fit(options: argparse.Namespace) -> None:
    parameters = {"factors": options.factors, "iterations": options.iterations, "random_state": 0}
    if options.json:
        parameters = json.loads(options.json)
    matrix = sp.load_npz(options.matrix)
    if matrix.data.dtype != np.float32:
        matrix = matrix.astype(np.float32)
    figures = peak_of_fit(matrix, **parameters)
    if options.json:
        print(json.dumps(figures))
    else:
        print("fit: {fit_mb:.0f} MB above the matrix's {matrix_mb:.0f} MB".format(**figures))


# ---- reading tables ----------------------------------------------------------------------------

WAYS = ("pyarrow", "pandas", "polars", "parquet", "csv")
FIGURES = {"seconds": ".1f", "of a CPU": ".1f", "peak MB": ".0f", "before it": ".0f"}
NAMES = {"user": "user", "item": "artist", "value": "plays"}


def main_tables(options: argparse.Namespace) -> None:
    if options.read:
        print(json.dumps(read(*options.read)))
        return
    with tempfile.TemporaryDirectory() as folder:
        events = write(Path(folder), options.scale)
        rows = [measure_table(way, Path(folder)) for way in options.only]
    print(f"SYNTHETIC data: {events:,} events, shuffled, users with ids of 40 characters")
    print(markdown_table(["read from", *FIGURES], rows))


def write(folder: Path, scale: float) -> int:
    """The same events as events.parquet and events.csv; returns how many there are."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    dataset = lastfm360k_twin(scale)
    triples = dataset.user_items.tocoo()
    order = np.random.default_rng(0).permutation(triples.nnz)
    users = pa.array([f"{n:0>40x}" for n in np.random.default_rng(1).permutation(triples.shape[0])])
    schema = pa.schema([("user", pa.string()), ("artist", pa.string()), ("plays", pa.int64())])
    with (
        parquet.ParquetWriter(folder / "events.parquet", schema) as one,
        csv.CSVWriter(folder / "events.csv", schema) as other,
    ):
        writers = (one, other)
        artists = pa.array(list(dataset.items))
        for begin in range(0, len(order), 1 << 20):
            rows = order[begin : begin + (1 << 20)]
            columns = [
                users.take(pa.array(triples.row[rows])),
                artists.take(pa.array(triples.col[rows])),
                pa.array(triples.data[rows].astype(np.int64)),
            ]
            for writer in writers:
                writer.write_table(pa.table(columns, schema=schema))
    return len(order)


def measure_table(way: str, folder: Path) -> list[str]:
    """A row of the table."""
    file = folder / ("events.csv" if way == "csv" else "events.parquet")
    figures = in_child("tables", "--read", way, str(file))
    return [way, *(f"{figures[name]:{how}}" for name, how in FIGURES.items())]


def read(way: str, file: str) -> dict[str, float]:
    """In this process: a true figure only where nothing else has run in it."""
    table = load(way, file)
    reset_peak()
    before = megabytes("VmRSS") or peak()
    begin, cpu = time.perf_counter(), time.process_time()
    if way in ("csv", "parquet"):
        getattr(Interactions, f"from_{way}")(file, **NAMES)
    else:
        Interactions.from_frame(table, **NAMES)
    figures = (time.perf_counter() - begin, time.process_time() - cpu, peak(), before)
    return dict(zip(FIGURES, figures, strict=True))


def load(way: str, file: str) -> Any:
    if way == "polars":
        import polars

        return polars.read_parquet(file)
    if way in ("csv", "parquet"):
        return None
    from pyarrow import parquet

    table = parquet.read_table(file)
    return table.to_pandas(split_blocks=True, self_destruct=True) if way == "pandas" else table


# ---- memory of this process --------------------------------------------------------------------

_STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Let the peak start anew from here (Linux). Elsewhere it is that of the process so far, which
    loading the matrix does not pass."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return megabytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def megabytes(name: str) -> float | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith(f"{name}:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024 / 1e6


# ---- ratings -----------------------------------------------------------------------------------

RATING_SETTINGS = {
    "default": recsys.ExplicitALS(random_state=0),
    "no biases": recsys.ExplicitALS(bias=False, random_state=0),
    "16 factors": recsys.ExplicitALS(16, random_state=0),
    "128 factors": recsys.ExplicitALS(128, regularization=0.075, random_state=0),
    "128 factors, cg": recsys.ExplicitALS(128, regularization=0.075, solver="cg", random_state=0),
    "128 factors, no biases": recsys.ExplicitALS(128, bias=False, iterations=30, random_state=0),
    "256 factors, no biases": recsys.ExplicitALS(256, bias=False, iterations=30, random_state=0),
    "sgd, default": recsys.ExplicitSGD(random_state=0),
    "sgd, as Surprise by default": recsys.ExplicitSGD(100, random_state=0),
    "sgd, 128 factors": recsys.ExplicitSGD(
        128, learning_rate=0.01, learning_rate_decay=0.02, regularization=0.06, epochs=80,
        init_scale=0.1, random_state=0,
    ),
    "sgd, 256 factors": recsys.ExplicitSGD(
        256, learning_rate=0.01, learning_rate_decay=0.1, regularization=0.05, epochs=200,
        init_scale=0.1, random_state=0,
    ),
}  # fmt: skip

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


def our_ratings(
    model: recsys.ExplicitALS | recsys.ExplicitSGD, train: sp.coo_array, threads: int
) -> Predict:
    model.set_params(num_threads=threads).fit(train.tocsr(), show_progress=False)
    return model.predict


def cmfrec_ratings(model: recsys.ExplicitALS, train: sp.coo_array, threads: int) -> Predict:
    peer = cmfrec_model(model, threads, model.iterations or samples.ITERATIONS)
    peer.fit(sp.coo_matrix(train))
    return peer.predict


MAKERS = {"recsys": our_ratings, "cmfrec": cmfrec_ratings}


def can(peer: str, model: object) -> bool:
    return peer == "recsys" or isinstance(model, recsys.ExplicitALS)


def rmse(predicted: np.ndarray, ratings: np.ndarray, scale: tuple[float, float]) -> float:
    errors = np.clip(np.asarray(predicted, np.float64), *scale) - ratings
    return float(np.sqrt(np.mean(errors**2)))


def read_ratings(path: Path) -> sp.coo_array:
    """An npz of arrays user, item and rating, in its order."""
    with np.load(path) as data:
        users, items = data["user"], data["item"]
        ratings = data["rating"].astype(np.float32)
    shape = int(users.max()) + 1, int(items.max()) + 1
    return sp.coo_array((ratings, (users, items)), shape=shape)


def synthetic_ratings(seed: int = 0, count: int = 1_000_209) -> sp.coo_array:
    """As many ratings, users and items as MovieLens 1M, a few of them having most of the ratings;
    to measure time on, not errors."""
    users, items = 6040, 3706
    rng = np.random.default_rng(seed)
    # Twice as many draws as ratings: some are of pairs that were there before.
    sides = []
    for n, spread in ((users, 0.8), (items, 1.2)):
        share = rng.lognormal(0, spread, n)
        sides.append(rng.choice(n, 2 * count, p=share / share.sum()))
    pairs = np.unique(sides[0] * items + sides[1])
    pairs = rng.permutation(pairs)[:count]
    ratings = rng.integers(1, 6, count).astype(np.float32)
    return sp.coo_array((ratings, np.divmod(pairs, items)), shape=(users, items))


def measure_ratings(
    data: sp.coo_array, names: list[str], peers: list[str], folds: int, threads: int
) -> list[dict]:
    users, items = data.coords
    ratings, scale = data.data, (data.data.min(), data.data.max())
    shuffled = np.random.default_rng(0).permutation(len(users))
    rows = {
        (name, peer): [] for name in names for peer in peers if can(peer, RATING_SETTINGS[name])
    }
    for test in np.array_split(shuffled, 5)[:folds]:
        kept = np.ones(len(users), bool)
        kept[test] = False
        train = sp.coo_array((ratings[kept], (users[kept], items[kept])), shape=data.shape)
        for name, peer in rows:
            began = time.perf_counter()
            predict = MAKERS[peer](RATING_SETTINGS[name], train, threads)
            seconds = time.perf_counter() - began
            error = rmse(predict(users[test], items[test]), ratings[test], scale)
            rows[name, peer].append((error, seconds))
    return [
        {
            "setting": name,
            "by": peer,
            "rmse": float(np.mean([error for error, _ in got])),
            "seconds": float(np.median([seconds for _, seconds in got])),
        }
        for (name, peer), got in rows.items()
    ]


def main_ratings(options: argparse.Namespace) -> None:
    peers = [peer for peer in MAKERS if importlib.util.find_spec(peer)]
    data = read_ratings(options.data)
    rows = measure_ratings(data, options.setting, peers, options.folds, options.threads)
    print("| setting | by | RMSE | seconds |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| {row['setting']} | {row['by']} | {row['rmse']:.4f} | {row['seconds']:.2f} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


# ---- measuring ---------------------------------------------------------------------------------

METRICS = (
    "precision", "recall", "capped_recall", "hit_rate", "map", "ndcg", "mrr", "auc", "coverage",
    "gini",
)  # fmt: skip
CUTS = (10, 20, 100)
FOUR = ("micro_capped_recall", "map", "ndcg", "auc_catalogue")  # implicit's, under our names
QUIET = {"show_progress": False}
VALIDATED = (recsys.ImplicitALS, recsys.BPR, recsys.LogisticMF)


def measuring(data: Data, threads: int, peers: bool) -> dict[str, Turn]:
    model = recsys.ImplicitALS(64, random_state=0, num_threads=threads).fit(data.train, **QUIET)
    users = np.flatnonzero(np.diff(data.test.indptr))
    arguments = model, data.train, data.test
    turns = {
        "lists alone": timed(lambda: model.recommend(users, N=max(CUTS) + 1)),
        "10 metrics at 10, 20 and 100": timed(
            lambda: evaluation.evaluate(*arguments, METRICS, CUTS, **QUIET)
        ),
        "4 metrics at 10": timed(lambda: evaluation.evaluate(*arguments, FOUR, 10, **QUIET)),
    }
    if peers:
        from implicit.evaluation import ranking_metrics_at_k

        peer = implicit_with_factors(model, threads)
        parts = [csr.scipy_matrix(part) for part in (data.train, data.test)]
        options = {"K": 10, "num_threads": threads, "show_progress": False}
        turns["implicit, 4 metrics at 10"] = timed(
            lambda: ranking_metrics_at_k(peer, *parts, **options)
        )
    return turns


def validating(cls: type[recsys.models.FactorModel], data: Data, threads: int) -> dict[str, Turn]:
    """A fit at the defaults, alone and with validation after every fifth iteration."""

    def fit(**how: Any) -> None:
        cls(64, random_state=0, num_threads=threads).fit(data.train, **how, **QUIET)

    return {
        f"{cls.__name__}.fit": timed(fit),
        f"{cls.__name__}.fit, validation": timed(lambda: fit(validation=data.test, patience=100)),
    }


def measure_evaluation(
    data: Data, options: argparse.Namespace, peers: bool
) -> dict[str, list[float]]:
    with single_blas():
        turns = measuring(data, options.threads, peers)
        groups = [turns, *(validating(cls, data, options.threads) for cls in VALIDATED)]
        taken = [take_turns(group, options.rounds) for group in groups]
    return {name: seconds for group in taken for name, seconds in group.items()}


def compared(seconds: dict[str, list[float]]) -> list[tuple[str, str]]:
    """The ratios that are asked about."""
    taken = {name: median(each) for name, each in seconds.items()}
    pairs = [
        ("10 metrics at 10, 20 and 100", "lists alone"),
        ("implicit, 4 metrics at 10", "4 metrics at 10"),
        *((f"{cls.__name__}.fit, validation", f"{cls.__name__}.fit") for cls in VALIDATED),
    ]
    return [
        (f"{one} / {other}", f"{taken[one] / taken[other]:.2f}x")
        for one, other in pairs
        if one in taken
    ]


def main_evaluation(options: argparse.Namespace) -> None:
    facts = machine_facts(options.threads)
    print(machine_line(facts))
    peers = not options.no_peers and bool(installed(["implicit"]))
    measured = {}
    for data in leaderboard.present(options.data, options.folder):
        measured[data.name] = seconds = measure_evaluation(data, options, peers)
        rows = [(what, f"{median(each):.3f} s") for what, each in seconds.items()]
        print(f"\n{markdown_table((data.name, 'median'), [*rows, *compared(seconds)])}")
    write_report(options.output, machine=facts, seconds=measured)


# ---- the run -----------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    fit = commands.add_parser("fit", help="peak memory of a fit of ImplicitALS")
    fit.add_argument("matrix", help="written by scipy.sparse.save_npz")
    fit.add_argument("--factors", type=int, default=64, help="default: 64")
    fit.add_argument("--iterations", type=int, default=2, help="default: 2")
    fit.add_argument("--json", help="parameters of ImplicitALS as JSON, and the answer likewise")
    fit.set_defaults(main=main_fit)
    tables = commands.add_parser("tables", help="seconds and peak memory of reading tables")
    tables.add_argument("--scale", type=float, default=1.0, help="of lastfm-360K; default: 1")
    tables.add_argument("--only", nargs="+", choices=WAYS, default=WAYS, help="default: all")
    tables.add_argument("--read", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    tables.set_defaults(main=main_tables)
    ratings = commands.add_parser("ratings", help="error of predictions, and seconds a fit")
    ratings.add_argument("data", type=Path, help="npz of arrays user, item and rating")
    names = list(RATING_SETTINGS)
    ratings.add_argument("--setting", nargs="+", choices=names, default=names)
    ratings.add_argument("--folds", type=int, choices=range(1, 6), default=5, help="default: 5")
    ratings.add_argument("--threads", type=int, default=2, help="default: 2")
    ratings.add_argument("--json", type=Path, help="also write the figures there")
    ratings.set_defaults(main=main_ratings)
    measuring = commands.add_parser("evaluation", help="what measuring lists costs")
    names = [name for name in leaderboard.READERS if name not in leaderboard.MORE]
    leaderboard.add_options(measuring, "", data=names)
    measuring.add_argument("--rounds", type=int, default=5, help="turns of each; default: 5")
    add_threads(measuring)
    add_no_peers(measuring)
    measuring.add_argument("--output", type=Path, default=Path("results/evaluation.json"))
    measuring.set_defaults(main=main_evaluation)
    return parser.parse_args()


def main() -> None:
    options = parse()
    options.main(options)


if __name__ == "__main__":
    run(main)
