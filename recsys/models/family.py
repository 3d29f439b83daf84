"""What a model says of methods that others have and it has not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any


def missing(model: Any, name: str) -> Any:
    """`__getattr__` of models, which Python asks where nothing else has the name, or what has it
    raised an AttributeError.

    Raises
    ------
    AttributeError
        As a rule, so that ``hasattr`` is false.
    """
    model_class = type(model)
    if hasattr(model_class, name):
        return object.__getattribute__(model, name)  # its own error, such as NotFittedError
    others = [] if name.startswith("_") else sorted(set(_who_has(model_class, name)))
    if not others:
        message = f"{model_class.__name__!r} object has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=model)
    raise AttributeError(f"{model_class.__name__} has no {name}, which is of {', '.join(others)}")


def _who_has(model_class: type, name: str) -> Iterator[str]:
    """The names of recsys' models that have an attribute."""
    base = next(each for each in reversed(model_class.__mro__) if "__getattr__" in vars(each))
    for each in _below(base):
        if each.__module__.startswith("recsys.models.") and not inspect.isabstract(each):
            if hasattr(each, name):
                yield each.__name__


def _below(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        yield each
        yield from _below(each)
