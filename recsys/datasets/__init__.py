"""Data sets to train on: read, cached, downloaded, or generated."""

from .dataset import Dataset, DatasetUnavailableError
from .files import read_interactions
from .lastfm import lastfm360k
from .synthetic import lastfm360k_twin

__all__ = [
    "Dataset",
    "DatasetUnavailableError",
    "lastfm360k",
    "lastfm360k_twin",
    "read_interactions",
]
