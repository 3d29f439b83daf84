"""The contenders: recsys' models and those of other packages, made to do the same work.

Alternating least squares, an iteration at a time
    All minimize one objective (Hu, Koren and Volinsky 2008; w0 = 1, plain lambda), over all cells,

        sum_ui c_ui (p_ui - x_u . y_i)^2 + lambda (sum_u |x_u|^2 + sum_i |y_i|^2),

    c = 1 unobserved, and start from the same factors. implicit's matrix holds c itself (a negative
    value is a dislike), and its `implicit.cpu._als.least_squares` (or `_cg`) is called as its `fit`
    calls it. irspack with ``loss_type=ORIGINAL, alpha0=1`` and cmfrec's `CMF_implicit` with
    ``alpha=1`` have confidence 1 + v for a stored v: they are given c - 1, and left out where the
    data has dislikes; ``nu=0`` makes irspack's regularization plain. cmfrec can neither start from
    given factors nor make one iteration at a time: a fit of one is taken off a fit of several.

Models that learn by epochs or iterations, one of them at a time
    Each program's model clock tells the seconds, so that setting up (sorting, copying, initial
    factors) is left out everywhere. They are times alone: quality.py and costs.py look at what
    is learned.

    bpr
        A step for each entry, learning rate .05, regularization .01. implicit draws an item j from
        the list of entries and makes no step where the user likes it; ours draws all items alike,
        and again where the user likes it.
    warp
        At most 10 draws a step, learning rate .05, no regularization, as is LightFM's default. Its
        steps are AdaGrad's, which it has no way to turn off.
    logistic
        30 negatives for each entry. implicit draws at most `factors` + 2 for a row however many
        that asks for: what is to be compared is the time for each factor row looked at.
    ratings
        ExplicitALS and cmfrec with biases and regularization by the number of ratings, solved
        exactly. An epoch of ExplicitSGD is no iteration of ALS; it is there for its seconds a
        rating.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp
from harness import Contender, Trace, single_blas, take_turns, timed
from lightfm_peer import LightFM

import recsys
from recsys import BPR, ImplicitALS, csr, kernels
from recsys.datasets import lastfm360k_twin
from recsys.models import internal
from recsys.models.confidence import signed_confidence

if TYPE_CHECKING:
    from experiments import Bench

PEERS = ("implicit", "irspack", "cmfrec")
NEGATIVES = 30  # of logistic factorization
CMFREC_ITERATIONS = 3
WARP_ENTRIES = 2_000_000  # most for WARP, LightFM being slow: larger data give way to
WARP_SCALE = 0.1  # the twin at this scale


# ---- alternating least squares, an iteration at a time -------------------------------------------


class Problem:
    """A matrix and the objective of `recsys.ImplicitALS` on it; the contenders share its arrays.

    Parameters
    ----------
    user_items : sparse matrix of counts
    confidence, alpha, regularization, num_threads
        As for `recsys.ImplicitALS`.
    """

    def __init__(
        self,
        user_items: Any,
        confidence: str,
        alpha: float,
        regularization: float,
        num_threads: int = 0,
    ) -> None:
        counts = csr.canonical(user_items, np.dtype(np.float32))
        signed = signed_confidence(counts, confidence, alpha, None)
        self.shape = counts.shape
        self.regularization = regularization
        self.num_threads = kernels.resolve_num_threads(num_threads)
        self.sides = kernels.make_sides(signed, regularization, 0.0, 1.0, False, num_threads)
        self.has_dislikes = bool((signed.data <= 0).any())

    def objective(self, user_factors: np.ndarray, item_factors: np.ndarray) -> float:
        return kernels.objective(
            *self.sides, *map(kernels.Factors, (user_factors, item_factors)), self.num_threads
        )

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
        start = problem.start(factors, seed)  # in memory as a fit has it
        self.current, self.spare = (
            tuple(kernels.on_line(each.shape, np.float32) for each in start) for _ in range(2)
        )
        for own, drawn in zip(self.current, start, strict=True):
            own[...] = drawn
        self.workspace = kernels.Workspace.of(problem.sides, factors, False, np.float32)
        self.user_axes: np.ndarray | None = None

    def step(self) -> None:
        (x, y), (new_x, new_y) = self.current, self.spare
        with kernels.use_isa(self.isa):
            users, items = self.problem.sides
            free = self.workspace.or_else(new_y)
            last = "fixed" if self.solver == "cholesky" else None  # as in a fit
            axes = self._half_sweep(users, y, x, new_x, workspace=free, turned="out").axes
            self.user_axes = self._half_sweep(
                items, new_x, y, new_y, workspace=self.workspace, axes=axes, turned=last
            ).axes
        self.current, self.spare = self.spare, self.current

    def _half_sweep(self, side, fixed, start, out, **options) -> kernels.Sweep:
        return kernels.half_sweep(
            side,
            *map(kernels.Factors, (fixed, start, out)),
            **options,
            solver=self.solver,
            cg_steps=self.cg_steps,
            num_threads=self.problem.num_threads,
        )

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        if self.user_axes is not None:
            kernels.rotate(self.current[0], self.user_axes.T, self.problem.num_threads)
            self.user_axes = None
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
    importable = []
    for name in names:
        if importlib.util.find_spec(name) is None:
            print(f"{name}: not installed (pip install 'recsys-engine[peers]'), left out")
            continue
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"{name}: cannot be imported ({error}), left out")
            continue
        importable.append(name)
    return importable


def list_maker(train, user_factors: np.ndarray, item_factors: np.ndarray) -> BPR:
    """A model that makes the lists of factors learned elsewhere."""
    model = BPR(user_factors.shape[1], epochs=0, item_bias=False).fit(train, show_progress=False)
    model.user_factors, model.item_factors = user_factors, item_factors
    return model


def implicit_with_factors(model: recsys.models.FactorModel, threads: int):
    """implicit's model with copies of our factors."""
    from implicit.cpu.als import AlternatingLeastSquares

    peer = AlternatingLeastSquares(factors=model.factors, num_threads=threads)
    peer.user_factors, peer.item_factors = (
        np.array(model.user_factors),
        np.array(model.item_factors),
    )
    return peer


def stepping_peers(problem, names, factors, solver, seed) -> Iterator[Contender]:
    """Contenders for those of `names` that can make one iteration at a time."""
    for name in names:
        if name in _STEPPING and not (problem.has_dislikes and name != "implicit"):
            yield _STEPPING[name](problem, factors, solver, seed)


# ---- an epoch at a time --------------------------------------------------------------------------


class Epochs(Protocol):
    name: str
    terms: int  # steps, or what else the time grows with, in an epoch

    def turn(self) -> float:
        """Makes an epoch; its seconds."""

    def close(self) -> None: ...


class OurEpochs:
    """Any of our models that has a `history`. A turn makes two epochs, as the seconds of the first
    have the setting up in them."""

    def __init__(self, name: str, model: Any, matrix: Any, terms: int) -> None:
        self.name, self.model, self.matrix, self.terms = f"recsys {name}", model, matrix, terms
        model.set_params(**{internal.iterations_name(type(model)): 2})

    def turn(self) -> float:
        self.model.fit(self.matrix, show_progress=False, warm_start=True)
        return self.model.history[-1].seconds

    def close(self) -> None:
        pass


class ImplicitEpochs:
    """A model of implicit whose callback is told the seconds of an epoch."""

    def __init__(self, name: str, model: Any, matrix: Any, terms: int) -> None:
        self.name, self.model, self.terms = f"implicit {name}", model, terms
        self.matrix = sp.csr_matrix(matrix, dtype=np.float32, copy=True)  # it wants to write
        self.matrix.data = np.ones_like(self.matrix.data)

    def turn(self) -> float:
        seconds = []
        self.model.fit(self.matrix, False, lambda epoch, elapsed, *rest: seconds.append(elapsed))
        return seconds[0]

    def close(self) -> None:
        pass


class CmfrecRatings:
    def __init__(self, model: recsys.ExplicitALS, matrix: Any, threads: int) -> None:
        self.name = "cmfrec ALS"
        self.model, self.threads = model, threads
        self.matrix, self.terms = sp.coo_matrix(matrix), matrix.nnz

    def turn(self) -> float:
        short, long = map(self._seconds, (1, 1 + CMFREC_ITERATIONS))
        return (long - short) / CMFREC_ITERATIONS

    def _seconds(self, iterations: int) -> float:
        peer = cmfrec_model(self.model, self.threads, iterations)
        with single_blas():
            return timed(lambda: peer.fit(self.matrix))()

    def close(self) -> None:
        pass


def cmfrec_model(model: recsys.ExplicitALS, threads: int, iterations: int):
    """cmfrec's of the same parameters, exactly solved (or not) as ours."""
    import cmfrec

    return cmfrec.CMF(
        k=model.factors,
        lambda_=model.regularization,
        scale_lam=model.weighted_regularization,
        user_bias=model.bias,
        item_bias=model.bias,
        center=model.bias,
        use_cg=model.solver == "cg",
        niter=iterations,
        nthreads=threads,
        use_float=True,
        verbose=False,
        random_state=0,
    )


# ---- who meets whom ------------------------------------------------------------------------------


def bpr(bench: Bench, f: int) -> list[Epochs]:
    matrix = bench.dataset.user_items
    options = {"learning_rate": 0.05, "regularization": 0.01, "random_state": bench.seed}
    ours = {**options, "negatives": 1, "sampler": "uniform"}
    ours |= {"num_threads": bench.threads}
    contenders = [
        OurEpochs("BPR", recsys.BPR(f, **ours), matrix, matrix.nnz),
        OurEpochs("BPR hogwild", recsys.BPR(f, schedule="hogwild", **ours), matrix, matrix.nnz),
    ]
    if "implicit" in bench.peers:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        peer = BayesianPersonalizedRanking(f, iterations=1, num_threads=bench.threads, **options)
        contenders.append(ImplicitEpochs("BPR", peer, matrix, matrix.nnz))
    return contenders


def warp(bench: Bench, f: int) -> list[Epochs]:
    matrix = bench.dataset.user_items
    if matrix.nnz > WARP_ENTRIES:
        matrix = lastfm360k_twin(WARP_SCALE, bench.seed).user_items
    model = recsys.BPR(
        f,
        loss="warp",
        max_trials=10,
        learning_rate=0.05,
        regularization=0.0,
        num_threads=bench.threads,
        random_state=bench.seed,
    )
    contenders = [OurEpochs("WARP", model, matrix, matrix.nnz)]
    if bench.lightfm:
        options = {"no_components": f, "loss": "warp", "max_sampled": 10, "learning_rate": 0.05}
        options["random_state"] = bench.seed
        contenders.append(LightFM(bench.lightfm, matrix, bench.threads, **options))
    return contenders


def logistic(bench: Bench, f: int) -> list[Epochs]:
    matrix = bench.dataset.user_items
    model = recsys.LogisticMF(
        f,
        negatives=NEGATIVES,
        num_threads=bench.threads,
        random_state=bench.seed,
    )

    def drawn(n: np.ndarray, columns: int) -> np.ndarray:
        return np.minimum(NEGATIVES * np.maximum(n, 1), columns)

    contenders = [OurEpochs("LogisticMF", model, matrix, looked_at(matrix, drawn))]
    if "implicit" in bench.peers:
        from implicit.cpu.lmf import LogisticMatrixFactorization

        peer = LogisticMatrixFactorization(
            f,
            neg_prop=NEGATIVES,
            iterations=1,
            num_threads=bench.threads,
            random_state=bench.seed,
        )
        terms = looked_at(matrix, lambda n, columns: np.minimum(NEGATIVES * n, f + 2))
        contenders.append(ImplicitEpochs("LMF", peer, matrix, terms))
    return contenders


def looked_at(matrix: Any, drawn: Callable[[np.ndarray, int], np.ndarray]) -> int:
    """Factor rows in an iteration, entries and draws of both sides; `drawn` tells how many a row
    of n entries draws of so many columns."""
    lengths = np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=matrix.shape[1])
    sides = zip(lengths, matrix.shape[::-1], strict=True)
    return sum(int((n + drawn(n.astype(np.int64), columns)).sum()) for n, columns in sides)


def explicit(bench: Bench, f: int) -> list[Epochs]:
    matrix = bench.ratings().tocsr()
    options = {"num_threads": bench.threads, "random_state": bench.seed}
    exact = recsys.ExplicitALS(f, **options)
    contenders = [
        OurEpochs("ALS", exact, matrix, matrix.nnz),
        OurEpochs("SGD", recsys.ExplicitSGD(f, **options), matrix, matrix.nnz),
    ]
    if "cmfrec" in bench.peers:
        contenders.append(CmfrecRatings(exact, matrix, bench.threads))
    return contenders


EPOCH_RACES: dict[str, Callable[[Bench, int], list[Epochs]]] = {
    "bpr": bpr,
    "warp": warp,
    "logistic": logistic,
    "ratings": explicit,
}


def race_epochs(contenders: Sequence[Epochs], rounds: int) -> dict[str, Trace]:
    """Their epochs, taking turns, and without losses; closes them."""
    try:
        seconds = take_turns({each.name: each.turn for each in contenders}, rounds)
    finally:
        for each in contenders:
            each.close()
    return {name: Trace(name, taken) for name, taken in seconds.items()}
