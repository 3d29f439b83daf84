"""Peak memory of a fit above the matrix it is given, and of reading a table of events.

    python benchmarks/memory.py fit matrix.npz --factors 64
    python benchmarks/memory.py tables --scale 0.1

Each is measured in a process of its own. `fit`: everything is imported, and a small model trained,
before the measurement begins. `tables`: seconds and peak memory of `Interactions` reading a table
of the size of lastfm-360K (17.56 million rows, shuffled; users have ids of 40 characters) from a
Parquet and a CSV file, and from what other libraries made of these; the peak is that of the whole
process, the table included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from harness import markdown_table, run

from recsys import ImplicitALS, Interactions
from recsys.datasets import lastfm360k_twin

WAYS = ("pyarrow", "pandas", "polars", "parquet", "csv")
FIGURES = {"seconds": ".1f", "of a CPU": ".1f", "peak MB": ".0f", "before it": ".0f"}
NAMES = {"user": "user", "item": "artist", "value": "plays"}
_STATUS = Path("/proc/self/status")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="fit | tables")
    fit = what.add_parser("fit", description="Peak memory of a fit of ImplicitALS.")
    fit.add_argument("matrix", help="written by scipy.sparse.save_npz")
    fit.add_argument("--factors", type=int, default=64, help="default: 64")
    fit.add_argument("--iterations", type=int, default=2, help="default: 2")
    fit.add_argument("--json", help="parameters of ImplicitALS as JSON, and the answer likewise")
    tables = what.add_parser("tables", description="Seconds and peak memory of reading tables.")
    tables.add_argument("--scale", type=float, default=1.0, help="of lastfm-360K; default: 1")
    tables.add_argument("--only", nargs="+", choices=WAYS, default=WAYS, help="default: all")
    tables.add_argument("--read", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.what == "fit":
        print(fit_in_words(options))
    elif options.read:
        print(json.dumps(read(*options.read)))
    else:
        measure_tables(options)


def in_child(*arguments: str) -> Any:
    """What this program prints as JSON in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"measuring memory failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


# ---- a fit -------------------------------------------------------------------------------------


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


def fit_in_words(options: argparse.Namespace) -> str:
    parameters = {"factors": options.factors, "iterations": options.iterations, "random_state": 0}
    if options.json:
        parameters = json.loads(options.json)
    matrix = sp.load_npz(options.matrix)
    if matrix.data.dtype != np.float32:
        matrix = matrix.astype(np.float32)
    figures = peak_of_fit(matrix, **parameters)
    if options.json:
        return json.dumps(figures)
    return "fit: {fit_mb:.0f} MB above the matrix's {matrix_mb:.0f} MB".format(**figures)


# ---- reading tables ----------------------------------------------------------------------------


def measure_tables(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        events = write(Path(folder), options.scale)
        rows = [measure(way, Path(folder)) for way in options.only]
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


# ---- of this process ---------------------------------------------------------------------------


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


if __name__ == "__main__":
    run(main)
