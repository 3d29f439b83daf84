"""The parameters of the last fit: what is learned of single rows later goes by these.

A parameter of what is minimized that is set afterwards would make a mixture, such as confidences of
another scale beside weights that were chosen for the old one. It counts from the next fit on. How
rows are learned (steps, threads) is asked of the model as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from recsys.models.display import as_json

_Model = TypeVar("_Model")


def parameters(model: Any) -> dict[str, Any]:
    """Those that a fit which begins now is to be remembered by."""
    return {name: getattr(model, name) for name in model._fitted_names}


def as_fitted(model: _Model) -> _Model:
    """The model with the parameters of its last fit; itself where nothing has been set since."""
    present: Any = model
    fitted = present._fitted.items()
    changed = {name: value for name, value in fitted if getattr(model, name) is not value}
    return present._twin(**changed) if changed else model


def written(model: Any) -> dict[str, Any]:
    """For the header of a model file, which holds no functions."""
    return {
        name: as_json(name, value) for name, value in model._fitted.items() if not callable(value)
    }


def read(model: Any, header: Mapping[str, Any]) -> dict[str, Any]:
    """What `written` gave, checked; `model` has the parameters in the file. A function is not
    there, and what the model is given in its place counts."""
    known = header.get("fitted")
    if known is None:  # of a recsys that knew but one kind of parameters
        return parameters(model)
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
    model._check_names(values, ValueError)
    model._twin(**values)._check_parameters()
    present = parameters(model)
    return {
        name: present[name] if present[name] == value else value for name, value in values.items()
    }
