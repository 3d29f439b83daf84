"""A fit divided between ranks that talk: over threads, or over the executors of an engine.

Nothing here knows an engine: `fit_each` is what each of its workers calls.
"""

from recsys.distributed.blocks import split
from recsys.distributed.fit import CheckpointError, Fitted, Place, Store, fit, fit_each
from recsys.distributed.problem import ITEM, USER, Problem, Report

__all__ = [
    "ITEM",
    "USER",
    "CheckpointError",
    "Fitted",
    "Place",
    "Problem",
    "Report",
    "Store",
    "fit",
    "fit_each",
    "split",
]
