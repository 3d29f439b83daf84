"""MLlib's ALS and recsys.spark's on the same frame, in turns, in one Spark application.

    python benchmarks/spark.py --scale 0.02 --master 'local-cluster[2,1,2048]'

Prints one JSON line a measurement: seconds an iteration (from the difference between fits of few
and of many iterations, which leaves out reading and building), whole fits from a Parquet file to
stored factors, and recommendForAllUsers. At --scale 1 the data is the whole synthetic twin of
lastfm-360K; smaller ones keep a share of its users, and say less about the whole: what does not
grow with the data weighs more. MLlib is several times faster where it finds a native BLAS
(libblas.so.3) than as pip installs it: look at what it logs before you compare.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.driver.host": "127.0.0.1",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scale", type=float, default=0.02, help="share of the twin's users")
    parser.add_argument("--master", default="local-cluster[2,1,2048]")
    parser.add_argument("--driver-memory", default="3g")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--few", type=int, default=1, help="iterations of the shorter fit")
    parser.add_argument("--many", type=int, default=4, help="iterations of the longer fit")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=["recsys", "mllib"])
    parser.add_argument("--no-lists", action="store_true")
    return parser.parse_args()


def session(args: argparse.Namespace):
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master(args.master).config(
        "spark.driver.memory", args.driver_memory
    )
    if args.master.startswith("local-cluster"):
        megabytes = args.master.rstrip("]").split(",")[-1]
        builder = builder.config("spark.executor.memory", f"{megabytes}m")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def write_twin(path: Path, scale: float) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    from recsys import datasets

    matrix = datasets.lastfm360k_twin().user_items
    matrix = matrix[: int(matrix.shape[0] * scale)].tocoo()
    columns = {
        "user": matrix.row.astype(np.int32),
        "item": matrix.col.astype(np.int32),
        "rating": np.log1p(matrix.data).astype(np.float32),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=1 << 18)
    return matrix.nnz


def contenders(only: str | None) -> dict:
    from pyspark.ml.recommendation import ALS as Theirs

    from recsys.spark import ALS

    both = {"recsys": ALS, "mllib": Theirs}
    return both if only is None else {only: both[only]}


def fit(cls, args: argparse.Namespace, frame, iterations: int):
    """Seconds until both sides are stored, and the model."""
    began = time.perf_counter()
    estimator = cls(
        rank=args.factors, maxIter=iterations, regParam=0.5, alpha=20.0, implicitPrefs=True, seed=0,
        numUserBlocks=args.blocks, numItemBlocks=args.blocks,
    )  # fmt: skip
    model = estimator.fit(frame)
    model.userFactors.count(), model.itemFactors.count()
    return time.perf_counter() - began, model


def say(**fields) -> None:
    print(json.dumps(fields), flush=True)


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "twin.parquet")
        entries = write_twin(path, args.scale)
        spark = session(args)
        frame = spark.read.parquet(str(path))
        measured: dict[str, dict] = {}
        say(entries=entries, scale=args.scale, master=args.master, factors=args.factors,
            load=os.getloadavg()[0])  # fmt: skip
        for name, cls in contenders(args.only).items():  # what starts with the first fit
            fit(cls, args, frame.limit(1000), 1)
            measured[name] = {"iteration": [], "fit": [], "lists": []}
        for _ in range(args.rounds):
            for name, cls in contenders(args.only).items():
                few, _ = fit(cls, args, frame, args.few)
                many, model = fit(cls, args, frame, args.many)
                found = measured[name]
                say(contender=name, few=round(few, 3), many=round(many, 3), load=os.getloadavg()[0])
                found["fit"].append(many)
                found["iteration"].append((many - few) / (args.many - args.few))
                told = getattr(model, "summary", None)
                if told is not None:  # what the tasks themselves have measured
                    found.setdefault("iteration_in_tasks", []).extend(told.seconds[1:])
                if not args.no_lists:
                    began = time.perf_counter()
                    lists = model.recommendForAllUsers(10)
                    lists.write.format("noop").mode("overwrite").save()
                    found["lists"].append(time.perf_counter() - began)
        for name, found in measured.items():
            seconds = {k: round(statistics.median(v), 3) for k, v in found.items() if v}
            say(contender=name, iterations=args.many, load=os.getloadavg()[0], **seconds)
        spark.stop()


if __name__ == "__main__":
    main()
