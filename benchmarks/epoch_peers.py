"""Models that learn by epochs or iterations: ours and the peers', one of them at a time.

Each program's own clock tells the seconds, so that setting up (sorting, copying, initial factors)
is left out everywhere. The figures are times alone: `quality.py` and `ratings.py` look at
what is learned. How the contenders are made alike:

bpr
    A step for each entry, learning rate .05, regularization .01. implicit draws an item j from the
    list of entries and makes no step where the user likes it; ours draws all items alike, and again
    where the user likes it.
warp
    At most 10 draws a step, learning rate .05, no regularization, as is LightFM's default. Its
    steps are AdaGrad's, which it has no way to turn off.
logistic
    30 negatives for each entry. implicit draws at most `factors` + 2 for a row however many that
    asks for: what is to be compared is the time for each factor row looked at.
ratings
    ExplicitALS and cmfrec with biases and regularization by the number of ratings, solved exactly.
    cmfrec cannot make an iteration at a time: a fit of one is taken off a fit of four. An epoch of
    ExplicitSGD is no iteration of ALS; it is there for its seconds a rating.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import ratings
import scipy.sparse as sp
from harness import Trace, single_blas, take_turns, timed
from lightfm_peer import LightFM

import recsys
from recsys.datasets import lastfm360k_twin

if TYPE_CHECKING:
    from bars import Bench

NEGATIVES = 30  # of logistic factorization
CMFREC_ITERATIONS = 3
WARP_ENTRIES = 2_000_000  # most for WARP, LightFM being slow: larger data give way to
WARP_SCALE = 0.1  # the twin at this scale


class Epochs(Protocol):
    name: str
    terms: int  # steps, or what else the time grows with, in an epoch

    def turn(self) -> float:
        """Makes an epoch; its seconds."""

    def close(self) -> None: ...


class Ours:
    """Any of our models that has a `history`."""

    def __init__(self, name: str, model: Any, matrix: Any, terms: int) -> None:
        self.name, self.model, self.matrix, self.terms = f"recsys {name}", model, matrix, terms

    def turn(self) -> float:
        self.model.fit(self.matrix, show_progress=False, warm_start=True)
        return self.model.history[-1].seconds

    def close(self) -> None:
        pass


class Implicit:
    """A model of implicit whose callback is told the seconds of an epoch."""

    def __init__(self, name: str, model: Any, matrix: Any, terms: int) -> None:
        self.name, self.model, self.terms = f"implicit {name}", model, terms
        self.matrix = sp.csr_matrix(matrix, dtype=np.float32, copy=True)  # it wants to write
        self.matrix.data = np.ones_like(self.matrix.data)

    def turn(self) -> float:
        told = []
        self.model.fit(self.matrix, False, lambda epoch, elapsed, *rest: told.append(elapsed))
        return told[0]

    def close(self) -> None:
        pass


class Cmfrec:
    def __init__(self, model: recsys.ExplicitALS, matrix: Any, threads: int) -> None:
        self.name = "cmfrec ALS"
        self.model, self.threads = model, threads
        self.matrix, self.terms = sp.coo_matrix(matrix), matrix.nnz

    def turn(self) -> float:
        short, long = map(self._seconds, (1, 1 + CMFREC_ITERATIONS))
        return (long - short) / CMFREC_ITERATIONS

    def _seconds(self, iterations: int) -> float:
        peer = ratings.cmfrec_model(self.model, self.threads, iterations)
        with single_blas():
            return timed(lambda: peer.fit(self.matrix))()

    def close(self) -> None:
        pass


# ---- who meets whom ----------------------------------------------------------------------------


def bpr(bench: Bench, f: int) -> list[Epochs]:
    matrix = bench.dataset.user_items
    options = {"learning_rate": 0.05, "regularization": 0.01, "random_state": bench.seed}
    own = {**options, "epochs": 1, "negatives": 1, "num_threads": bench.threads}
    contenders = [
        Ours("BPR", recsys.BPR(f, **own), matrix, matrix.nnz),
        Ours("BPR hogwild", recsys.BPR(f, schedule="hogwild", **own), matrix, matrix.nnz),
    ]
    if "implicit" in bench.peers:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        peer = BayesianPersonalizedRanking(f, iterations=1, num_threads=bench.threads, **options)
        contenders.append(Implicit("BPR", peer, matrix, matrix.nnz))
    return contenders


def warp(bench: Bench, f: int) -> list[Epochs]:
    matrix = bench.dataset.user_items
    if matrix.nnz > WARP_ENTRIES:
        matrix = lastfm360k_twin(WARP_SCALE, bench.seed).user_items
    own = recsys.BPR(
        f,
        loss="warp",
        max_trials=10,
        learning_rate=0.05,
        regularization=0.0,
        epochs=1,
        num_threads=bench.threads,
        random_state=bench.seed,
    )
    contenders = [Ours("WARP", own, matrix, matrix.nnz)]
    if bench.lightfm:
        options = {"no_components": f, "loss": "warp", "max_sampled": 10, "learning_rate": 0.05}
        options["random_state"] = bench.seed
        contenders.append(LightFM(bench.lightfm, matrix, bench.threads, **options))
    return contenders


def logistic(bench: Bench, f: int) -> list[Epochs]:
    matrix = bench.dataset.user_items
    own = recsys.LogisticMF(
        f,
        negatives=NEGATIVES,
        iterations=1,
        num_threads=bench.threads,
        random_state=bench.seed,
    )

    def drawn(n: np.ndarray, columns: int) -> np.ndarray:
        return np.minimum(NEGATIVES * np.maximum(n, 1), columns)

    contenders = [Ours("LogisticMF", own, matrix, looked_at(matrix, drawn))]
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
        contenders.append(Implicit("LMF", peer, matrix, terms))
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
    exact = recsys.ExplicitALS(f, iterations=1, **options)
    contenders = [
        Ours("ALS", exact, matrix, matrix.nnz),
        Ours("SGD", recsys.ExplicitSGD(f, epochs=1, **options), matrix, matrix.nnz),
    ]
    if "cmfrec" in bench.peers:
        contenders.append(Cmfrec(exact, matrix, bench.threads))
    return contenders


RACES: dict[str, Callable[[Bench, int], list[Epochs]]] = {
    "bpr": bpr,
    "warp": warp,
    "logistic": logistic,
    "ratings": explicit,
}


def race(contenders: Sequence[Epochs], rounds: int) -> dict[str, Trace]:
    """Their epochs, taking turns, and without losses; closes them."""
    try:
        seconds = take_turns({each.name: each.turn for each in contenders}, rounds)
    finally:
        for each in contenders:
            each.close()
    return {name: Trace(name, taken) for name, taken in seconds.items()}
