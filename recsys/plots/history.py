"""How training went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.models.display import shown
from recsys.models.model import Model

from .style import brief, line_styles, place, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEST_MARKER = 11
_LONGEST = 72  # label, in characters


class _Panel(NamedTuple):
    title: str  # of its axis
    what: str  # an attribute of the entries of a history
    models: dict[str, Model]


def plot_history(models: Model | Mapping[str, Model] | Sequence[Model], *, ax: Any = None) -> Any:
    """Loss and validation of one or several models against the seconds of their training.

    Parameters
    ----------
    models : model, sequence of models, or dict of name -> model
        Without names, models are named by the parameters they differ in.
    ax : matplotlib Axes or sequence of them, optional
        One for each panel: the loss, for each class of model, as those of different classes do not
        compare; then the validation, for each metric. What no model has gets no panel.

    Returns
    -------
    matplotlib.figure.Figure, or `ax` if that is given
        Seconds are those of `Iteration`, without validation and callback. A ring is around the
        iteration that `patience` chose.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError
        Something else than models.
    ValueError
        A model has no history, or one with neither loss nor validation.
    """
    named = _named(models)
    for name, model in named.items():
        _check_history(name, model)
    panels = _panels(named)
    lines = line_styles(named)
    explained: set[str] = set()
    with style():
        shown_by, axes = place(ax, len(panels), (8, 1 + 2.6 * len(panels)))
        for panel, panel_axes in zip(panels, axes, strict=True):
            _draw_panel(panel_axes, panel, lines)
            if len(named) > 1 and not explained.issuperset(panel.models):
                for text in panel_axes.legend().get_texts():
                    text.set_parse_math(False)
                explained.update(panel.models)
        for panel_axes in axes:  # once all is drawn, as it ends the scaling
            panel_axes.set_xlim(left=0)
        axes[-1].set_xlabel("seconds of training")
        if len(named) == 1:
            [(name, model)] = named.items()
            axes[0].set_title(_with_best(name, model), parse_math=False)
    return shown_by


def _named(models: Any) -> dict[str, Model]:
    named = models if isinstance(models, Mapping) else None
    one = isinstance(models, Model) or not isinstance(models, Iterable)
    listed = [models] if one else list(models if named is None else named.values())
    for model in listed:
        if not isinstance(model, Model):
            raise TypeError(
                "expected a model of recsys, a list of models, or a dict of name -> model; got "
                f"{model!r}"
            )
    if not listed:
        raise ValueError("there is no model to show; expected at least one")
    if one:
        return {brief(repr(models), _LONGEST): models}
    labels = _distinct(listed) if named is None else map(str, named)
    return dict(zip(labels, listed, strict=True))


def _distinct(models: Sequence[Model]) -> list[str]:
    """A label for each: what models of one class have in common is left out."""
    labels = []
    for model in models:
        twins = [other.get_params() for other in models if type(other) is type(model)]
        parts = [
            f"{name}={shown(value)}"
            for name, value in model.get_params().items()
            if any(shown(twin[name]) != shown(value) for twin in twins)
        ]
        label = f"{type(model).__name__}({', '.join(parts)})" if parts else type(model).__name__
        labels.append(brief(label, _LONGEST))
    return [
        label if labels.count(label) == 1 else f"{label} #{labels[:at].count(label) + 1}"
        for at, label in enumerate(labels)
    ]


def _check_history(name: str, model: Model) -> None:
    history = model.history
    if not history:
        raise ValueError(
            f"{name} has no history: call fit(user_items) first. ItemNeighbors never has one, nor "
            "have EASE and SLIM, as they do not learn in iterations"
        )
    if all(entry.loss is None and entry.validation is None for entry in history):
        raise ValueError(
            f"the history of {name} has neither loss nor validation: fit with compute_loss=True, "
            "or with validation=..., a matrix of held-out interactions"
        )


def _panels(named: dict[str, Model]) -> list[_Panel]:
    """Losses of one class of model, and validations by one metric, are of one panel."""
    classes = {name: type(model).__name__ for name, model in named.items()}
    one = len(set(classes.values())) == 1
    losses = {name: "loss" if one else f"loss of {cls}" for name, cls in classes.items()}
    metrics = {name: model.validation_metric or "validation" for name, model in named.items()}
    panels = []
    for what, titles in (("loss", losses), ("validation", metrics)):
        has = {name: model for name, model in named.items() if len(_curve(model, what)[0])}
        for title in dict.fromkeys(titles[name] for name in has):
            with_it = {name: model for name, model in has.items() if titles[name] == title}
            panels.append(_Panel(title, what, with_it))
    return panels


def _curve(model: Model, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since training began, and values, where there are any."""
    history = model.history
    seconds = np.cumsum([entry.seconds for entry in history])
    values = np.array([getattr(entry, what) for entry in history], float)
    known = ~np.isnan(values)
    return seconds[known], values[known]


def _draw_panel(axes: Axes, panel: _Panel, lines: Mapping[str, dict[str, Any]]) -> None:
    lowest, highest = np.inf, -np.inf
    for name, model in panel.models.items():
        seconds, values = _curve(model, panel.what)
        lowest, highest = min(lowest, values.min()), max(highest, values.max())
        axes.plot(seconds, values, marker="o", label=_with_best(name, model), **lines[name])
        best = _best_point(model, panel.what)
        if best is not None:
            axes.plot(*best, "o", mfc="none", ms=_BEST_MARKER, mec=lines[name]["color"])
    axes.set_ylabel(panel.title)
    axes.margins(y=0.12)
    if panel.what == "loss" and highest > 10 * lowest > 0:
        axes.set_yscale("log")


def _with_best(name: str, model: Model) -> str:
    return (
        name if model.best_iteration is None else f"{name}, best iteration {model.best_iteration}"
    )


def _best_point(model: Model, what: str) -> tuple[float, float] | None:
    """Where the iteration is that `patience` chose."""
    if model.best_iteration is None:
        return None
    chosen = model.history[model.best_iteration - 1]
    value = getattr(chosen, what)
    seconds = sum(entry.seconds for entry in model.history[: model.best_iteration])
    return None if value is None else (seconds, value)
