"""Spans of rows: those that share their gathers stay together, and nothing depends on them."""

import numpy as np
import pytest
from cases import CASES

from recsys.kernels import Factors, _als, half_sweep, make_sides, row_paths, sides


def long_side(dtype=np.float32):
    return make_sides(CASES["long"]().astype(dtype), 1.0, 0.0, 1.0)[0]


@pytest.mark.parametrize(
    ("factors", "cg_steps", "itemsize", "shortest"),
    [
        (64, 0, 4, 4097),  # its entries take up more than 2^20 bytes
        (64, 0, 8, 2049),
        (128, 0, 4, 2049),
        (128, 3, 4, 2049),
        (256, 3, 4, 1025),
        (300, 0, 4, 874),
    ],
)
def test_long_rows_by_the_bytes_they_gather(factors, cg_steps, itemsize, shortest):
    def path(n):
        return _als.row_path(n, factors, cg_steps, below=False, itemsize=itemsize)

    assert path(shortest) == "long primal" != path(shortest - 1)


def test_more_than_256_factors_take_steps_however_long_a_row_is():
    assert _als.row_path(10**6, 257, 3, below=False, itemsize=4) == "cg"


@pytest.mark.parametrize("factors", [8, 38, 64, 128, 300])
@pytest.mark.parametrize("cg_steps", [0, 3])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_long_rows_are_cut_for_threads_and_others_for_their_work(
    factors, cg_steps, num_threads, dtype
):
    side = long_side(dtype)
    count = sides.count_long(side, factors, cg_steps)
    assert count == row_paths(side, factors, cg_steps).get("long primal", 0)
    spans = sides.spans_for(side, factors, cg_steps, num_threads)
    assert spans[0] == 0 and spans[-1] == side.n_rows and np.all(np.diff(spans) > 0)
    assert count in spans
    assert np.count_nonzero(spans < count) == min(count, 4 * num_threads)
    assert set(spans[spans > count]) == set(side.spans[side.spans > count])


@pytest.mark.parametrize("f", [38, 64])
def test_bits_do_not_depend_on_spans(f, monkeypatch, dtype):
    side = long_side(dtype)
    y = np.random.default_rng(0).standard_normal((len(side.other_regularization), f))
    fixed = Factors(y.astype(dtype))
    solved = []
    for spans in (np.arange(side.n_rows + 1), np.array([0, side.n_rows]), None):
        if spans is not None:
            monkeypatch.setattr("recsys.kernels.solve.spans_for", lambda *_, spans=spans: spans)
        out = np.zeros((side.n_rows, f), dtype)
        half_sweep(side, fixed, None, Factors(out))
        solved.append(out)
        monkeypatch.undo()
    assert np.array_equal(solved[0], solved[1]) and np.array_equal(solved[0], solved[2])


def test_no_rows_have_no_long_ones():
    side = make_sides(CASES["nothing stored"](), 1.0, 0.0, 1.0)[0]
    assert sides.count_long(side, 64, 0) == 0
    assert sides.spans_for(side, 64, 0, 2).tolist() == [0, 3]
