"""Seconds and peak memory of reading a table of events by `Interactions`.

``python benchmarks/interactions.py`` writes a table of the size of lastfm-360K (17.56 million rows,
shuffled; users have ids of 40 characters) to a Parquet and a CSV file. Each way to read it runs in
a process of its own. The peak is of that whole process, the table in memory included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fit_memory
import numpy as np
from harness import markdown_table, run

from recsys import Interactions
from recsys.datasets import lastfm360k_twin

SECONDS, MEGABYTES = 15.0, 3000.0  # the bars, at scale 1
WAYS = ("pyarrow", "pandas", "polars", "parquet", "csv")
FIGURES = {"seconds": ".1f", "of a CPU": ".1f", "peak MB": ".0f", "before it": ".0f"}
NAMES = {"user": "user", "item": "artist", "value": "plays"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Seconds and peak memory of reading a table of events."
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of lastfm-360K; default: 1")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=WAYS, help="default: all")
    parser.add_argument("--read", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(*options.read)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        entries = write(Path(folder), options.scale)
        rows = [measure(way, Path(folder)) for way in options.only]
    print(f"SYNTHETIC data: {entries:,} events, shuffled, users with ids of 40 characters")
    print(markdown_table(["read from", *FIGURES, "verdict"], rows))
    print(f"bars at scale 1: {SECONDS:g} s, {MEGABYTES:g} MB")
    return 0


def write(folder: Path, scale: float) -> int:
    """The same events as events.parquet and events.csv; returns how many there are."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    dataset = lastfm360k_twin(scale)
    triples = dataset.user_items.tocoo()
    order = np.random.default_rng(0).permutation(triples.nnz)
    users = pa.array([f"{n:0>40x}" for n in np.random.default_rng(1).permutation(triples.shape[0])])
    writers = []
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


def measure(way: str, folder: Path) -> list[str]:
    """A row of the table: what a child process measured."""
    file = folder / ("events.csv" if way == "csv" else "events.parquet")
    command = [sys.executable, __file__, "--read", way, str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"reading by {way} failed: {done.stderr.strip()[-500:]}")
    got = json.loads(done.stdout)
    met = got["seconds"] <= SECONDS and got["peak MB"] <= MEGABYTES
    figures = [f"{got[name]:{how}}" for name, how in FIGURES.items()]
    return [way, *figures, "met" if met else "**not met**"]


def read(way: str, file: str) -> dict[str, float]:
    """In this process: a true figure only where nothing else has run in it."""
    table = load(way, file)
    fit_memory.reset_peak()
    before = fit_memory.megabytes("VmRSS") or fit_memory.peak()
    begin, cpu = time.perf_counter(), time.process_time()
    if way in ("csv", "parquet"):
        getattr(Interactions, f"from_{way}")(file, **NAMES)
    else:
        Interactions.from_frame(table, **NAMES)
    figures = (time.perf_counter() - begin, time.process_time() - cpu, fit_memory.peak(), before)
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


if __name__ == "__main__":
    run(main)
