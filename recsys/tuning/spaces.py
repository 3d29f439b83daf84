"""Where parameters are looked for: a space of each model, and spaces of one's own."""

from __future__ import annotations

import math
import numbers
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.models import (
    BPR,
    EASE,
    SLIM,
    ExplicitALS,
    ExplicitSGD,
    ImplicitALS,
    ItemNeighbors,
    LogisticMF,
    internal,
)
from recsys.models.display import shown
from recsys.models.model import Model

if TYPE_CHECKING:
    from scipy import sparse

# What costs time in proportion (factors, iterations, negatives of LogisticMF) is left to the user.
# A space need not hold the model's defaults: a search in it begins with them all the same.
SPACES: dict[type[Model], dict[str, Any]] = {
    # The setting of Rendle et al. (2022), whose best values lie closest together among data sets
    ImplicitALS: {
        "unobserved_weight": (0.0003, 2.0, "log"),
        "regularization": (0.001, 0.1, "log"),
        "regularization_exponent": [1.0],
        "alpha": (0.3, 10.0, "log"),
        "bias": [False, True],
    },
    LogisticMF: {
        "learning_rate": (0.03, 0.5, "log"),
        "regularization": (3.0, 300.0, "log"),
        "alpha": (1.0, 100.0, "log"),
    },
    BPR: {
        "learning_rate": (0.003, 0.2, "log"),
        "regularization": (0.0003, 0.1, "log"),
        "negatives": (1, 30, "log"),
        "item_bias": [True, False],
    },
    ItemNeighbors: {
        "k": (10, 1000, "log"),
        "weighting": ["cosine", "tfidf", "bm25"],
        "orientation": ["target", "history"],
        "normalize_rows": [True, False],
        "K1": (0.3, 300.0, "log"),
        "B": (0.0, 1.0),
    },
    EASE: {"regularization": (5.0, 3000.0, "log")},
    SLIM: {
        "k": (50, 400, "log"),
        "l1_regularization": (0.01, 10.0, "log"),
        "regularization": (3.0, 1000.0, "log"),
        "nonnegative": [True, False],
    },
    ExplicitALS: {
        "regularization": (0.01, 0.3, "log"),
        "bias": [True, False],
    },
    ExplicitSGD: {
        "learning_rate": (0.002, 0.03, "log"),
        "regularization": (0.005, 0.2, "log"),
        "learning_rate_decay": (0.0, 0.1),
        "init_scale": (0.05, 1.0, "log"),
    },
}

# Where searches of a default space look next: so many times what the defaults are on these data, or
# with another choice than theirs. Other data had their best in these directions (docs/defaults.md).
CORNERS: dict[type[Model], list[dict[str, Any]]] = {
    ImplicitALS: [
        {"unobserved_weight": 1 / 6, "regularization": 1.5},
        {"unobserved_weight": 3.0, "regularization": 1 / 2.5},
        {"regularization": 1 / 2, "bias": "another"},
    ],
}

_FORMS = (
    "(low, high), (low, high, 'log'), a list of choices, such as [False, True], or an optuna "
    "distribution"
)


class Axis(NamedTuple):
    """What one parameter is drawn from.

    Optuna and files take plain choices only; other ones go by a label, their name or repr.
    """

    distribution: Any  # of Optuna
    labels: list[Any] | None = None
    choices: list[Any] | None = None

    def value(self, label: Any) -> Any:
        """The parameter that goes by `label`; one outside the axis goes by itself."""
        known = self.choices is not None and label in self.labels
        return self.choices[self.labels.index(label)] if known else label

    def label(self, value: Any) -> Any:
        """How Optuna and files know a parameter."""
        known = self.choices is not None and self.holds(value)
        return self.labels[self.choices.index(value)] if known else value

    def ends(self) -> tuple[Any, Any]:
        """The lowest and highest number, or the first and last choice."""
        if self.choices is not None:
            return self.choices[0], self.choices[-1]
        return self.distribution.low, self.distribution.high

    def place(self, value: Any) -> float:
        """Where a number is: 0 at the lowest, 1 at the highest; one outside, which a default may
        be, at most an axis further. A choice is in the middle of its part; another value is where
        the first choice is."""
        if self.choices is not None:
            at = self.choices.index(value) if self.holds(value) else 0
            return (at + 0.5) / len(self.choices)
        low, high, scaled = self._scale()
        if self.distribution.log and value <= 0:
            return -1.0
        return min(max((scaled(value) - low) / (high - low), -1.0), 2.0)

    def at(self, place: float) -> Any:
        """The number at this place, or the nearest that can be drawn; a choice, each having as
        much of 0 to 1."""
        place = min(max(place, 0.0), 1.0)
        if self.choices is not None:
            return self.choices[int(self.chosen(place))]
        low, high, _ = self._scale()
        of, value = self.distribution, low + place * (high - low)
        value = math.exp(value) if of.log else value
        if of.step is not None:
            value = of.low + round((value - of.low) / of.step) * of.step
        return type(of.low)(min(max(value, of.low), of.high))

    def chosen(self, place: Any) -> np.ndarray:
        """The number of the choice at each place."""
        return np.minimum(np.int64(place * len(self.choices)), len(self.choices) - 1)

    def drawn(self, places: np.ndarray) -> np.ndarray:
        """The places of the numbers that are drawn at `places`."""
        places = places.clip(0.0, 1.0)
        if self.choices is not None or self.distribution.step is None:
            return places
        return np.array([self.place(self.at(place)) for place in places])

    def nearest(self, value: Any) -> Any:
        """A number within the ends; any choice as it is."""
        if self.choices is not None:
            return value
        return min(max(value, self.distribution.low), self.distribution.high)

    def _scale(self) -> tuple[float, float, Callable[[float], float]]:
        """The ends as they are spaced; half a step is beyond, that the last are as likely."""
        of = self.distribution
        scaled = math.log if of.log else float
        beyond = 0.0 if of.step is None else of.step / 2
        low, high = scaled(of.low - beyond), scaled(of.high + beyond)
        return (low, high, scaled) if low < high else (low, low + 1.0, scaled)

    def holds(self, value: Any) -> bool:
        """Whether this value can be drawn."""
        if self.choices is not None:
            return value in self.choices
        of = self.distribution
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return False
        if not of.low <= value <= of.high:
            return False
        steps = 0.0 if of.step is None else (value - of.low) / of.step
        return abs(steps - round(steps)) < 1e-8


def axes_of(
    model_class: type[Model], space: str | Mapping[str, Any], fixed: Mapping[str, Any]
) -> dict[str, Axis]:
    """The axes of a space, checked; of a default space those that are not fixed."""
    if isinstance(space, str):
        whole = _default_space(model_class, space)
        wanted = {name: of for name, of in whole.items() if name not in fixed}
    elif isinstance(space, Mapping):
        wanted = dict(space)
        internal.check_names(model_class, wanted)
        both = [name for name in wanted if name in fixed]
        if both:
            raise ValueError(f"{both[0]!r} is in space and in fixed; expected it in one of them")
    else:
        raise TypeError(
            f"space must be 'default' or a dictionary, name -> {_FORMS}; got {space!r} "
            f"({type(space).__name__})"
        )
    if not wanted:
        raise ValueError("nothing is left to tune: space is empty, or all of it is in fixed")
    usual = model_class(**fixed)
    return {name: _axis(name, of, internal.in_effect(usual, name)) for name, of in wanted.items()}


def start_of(
    usual: Model, space: str | Mapping[str, Any], axes: Mapping[str, Axis], train: sparse.csr_array
) -> dict[str, Any]:
    """What the first trial has: the defaults on these data, of a space of one's own those that it
    holds. Where a range stands for several numbers (`regularization` of WARP) it is their mean."""
    chosen = internal.chosen_on(usual, train)
    defaults = {
        name: chosen[name] if name in chosen else internal.in_effect(usual, name) for name in axes
    }
    for name, value in defaults.items():
        if axes[name].choices is None and isinstance(value, tuple):
            defaults[name] = float(np.mean(value))
    whole = isinstance(space, str)
    return {name: value for name, value in defaults.items() if whole or axes[name].holds(value)}


def corners_of(
    model_class: type[Model],
    space: str | Mapping[str, Any],
    axes: Mapping[str, Axis],
    start: dict[str, Any],
) -> list[dict[str, Any]]:
    """What the next trials have: of a default space what is known to be good beside the start."""
    if not isinstance(space, str):
        return []
    known = next((CORNERS[base] for base in model_class.__mro__ if base in CORNERS), [])
    corners = []
    for corner in known:
        params = {name: axis.nearest(start[name]) for name, axis in axes.items()}
        for name in corner.keys() & axes.keys():
            axis = axes[name]
            if axis.choices is None:
                params[name] = axis.nearest(corner[name] * start[name])
            else:
                params[name] = next(each for each in axis.choices if each != start[name])
        if corner.keys() & axes.keys():
            corners.append(params)
    return corners


def _default_space(model_class: type[Model], space: str) -> dict[str, Any]:
    known = [base for base in model_class.__mro__ if base in SPACES]
    if space != "default" or not known:
        got = f"got {space!r}" if space != "default" else f"{model_class.__name__} has none"
        raise ValueError(f"space must be a dictionary, name -> {_FORMS}, or 'default'; {got}")
    return SPACES[known[0]]


def _axis(name: str, of: Any, usual: Any) -> Axis:
    from optuna import distributions

    if isinstance(of, distributions.CategoricalDistribution):
        return Axis(of, list(of.choices), list(of.choices))
    if isinstance(of, distributions.BaseDistribution):
        return Axis(of)
    if isinstance(of, list) and of:
        labels = [_label(choice) for choice in of]
        if len(set(labels)) < len(labels):
            raise ValueError(f"space[{name!r}] names a choice twice: {labels}")
        return Axis(distributions.CategoricalDistribution(labels), labels, of)
    if not isinstance(of, tuple) or len(of) not in (2, 3) or of[2:] not in ((), ("log",)):
        raise ValueError(f"space[{name!r}] must be {_FORMS}; got {of!r}")
    whole = isinstance(usual, int) and not isinstance(usual, bool)
    low, high = (_bound(name, bound, whole) for bound in of[:2])
    log = len(of) == 3
    if not low < high or (log and low <= 0):
        expected = "0 < low < high" if log else "low < high"
        raise ValueError(f"space[{name!r}] must have {expected}; got {of!r}")
    kind = distributions.IntDistribution if whole else distributions.FloatDistribution
    return Axis(kind(low, high, log=log))


def _bound(name: str, bound: Any, whole: bool) -> Any:
    wanted: Any
    wanted, noun = (numbers.Integral, "integers") if whole else (numbers.Real, "numbers")
    if isinstance(bound, bool) or not isinstance(bound, wanted) or not math.isfinite(bound):
        raise ValueError(
            f"space[{name!r}] must be bounded by finite {noun}, as {name} is one of these; got "
            f"{bound!r}. Choices go into a list"
        )
    return int(bound) if whole else float(bound)


def _label(choice: Any) -> Any:
    if isinstance(choice, np.generic):
        choice = choice.item()
    return (
        choice if choice is None or isinstance(choice, bool | int | float | str) else shown(choice)
    )


def value_identity(value: Any) -> str:
    """What tells one parameter from another, in a line; a function by its code as well."""
    code = getattr(value, "__code__", None)
    if code is None:
        return shown(value)
    plain = [const for const in code.co_consts if isinstance(const, bool | int | float | str)]
    crc = zlib.crc32(repr((code.co_names, plain)).encode(), zlib.crc32(code.co_code))
    return f"{shown(value)}, CRC {crc:08x}"
