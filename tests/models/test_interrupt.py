"""Ctrl-C during `fit`: the last finished iteration is kept, KeyboardInterrupt goes on."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import sparse

from recsys import ImplicitALS
from recsys.models.alternating import SOLVERS

PARAMS = {"factors": 6, "regularization": 1.0, "random_state": 0, "compute_loss": True}


def matrix(n_users=60, n_items=50):
    matrix = sparse.random_array((n_users, n_items), density=0.2, rng=0, format="csr")
    matrix.data = np.ceil(matrix.data * 9)
    return matrix


def test_non_finite_factors_keep_the_last_iteration(monkeypatch):
    solver, calls = SOLVERS["cholesky"], 0

    def spoiling(side, fixed, *factors, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 4:
            fixed.factors[3] = np.nan
        return solver.half_sweep(side, fixed, *factors, **kwargs)

    monkeypatch.setitem(SOLVERS, "cholesky", solver._replace(half_sweep=spoiling))
    model = ImplicitALS(**PARAMS)
    with pytest.raises(FloatingPointError, match="row 3"):
        model.fit(matrix())
    assert len(model.history) == 1
    assert np.isfinite(model.user_factors).all() and np.isfinite(model.item_factors).all()


CHILD = """
import signal
import time
import numpy as np
from scipy import sparse
from recsys import ImplicitALS

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
matrix = sparse.random_array((6000, 4000), density=0.01, rng=0, format="csr")
params = dict(factors=64, random_state=0, solver="cg")
model = ImplicitALS(**params, iterations=10**6)
try:
    model.fit(matrix, callback=lambda *_: print("finished", time.time(), flush=True))
except KeyboardInterrupt:
    print("interrupted", time.time(), flush=True)
twin = ImplicitALS(**params, iterations=len(model.history)).fit(matrix)
assert np.array_equal(model.user_factors, twin.user_factors)
assert np.array_equal(model.item_factors, twin.item_factors)
print("equal", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a child there")
def test_a_real_signal():
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(3):
            assert child.stdout.readline().startswith("finished")
        child.send_signal(signal.SIGINT)
        sent = time.time()
        lines = child.communicate(timeout=60)[0].splitlines()
    finally:
        child.kill()
        child.wait()
    [interrupted] = [line for line in lines if line.startswith("interrupted")]
    assert float(interrupted.split()[1]) - sent < 1
    assert lines[-1] == "equal"
