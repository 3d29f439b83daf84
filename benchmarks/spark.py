"""MLlib's ALS and recsys.spark's on the same frame, in turns, in one Spark application.

    python benchmarks/spark.py --scale 0.1 --master 'local-cluster[2,1,2048]' --update-docs

Prints one JSON line a measurement, and the table of docs/spark.md at the end, which --update-docs
writes there: seconds an iteration, whole fits from a Parquet file to stored factors, both by the
barrier and by the shuffle plane, the making of blocks, recommendForAllUsers (MLlib's takes most of
an hour on the whole twin: --one-in 10 is a tenth of that), iterations in this process with as many
threads, and what the driver's two processes took more of memory than for a fit of a thousand
entries. At --scale 1 the data is the whole synthetic twin of lastfm-360K; smaller ones are smaller
twins, and say less about the whole: what does not grow with the data weighs more.

MLlib's seconds an iteration are the difference between fits of few and of many iterations; ours are
what the tasks themselves measure. MLlib is several times faster where it finds a native BLAS, of
the name libblas.so.3 (install libopenblas0-pthread, or name its folder in LD_LIBRARY_PATH), than as
pip installs it; the first line says which it has.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from harness import (
    DOCS,
    data_facts,
    headline,
    installed_version,
    machine_facts,
    machine_line,
    now,
    replace_between,
)

PAGE = DOCS / "spark.md"
MARKS = "<!-- spark:begin -->", "<!-- spark:end -->"
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.driver.host": "127.0.0.1",
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",  # MLlib has a task a core
}
CONTENDERS = ["recsys", "shuffle", "mllib"]  # shuffle: recsys by Spark's shuffles
N = 10
ALPHA = 20.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scale", type=float, default=0.1, help="size of the twin")
    parser.add_argument("--master", default="local-cluster[2,1,2048]")
    parser.add_argument("--driver-memory", default="3g")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--few", type=int, default=2, help="iterations of the shorter fit")
    parser.add_argument("--many", type=int, default=10, help="iterations of the longer fit")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--no-lists", action="store_true")
    parser.add_argument(
        "--one-in", type=int, default=1, metavar="K", help="lists of every K-th user alone"
    )
    parser.add_argument("--update-docs", action="store_true", help=f"write into docs/{PAGE.name}")
    args = parser.parse_args()
    if args.many <= args.few:
        parser.error(f"--many {args.many} must be more than --few {args.few}")
    return args


def session(args: argparse.Namespace):
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    options = SETTINGS | {"spark.driver.memory": args.driver_memory}
    if args.master.startswith("local-cluster"):
        options["spark.executor.memory"] = args.master.rstrip("]").split(",")[-1] + "m"
    for name in ("LD_LIBRARY_PATH", "PYTHONPATH"):
        if name in os.environ:
            options[f"spark.executorEnv.{name}"] = os.environ[name]
    builder = SparkSession.builder.master(args.master)
    for name, value in options.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def blas(spark) -> str:
    """The class that MLlib's linear algebra goes to; JNIBLAS is a library of the system."""
    from py4j.protocol import Py4JJavaError

    netlib = spark._jvm.dev.ludovic.netlib.blas
    try:
        found = netlib.NativeBLAS.getInstance()
    except Py4JJavaError:  # MLlib then does the same
        found = netlib.JavaBLAS.getInstance()
    return found.getClass().getSimpleName()


def write_twin(path: Path, matrix) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    matrix = matrix.tocoo()
    columns = {
        "user": matrix.row.astype(np.int32),
        "item": matrix.col.astype(np.int32),
        "rating": np.log1p(matrix.data).astype(np.float32),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=1 << 18)


def contenders(only: list[str]) -> dict:
    from pyspark.ml.recommendation import ALS as Theirs

    from recsys.spark import ALS

    shuffle = functools.partial(ALS, plane="shuffle")
    all_of_them = dict(zip(CONTENDERS, (ALS, shuffle, Theirs), strict=True))
    return {name: all_of_them[name] for name in only}


def cpu_seconds() -> float:
    """Of this process and all that descend from it: where Spark's executors are on this machine,
    a measure that other programs disturb less than they do the clock."""
    parents, seconds = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(fields[1])
        seconds[int(folder.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def is_ours(pid: int) -> bool:
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    return sum(spent for pid, spent in seconds.items() if is_ours(pid))


class Clock:
    """Seconds and CPU seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), cpu_seconds()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.began[0], cpu_seconds() - self.began[1]


def fit(cls, args: argparse.Namespace, frame, iterations: int):
    """Seconds, and CPU seconds, until both sides are stored, and the model."""
    clock = Clock()
    estimator = cls(
        rank=args.factors, maxIter=iterations, regParam=0.5, alpha=ALPHA, implicitPrefs=True,
        seed=0, numUserBlocks=args.blocks, numItemBlocks=args.blocks,
    )  # fmt: skip
    model = estimator.fit(frame)
    model.userFactors.count(), model.itemFactors.count()
    return *clock.read(), model


def lists(model, one_in: int) -> tuple[float, float]:
    clock = Clock()
    if one_in == 1:
        made = model.recommendForAllUsers(N)
    else:
        some = model.userFactors.where(f"id % {one_in} = 0").selectExpr("id AS user")
        made = model.recommendForUserSubset(some, N)
    made.write.format("noop").mode("overwrite").save()
    return clock.read()


def in_process(args: argparse.Namespace, matrix, threads: int) -> list[float]:
    """Seconds of plain iterations, without Spark."""
    from recsys import ImplicitALS

    model = ImplicitALS(
        args.factors, iterations=args.few + 2, alpha=ALPHA, confidence="linear", random_state=0,
        acceleration=False, init="random", compute_loss=False, num_threads=threads,
    )  # fmt: skip
    model.fit(matrix, show_progress=False)
    return [each.seconds for each in model.history[1:]]


def driver_peak(spark) -> float:
    """MB that the driver's two processes have held at most, since they began."""
    java = spark._jvm.java.lang.ProcessHandle.current().pid()
    peak = 0
    for process in ("self", java):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        peak += next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return peak / 1024


def say(**fields) -> None:
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in fields.items()}
    print(json.dumps(rounded | {"load": round(os.getloadavg()[0], 1)}), flush=True)


def one_round(args: argparse.Namespace, frame, measured: dict) -> None:
    for name, cls in contenders(args.only).items():
        few, few_cpu, _ = fit(cls, args, frame, args.few)
        many, many_cpu, model = fit(cls, args, frame, args.many)
        more = args.many - args.few
        results = {"fit": many, "fit cpu": many_cpu, "by difference": (many - few) / more}
        results["iteration cpu"] = (many_cpu - few_cpu) / more
        results["iteration"] = results["by difference"]
        summary = getattr(model, "summary", None)
        if summary is not None:
            results["iteration"] = statistics.median(summary.seconds[1:])
            results |= {step: seconds for step, seconds in summary.spent.items()}
        if not args.no_lists and name != "shuffle":  # whose model is the same
            results["lists"], results["lists cpu"] = lists(model, args.one_in)
        say(contender=name, few=few, **results)
        for what, seconds in results.items():
            measured[name, what].append(seconds)


def table(measured: dict, args: argparse.Namespace) -> list[str]:
    """In Markdown; what was not measured is left out."""
    seconds = {key: statistics.median(values) for key, values in measured.items()}
    rows = [
        "| | MLlib | recsys | ratio | of CPU seconds |", "|---|---|---|---|---|"
    ]  # fmt: skip
    whole = f"from a Parquet file to stored factors, {args.many} iterations"
    listed = f"recommendForAllUsers({N})"
    if args.one_in > 1:
        listed = f"recommendForUserSubset, {N} for one user in {args.one_in}"
    for what, name, words in (
        ("iteration", "recsys", "an iteration"),
        ("iteration", "shuffle", "an iteration, shuffle plane"),
        ("fit", "recsys", whole),
        ("fit", "shuffle", f"{whole}, shuffle plane"),
        ("lists", "recsys", listed),
    ):
        if {("mllib", what), (name, what)} <= set(seconds):
            (a, b), (c, d) = (
                [seconds[each, measure] for each in ("mllib", name)]
                for measure in (what, f"{what} cpu")
            )
            rows.append(
                f"| {words}, s | {a:.3g} | {b:.3g} | {a / b:.1f} "
                f"| {c:.3g} / {d:.3g} = {c / d:.1f} |"
            )
    if ("recsys", "iteration") in seconds:
        here, spark = seconds["in process", "iteration"], seconds["recsys", "iteration"]
        rows += [
            f"| an iteration in one process, s | {here:.3g} | {spark:.3g} | {here / spark:.2f} | |",
            f"| blocks, s | | {seconds['recsys', 'blocks']:.3g} | | |",
            f"| the driver's processes, MB more | | {seconds['driver', 'recsys']:.0f} | | |",
        ]
    return rows


def update_docs(args: argparse.Namespace, data: str, library: str, lines: list[str]) -> None:
    """Put the table, and of what it is, between the marks of docs/spark.md."""
    command = shlex.join(["python", "benchmarks/spark.py", *sys.argv[1:]])
    rounds = f"{args.rounds} round{'s' if args.rounds > 1 else ''}"
    load = os.getloadavg()[2]  # of the last quarter of an hour
    head = [
        f"    {command}\n",
        f"{data}, f = {args.factors}, in turns, {rounds}; MLlib with {library}.",
        f"{machine_line(machine_facts())}, pyspark {installed_version('pyspark')}.",
        f"{now()[:10]}, load average {load:.0f}.\n",
    ]
    replace_between(PAGE, MARKS, "\n".join([*head, *lines]))


def main() -> None:
    args = arguments()
    from recsys import datasets

    dataset = datasets.lastfm360k_twin(args.scale)
    matrix = dataset.user_items
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "twin.parquet")
        write_twin(path, matrix)
        spark = session(args)
        frame = spark.read.parquet(str(path))
        library = blas(spark)
        say(entries=matrix.nnz, shape=matrix.shape, master=args.master, factors=args.factors,
            blas=library)  # fmt: skip
        measured: dict[tuple[str, str], list[float]] = defaultdict(list)
        for cls in contenders(args.only).values():  # what starts with the first fit
            fit(cls, args, frame.limit(1000), 1)
        small = driver_peak(spark)
        ours = contenders(args.only).get("recsys")
        if ours is not None:
            fit(ours, args, frame, args.few)
            measured["driver", "recsys"].append(driver_peak(spark) - small)
            threads = spark.sparkContext.defaultParallelism
        for _ in range(args.rounds):
            one_round(args, frame, measured)
            if ours is not None:
                seconds = in_process(args, matrix, threads)
                say(contender="in process", threads=threads, iteration=statistics.median(seconds))
                measured["in process", "iteration"] += seconds
        lines = table(measured, args)
        print("\n".join(lines))
        if args.update_docs:
            update_docs(args, headline(data_facts(dataset)), library, lines)
        spark.stop()


if __name__ == "__main__":
    main()
