"""Who is on the leaderboard of quality.py: how each is fitted, and the settings it may choose from.

All have as many settings, SETTINGS, which are there to be edited; one that needs no search has
fewer. Where time allows fewer they are the first of each, which for ours are mostly its defaults:
these are rows of their own too. What is alike in several:

weights
    Peers, `confidence="scaled"` and cosine are given w = log2(1 + r / the user's mean r) for a
    count r: below 10 for most plays, and 1 for all entries where there is nothing but ones.
frequency
    w0 for cells without an entry, lambda (n + w0 m)^1 for a row of n entries in m columns: the
    setting of Rendle et al. 2022. Ours has c = 1 + log(1 + r / the user's mean r), irspack w; its
    six pairs of w0 and lambda are ours, scaled accordingly, and a pair in place of our first
    setting, which takes both from the data.
NumPy
    What lists are held against: models of a few lines, with no training to go wrong, which look at
    which entries are there, not at their counts. `PublishedItemKNN` has published figures on
    gowalla, as `recsys.EASE` has, which proves data, split and metrics.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import lightfm_peer
import numpy as np
import scipy.sparse as sp
from contenders import list_maker
from harness import single_blas

import recsys
from recsys import csr

FACTORS = 64
SETTINGS = 6
_ROWS = 512  # users scored together

Parameters = dict[str, Any]


class Bench(NamedTuple):
    """What the fits share."""

    threads: int
    seed: int
    lightfm: str | None = None  # a Python that has it


class Seconds(NamedTuple):
    """Of a fit."""

    cpu: float  # of all threads together
    wall: float


Fitted = tuple[Any, Seconds]  # a model that makes lists, and the seconds of its fit


@dataclass(frozen=True)
class Contender:
    """One row of the leaderboard; `untuned` names the row of its first setting, if there is one."""

    by: str  # who made it: recsys, NumPy, implicit, irspack, lightfm
    fit: Callable[[sp.csr_array, Bench, Parameters], Fitted]
    settings: list[Parameters]
    always: Parameters = field(default_factory=dict)
    quick: Parameters = field(default_factory=dict)  # what --quick changes
    untuned: str | None = None


def grid(**values: list[Any]) -> list[Parameters]:
    """All combinations."""
    combinations: list[Parameters] = [{}]
    for name, choices in values.items():
        combinations = [{**each, name: value} for each in combinations for value in choices]
    return combinations


def pairs(first: str, second: str, values: list[tuple[float, float]]) -> list[Parameters]:
    return [{first: one, second: other} for one, other in values]


def weights(counts: sp.csr_array) -> sp.csr_array:
    """log2(1 + r / the user's mean r): ones stay ones."""
    lengths = np.diff(counts.indptr)
    sums = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    means = np.repeat(sums / np.maximum(lengths, 1), lengths)
    values = np.log2(1 + counts.data / means).astype(np.float32)
    return sp.csr_array((values, counts.indices, counts.indptr), counts.shape)


def timed_fit(fit: Callable[[], Any]) -> Fitted:
    cpu, wall = time.process_time(), time.perf_counter()
    fitted = fit()
    return fitted, Seconds(time.process_time() - cpu, time.perf_counter() - wall)


# ---- how they are fitted -------------------------------------------------------------------------


def ours(make: Callable[..., Any], weighted: bool = False) -> Callable[..., Fitted]:
    """A model of recsys; those that draw random numbers have the seed of the run."""

    def fit(train: sp.csr_array, bench: Bench, parameters: Parameters) -> Fitted:
        model = make(num_threads=bench.threads, **parameters)
        if hasattr(model, "random_state"):
            model.set_params(random_state=bench.seed)
        counts = weights(train) if weighted else train
        return timed_fit(lambda: model.fit(counts, show_progress=False))

    return fit


def reference(make: Callable[..., Any]) -> Callable[..., Fitted]:
    def fit(train: sp.csr_array, bench: Bench, parameters: Parameters) -> Fitted:
        return timed_fit(lambda: make(**parameters).fit(train))

    return fit


def implicit(train: sp.csr_array, bench: Bench, parameters: Parameters) -> Fitted:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    parameters = dict(parameters)
    kind = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}
    make = kind[parameters.pop("model")]
    counts = sp.csr_matrix(weights(train))
    with single_blas():
        model = make(FACTORS, num_threads=bench.threads, random_state=bench.seed, **parameters)
        _, seconds = timed_fit(lambda: model.fit(counts, show_progress=False))
    return list_maker(train, model.user_factors, model.item_factors), seconds


def implicit_items(train: sp.csr_array, bench: Bench, parameters: Parameters) -> Fitted:
    """BM25 is of the counts themselves."""
    from implicit.nearest_neighbours import BM25Recommender

    model = BM25Recommender(num_threads=bench.threads, **parameters)
    counts = sp.csr_matrix(train)
    _, seconds = timed_fit(lambda: model.fit(counts, show_progress=False))
    return model, seconds


def irspack(train: sp.csr_array, bench: Bench, parameters: Parameters) -> Fitted:
    from irspack import IALSRecommender

    counts = sp.csr_matrix(weights(train))
    model = IALSRecommender(
        counts,
        n_components=FACTORS,
        alpha0=parameters["unobserved_weight"],
        reg=parameters["regularization"],
        n_threads=bench.threads,
        random_seed=bench.seed,
    )

    def learn() -> None:  # as its `learn`, without a progress bar
        model.start_learning()
        for _ in range(parameters["iterations"]):
            model.run_epoch()

    with single_blas():
        _, seconds = timed_fit(learn)
    core = model.trainer_as_ials.core_trainer
    return list_maker(train, core.user, core.item), seconds


def lightfm(train: sp.csr_array, bench: Bench, parameters: Parameters) -> Fitted:
    """The seconds are those of the epochs alone, in a process of its own."""
    parameters = {"no_components": FACTORS, "random_state": bench.seed, **parameters}
    epochs = parameters.pop("epochs")
    peer = lightfm_peer.LightFM(bench.lightfm, train, bench.threads, **parameters)
    try:
        taken = [peer.epoch() for _ in range(epochs)]
        seconds = Seconds(*np.sum(taken, axis=0).tolist())
        return list_maker(train, *peer.factors()), seconds
    finally:
        peer.close()


# ---- models of a few lines -----------------------------------------------------------------------


class Reference(ABC):
    """Ranks all items by dense scores, some users at a time."""

    @abstractmethod
    def fit(self, user_items: sp.csr_array) -> Self: ...

    @abstractmethod
    def scores(self, liked: sp.csr_array) -> np.ndarray:
        """Of all items, for users with these entries, all ones; float32, may be overwritten."""

    def recommend(
        self, users: np.ndarray, user_items: sp.csr_matrix, N: int
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.empty((len(users), N), np.int64)
        values = np.empty((len(users), N), np.float32)
        for begin in range(0, len(users), _ROWS):
            at = slice(begin, begin + _ROWS)
            liked = ones(user_items[at])
            scores = self.scores(liked)
            scores[csr.entry_rows(liked), liked.indices] = -np.inf
            # N items of a sample reach this already, so no more than those above are to be sorted
            sample = scores[:, :: max(1, scores.shape[1] // (64 * N))]
            least = np.partition(sample, -N, axis=1)[:, -N]
            for user, (line, bound) in enumerate(zip(scores, least, strict=True), begin):
                near = np.flatnonzero(line >= bound)
                ids[user] = near[np.argsort(-line[near], kind="stable")[:N]]
                values[user] = line[ids[user]]
        return ids, values


def ones(user_items: sp.csr_array | sp.csr_matrix) -> sp.csr_array:
    return sp.csr_array((user_items > 0).astype(np.float32))


class Popularity(Reference):
    """Of an item: how many have it."""

    def fit(self, user_items: sp.csr_array) -> Self:
        self.likes = ones(user_items).sum(axis=0, dtype=np.float32)
        return self

    def scores(self, liked: sp.csr_array) -> np.ndarray:
        return np.tile(self.likes, (liked.shape[0], 1))


class PublishedItemKNN(Reference):
    """The "ItemCF" row of the published tables, from `recsys.ItemNeighbors`.

    Cosine, each item asking its k neighbours, not itself, whose similarities are made to add up to
    one; they vote by x - m, m being an item's mean over all users, and the item's own is added::

        s_ui = m_i + sum_j S_ij (x_uj - m_j) / sum_j S_ij

    which is `ItemNeighbors`' score and a number for each item that depends on no user.
    """

    def __init__(self, k: int = 100) -> None:
        self.k = k

    def fit(self, user_items: sp.csr_array) -> Self:
        liked = ones(user_items)
        similarity = recsys.ItemNeighbors(self.k + 1, weighting="cosine").fit(liked).similarity
        similarity.setdiag(0)
        sums = similarity.sum(axis=1)
        self.votes = sp.csr_array(sp.diags_array(1 / np.where(sums > 0, sums, 1)) @ similarity).T
        means = liked.mean(axis=0)
        self.offsets = (means - means @ self.votes).astype(np.float32)
        return self

    def scores(self, liked: sp.csr_array) -> np.ndarray:
        return (liked @ self.votes).toarray() + self.offsets


# ---- who, and with which settings ----------------------------------------------------------------

EPOCHS, ITERATIONS = {"epochs": 2}, {"iterations": 2}  # with --quick

ALS_WEIGHTED = pairs(  # of w; implicit's, and ours with the objective of implicit
    "alpha",
    "regularization",
    [(20.0, 60.0), (60.0, 100.0), (7.0, 30.0), (20.0, 150.0), (7.0, 60.0), (7.0, 100.0)],
)
FREQUENCY = "unobserved_weight", "regularization"
ALS_FREQUENCY = pairs(
    *FREQUENCY, [(0.1, 0.01), (0.03, 0.003), (0.4, 0.01), (0.2, 0.03), (0.003, 0.02)]
)
ALS_LARGE = [
    {"unobserved_weight": 0.03, "regularization": 0.005, "bias": True},
    *pairs(*FREQUENCY, [(0.1, 0.01), (0.4, 0.01), (0.2, 0.03), (0.003, 0.02)]),
]
BPR = [
    {},
    *pairs(
        "learning_rate",
        "regularization",
        [(0.05, 0.01), (0.02, 0.003), (0.02, 0.007), (0.05, 0.003), (0.05, 0.03)],
    ),
]


def frequency(settings: list[Parameters] = ALS_FREQUENCY, **always: Any) -> Contender:
    """First w0 and lambda from the data, then these."""
    scaled = [{"regularization_exponent": 1.0, **each} for each in settings]
    same = None if always else "ImplicitALS()"
    return Contender("recsys", ours(recsys.ImplicitALS), [{}, *scaled], always, ITERATIONS, same)


def untuned(make: Callable[..., Any], quick: Parameters, **always: Any) -> Contender:
    return Contender("recsys", ours(make), [{}], always, quick)


CONTENDERS = {
    "popularity": Contender("NumPy", reference(Popularity), [{}]),
    "ItemKNN as published": Contender("NumPy", reference(PublishedItemKNN), [{}]),
    "ItemNeighbors()": untuned(recsys.ItemNeighbors, {}),
    "ItemNeighbors, BM25": Contender(
        "recsys",
        ours(recsys.ItemNeighbors),
        [
            {},
            {"k": 400},
            {"K1": 1.2},
            {"K1": 0.2, "B": 0.75},
            {"K1": 1.2, "normalize_rows": True},
            {"K1": 1.2, "B": 0.75, "normalize_rows": True},
        ],
        untuned="ItemNeighbors()",
    ),
    "ItemNeighbors, TF-IDF": Contender(
        "recsys",
        ours(recsys.ItemNeighbors),
        grid(k=[100, 400, 30], normalize_rows=[False, True]),
        {"weighting": "tfidf"},
    ),
    "ItemNeighbors, cosine": Contender(
        "recsys",
        ours(recsys.ItemNeighbors, weighted=True),
        grid(k=[100, 400, 30], normalize_rows=[False, True]),
        {"weighting": "cosine"},
    ),
    "implicit item-item": Contender(
        "implicit",
        implicit_items,
        [
            {},
            {"K": 100, "K1": 100.0, "B": 0.2},
            {"K": 400, "K1": 100.0, "B": 0.2},
            {"K": 100, "K1": 1.2, "B": 0.2},
            {"K": 100, "K1": 5.0, "B": 0.75},
            {"K": 100, "K1": 0.2, "B": 0.75},
        ],
    ),
    "ImplicitALS()": untuned(recsys.ImplicitALS, ITERATIONS),
    "ImplicitALS": frequency(),
    "ImplicitALS, biases": frequency(bias=True),
    "ImplicitALS, f = 128": frequency(ALS_LARGE, factors=128),
    "ImplicitALS, f = 256": frequency(ALS_LARGE, factors=256, solver="cg"),
    "ImplicitALS, f = 512": frequency(ALS_LARGE, factors=512, solver="cg"),
    "ImplicitALS, log, plain lambda": Contender(
        "recsys",
        ours(recsys.ImplicitALS),
        pairs(
            "alpha",
            "regularization",
            [(10.0, 30.0), (90.0, 100.0), (10.0, 100.0), (30.0, 60.0), (10.0, 60.0), (10.0, 20.0)],
        ),
        {"confidence": "log"},
        ITERATIONS,
    ),
    "ImplicitALS, linear, plain lambda": Contender(
        "recsys",
        ours(recsys.ImplicitALS),
        pairs(
            "alpha",
            "regularization",
            [(10.0, 100.0), (60.0, 100.0), (0.01, 10.0), (1.0, 30.0), (0.1, 30.0), (1.0, 60.0)],
        ),
        {"confidence": "linear"},
        ITERATIONS,
    ),
    "ImplicitALS, scaled, plain lambda": Contender(
        "recsys",
        ours(recsys.ImplicitALS, weighted=True),
        ALS_WEIGHTED,
        {"confidence": "scaled"},
        ITERATIONS,
    ),
    "implicit ALS": Contender("implicit", implicit, ALS_WEIGHTED, {"model": "als"}, ITERATIONS),
    "irspack iALS": Contender(
        "irspack",
        irspack,
        pairs(
            *FREQUENCY,
            [
                (0.06, 0.01),
                (0.016, 0.003),
                (0.24, 0.01),
                (0.06, 0.006),
                (0.12, 0.02),
                (0.002, 0.01),
            ],
        ),
        {"iterations": 8},
        ITERATIONS,
    ),
    "LogisticMF()": untuned(recsys.LogisticMF, ITERATIONS),
    "LogisticMF": Contender(
        "recsys",
        ours(recsys.LogisticMF),
        [
            {},
            *pairs(
                "alpha",
                "regularization",
                [(30.0, 90.0), (3.0, 20.0), (10.0, 10.0), (10.0, 60.0), (30.0, 45.0)],
            ),
        ],
        quick=ITERATIONS,
        untuned="LogisticMF()",
    ),
    "BPR()": untuned(recsys.BPR, EPOCHS),
    "BPR, uniform": Contender("recsys", ours(recsys.BPR), BPR, {"sampler": "uniform"}, EPOCHS),
    **{
        f"BPR, {sampler}": Contender(
            "recsys", ours(recsys.BPR), BPR, {"sampler": sampler, "negatives": negatives}, EPOCHS
        )
        for sampler, negatives in (("popular", 5), ("adaptive", 2))
    },
    "BPR, hard": Contender(
        "recsys",
        ours(recsys.BPR),
        [BPR[0], {"regularization": 0.01, "negatives": 10}, *BPR[1:4], BPR[5]],
        {"sampler": "hard", "negatives": 5},
        EPOCHS,
    ),
    "implicit BPR": Contender(
        "implicit",
        implicit,
        grid(learning_rate=[0.02, 0.01, 0.05], regularization=[0.01, 0.003]),
        {"model": "bpr", "iterations": 100},
        ITERATIONS,
    ),
    'BPR(loss="warp")': untuned(recsys.BPR, EPOCHS, loss="warp"),
    "WARP": Contender(
        "recsys",
        ours(recsys.BPR),
        [
            {},
            *pairs(
                "learning_rate",
                "regularization",
                [(0.02, 0.05), (0.02, 0.1), (0.01, 0.01), (0.02, 0.03), (0.01, 0.03)],
            ),
        ],
        {"loss": "warp"},
        EPOCHS,
        'BPR(loss="warp")',
    ),
    "LightFM WARP": Contender(
        "lightfm",
        lightfm,
        [
            *grid(learning_rate=[0.05, 0.02, 0.1]),
            *grid(learning_rate=[0.05, 0.02, 0.1], user_alpha=[1e-5], item_alpha=[1e-5]),
        ],
        {"loss": "warp", "epochs": 40},
        EPOCHS,
    ),
    "EASE": Contender(
        "recsys",
        ours(recsys.EASE),
        grid(regularization=[80.0, 200.0, 500.0, 30.0, 1000.0, 5.0]),
    ),
    "SLIM": Contender(
        "recsys",
        ours(recsys.SLIM),
        [
            *grid(nonnegative=[True], regularization=[80.0, 20.0, 300.0]),
            *grid(nonnegative=[False], regularization=[80.0, 300.0, 20.0]),
        ],
    ),
}
