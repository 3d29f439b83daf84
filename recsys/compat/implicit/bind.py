"""Making ``import implicit`` mean this package."""

from __future__ import annotations

import importlib

from recsys.compat.binding import bind_package

_OURS = __name__.rpartition(".")[0]
# Functions, which programs name in their settings, "implicit.als.AlternatingLeastSquares". Classes
# keep their own module, so that what is pickled can be read where nothing is bound.
_FACTORIES = {
    "als": ["AlternatingLeastSquares"],
    "bpr": ["BayesianPersonalizedRanking"],
    "lmf": ["LogisticMatrixFactorization"],
    "approximate_als": [
        "AnnoyAlternatingLeastSquares",
        "FaissAlternatingLeastSquares",
        "NMSLibAlternatingLeastSquares",
    ],
}


def bind() -> None:
    """From here on ``import implicit`` and ``import implicit.anything`` give this package."""
    bind_package("implicit", _OURS)
    for name, factories in _FACTORIES.items():
        module = importlib.import_module(f"{_OURS}.{name}")
        for factory in factories:
            getattr(module, factory).__module__ = f"implicit.{name}"
