"""Some rows of a half-sweep, ready for the kernel and for its NumPy twin of the same signature."""

from __future__ import annotations

import time

import numpy as np

from recsys.kernels import Side, _als, current_isa, reference


def arguments(
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


def native(problem: dict, num_threads: int, isa: str | None = None) -> tuple[np.ndarray, float]:
    """The rows solved by the kernel, and the seconds that took."""
    own = {**problem, "solved": problem["solved"].copy(), "failed": problem["failed"].copy()}
    begin = time.perf_counter()
    _als.als_rows(**own, isa=isa or current_isa(), num_threads=num_threads)
    seconds = time.perf_counter() - begin
    return own["solved"][problem["order"]], seconds


def by_reference(problem: dict) -> tuple[np.ndarray, np.ndarray]:
    """The rows solved by the NumPy twin in float64, and the seconds of each."""
    own = {
        **problem,
        "solved": problem["solved"].astype(np.float64),
        "failed": problem["failed"].copy(),
    }
    seconds = []
    for i in range(len(problem["order"])):
        begin = time.perf_counter()
        reference.als_rows(**{**own, "spans": [i, i + 1]})
        seconds.append(time.perf_counter() - begin)
    return own["solved"][problem["order"]], np.array(seconds)


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest over rows of |found - expected| / |expected|."""
    norms = np.linalg.norm(expected, axis=1)
    errors = np.linalg.norm(found - expected, axis=1)
    return float(np.max(errors[norms > 0] / norms[norms > 0], initial=0.0))
