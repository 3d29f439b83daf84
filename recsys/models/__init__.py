"""One file a model: its parameters, its schedule, what it learns."""

from recsys.models.bpr import BPR
from recsys.models.ease import EASE
from recsys.models.explicit_als import ExplicitALS
from recsys.models.explicit_sgd import ExplicitSGD
from recsys.models.implicit_als import ImplicitALS
from recsys.models.item_neighbors import ItemNeighbors
from recsys.models.load import load
from recsys.models.logistic_mf import LogisticMF
from recsys.models.slim import SLIM
from recsys.models.training import Iteration, NotFittedError, NumericalWarning

__all__ = [
    "BPR",
    "EASE",
    "SLIM",
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
