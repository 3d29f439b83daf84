"""A sparse matrix times rows of factors, against the NumPy twin."""

import numpy as np
import pytest
from cases import CASES, FACTORS
from twins import assert_like_twin

from recsys.kernels import _product, make_sides, reference


def arguments(matrix, f, dtype, likes, seed=0):
    rng = np.random.default_rng(seed)
    side, _ = make_sides(matrix.astype(dtype), 1.0, 0.0, 1.0)
    return {
        "indptr": side.indptr,
        "indices": side.indices,
        "values": side.confidence,
        "order": side.order,
        "spans": side.spans,
        "dense": rng.standard_normal((matrix.shape[1], f)).astype(dtype),
        "out": np.full((matrix.shape[0], f), np.nan, dtype),
        "likes": likes,
        "mean": 0.0 if likes else 1.5,
    }


def run(args, **how):
    out = np.full_like(args["out"], np.nan)
    _product.spmm(**{**args, "out": out}, **how)
    return out


@pytest.mark.parametrize("likes", [True, False])
@pytest.mark.parametrize("f", [*FACTORS, 200])
def test_like_the_twin(isa, dtype, f, likes):
    args = arguments(CASES["mixed"](), f, dtype, likes)
    assert_like_twin(_product.spmm, reference.spmm, args, ["out"], isa=isa, num_threads=2)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"huge confidences"}))
def test_every_matrix(isa, dtype, case):
    args = arguments(CASES[case](), 17, dtype, True)
    assert_like_twin(_product.spmm, reference.spmm, args, ["out"], isa=isa, num_threads=2)


def test_same_bits_for_any_threads(isa, dtype, num_threads):
    args = arguments(CASES["long"](), 33, dtype, True)
    one = run(args, isa=isa, num_threads=1)
    assert np.array_equal(one, run(args, isa=isa, num_threads=num_threads))


def test_long_rows_are_as_exact_as_short_ones(isa):
    """Rows of 7,000 entries, in single precision."""
    args = arguments(CASES["long"](), 8, np.float32, False)
    exact = arguments(CASES["long"](), 8, np.float64, False)
    exact = run({**exact, "dense": args["dense"].astype(float)}, isa=isa, num_threads=1)
    off = np.abs(run(args, isa=isa, num_threads=1) - exact).max(axis=1)
    size = np.abs(args["dense"]).mean() * np.abs(args["values"]).mean()
    assert (off <= 100 * np.finfo(np.float32).eps * size * np.diff(args["indptr"]) ** 0.5).all()
