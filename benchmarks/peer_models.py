"""One objective for everybody: a problem, our solver and the peers', each an iteration at a time.

The objective (Hu, Koren and Volinsky 2008; w0 = 1, plain lambda), over all cells:

    sum_ui c_ui (p_ui - x_u . y_i)^2 + lambda (sum_u |x_u|^2 + sum_i |y_i|^2),   c = 1 unobserved

How each peer is made to minimize exactly this:

implicit
    Its matrix holds c itself (a negative value is a dislike); its `alpha` only multiplies the
    matrix beforehand. `implicit.cpu._als.least_squares` (or `_cg`) is called as its `fit` calls
    it, once a half-sweep, on our initial factors.
irspack
    With ``loss_type=ORIGINAL, alpha0=1`` a stored value v has confidence 1 + v: it is given c - 1.
    ``nu=0`` makes its regularization plain ``reg = lambda``. (It minimizes half of all that.)
    `IALSTrainer.run_epoch` is an iteration, users first, on our initial factors.
cmfrec
    `CMF_implicit` with ``alpha=1`` has confidence 1 + v as well: given c - 1; ``lambda_ = lambda``.
    It can neither start from given factors nor make one iteration at a time: a fit of one iteration
    is taken off the time of a fit of several.

irspack and cmfrec have no dislikes, so they are left out where the data has some.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from harness import Contender, Trace, single_blas

from recsys import BPR, ImplicitALS, benchmark, kernels

PEERS = ("implicit", "irspack", "cmfrec")


class Problem(benchmark.Problem):
    """A matrix and an objective on it. The contenders share its arrays where their types allow."""

    def matrices(self, less: float = 0.0) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Signed confidences, less a number: users x items and its transpose, int32 indices."""
        shapes = (self.shape, self.shape[::-1])
        return tuple(
            sp.csr_matrix(
                (
                    side.confidence - np.float32(less) if less else writable(side.confidence),
                    writable(side.indices),
                    side.indptr.astype(np.int32),
                ),
                shape=shape,
            )
            for side, shape in zip(self.sides, shapes, strict=True)
        )

    def start(self, factors: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Initial factors as those of `ImplicitALS`: normal, of mean zero."""
        random = np.random.default_rng(seed)
        scale = np.float32(ImplicitALS().init_scale / factors**0.5)
        return tuple(
            random.standard_normal((n, factors), dtype=np.float32) * scale for n in self.shape
        )


def writable(array: np.ndarray) -> np.ndarray:
    """A copy of what may only be read: some peers take no such arrays."""
    return np.require(array, requirements="W")


class Ours:
    """`ImplicitALS`'s iteration, one at a time."""

    def __init__(self, problem, factors, solver, seed, cg_steps=3, isa=None) -> None:
        self.name = f"recsys {solver}" + (f" {isa}" if isa else "")
        self.problem, self.solver, self.cg_steps = problem, solver, cg_steps
        self.isa = isa or kernels.current_isa()
        self.current = problem.start(factors, seed)
        self.spare = tuple(np.empty_like(each) for each in self.current)
        self.workspace = kernels.Workspace.of(problem.sides, factors, False, np.float32)

    def step(self) -> None:
        (x, y), (new_x, new_y) = self.current, self.spare
        with kernels.use_isa(self.isa):
            users, items = self.problem.sides
            self._half_sweep(users, y, x, new_x)
            self._half_sweep(items, new_x, y, new_y)
        self.current, self.spare = self.spare, self.current

    def _half_sweep(self, side, *factors) -> kernels.Sweep:
        return kernels.half_sweep(
            side,
            *map(kernels.Factors, factors),
            workspace=self.workspace,
            solver=self.solver,
            cg_steps=self.cg_steps,
            num_threads=self.problem.num_threads,
        )

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return self.current


class Implicit:
    def __init__(self, problem, factors, solver, seed, cg_steps=3) -> None:
        from implicit.cpu import _als

        self.name = f"implicit {solver}"
        self.matrices = problem.matrices()
        self.x, self.y = problem.start(factors, seed)
        self.solve = _als.least_squares_cg if solver == "cg" else _als.least_squares
        self.lambda_ = problem.regularization
        self.options = {"num_threads": problem.num_threads}
        if solver == "cg":
            self.options["cg_steps"] = cg_steps

    def step(self) -> None:
        with single_blas():
            self.solve(self.matrices[0], self.x, self.y, self.lambda_, **self.options)
            self.solve(self.matrices[1], self.y, self.x, self.lambda_, **self.options)

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return self.x, self.y


class Irspack:
    def __init__(self, problem, factors, solver, seed, cg_steps=3) -> None:
        from irspack.recommenders.ials import IALSTrainer, str_to_loss_type, str_to_solver_type

        self.name = f"irspack {solver}"
        self.trainer = IALSTrainer(
            problem.matrices(less=1.0)[0],
            n_components=factors,
            alpha0=1.0,
            reg=problem.regularization,
            nu=0.0,
            init_std=0.1,
            solver_type=str_to_solver_type(solver),
            max_cg_steps=cg_steps,
            ialspp_subspace_dimension=64,
            loss_type=str_to_loss_type("original"),
            random_seed=seed,
            n_threads=problem.num_threads,
            prediction_time_max_cg_steps=cg_steps,
            prediction_time_ialspp_iteration=1,
        )
        core = self.trainer.core_trainer
        core.user, core.item = problem.start(factors, seed)

    def step(self) -> None:
        self.trainer.run_epoch()

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        core = self.trainer.core_trainer
        return np.ascontiguousarray(core.user), np.ascontiguousarray(core.item)


class Cmfrec:
    def __init__(self, problem, factors, solver, seed, cg_steps=3) -> None:
        from cmfrec import CMF_implicit

        self.name = f"cmfrec {solver}"
        self.matrix = problem.matrices(less=1.0)[0].tocoo()
        self.make = CMF_implicit
        self.options = {
            "k": factors,
            "lambda_": float(problem.regularization),
            "alpha": 1.0,
            "use_cg": solver == "cg",
            "max_cg_steps": cg_steps,
            "finalize_chol": False,
            "use_float": True,
            "precompute_for_predictions": False,
            "produce_dicts": False,
            "handle_interrupt": False,
            "random_state": seed,
            "nthreads": problem.num_threads,
            "verbose": False,
        }

    def run(self, rounds: int, objective) -> Trace:
        """Two fits, of one iteration and of `rounds`; the loss is that after the last."""
        seconds = []
        for iterations in (1, max(2, rounds)):
            model = self.make(niter=iterations, **self.options)
            begin = time.perf_counter()
            with single_blas():
                model.fit(self.matrix)
            seconds.append(time.perf_counter() - begin)
        each = (seconds[1] - seconds[0]) / (iterations - 1)
        factors = (np.ascontiguousarray(part, dtype=np.float32) for part in (model.A_, model.B_))
        loss = objective(*factors)
        return Trace(self.name, [each] * iterations, [float("nan")] * (iterations - 1) + [loss])


_STEPPING = {"implicit": Implicit, "irspack": Irspack}


def installed(names=PEERS) -> list[str]:
    """Those of `names` that can be imported; says of each other one that it cannot."""
    found = []
    for name in names:
        if importlib.util.find_spec(name) is None:
            print(f"{name}: not installed (pip install 'recsys-engine[peers]'), left out")
            continue
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"{name}: cannot be imported ({error}), left out")
            continue
        found.append(name)
    return found


def list_maker(train, user_factors: np.ndarray, item_factors: np.ndarray) -> BPR:
    """A model that makes the lists of factors learned elsewhere."""
    model = BPR(user_factors.shape[1], epochs=0, item_bias=False).fit(train, show_progress=False)
    model.user_factors, model.item_factors = user_factors, item_factors
    return model


def stepping_peers(problem, names, factors, solver, seed) -> Iterator[Contender]:
    """Contenders for those of `names` that can make one iteration at a time."""
    for name in names:
        if name in _STEPPING and not (problem.has_dislikes and name != "implicit"):
            yield _STEPPING[name](problem, factors, solver, seed)
