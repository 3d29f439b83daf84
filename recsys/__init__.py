"""recsys: recommender models trained by native kernels.

>>> import recsys
>>> model = recsys.ImplicitALS(factors=64).fit(user_items)          # doctest: +SKIP
>>> items, scores = model.recommend(0, N=10)                        # doctest: +SKIP
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from recsys._version import __version__
from recsys.interactions import Features, Interactions, UnknownIdError
from recsys.kernels.config import show_config
from recsys.models import (
    BPR,
    EASE,
    SLIM,
    ExplicitALS,
    ExplicitSGD,
    ImplicitALS,
    ItemNeighbors,
    LogisticMF,
    NotFittedError,
    NumericalWarning,
    load,
)

# Which an attribute imports
_MODULES = ("datasets", "evaluation", "plots", "serving", "tuning", "weighting")

if TYPE_CHECKING:  # editors and type checkers would take any attribute for one of these
    from recsys import datasets as datasets
    from recsys import evaluation as evaluation
    from recsys import plots as plots
    from recsys import serving as serving
    from recsys import tuning as tuning
    from recsys import weighting as weighting
else:

    def __getattr__(name: str) -> ModuleType:
        # Without an import of their own, and without their cost for those who need none
        if name in _MODULES:
            return import_module(f"recsys.{name}")
        raise AttributeError(f"module 'recsys' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_MODULES]


__all__ = [
    "BPR",
    "EASE",
    "SLIM",
    "ExplicitALS",
    "ExplicitSGD",
    "Features",
    "ImplicitALS",
    "Interactions",
    "ItemNeighbors",
    "LogisticMF",
    "NotFittedError",
    "NumericalWarning",
    "UnknownIdError",
    "__version__",
    "load",
    "show_config",
]
