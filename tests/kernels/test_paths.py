"""Which rows are solved in which way, as far as it shows."""

import numpy as np
import pytest
from cases import CASES

from recsys.kernels import Factors, half_sweep, make_sides, row_paths


def side_of(case, dtype=np.float32, w0=1.0, ratings=False):
    return make_sides(CASES[case]().astype(dtype), 1.0, 0.0, w0, ratings)[0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cg_steps", [0, 3])
def test_every_row_is_counted(case, cg_steps):
    side = side_of(case)
    found = row_paths(side, 64, cg_steps)
    assert sum(found.values()) == side.n_rows
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found.get("empty", 0) == np.count_nonzero(np.diff(side.indptr) == 0)
    assert cg_steps or "cg" not in found


@pytest.mark.parametrize(("case", "f"), [("every length", 64), ("long", 64), ("mixed", 130)])
def test_one_step_of_conjugate_gradient_shows(case, f, dtype):
    """It solves no row, so those solved are those that took another way."""
    side = side_of(case, dtype, w0=0.5)
    rng = np.random.default_rng(0)
    y = Factors(rng.standard_normal((len(side.other_regularization), f)).astype(dtype))
    exact, rough = (Factors(np.zeros((side.n_rows, f), dtype)) for _ in range(2))
    half_sweep(side, y, None, exact)
    half_sweep(side, y, rough, rough, solver="cg", cg_steps=1)
    size = np.linalg.norm(exact.factors, axis=1)
    off = np.linalg.norm(rough.factors - exact.factors, axis=1) > 1e-3 * size
    assert row_paths(side, f, 1).get("cg", 0) == np.count_nonzero(off) > 0


@pytest.mark.parametrize(
    ("case", "f", "w0", "ways"),
    [
        # 64 and 81 = 130 * 5 // 8 entries are the limits
        ("every length", 130, 1, {"batch": 16, "primal": 8, "wide": 5, "empty": 1}),
        ("every length", 8, 1, {"primal": 22, "batch": 7, "empty": 1}),
        # weights below those of cells without an entry
        ("mixed", 130, 1, {"primal": 29, "empty": 1}),
        ("mixed", 130, 0, {"batch": 16, "primal": 8, "wide": 5, "empty": 1}),
        # more than 2^20 bytes of float32
        ("long", 64, 1, {"long primal": 22, "empty": 1, "primal": 1}),
        ("long", 8, 1, {"primal": 23, "empty": 1}),
    ],
)
def test_ways(case, f, w0, ways):
    assert row_paths(side_of(case, w0=w0), f) == ways


def test_confidences_are_compared_in_their_own_precision():
    side = side_of("one full column", w0=0.7)
    side.confidence[:] = 0.7  # which float32 rounds to less
    assert row_paths(side, 8) == {"batch": 50}


def test_ratings_have_one_confidence():
    assert row_paths(side_of("mixed", w0=0.0, ratings=True), 130)["batch"] == 16
