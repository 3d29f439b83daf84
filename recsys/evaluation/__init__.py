"""How good are the lists: metrics, their uncertainty, and splits to measure on.

Every metric ranks the whole catalogue. Protocols that rank the test item among a hundred sampled
others are not offered: what they measure is inconsistent with the ranking of all items, so that
the worse of two models can come out ahead (Krichene and Rendle, "On Sampled Metrics for Item
Recommendation", KDD 2020).

>>> from recsys import evaluation
>>> train, test = evaluation.random_split(user_items, random_state=0)      # doctest: +SKIP
>>> result = evaluation.evaluate(model.fit(train), train, test, k=[10, 20])  # doctest: +SKIP
>>> print(result.table())                                                  # doctest: +SKIP
"""

from recsys.interactions.splits import (
    Split,
    UserSplit,
    leave_k_out_split,
    leave_last_split,
    per_user_split,
    random_split,
    time_split,
    user_folds,
    user_split,
)

from .cross_validation import FoldInScorer, UserFolds
from .listed import evaluate_lists
from .lists import Judged, judge, self_information, unit_vectors
from .metrics import OVERALL_METRICS, USER_METRICS, Totals
from .protocol import HeldOut, evaluate
from .ratings import mae, rmse
from .results import Difference, Evaluation, compare

__all__ = [
    "OVERALL_METRICS",
    "USER_METRICS",
    "Difference",
    "Evaluation",
    "FoldInScorer",
    "HeldOut",
    "Judged",
    "Split",
    "Totals",
    "UserFolds",
    "UserSplit",
    "compare",
    "evaluate",
    "evaluate_lists",
    "judge",
    "leave_k_out_split",
    "leave_last_split",
    "mae",
    "per_user_split",
    "random_split",
    "rmse",
    "self_information",
    "time_split",
    "unit_vectors",
    "user_folds",
    "user_split",
]
