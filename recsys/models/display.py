"""What a model looks like in a notebook, and how parameters are shown."""

from __future__ import annotations

import inspect
import numbers
from html import escape
from typing import Any

import numpy as np

from recsys.tables import html_table

_LONGEST = 80  # value of a parameter, in characters
_WIDTH, _HEIGHT, _MARGIN = 220, 60, 6  # of a curve, in pixels
_MOST_POINTS = 100


def shown(value: Any) -> str:
    """In one line that says what a value is, not where: `float64` rather than
    `<class 'numpy.float64'>`, `my_scheme` rather than its address, an array by its shape."""
    name = getattr(value, "__name__", None)
    if isinstance(name, str):
        return name
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return str(value)
    line = " ".join(repr(value).split())
    if isinstance(value, np.ndarray) and len(line) > _LONGEST:
        return f"array of {value.dtype}, shape {value.shape}"
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def as_json(name: str, value: Any) -> Any:
    """A parameter as JSON can hold it."""
    if name == "dtype":
        return np.dtype(value).name
    if name == "random_state" and not isinstance(value, numbers.Integral):
        return None
    if callable(value):
        raise TypeError(
            f"{name} is a function ({shown(value)}), which a model file cannot hold: save with "
            f"one of the named choices, and set_params({name}=...) after loading"
        )
    return value.item() if isinstance(value, np.generic) else value


def parameters(model: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Those that differ from their defaults, and the others, as they are shown."""
    defaults = inspect.signature(type(model).__init__).parameters
    changed: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in model.get_params().items():
        kind = others if shown(value) == shown(defaults[name].default) else changed
        kind[name] = shown(value)
    return changed, others


def model_html(model: Any) -> str:
    """Parameters, data and training of a model; under 6 KB, without colours of its own."""
    changed, others = parameters(model)
    parts = [f"<b>{escape(type(model).__name__)}</b>, {escape(_data(model))}"]
    if changed:
        parts.append(html_table(list(changed.items()), headed=False, numbers=False))
    if model.history:
        parts.append(f"<div>{escape(_training(model))}</div>")
        parts += [_curve(model, "loss"), _curve(model, "validation")]
    summary = f"{len(others)} parameters at their defaults"
    folded = html_table(list(others.items()), headed=False, numbers=False)
    parts.append(f"<details><summary>{summary}</summary>{folded}</details>")
    return f"<div>{''.join(parts)}</div>"


def _data(model: Any) -> str:
    try:
        n_users, n_items = model._known_shape()
    except ValueError:  # NotFittedError among them
        return "not fitted"
    known = f"{n_users:,} users x {n_items:,} items"
    remembered = model._training_matrix
    return known if remembered is None else f"{known}, {len(remembered.indices):,} entries"


def _training(model: Any) -> str:
    history = model.history
    words = f"{len(history)} iterations in {sum(entry.seconds for entry in history):.3g} s"
    best = model.best_iteration
    return words if best is None else f"{words}, the best of them {best}"


def _curve(model: Any, what: str) -> str:
    """The loss or the validation of each iteration as a small line, if there are any."""
    known = [
        (entry.iteration, getattr(entry, what))
        for entry in model.history
        if getattr(entry, what) is not None
    ]
    if not known:
        return ""
    name = (what == "validation" and model.validation_metric) or what
    words = f"{name} {known[0][1]:.4g} → {known[-1][1]:.4g}"
    chosen = _thinned(known, model.best_iteration)
    x, y = (_scaled(np.array(column, float)) for column in zip(*chosen, strict=True))
    across = _MARGIN + x * (_WIDTH - 2 * _MARGIN)
    down = _MARGIN + (1 - y) * (_HEIGHT - 2 * _MARGIN)
    places = [f"{h:.0f},{v:.1f}" for h, v in zip(across, down, strict=True)]
    ring = ""
    for (iteration, _), place in zip(chosen, places, strict=True):
        if iteration == model.best_iteration:
            h, v = place.split(",")
            ring = f'<circle cx="{h}" cy="{v}" r="4"/>'
    return (
        f'<div style="display:inline-block;margin:0.5em 1.5em 0 0">'
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(words)}">'
        f'<g fill="none" stroke="currentColor"><polyline points="{" ".join(places)}"/>{ring}</g>'
        f"</svg><br/><small>{escape(words)}</small></div>"
    )


def _thinned(known: list[tuple[int, float]], best: int | None) -> list[tuple[int, float]]:
    """At most about `_MOST_POINTS` of them: the first, the last and the best one are kept."""
    kept = np.linspace(0, len(known) - 1, min(len(known), _MOST_POINTS)).astype(int).tolist()
    return [each for at, each in enumerate(known) if at in set(kept) or each[0] == best]


def _scaled(values: np.ndarray) -> np.ndarray:
    """From 0 to 1; halfway where all are the same."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
