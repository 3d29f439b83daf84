"""Models from files."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from recsys import checks
from recsys.models import just_added
from recsys.models.bpr import BPR
from recsys.models.ease import EASE
from recsys.models.explicit_als import ExplicitALS
from recsys.models.explicit_sgd import ExplicitSGD
from recsys.models.files import matrix_from_arrays, named, read_model_file
from recsys.models.ids import Vocabulary
from recsys.models.implicit_als import ImplicitALS
from recsys.models.in_file import Saved
from recsys.models.item_neighbors import ItemNeighbors
from recsys.models.logistic_mf import LogisticMF
from recsys.models.model import Model
from recsys.models.slim import SLIM

logger = logging.getLogger("recsys")

MODELS = (BPR, EASE, ExplicitALS, ExplicitSGD, ImplicitALS, ItemNeighbors, LogisticMF, SLIM)
_CLASSES = {cls.__name__: cls for cls in MODELS}


def load(source: Any, *, verify: bool = False) -> Model:
    """A model that `save` wrote, ready to recommend.

    Parameters
    ----------
    source : path, binary file object, or bytes
        The arrays of a file at a path are mapped into memory and checked, not copied: processes
        that load the same file share them.
    verify : bool, default False
        Compare every array with its digest, which takes reading all of it. Always done where
        nothing is mapped.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
    TypeError
        `source` is none of these.
    ValueError
        The file is truncated, damaged, of another kind or class, or was written by a newer recsys;
        it is to be verified, and was written by a recsys that noted no digests.
    """
    header, arrays = read_model_file(source, verify)
    name = header.get("class")
    cls = _CLASSES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(
            f"{named(source)} holds a {name!r}, which this recsys does not "
            f"have: it has {', '.join(_CLASSES)}"
        )
    try:
        parameters = header["parameters"]
        for name, value in parameters.items():
            if isinstance(value, list):  # as JSON has tuples
                parameters[name] = tuple(value)
        if "dtype" in parameters:
            parameters["dtype"] = np.dtype(parameters["dtype"]).type
        model = cls(**parameters)
        model._check_parameters()
        model._publish(_state(model, header, arrays))
        model._ids = Vocabulary.from_file(header, arrays, model._known_shape())
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{named(source)} is damaged: {error}. Save the model again, or copy the file anew"
        ) from error
    place = source if isinstance(source, str | os.PathLike) else named(source)
    logger.info("loaded %r from %s, saved by recsys %s", model, place, header.get("version"))
    return model


def _state(model: Any, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the file says of a model beside its parameters, checked."""
    matrix = None
    if "seen_shape" in header:
        matrix = matrix_from_arrays(arrays, tuple(header["seen_shape"]))
    best, metric = header.get("best_iteration"), header.get("validation_metric")
    popularity = arrays.get("popularity")
    if best is not None:
        checks.integer("best_iteration", best, 1)
    if not isinstance(metric, str | None):
        raise TypeError(f"validation_metric must be a string; got {metric!r}")
    return (
        model._from_file(Saved(header, arrays))
        | just_added.read(header, arrays, matrix)
        | {
            "_training_matrix": matrix,
            "_popularity": popularity,
            "_history": tuple(model._entry(**entry) for entry in header["history"]),
            "_best_iteration": best,
            "_validation_metric": metric,
        }
    )
