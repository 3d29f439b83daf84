"""LightFM in an interpreter of its own: the last release has no wheels for newer Pythons.

``pip install 'cython<3' 'setuptools<70' wheel 'numpy<2' scipy`` and then ``pip install
--no-build-isolation lightfm`` in a virtual environment of Python 3.11 makes one; its path is what
the option ``--lightfm`` takes. That interpreter runs this file, and need not have recsys:
``python lightfm_peer.py matrix.npz PARAMETERS THREADS`` reads a request a line and answers each
with a line of JSON; PARAMETERS are LightFM's, as JSON.

epoch
    Make one epoch; answers its seconds, of all CPUs (`cpu`) and of the clock, the setting up of
    `fit_partial` left out.
save PATH
    Write factors and biases of users and items to PATH, an npz.

The same file runs on recsys' drop-in, which makes the two comparable line by line; options of the
comparison are under ``--help``::

    python benchmarks/lightfm_peer.py --compare ../shared/data --lightfm PYTHON

It asks workers of both kinds, in turns, for

call
    Make one epoch by `fit_partial`; answers the call's CPU seconds, all of it.
measure
    Answers precision at 10 and AUC on the held-out part.
dataset N
    Build a `Dataset` and its matrices of N events and of items with ten tags; CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lightfm",
        metavar="PYTHON",
        help="a Python in which LightFM is installed; default: this one, if it is",
    )


def find(python: str | None) -> str | None:
    """A Python with LightFM: `python` if it is given, else this one, else None."""
    tried = python or sys.executable
    try:
        command = [tried, "-c", "import lightfm"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        problem = done.stderr.strip().splitlines()[-1] if done.returncode else None
    except OSError as error:
        problem = str(error)
    if problem is None:
        return tried
    if python is not None:
        raise SystemExit(f"--lightfm {python}: it cannot import lightfm ({problem})")
    print("lightfm: not installed (see --lightfm), left out")
    return None


class LightFM:
    """A model that makes one epoch at a `turn`; ends with `close`.

    Parameters
    ----------
    python : str
        As `find` gives it.
    user_items : sparse matrix; its positive entries are liked
    threads : int
    **parameters
        LightFM's.
    """

    def __init__(self, python: str, user_items: Any, threads: int, **parameters: Any) -> None:
        self.name = f"lightfm {parameters['loss'].upper()}"
        liked = sp.csr_matrix(user_items > 0, dtype=np.float32)
        self.terms = liked.nnz
        self._folder = tempfile.TemporaryDirectory()
        matrix = Path(self._folder.name, "matrix.npz")
        sp.save_npz(matrix, liked, compressed=False)
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._worker = subprocess.Popen(
            [python, __file__, str(matrix), json.dumps(parameters), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def turn(self) -> float:
        """Makes an epoch; its seconds."""
        return self.epoch()[1]

    def epoch(self) -> tuple[float, float]:
        """Makes one; its CPU seconds, and those of the clock."""
        answer = self._ask("epoch")
        return answer["cpu"], answer["seconds"]

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """What it has learned, of users and of items, whose biases are one more factor."""
        path = Path(self._folder.name, "learned.npz")
        self._ask(f"save {path}")
        with np.load(path) as learned:
            users, items = learned["user_factors"], learned["item_factors"]
            biases = learned["item_biases"]
        users = np.column_stack((users, np.ones(len(users), users.dtype)))
        return users, np.column_stack((items, biases))

    def close(self) -> None:
        self._worker.stdin.close()
        self._worker.wait()
        self._worker.stdout.close()
        self._errors.close()
        self._folder.cleanup()

    def _ask(self, request: str) -> dict[str, Any]:
        try:
            self._worker.stdin.write(request + "\n")
            self._worker.stdin.flush()
            answer = self._worker.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._worker.wait()
            self._errors.seek(0)
            raise RuntimeError(f"LightFM's process ended: {self._errors.read().strip()[-500:]}")
        return json.loads(answer)


# ---- the drop-in beside it ----------------------------------------------------------------------

SPEED = ("lastfm-2k", "ml-1m", "citeulike-a")
LOSSES = ("logistic", "bpr", "warp", "warp-kos")
SEEDS = 5


class Worker:
    """This file in another process, on LightFM or on the drop-in; answers requests."""

    def __init__(self, command: list[str], problem: Path, parameters: dict[str, Any]) -> None:
        words = [*command, __file__, str(problem), json.dumps(parameters), "1"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, request: str) -> dict[str, Any]:
        """The answer; RuntimeError where the process has ended."""
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("a worker ended; what it said is above")
        return json.loads(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def workers(python: str, problem: Path, **parameters: Any) -> tuple[Worker, Worker]:
    """LightFM's, and the drop-in's."""
    ours = [sys.executable, "-m", "recsys.compat.lightfm"]
    return Worker([python], problem, parameters), Worker(ours, problem, parameters)


def compare() -> None:
    """Print seconds of epochs, quality and seconds of Dataset, of both."""
    parser = argparse.ArgumentParser(description="LightFM and recsys.compat.lightfm, in turns.")
    parser.add_argument("--compare", type=Path, metavar="FOLDER", help="of the .npz files")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--users", type=int, default=1500, help="of ml-1m, whose quality is looked at"
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="of a Dataset")
    parser.add_argument("--part", choices=("speed", "quality", "dataset"), nargs="*")
    add_option(parser)
    options = parser.parse_args()
    python = find(options.lightfm)
    if python is None:
        return
    parts = options.part or ("speed", "quality", "dataset")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "problem.npz")
        if "speed" in parts:
            for name in SPEED:
                compare_speed(python, options.compare / "hybrid" / f"{name}.npz", path)
        if "quality" in parts:
            compare_quality(python, options, path)
        if "dataset" in parts:
            save_problem(path, sp.eye_array(3))
            both = workers(python, path)
            turns = [[w.ask(f"dataset {options.events}")["seconds"] for w in both] for _ in "123"]
            print_ratio(f"Dataset, {options.events:,} events", np.array(turns))
            for worker in both:
                worker.close()


def compare_speed(python: str, source: Path, path: Path) -> None:
    """CPU seconds of WARP epochs, f = 64, without features and with identity and features."""
    with np.load(source) as file:
        train = matrix_of(file, "train")
        sides = {}
        for noun in ("user", "item"):
            if f"{noun}_features_indices" in file:
                named = matrix_of(file, f"{noun}_features")
                own = sp.hstack([sp.eye_array(named.shape[0]), named > 0]).tocsr()
                sides[noun] = sp.diags_array(1 / own.sum(axis=1)) @ own
    for what, features in (("without features", {}), ("with features", sides)):
        save_problem(path, train, **features)
        both = workers(python, path, loss="warp", no_components=64, random_state=0)
        turns = np.array([[worker.ask("call")["seconds"] for worker in both] for _ in range(7)])
        print_ratio(f"{source.stem}, {what}", turns)
        for worker in both:
            worker.close()


def compare_quality(python: str, options: argparse.Namespace, path: Path) -> None:
    """Precision at 10 and AUC after some epochs, over seeds: mean and standard deviation."""
    with np.load(options.compare / "ml-1m.npz") as file:
        user, item, rating = file["user"], file["item"], file["rating"]
    chosen = np.random.default_rng(0).permutation(user.max() + 1)[: options.users]
    kept = np.isin(user, chosen)
    at = (
        np.unique(user[kept], return_inverse=True)[1],
        np.unique(item[kept], return_inverse=True)[1],
    )
    signs = np.where(rating[kept] >= 4, 1.0, -1.0)
    held_out = np.random.default_rng(1).random(len(signs)) < 0.2
    shape = at[0].max() + 1, at[1].max() + 1

    def part(chosen: np.ndarray) -> sp.coo_array:
        return sp.coo_array((signs[chosen], (at[0][chosen], at[1][chosen])), shape)

    test = part(held_out & (signs > 0))
    for loss in LOSSES:
        train = part(~held_out & (signs > 0) if loss == "warp-kos" else ~held_out)
        save_problem(path, train, test=test)
        measured: list[list[list[float]]] = []
        for seed in range(SEEDS):
            both = workers(python, path, loss=loss, no_components=32, random_state=seed)
            row = []
            for worker in both:
                for _ in range(options.epochs):
                    worker.ask("call")
                answer = worker.ask("measure")
                row.append([answer["precision"], answer["auc"]])
                worker.close()
            measured.append(row)
        mean, spread = np.mean(measured, axis=0), np.std(measured, axis=0, ddof=1)
        for metric, name in enumerate(("precision@10", "AUC")):
            figures = " ".join(
                f"{by} {mean[who, metric]:.4f} +- {spread[who, metric]:.4f}"
                for who, by in enumerate(("lightfm", "recsys"))
            )
            print(f"{loss}, {options.epochs} epochs, {name}: {figures}", flush=True)


def print_ratio(what: str, turns: np.ndarray) -> None:
    """Medians, and the median of the ratios of turns."""
    theirs, ours = np.median(turns, axis=0)
    ratio = np.median(turns[:, 0] / turns[:, 1])
    print(f"{what}: lightfm {theirs:.3f} s, recsys {ours:.3f} s, {ratio:.1f} times", flush=True)


def matrix_of(file: Any, name: str) -> sp.csr_array:
    indices = file[f"{name}_indices"]
    data = file[f"{name}_data"] if f"{name}_data" in file else np.ones(len(indices), np.float32)
    return sp.csr_array((data, indices, file[f"{name}_indptr"]), tuple(file[f"{name}_shape"]))


def save_problem(path: Path, train: Any, **others: Any) -> None:
    """The matrices of one problem: train, and some of test, user and item (their features)."""
    arrays = {}
    for name, matrix in {"train": train, **others}.items():
        entries = matrix.tocoo()
        arrays |= {f"{name}_row": entries.coords[0], f"{name}_col": entries.coords[1]}
        arrays |= {f"{name}_data": entries.data, f"{name}_shape": entries.shape}
    np.savez(path, **arrays)


def read_problem(path: str) -> dict[str, sp.coo_matrix]:
    """What `save_problem` wrote, or what `LightFM` above did."""
    with np.load(path) as file:
        if "format" in file:
            return {"train": sp.load_npz(path).tocoo()}
        names = {name.partition("_")[0] for name in file}
        parts = {
            name: [file[f"{name}_{part}"] for part in ("data", "row", "col")] for name in names
        }
        shapes = {name: tuple(file[f"{name}_shape"]) for name in names}
    return {
        name: sp.coo_matrix((data.astype(np.float32), (row, column)), shapes[name])
        for name, (data, row, column) in parts.items()
    }


# ---- in the Python that has LightFM -------------------------------------------------------------


def serve() -> None:
    """Answer requests until there are no more."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("matrix", help="what is liked, an npz of SciPy")
    parser.add_argument("parameters", type=json.loads, help="LightFM's, as JSON")
    parser.add_argument("threads", type=int)
    options = parser.parse_args()

    import lightfm

    class TimedLightFM(lightfm.LightFM):
        def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
            cpu, begin = time.process_time(), time.perf_counter()
            super()._run_epoch(*args, **kwargs)
            self.cpu = time.process_time() - cpu
            self.seconds = time.perf_counter() - begin

    problem = read_problem(options.matrix)
    matrix = problem["train"]
    sides = {
        f"{noun}_features": problem[noun].tocsr() if noun in problem else None
        for noun in ("user", "item")
    }
    model = TimedLightFM(**options.parameters)
    for line in sys.stdin:
        request, _, argument = line.strip().partition(" ")
        answer = {}
        if request == "epoch":
            model.fit_partial(matrix, epochs=1, num_threads=options.threads)
            answer = {"cpu": model.cpu, "seconds": model.seconds}
        elif request == "call":
            begin = time.process_time()
            model.fit_partial(matrix, **sides, epochs=1, num_threads=options.threads)
            answer = {"seconds": time.process_time() - begin}
        elif request == "measure":
            from lightfm.evaluation import auc_score, precision_at_k

            test = problem["test"].tocsr()
            answer = {
                "precision": float(precision_at_k(model, test, **sides).mean()),
                "auc": float(auc_score(model, test, **sides).mean()),
            }
        elif request == "dataset":
            answer = {"seconds": seconds_of_dataset(int(argument))}
        elif request == "save":
            users, items = model.get_user_representations(), model.get_item_representations()
            names = "user_biases", "user_factors", "item_biases", "item_factors"
            np.savez(argument, **dict(zip(names, (*users, *items), strict=True)))
        else:
            raise ValueError(f"unknown request {request!r}; expected one of those above")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def seconds_of_dataset(events: int) -> float:
    """Of `Dataset`, with so many events of a tenth as many users, and items with ten tags."""
    from lightfm.data import Dataset

    random = np.random.default_rng(0)
    n_users, n_items = max(events // 10, 1), max(events // 100, 1)
    users = [f"user {number}" for number in range(n_users)]
    items = [f"item {number}" for number in range(n_items)]
    tags = [f"tag {number}" for number in range(1000)]
    who, what = random.integers(0, n_users, events), random.integers(0, n_items, events)
    data = [(users[u], items[i]) for u, i in zip(who.tolist(), what.tolist(), strict=True)]
    chosen = random.integers(0, 1000, (n_items, 10)).tolist()
    tagged = [(item, [tags[t] for t in own]) for item, own in zip(items, chosen, strict=True)]
    begin = time.process_time()
    dataset = Dataset()
    dataset.fit(users, items, item_features=tags)
    dataset.build_interactions(data)
    dataset.build_item_features(tagged)
    return time.process_time() - begin


if __name__ == "__main__":
    compare() if "--compare" in sys.argv else serve()
