"""Every model there is, each small and quick to train, and what to compare of two of them."""

import copy
import functools

import numpy as np
from scipy import sparse

from recsys import (
    BPR,
    EASE,
    SLIM,
    ExplicitALS,
    ExplicitSGD,
    ImplicitALS,
    ItemNeighbors,
    LogisticMF,
)
from recsys.models.factor_model import FactorModel

_SMALL = {"factors": 5, "random_state": 1}
_ALS = {**_SMALL, "iterations": 3, "regularization": 1.0}
_PLAIN = {"acceleration": False, "init": "random"}
_SGD = {**_SMALL, "epochs": 3}

MODELS = {
    "ImplicitALS": (ImplicitALS, {**_ALS, "compute_loss": True}),
    "ImplicitALS cg": (ImplicitALS, {**_ALS, "solver": "cg"}),
    "ImplicitALS bias": (ImplicitALS, {**_ALS, "bias": True}),
    "ImplicitALS bias cg": (ImplicitALS, {**_ALS, **_PLAIN, "bias": True, "solver": "cg"}),
    "ExplicitALS": (ExplicitALS, _ALS),
    "ExplicitALS no bias": (ExplicitALS, {**_ALS, **_PLAIN, "bias": False}),
    "ExplicitSGD": (ExplicitSGD, _SGD),
    "ExplicitSGD hogwild": (ExplicitSGD, {**_SGD, "schedule": "hogwild", "num_threads": 1}),
    "BPR": (BPR, _SGD),
    "BPR no bias": (BPR, {**_SGD, "item_bias": False}),
    "BPR popular": (BPR, {**_SGD, "sampler": "popular"}),
    "BPR adaptive": (BPR, {**_SGD, "sampler": "adaptive", "adaptive_share": 0.1}),
    "BPR hard": (BPR, {**_SGD, "sampler": "hard"}),
    "BPR warp": (BPR, {**_SGD, "loss": "warp"}),
    "BPR weighted": (BPR, {**_SGD, "weighted": True, "negatives": 2}),
    "BPR hogwild": (BPR, {**_SGD, "schedule": "hogwild", "num_threads": 1}),
    "LogisticMF": (LogisticMF, {**_SMALL, "iterations": 3, "negatives": 2}),
    "ItemNeighbors": (ItemNeighbors, {"k": 6, "weighting": "cosine", "normalize_rows": True}),
    "ItemNeighbors bm25": (ItemNeighbors, {"k": 6, "weighting": "bm25"}),
    "EASE": (EASE, {"regularization": 5.0}),
    "SLIM": (SLIM, {"k": 8, "regularization": 2.0}),
}
EVERY = list(MODELS)

# Weights of items for items are found in one go: there are no factors, no iterations to follow, to
# stop or to continue, and nothing is drawn.
FACTORS = [name for name in EVERY if issubclass(MODELS[name][0], FactorModel)]
# Regressions, in which no item has a weight for itself.
REGRESSIONS = [name for name in EVERY if MODELS[name][0] in (EASE, SLIM)]
# Hogwild's results are promised to be the same for one thread only.
DETERMINISTIC = [name for name in EVERY if "hogwild" not in name]
# Least squares take no steps that could be too large.
STEPPING = [name for name in FACTORS if MODELS[name][0] in (BPR, ExplicitSGD, LogisticMF)]
# BM25 is defined for counts, which are not negative.
SIGNED = [name for name in EVERY if "bm25" not in name]


def counts(n_users=40, n_items=30, seed=0, least=1):
    """Whole numbers from `least`; user 3 and item 7 have no entries."""
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 7, (n_users, n_items)) * (rng.random((n_users, n_items)) < 0.3)
    table[3:4], table[:, 7:8] = 0, 0
    matrix = sparse.csr_array(table.astype(np.float64))
    matrix.data[::9] = least
    return matrix


def make(name, **changes):
    cls, options = MODELS[name]
    return cls(**{**options, **changes})


def fitted(name, matrix=None, **changes):
    model = make(name, **changes)
    return model.fit(counts() if matrix is None else matrix, show_progress=False)


@functools.cache
def _trained(name):
    return fitted(name)


def trained(name):
    """A model trained on `counts()`, a copy of one's own."""
    return copy.deepcopy(_trained(name))


def more(name, number):
    """The parameter for so many iterations."""
    cls, _ = MODELS[name]
    return {"epochs" if cls in (BPR, ExplicitSGD) else "iterations": number}


def in_parts(name):
    """What makes several fits give what one gives: momentum starts anew with each of them."""
    return {"acceleration": False} if MODELS[name][0] in (ExplicitALS, ImplicitALS) else {}


def learned(model):
    """Every number that training gave, as bytes: two models are the same if these are."""
    if isinstance(model, ItemNeighbors):
        arrays = model.similarity.indptr, model.similarity.indices, model.similarity.data
    elif isinstance(model, EASE):
        arrays = (model.item_weights,)
    elif isinstance(model, SLIM):
        arrays = model.item_weights.indptr, model.item_weights.indices, model.item_weights.data
    else:
        names = ("user_factors", "item_factors", "user_biases", "item_biases", "mean")
        arrays = (getattr(model, name) for name in names)
    told = [(entry.iteration, entry.loss) for entry in model.history]
    return [None if array is None else np.asarray(array).tobytes() for array in arrays], told
