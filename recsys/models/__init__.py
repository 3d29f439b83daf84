"""One file a model: its parameters, its schedule, what it learns."""

from recsys.models.base import Iteration, NotFittedError, NumericalWarning
from recsys.models.implicit_als import ImplicitALS
from recsys.models.item_neighbors import ItemNeighbors
from recsys.models.load import load

__all__ = [
    "ImplicitALS",
    "ItemNeighbors",
    "Iteration",
    "NotFittedError",
    "NumericalWarning",
    "load",
]
