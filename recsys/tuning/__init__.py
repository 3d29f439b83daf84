"""Search for the parameters that serve held-out interactions best.

>>> from recsys import ImplicitALS, evaluation, tuning
>>> train, validation = evaluation.random_split(user_items, random_state=0)   # doctest: +SKIP
>>> result = tuning.tune(ImplicitALS, train, validation, fixed={"factors": 128})  # doctest: +SKIP
>>> print(result.table())                                                     # doctest: +SKIP
>>> items, scores = result.model.recommend(0)                                 # doctest: +SKIP
"""

from .results import Trial, TuningResult
from .search import tune
from .spaces import SPACES

__all__ = ["SPACES", "Trial", "TuningResult", "tune"]
