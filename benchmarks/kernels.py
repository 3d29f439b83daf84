"""Each kernel against its NumPy reference, for every instruction set, dtype, number of factors and
of threads: microseconds a row, how many times faster, and the largest relative difference.

The reference computes in float64, one row after another, with one BLAS thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp
from harness import (
    command_line,
    machine_facts,
    machine_line,
    markdown_table,
    now,
    run,
    single_blas,
    write_text,
)
from tqdm import tqdm

from recsys.kernels import (
    Side,
    _als,
    _product,
    current_isa,
    make_sides,
    reference,
    resolve_num_threads,
)

if TYPE_CHECKING:
    from contenders import Problem

    from recsys import ImplicitALS

COLUMNS = 20_000
TRIES = 3
SAMPLE = 100  # rows of each side that stand for a whole half-sweep of the reference
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
BASIS_SEED, DATA_SEED = 1, 0


class Case(NamedTuple):
    """One kernel on one input."""

    name: str
    dtype: str
    factors: int
    rows: int  # of a native call
    native: Callable[[str, int], tuple[np.ndarray, float]]  # (isa, threads) -> result, seconds
    reference: Callable[[], tuple[np.ndarray, float]]  # -> expected, seconds a row


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--factors", type=int, nargs="+", help="default: 32 64 128 256; with --quick 32 64"
    )
    parser.add_argument(
        "--dtypes",
        nargs="+",
        choices=("float32", "float64"),
        default=["float32", "float64"],
        help="default: both",
    )
    parser.add_argument(
        "--isas",
        nargs="+",
        choices=_als.AVAILABLE_ISAS,
        default=list(_als.AVAILABLE_ISAS),
        metavar="ISA",
        help=f"instruction sets; default: all there are ({' '.join(_als.AVAILABLE_ISAS)})",
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", help="default: 1, and all this process may use"
    )
    parser.add_argument("--quick", action="store_true", help="less of everything, in seconds")
    parser.add_argument(
        "--output", default="results/kernels.md", metavar="PATH", help="default: results/kernels.md"
    )
    options = parser.parse_args()
    options.factors = options.factors or ([32, 64] if options.quick else [32, 64, 128, 256])
    threads = options.threads or [1, 0]
    options.threads = sorted({resolve_num_threads(each) for each in threads})
    return options


def main() -> None:
    options = parse()
    facts = machine_facts()
    print(machine_line(facts))
    share = 0.05 if options.quick else 1.0
    lines = []
    combinations = [(d, f) for d in options.dtypes for f in options.factors]
    with single_blas():
        for dtype, f in tqdm(combinations, disable=None, leave=False):
            for case in cases(dtype, f, share):
                lines += measure(case, options)
    header = ["kernel", "dtype", "f", "threads", "NumPy us/row"]
    header += [f"{isa} us/row" for isa in options.isas]
    header += ["times NumPy", "difference"]
    table = markdown_table(header, lines)
    print(table)
    text = f"{now()}: `{command_line()}`\n\n{machine_line(facts)}\n\n{table}\n"
    write_text(Path(options.output), text)
    print(f"wrote {options.output}")


def measure(case: Case, options: argparse.Namespace) -> Iterator[list[str]]:
    """A line of the table for each number of threads; the instruction sets take turns."""
    expected, reference_seconds = case.reference()
    for threads in options.threads:
        seconds = {isa: [] for isa in options.isas}
        difference = 0.0
        for _ in range(TRIES):
            for isa in options.isas:
                found, took = case.native(isa, threads)
                seconds[isa].append(took / case.rows)
                found = found[: len(expected)]
                difference = max(difference, relative_difference(found, expected))
        each = [statistics.median(seconds[isa]) for isa in options.isas]
        yield [
            case.name,
            case.dtype,
            str(case.factors),
            str(threads),
            f"{reference_seconds * 1e6:.1f}",
            *(f"{one * 1e6:.2f}" for one in each),
            f"{reference_seconds / min(each):.0f}",
            f"{difference:.0e}",
        ]


# ---- the cases -----------------------------------------------------------------------------------


def cases(dtype: str, f: int, share: float) -> Iterator[Case]:
    rng = np.random.default_rng(DATA_SEED)
    columns = max(500, round(COLUMNS * share))
    fixed = rng.standard_normal((columns, f)).astype(dtype) / np.sqrt(f).astype(dtype)
    yield gramian_case(dtype, fixed)
    yield squares_case(dtype, fixed)
    yield rotate_case(dtype, fixed)
    yield loss_case(dtype, fixed, round(4000 * share), rng)
    yield spmm_case(dtype, fixed, round(4000 * share), rng)
    for name, length, solver in (
        ("exact, n = 8", 8, "cholesky"),
        ("exact, n = 50", 50, "cholesky"),
        ("exact, n = 5 f / 8", f * 5 // 8, "cholesky"),
        ("exact, n = 2 f", 2 * f, "cholesky"),
        ("exact, n = 4,096", 4096, "cholesky"),
        ("CG(3), n = 50", 50, "cg"),
        ("CG(3), n = 500", 500, "cg"),
    ):
        length = min(length, columns)
        count = max(16, round(share * min(4000, 4e5 / length)))
        yield rows_case(name, dtype, fixed, length, count, solver, rng)


def gramian_case(dtype: str, fixed: np.ndarray) -> Case:
    def native(isa: str, threads: int) -> tuple[np.ndarray, float]:
        return timed(lambda: _als.gramian(fixed, isa=isa, num_threads=threads))

    def slow() -> tuple[np.ndarray, float]:
        expected, seconds = timed(lambda: reference.gramian(fixed))
        return expected, seconds / len(fixed)

    return Case("Gramian", dtype, fixed.shape[1], len(fixed), native, slow)


def squares_case(dtype: str, fixed: np.ndarray) -> Case:
    weights = np.random.default_rng(DATA_SEED).random(len(fixed))

    def native(isa: str, threads: int) -> tuple[np.ndarray, float]:
        how = {"isa": isa, "num_threads": threads}
        found, took = timed(lambda: _als.weighted_squares(fixed, weights, **how))
        return np.array([[found]]), took

    def slow() -> tuple[np.ndarray, float]:
        expected, seconds = timed(lambda: reference.weighted_squares(fixed, weights))
        return np.array([[expected]]), seconds / len(fixed)

    return Case("weighted squares", dtype, fixed.shape[1], len(fixed), native, slow)


def rotate_case(dtype: str, fixed: np.ndarray) -> Case:
    random = np.random.default_rng(BASIS_SEED).standard_normal((fixed.shape[1],) * 2)
    basis = np.linalg.qr(random)[0].astype(dtype)

    def native(isa: str, threads: int) -> tuple[np.ndarray, float]:
        out = np.empty_like(fixed)
        _, took = timed(lambda: _als.rotate(fixed, basis, out, isa=isa, num_threads=threads))
        return out, took

    def slow() -> tuple[np.ndarray, float]:
        out = np.empty(fixed.shape)
        _, took = timed(lambda: reference.rotate(fixed, basis, out))
        return out, took / len(fixed)

    return Case("rotation", dtype, fixed.shape[1], len(fixed), native, slow)


def loss_case(dtype: str, fixed: np.ndarray, count: int, rng: np.random.Generator) -> Case:
    side = random_side(dtype, count, len(fixed), 50, rng)
    solved = rng.standard_normal((count, fixed.shape[1])).astype(dtype)
    shared = (side.indptr, side.indices, side.confidence, fixed, solved, 1.0)

    def native(isa: str, threads: int) -> tuple[np.ndarray, float]:
        out = np.zeros(count)
        _, took = timed(lambda: _als.als_loss(*shared, out, isa=isa, num_threads=threads))
        return out[:, np.newaxis], took

    def slow() -> tuple[np.ndarray, float]:
        out = np.zeros(count)
        _, took = timed(lambda: reference.als_loss(*shared, out))
        return out[:, np.newaxis], took / count

    return Case("loss, n = 50", dtype, fixed.shape[1], count, native, slow)


def spmm_case(dtype: str, fixed: np.ndarray, count: int, rng: np.random.Generator) -> Case:
    side = random_side(dtype, count, len(fixed), 50, rng)
    shared = (side.indptr, side.indices, side.confidence, side.order, side.spans, fixed)
    likes = {"likes": True, "mean": 0.0}

    def native(isa: str, threads: int) -> tuple[np.ndarray, float]:
        out = np.empty((count, fixed.shape[1]), dtype)
        how = {"isa": isa, "num_threads": threads}
        _, took = timed(lambda: _product.spmm(*shared, out, **likes, **how))
        return out, took

    def slow() -> tuple[np.ndarray, float]:
        out = np.empty((count, fixed.shape[1]))
        _, took = timed(lambda: reference.spmm(*shared, out, **likes))
        return out, took / count

    return Case("SpMM, n = 50", dtype, fixed.shape[1], count, native, slow)


def rows_case(
    name: str,
    dtype: str,
    fixed: np.ndarray,
    length: int,
    count: int,
    solver: str,
    rng: np.random.Generator,
) -> Case:
    """Rows of one length. The reference solves the first few."""
    f = fixed.shape[1]
    side = random_side(dtype, count, len(fixed), length, rng)
    start = (0.1 * rng.standard_normal((count, f))).astype(dtype)
    every = np.arange(count)
    problem = row_arguments(side, fixed, start, every, solver, 3, TOLERANCE[dtype])
    few = {**problem, "order": problem["order"][:16], "spans": np.array([0, 16])}

    def native(isa: str, threads: int) -> tuple[np.ndarray, float]:
        return solve_rows(problem, threads, isa)

    def slow() -> tuple[np.ndarray, float]:
        expected, seconds = solve_by_reference(few)
        return expected, float(np.mean(seconds))

    return Case(name, dtype, f, count, native, slow)


# ---- rows of a half-sweep, for the kernel and for its twin of the same signature -----------------


def row_arguments(
    side: Side,
    fixed: np.ndarray,
    start: np.ndarray,
    rows: np.ndarray,
    solver: str,
    cg_steps: int = 3,
    tolerance: float = 1e-6,
) -> dict:
    """What `als_rows` takes to solve `rows` of `side`, except where the solution goes.

    `fixed` and `start` are rotated to the Gramian's eigenbasis by the reference.
    """
    f = fixed.shape[1]
    eigenvalues, basis = np.linalg.eigh(reference.gramian(fixed))
    eigenvalues = np.maximum(eigenvalues[::-1], 0.0)
    basis = np.ascontiguousarray(basis[:, ::-1])
    rotated, solved = np.empty_like(fixed), np.empty_like(start)
    reference.rotate(fixed, basis, rotated)
    reference.rotate(start, basis, solved)
    eps = float(np.finfo(fixed.dtype).eps)
    return {
        "indptr": side.indptr,
        "indices": side.indices,
        "confidence": side.confidence,
        "order": rows.astype(np.int32),
        "spans": np.append(np.arange(0, len(rows), 16), len(rows)),
        "fixed": rotated,
        "solved": solved,
        "eigenvalues": eigenvalues,
        "regularization": side.regularization,
        "unobserved_weight": side.unobserved_weight,
        "floor": max(f * np.finfo(np.float64).eps, (f * eps) ** 2) * eigenvalues[0],
        "tolerance": tolerance,
        "cg_steps": cg_steps if solver == "cg" else 0,
        "failed": np.zeros(side.n_rows, dtype=np.uint8),
        "row_loss": None,
    }


def solve_rows(problem: dict, num_threads: int, isa: str | None = None) -> tuple[np.ndarray, float]:
    """The rows solved by the kernel, and the seconds that took."""
    copied = {name: problem[name].copy() for name in ("solved", "failed")}
    begin = time.perf_counter()
    _als.als_rows(**problem | copied, isa=isa or current_isa(), num_threads=num_threads)
    seconds = time.perf_counter() - begin
    return copied["solved"][problem["order"]], seconds


def solve_by_reference(problem: dict) -> tuple[np.ndarray, np.ndarray]:
    """The rows solved by the NumPy twin in float64, and the seconds of each."""
    copied = {"solved": problem["solved"].astype(np.float64), "failed": problem["failed"].copy()}
    seconds = []
    for i in range(len(problem["order"])):
        begin = time.perf_counter()
        reference.als_rows(**problem | copied | {"spans": [i, i + 1]})
        seconds.append(time.perf_counter() - begin)
    return copied["solved"][problem["order"]], np.array(seconds)


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest over rows of |found - expected| / |expected|."""
    norms = np.linalg.norm(expected, axis=1)
    errors = np.linalg.norm(found - expected, axis=1)
    return float(np.max(errors[norms > 0] / norms[norms > 0], initial=0.0))


def numpy_iteration(problem: Problem, model: ImplicitALS) -> tuple[float, float]:
    """Seconds an iteration of the NumPy reference would take, and how far our rows are from its.

    It solves some rows of each side, drawn with probability proportional to their work, from which
    the time of all rows follows (Hansen and Hurwitz 1943: mean of seconds over probability).
    """
    total, difference = 0.0, 0.0
    factors = (model.user_factors, model.item_factors)
    random = np.random.default_rng(0)
    for side, solved, fixed in zip(problem.sides, factors, factors[::-1], strict=True):
        work = model.factors + np.diff(side.indptr)
        probability = work / work.sum()
        drawn = random.choice(len(work), size=min(SAMPLE, len(work)), p=probability)
        with single_blas():
            setup = time.perf_counter()
            arguments = row_arguments(side, fixed, solved, drawn, model.solver, model.cg_steps)
            total += time.perf_counter() - setup
            expected, seconds = solve_by_reference(arguments)
        total += float(np.mean(seconds / probability[drawn]))
        ours, _ = solve_rows(arguments, problem.num_threads)
        difference = max(difference, relative_difference(ours, expected))
    return total, difference


def reference_text(ours: float, numpy_seconds: float, difference: float, threads: int) -> str:
    """What `numpy_iteration` found, beside the seconds of an iteration of ours."""
    return (
        f"NumPy reference, row by row: {numpy_seconds:.1f} s an iteration, extrapolated from "
        f"{SAMPLE} rows a side: {numpy_seconds / ours:.0f} times ours with "
        f"{threads} threads. Largest relative difference of a row: {difference:.1e}"
    )


def random_side(dtype: str, count: int, columns: int, length: int, rng: np.random.Generator):
    """`count` rows of `length` distinct columns each, confidences 1 to 40."""
    indices = np.stack([rng.permutation(columns)[:length] for _ in range(min(count, 64))])
    indices = np.sort(indices, axis=1)[np.arange(count) % len(indices)].astype(np.int32)
    data = rng.uniform(1, 40, indices.size).astype(dtype)
    indptr = np.arange(count + 1) * length
    matrix = sp.csr_array((data, indices.ravel(), indptr), shape=(count, columns))
    return make_sides(matrix, 0.1, 0.0, 1.0)[0]


def timed(call: Callable[[], object]) -> tuple[object, float]:
    begin = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begin


if __name__ == "__main__":
    run(main)
