"""LightFM in an interpreter of its own: the last release has no wheels for newer Pythons.

``pip install 'cython<3' 'setuptools<70' wheel 'numpy<2' scipy`` and then ``pip install
--no-build-isolation lightfm`` in a virtual environment of Python 3.11 makes one; its path is what
the option ``--lightfm`` takes. That interpreter runs this file, and need not have recsys:
``python lightfm_peer.py matrix.npz PARAMETERS THREADS`` reads a request a line and answers each
with a line of JSON; PARAMETERS are LightFM's, as JSON.

epoch
    Make one epoch; answers its seconds, the setting up of `fit_partial` left out.
save PATH
    Write factors and biases of users and items to PATH, an npz.
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
        return self._ask("epoch")["seconds"]

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
            begin = time.perf_counter()
            super()._run_epoch(*args, **kwargs)
            self.seconds = time.perf_counter() - begin

    matrix = sp.load_npz(options.matrix).tocoo()
    model = TimedLightFM(**options.parameters)
    for line in sys.stdin:
        request, _, argument = line.strip().partition(" ")
        answer = {}
        if request == "epoch":
            model.fit_partial(matrix, epochs=1, num_threads=options.threads)
            answer = {"seconds": model.seconds}
        elif request == "save":
            users, items = model.get_user_representations(), model.get_item_representations()
            names = "user_biases", "user_factors", "item_biases", "item_factors"
            np.savez(argument, **dict(zip(names, (*users, *items), strict=True)))
        else:
            raise ValueError(f"unknown request {request!r}; expected 'epoch' or 'save PATH'")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
