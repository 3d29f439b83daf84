"""The front door: tables of events with ids in, a matrix of rows and columns out, and back."""

from recsys.interactions.features import Features
from recsys.interactions.ids import Ids, UnknownIdError
from recsys.interactions.interactions import Interactions

__all__ = ["Features", "Ids", "Interactions", "UnknownIdError"]
