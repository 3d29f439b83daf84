"""The row solvers against their NumPy twin, for everything they are stamped for."""

import mmap
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from cases import CASES, FACTORS
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import of_twin

from recsys.kernels import _als, make_sides, solve_summed
from recsys.kernels.reference import als_equations, als_loss, als_rows, als_summed_rows

TOLERANCE = {np.float32: 2e-4, np.float64: 1e-9}
WRITTEN = ("solved", "failed", "row_loss")
EXACT, CONVERGED = 0, 1000  # steps of conjugate gradient


def arguments(
    matrix, f, dtype, *, w0=1.0, lambda_=1.0, exponent=0.0, seed=0, fixed=None, offsets=False
):
    """Arguments of als_rows for random factors in their Gramian's eigenbasis."""
    rng = np.random.default_rng(seed)
    side, _ = make_sides(matrix.astype(dtype), lambda_, exponent, w0)
    y = rng.standard_normal((matrix.shape[1], f)) if fixed is None else fixed
    values, basis = np.linalg.eigh(y.T @ y)
    y = np.ascontiguousarray((y @ basis)[:, ::-1], dtype=dtype)
    eigenvalues = np.maximum(values[::-1], 0)
    t = (0.3 + rng.standard_normal(len(y))).astype(dtype) if offsets else None
    return {
        "indptr": side.indptr,
        "indices": side.indices,
        "confidence": side.confidence,
        "order": side.order,
        "spans": side.spans,
        "fixed": y,
        "solved": rng.standard_normal((matrix.shape[0], f)).astype(dtype),
        "eigenvalues": eigenvalues,
        "regularization": side.regularization,
        "unobserved_weight": w0,
        "floor": f * 2e-16 * eigenvalues[0],
        "tolerance": 0.0,
        "cg_steps": EXACT,
        "failed": np.zeros(matrix.shape[0], np.uint8),
        "row_loss": np.zeros(matrix.shape[0]),
        "offsets": t,
        "common": (-w0 * (t.astype(np.float64) @ y))[np.newaxis].astype(dtype) if offsets else None,
    }


def solve(kernel, args, **how):
    own = {name: args[name].copy() for name in WRITTEN}
    own["row_loss"][:] = np.nan  # each row's is to be written
    kernel(**{**args, **own}, **how)
    return own


def by_twin(args):
    return of_twin(als_rows, args | {"row_loss": np.full(len(args["row_loss"]), np.nan)}, WRITTEN)


def assert_rows_close(got, expected, tolerance):
    """Row by row, relative to the row's own size."""
    error = np.linalg.norm(got - expected, axis=1)
    size = np.linalg.norm(expected, axis=1) + 1e-30
    worst = np.argmax(error / size)
    assert error[worst] <= tolerance * size[worst], f"row {worst}: {error[worst] / size[worst]}"


@pytest.mark.parametrize("case", [name for name in CASES if name != "huge confidences"])
@pytest.mark.parametrize("f", FACTORS)
def test_exact_equals_reference(isa, dtype, case, f):
    args = arguments(CASES[case](), f, dtype)
    got = solve(_als.als_rows, args, isa=isa, num_threads=2)
    expected = by_twin(args)
    assert not got["failed"].any()
    assert_rows_close(got["solved"], expected["solved"], TOLERANCE[dtype])
    np.testing.assert_allclose(
        got["row_loss"], expected["row_loss"], rtol=TOLERANCE[dtype], atol=1e-3 * (f > 100)
    )


@pytest.mark.parametrize("case", ["every length", "many short", "mixed", "nothing stored"])
@pytest.mark.parametrize("f", FACTORS)
@pytest.mark.parametrize("w0", [1.0, 0.05])
def test_offsets_equal_reference(isa, dtype, case, f, w0):
    args = arguments(CASES[case](), f, dtype, w0=w0, exponent=0.5, offsets=True)
    got = solve(_als.als_rows, args, isa=isa, num_threads=2)
    expected = by_twin(args)
    assert not got["failed"].any()
    assert_rows_close(got["solved"], expected["solved"], 5 * TOLERANCE[dtype])
    np.testing.assert_allclose(
        got["row_loss"], expected["row_loss"], rtol=5 * TOLERANCE[dtype], atol=5e-3
    )


@pytest.mark.parametrize(
    "case, f, offsets",
    [
        ("every length", 1, True),
        ("every length", 17, False),
        ("every length", 65, True),
        ("mixed", 130, False),
        ("nothing stored", 17, True),
        ("long", 17, True),
    ],
)
def test_means_equal_reference(isa, dtype, case, f, offsets):
    args = arguments(CASES[case](), f, dtype, w0=0.3, exponent=0.5, offsets=offsets)
    means = np.random.default_rng(1).standard_normal(args["solved"].shape).astype(dtype)
    drawn = args["regularization"][:, np.newaxis].astype(dtype) * means
    args["common"] = drawn if args["common"] is None else drawn + args["common"]
    got = solve(_als.als_rows, args, isa=isa, num_threads=2)
    expected = by_twin(args)
    assert not got["failed"].any()
    off = {"rtol": 5 * TOLERANCE[dtype], "atol": 5 * TOLERANCE[dtype]}  # it may cancel the entries
    np.testing.assert_allclose(got["solved"], expected["solved"], **off)
    np.testing.assert_allclose(
        got["row_loss"], expected["row_loss"], rtol=5 * TOLERANCE[dtype], atol=5e-3
    )
    if case == "long":
        return
    converged = solve(_als.als_rows, {**args, "cg_steps": CONVERGED}, isa=isa, num_threads=2)
    np.testing.assert_allclose(converged["solved"], expected["solved"], **off)


@pytest.mark.parametrize("case", ["every length", "many short", "mixed", "long"])
@pytest.mark.parametrize("f", [1, 16, 17, 65, 129])
@pytest.mark.parametrize("cg_steps", [EXACT, 3])
def test_longer_rows_with_the_offsets_in_them_change_no_bits(isa, dtype, case, f, cg_steps):
    args = arguments(CASES[case](), f, dtype, w0=0.2, offsets=True) | {"cg_steps": cg_steps}
    long = np.zeros((len(args["fixed"]), f // 16 * 16 + 16), dtype)
    long[:, :f], long[:, f] = args["fixed"], args["offsets"]
    expected = solve(_als.als_rows, args, isa=isa, num_threads=1)
    beside = args | {"fixed": long, "offsets": long[:, f]}
    got = solve(_als.als_rows, beside, isa=isa, num_threads=1)
    for name, array in expected.items():
        assert np.array_equal(got[name], array), name
    np.testing.assert_allclose(
        solve(als_rows, beside)["solved"], solve(als_rows, args)["solved"], rtol=1e-12
    )


@pytest.mark.parametrize(
    "case, f",
    [(name, f) for name in ("every length", "many short", "mixed") for f in (1, 17, 64, 130)]
    + [("long", 64)],
)
@pytest.mark.parametrize("offsets", [False, True])
def test_ratings_equal_reference(isa, dtype, case, f, offsets):
    args = arguments(CASES[case](), f, dtype, w0=0.0, exponent=1.0, offsets=offsets)
    args["ratings"] = True
    got = solve(_als.als_rows, args, isa=isa, num_threads=2)
    expected = by_twin(args)
    assert not got["failed"].any()
    assert_rows_close(got["solved"], expected["solved"], 5 * TOLERANCE[dtype])
    np.testing.assert_allclose(
        got["row_loss"], expected["row_loss"], rtol=5 * TOLERANCE[dtype], atol=5e-3
    )


@pytest.mark.parametrize("w0, exponent", [(1.0, 1.0), (0.05, 0.5), (0.0, 0.0)])
def test_weights_and_scaled_regularization(isa, dtype, w0, exponent):
    args = arguments(CASES["mixed"](), 33, dtype, w0=w0, lambda_=0.1, exponent=exponent)
    got = solve(_als.als_rows, args, isa=isa, num_threads=2)
    assert_rows_close(got["solved"], by_twin(args)["solved"], TOLERANCE[dtype])


@pytest.mark.parametrize("case", ["every length", "mixed"])
@pytest.mark.parametrize("f", [1, 17, 64])
@pytest.mark.parametrize("offsets", [False, True])
def test_converged_cg_is_exact(isa, dtype, case, f, offsets):
    args = arguments(CASES[case](), f, dtype, lambda_=10.0, offsets=offsets)
    exact = by_twin(args)["solved"]
    got = solve(_als.als_rows, {**args, "cg_steps": CONVERGED}, isa=isa, num_threads=2)
    assert_rows_close(got["solved"], exact, 5 * TOLERANCE[dtype])


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("offsets", [False, True])
def test_cg_takes_the_references_steps(isa, dtype, steps, offsets):
    args = arguments(CASES["every length"](), 40, dtype, offsets=offsets) | {"cg_steps": steps}
    got = solve(_als.als_rows, args, isa=isa, num_threads=1)["solved"]
    stepped = by_twin(args)["solved"]
    exact = by_twin(args | {"cg_steps": EXACT})["solved"]
    # a row that is as cheap to solve exactly is solved exactly
    expected = np.where((np.diff(args["indptr"]) > 16)[:, None], stepped, exact)
    assert_rows_close(got, expected, TOLERANCE[dtype])


def test_huge_confidences_leave_other_rows_alone(isa, dtype):
    matrix = CASES["huge confidences"]()
    args = arguments(matrix, 32, dtype)
    got = solve(_als.als_rows, args, isa=isa, num_threads=2)
    expected = by_twin(args)
    # rows that single precision cannot resolve say so, the others are as good as ever
    assert np.array_equal(got["failed"], expected["failed"])
    good = expected["failed"] == 0
    assert good.any()
    assert good.all() == (dtype is np.float64)
    assert_rows_close(got["solved"][good], expected["solved"][good], TOLERANCE[dtype])


def test_rank_deficient_without_regularization_is_minimum_norm(isa, dtype):
    rng = np.random.default_rng(3)
    fixed = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 24))
    args = arguments(CASES["every length"](), 24, dtype, lambda_=0.0, fixed=fixed)
    noise = (24 * np.finfo(dtype).eps) ** 2 + 24 * np.finfo(np.float64).eps
    args["floor"] = noise * args["eigenvalues"][0]
    got = solve(_als.als_rows, args, isa=isa, num_threads=2)
    assert not got["failed"].any()
    assert np.abs(got["solved"][:, 5:]).max() == 0
    assert_rows_close(got["solved"], by_twin(args)["solved"], 10 * TOLERANCE[dtype])


@pytest.mark.parametrize("cg_steps", [0, 3])
@pytest.mark.parametrize("offsets", [False, True])
def test_same_bits_for_any_threads_and_company(isa, dtype, num_threads, cg_steps, offsets):
    """A row's bits depend neither on threads, nor on spans, nor on the rows solved beside it."""
    args = arguments(CASES["every length"](), 31, dtype, exponent=0.5, offsets=offsets)
    args["cg_steps"] = cg_steps
    together = solve(_als.als_rows, args, isa=isa, num_threads=num_threads)
    rows = len(args["order"])
    alone = solve(
        _als.als_rows, args | {"spans": np.arange(rows + 1)}, isa=isa, num_threads=num_threads
    )
    backwards = args | {"order": np.ascontiguousarray(args["order"][::-1])}
    other = solve(_als.als_rows, backwards | {"spans": np.array([0, rows])}, isa=isa, num_threads=1)
    for name in ("solved", "row_loss"):
        assert np.array_equal(together[name], alone[name])
        assert np.array_equal(together[name], other[name])


@pytest.mark.parametrize("cg_steps", [0, 3])
def test_long_rows_in_groups(isa, dtype, cg_steps):
    """They meet the fixed side in blocks, and keep their bits without the others' company."""
    args = arguments(CASES["long"](), 128, dtype, w0=0.5) | {"cg_steps": cg_steps}
    rows = len(args["order"])
    together = solve(_als.als_rows, args | {"spans": np.array([0, rows])}, isa=isa, num_threads=1)
    alone = solve(_als.als_rows, args | {"spans": np.arange(rows + 1)}, isa=isa, num_threads=2)
    for name in ("solved", "row_loss"):
        assert np.array_equal(together[name], alone[name])
    long = np.diff(args["indptr"]) > 4096  # conjugate gradient solves these exactly too
    exact = by_twin(args | {"cg_steps": EXACT})["solved"]
    assert_rows_close(together["solved"][long], exact[long], TOLERANCE[dtype])


def test_loss_kernel_equals_reference(isa, dtype):
    args = arguments(CASES["mixed"](), 50, dtype)
    rng = np.random.default_rng(1)
    solved = rng.standard_normal(args["solved"].shape).astype(dtype)
    common = (args["indptr"], args["indices"], args["confidence"], args["fixed"], solved, 0.3)
    got, expected = np.zeros(len(solved)), np.zeros(len(solved))
    _als.als_loss(*common, got, isa=isa, num_threads=2)
    als_loss(*common, expected)
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype is np.float32 else 1e-12)
    offsets, biases = (rng.standard_normal(n).astype(dtype) for n in (len(args["fixed"]), len(got)))
    for more in ({"offsets": offsets}, {"biases": biases}, {"offsets": offsets, "biases": biases}):
        _als.als_loss(*common, got, isa=isa, num_threads=2, **more)
        als_loss(*common, expected, **more)
        tolerance = 1e-5 if dtype is np.float32 else 1e-12
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    f=st.integers(1, 70),
    density=st.floats(0, 1),
    w0=st.sampled_from([0.01, 1.0, 3.0]),
    lambda_=st.sampled_from([0.01, 1.0, 100.0]),
    offsets=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_matrix(shape, f, density, w0, lambda_, offsets, seed):
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random(shape) < density, rng.normal(2, 3, shape), 0)
    args = arguments(
        sp.csr_array(dense), f, np.float64, w0=w0, lambda_=lambda_, seed=seed, offsets=offsets
    )
    expected = solve(als_rows, args)
    for name in _als.AVAILABLE_ISAS:
        got = solve(_als.als_rows, args, isa=name, num_threads=2)
        assert not got["failed"].any()
        assert_rows_close(got["solved"], expected["solved"], 1e-7)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no memory that is only reserved")
def test_entries_beyond_two_to_the_31(isa):
    """Index arithmetic is 64-bit: the second row starts past 2^31 entries, the first is skipped."""
    before, count, f = 2**31 + 11, 20, 8
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        maps = [mmap.mmap(-1, 4 * (before + count), flags=flags) for _ in range(2)]
    except OSError as error:
        pytest.skip(f"cannot reserve 17 GB of address space: {error}")
    small = arguments(CASES["every length"](), f, np.float32)
    big_indices = np.frombuffer(maps[0], np.int32)
    big_confidence = np.frombuffer(maps[1], np.float32)
    big_indices[before:] = np.arange(count)
    big_confidence[before:] = np.arange(1, count + 1)
    args = small | {
        "indptr": np.array([0, before, before + count]),
        "indices": big_indices,
        "confidence": big_confidence,
        "order": np.array([1], np.int32),
        "spans": np.array([0, 1]),
        "solved": np.zeros((2, f), np.float32),
        "failed": np.zeros(2, np.uint8),
        "row_loss": np.zeros(2),
    }
    got = solve(_als.als_rows, args, isa=isa, num_threads=1)["solved"]
    assert_rows_close(got[1:], solve(als_rows, args)["solved"][1:], 1e-4)


@pytest.mark.parametrize(
    "case, f, offsets, w0",
    [
        ("every length", 1, True, 1.0),
        ("every length", 17, False, 0.3),
        ("mixed", 65, True, 1.5),
        ("mixed", 130, True, 0.0),
        ("nothing stored", 16, True, 1.0),
    ],
)
@pytest.mark.parametrize("ratings", [False, True])
def test_summed_equations_are_those_of_all_entries(isa, dtype, case, f, offsets, w0, ratings):
    """As their twins have them, and of two halves of the columns together a row's solution."""
    args = arguments(CASES[case](), f, dtype, w0=w0, lambda_=0.5, exponent=0.5, offsets=offsets)
    shared = {"unobserved_weight": w0, "ratings": ratings}
    total = 0
    for part in (0, 1):
        entries = args["indices"] % 2 == part
        before = np.concatenate([[0], np.cumsum(entries)])[args["indptr"]]
        rows = {
            "indptr": before, "indices": args["indices"][entries],
            "confidence": args["confidence"][entries], "order": args["order"],
            "fixed": args["fixed"], "offsets": args["offsets"], "factors": f,
        }  # fmt: skip
        found, expected = (np.full((len(before) - 1, f * (f + 3) // 2), np.nan) for _ in range(2))
        _als.als_equations(**rows, equations=found, **shared, isa=isa, num_threads=2)
        als_equations(**rows, equations=expected, **shared)
        assert_rows_close(found, expected, TOLERANCE[dtype])
        total = total + expected
    by_row = {"eigenvalues": args["eigenvalues"], "regularization": args["regularization"]}
    by_row |= {"unobserved_weight": w0, "floor": args["floor"]}
    if offsets:
        by_row["common"] = args["common"].astype(np.float64)
    solved, expected = (np.zeros(args["solved"].shape) for _ in range(2))
    failed = np.zeros(len(solved), np.uint8)
    _als.als_summed_rows(total, solved, **by_row, failed=failed, isa=isa, num_threads=2)
    als_summed_rows(total, expected, **by_row, failed=failed)
    assert not failed.any()
    assert_rows_close(solved, expected, 1e-9)
    whole = solve(als_rows, args | {"ratings": ratings, "confidence": args["confidence"]})
    assert_rows_close(solved, whole["solved"].astype(np.float64), TOLERANCE[dtype])


def test_summed_rows_that_have_no_solution_are_marked():
    failed = np.zeros(2, np.uint8)
    sums = np.array([[1.0, 0.0, 1.0, 1.0, 1.0], [1e300, 0, 1e300, 1.0, np.inf]])
    solved, ones = np.zeros((2, 2)), np.ones(2)
    how = {"isa": _als.AVAILABLE_ISAS[-1], "num_threads": 1}
    _als.als_summed_rows(sums, solved, ones, ones, 1.0, 1e-16, failed, **how)
    assert failed.tolist() == [0, 1] and np.allclose(solved[0], 1 / 3)
    with pytest.raises(FloatingPointError, match="row 1 of those with most entries"):
        solve_summed(sums, ones, ones, 1.0)
    assert solve_summed(sums[:0], ones, ones[:0], 1.0).shape == (0, 2)
