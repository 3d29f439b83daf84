"""One file a model: its parameters, its schedule, what it learns."""

from recsys.models.base import Iteration, NotFittedError, NumericalWarning
from recsys.models.bpr import BPR
from recsys.models.explicit_als import ExplicitALS
from recsys.models.explicit_sgd import ExplicitSGD
from recsys.models.implicit_als import ImplicitALS
from recsys.models.item_neighbors import ItemNeighbors
from recsys.models.load import load
from recsys.models.logistic_mf import LogisticMF

__all__ = [
    "BPR",
    "ExplicitALS",
    "ExplicitSGD",
    "ImplicitALS",
    "ItemNeighbors",
    "Iteration",
    "LogisticMF",
    "NotFittedError",
    "NumericalWarning",
    "load",
]
