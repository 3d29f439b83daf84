"""recsys: recommender models trained by native kernels.

>>> import recsys
>>> model = recsys.ImplicitALS(factors=64).fit(user_items)          # doctest: +SKIP
>>> items, scores = model.recommend(0, N=10)                        # doctest: +SKIP
"""

from recsys._version import __version__
from recsys.kernels.config import show_config
from recsys.models import ImplicitALS, NotFittedError, NumericalWarning, load

__all__ = [
    "ImplicitALS",
    "NotFittedError",
    "NumericalWarning",
    "__version__",
    "load",
    "show_config",
]
