"""Peak memory of a fit above the matrix it is given, in a process of its own.

``python benchmarks/fit_memory.py matrix.npz --factors 64`` prints it; `measure` asks for it in a
child process. Everything is imported, and a small model trained, before the measurement begins.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recsys import ImplicitALS

_STATUS = Path("/proc/self/status")


def measure(user_items: sp.csr_matrix, **parameters: object) -> dict[str, float]:
    """Megabytes (10^6 bytes) of a fit of ``ImplicitALS(**parameters)``, in a child process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "matrix.npz")
        sp.save_npz(path, user_items, compressed=False)
        command = [sys.executable, __file__, str(path), "--json", json.dumps(parameters)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"measuring memory failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


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
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    kilobytes = next(found, None)
    return None if kilobytes is None else int(kilobytes) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Peak memory of a fit above the matrix it is given."
    )
    parser.add_argument("matrix", help="written by scipy.sparse.save_npz")
    parser.add_argument("--factors", type=int, default=64, help="default: 64")
    parser.add_argument("--iterations", type=int, default=2, help="default: 2")
    parser.add_argument("--json", help="parameters of ImplicitALS as JSON, and the answer likewise")
    options = parser.parse_args()
    parameters = {"factors": options.factors, "iterations": options.iterations, "random_state": 0}
    if options.json:
        parameters = json.loads(options.json)
    matrix = sp.load_npz(options.matrix)
    if matrix.data.dtype != np.float32:
        matrix = matrix.astype(np.float32)
    result = peak_of_fit(matrix, **parameters)
    if options.json:
        print(json.dumps(result))
    else:
        print("fit: {fit_mb:.0f} MB above the matrix's {matrix_mb:.0f} MB".format(**result))


if __name__ == "__main__":
    main()
