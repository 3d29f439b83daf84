"""What a search found: a table and a picture of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys.evaluation.metrics import ERRORS
from recsys.models.display import shown
from recsys.models.model import Model
from recsys.plots import COLOURS, FAINT, save, style, subplots
from recsys.tables import aligned, html_table

from .spaces import Axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.study import Study

_STATES = {"complete": COLOURS[0], "pruned": FAINT}  # and their colours
_SHOWN = 10  # best trials in a notebook


class Trial(NamedTuple):
    """One model of a search.

    Attributes
    ----------
    number : int
        Counted from 0.
    params : dict
        What was drawn, of the first trial perhaps a default outside the space. The other
        parameters are the same for all trials.
    value : float or None
        The metric, at the best iteration so far if the trial was pruned; None if it diverged, or
        was left at a sample.
    iterations : int or None
        After how many it had that value; None for models without iterations.
    seconds : float
        Of training and validation together.
    state : {"complete", "pruned", "sampled", "diverged"}
        "sampled" was measured on a part of the users only, and left at that.
    validations : dict of float
        Iteration -> value, for all that were measured.
    on_sample : float or None
        The metric of a model of a part of the users, where the search looked at one first; to be
        compared with that of other trials only.
    """

    number: int
    params: dict[str, Any]
    value: float | None
    iterations: int | None
    seconds: float
    state: str
    validations: dict[int, float]
    on_sample: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class TuningResult:
    """What `tune` found.

    Attributes
    ----------
    model : Model or None
        The best model, trained again on `train` and `validation` together, with as many
        iterations as were best; None without `refit`.
    best_params : dict
        All its parameters, that number of iterations among them: ``model_class(**best_params)``.
        It is None where the model was to choose it, and its last iteration was the best.
        Where the first trial is the best these are the defaults, which may choose anew what goes
        by the data, such as `regularization` of `ImplicitALS`.
    best_value : float
        The metric of the best trial on `validation`. The best of many looks better than it is:
        measure `model` on a third part of the data.
    metric : str
    trials : list of Trial
        In the order they were made.
    axes : dict of Axis
        Parameter -> what it was drawn from.
    margin : float
        By what share of its value another trial has to be better than the first, the model as it
        is, to be the best.
    study : optuna.study.Study
        The trials in the space, for `optuna.visualization` and `optuna.importance`.
    """

    model: Model | None
    best_params: dict[str, Any]
    best_value: float
    metric: str
    trials: list[Trial]
    axes: dict[str, Axis]
    margin: float
    study: Study

    @property
    def best_trial(self) -> Trial:
        """Of equals the first."""
        return best_of(self.trials, self.metric, self.margin)

    @property
    def ranked(self) -> list[Trial]:
        """The best one first, then the others: by value, then those pruned, left at a sample, and
        diverged."""
        best = self.best_trial.number
        return sorted(self.trials, key=lambda t: (t.number != best, *_rank(t, self.metric)))

    def table(self) -> str:
        """One row a trial, as `ranked`."""
        return aligned(self._rows())

    def _repr_html_(self) -> str:
        head, *trials = self._rows()
        more = len(trials) - _SHOWN
        note = f"<small>and {more} more: print(result.table())</small>" if more > 0 else ""
        return html_table([head, *trials[:_SHOWN]]) + note

    def _rows(self) -> list[list[str]]:
        names = list(self.trials[0].params)
        sampled = any(trial.on_sample is not None for trial in self.trials)
        more = ["on_sample"] if sampled else []
        head = ["trial", self.metric, *more, "iterations", "seconds", "state", *names]
        return [head, *(_row(trial, names, sampled) for trial in self.ranked)]

    def plot(self, path: str | os.PathLike | None = None) -> Figure:
        """The values of the trials in their order, and against each parameter, in its space.

        Parameters
        ----------
        path : str or path, optional
            Write the picture there too, in the format its ending names (png, svg, pdf).

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        names = [name for name in self.trials[0].params if len(self._drawn(name)) > 1]
        columns = min(3, 1 + len(names))
        rows = -(-(1 + len(names)) // columns)
        with style():
            figure, grid = subplots(rows, columns, size=(4 * columns, 3 * rows))
            first, *others = grid.flat
            self._plot_order(first)
            for name, axes in zip(names, others, strict=False):
                self._plot_parameter(axes, name)
            for axes in others[len(names) :]:
                axes.set_axis_off()
        if path is not None:
            save(figure, path)
        return figure

    def _drawn(self, name: str) -> set[str]:
        """What the values of a parameter in its space are shown as."""
        values = (trial.params[name] for trial in self.trials)
        return {_cell(value) for value in values if self.axes[name].holds(value)}

    def _plot_order(self, axes: Axes) -> None:
        self._scatter(axes, self.trials, [trial.number for trial in self.trials])
        done = [trial for trial in self.trials if trial.state == "complete"]
        best = [best_of(done[: n + 1], self.metric, self.margin).value for n in range(len(done))]
        axes.step(
            [trial.number for trial in done], best, where="post", color=COLOURS[1], label="best"
        )
        axes.set_xlabel("trial")
        axes.locator_params(axis="x", integer=True)
        axes.legend()

    def _plot_parameter(self, axes: Axes, name: str) -> None:
        axis, places = self.axes[name], sorted(self._drawn(name))
        trials = [trial for trial in self.trials if axis.holds(trial.params[name])]
        values = [trial.params[name] for trial in trials]
        if axis.choices is None:
            self._scatter(axes, trials, values)
            if axis.distribution.log:
                axes.set_xscale("log")
                axes.xaxis.set_minor_formatter("")  # labels that would overlap
            elif all(isinstance(value, int) for value in values):
                axes.locator_params(axis="x", integer=True)
        else:
            self._scatter(axes, trials, [places.index(_cell(value)) for value in values])
            axes.set_xticks(range(len(places)), places)
        axes.set_xlabel(name)

    def _scatter(self, axes: Axes, trials: list[Trial], places: list[float]) -> None:
        for state, colour in _STATES.items():
            points = [
                (place, trial.value)
                for place, trial in zip(places, trials, strict=True)
                if trial.state == state and trial.value is not None
            ]
            if points:
                where, values = zip(*points, strict=True)
                axes.scatter(where, values, s=12, color=colour, label=state)
        axes.set_ylabel(self.metric)

    def __repr__(self) -> str:
        return f"TuningResult({len(self.trials)} trials: {self.metric}={self.best_value:.4f})"


def best_of(trials: Iterable[Trial], metric: str, margin: float) -> Trial:
    """Of those that were completed; the first of all unless another is better by the margin, where
    there is one."""
    done = [trial for trial in trials if trial.state == "complete"]
    best = min(done, key=lambda trial: _rank(trial, metric))
    first = done[0]
    if margin and first.number == 0 and best.value <= (1 + margin) * first.value:
        return first
    return best


def _rank(trial: Trial, metric: str) -> tuple[Any, ...]:
    """The lower, the better; trials that were completed come first."""
    states = ("complete", "pruned", "sampled", "diverged")
    value = trial.value if trial.state != "sampled" else trial.on_sample
    loss = value if metric in ERRORS else -(value or 0.0)
    return states.index(trial.state), loss or 0.0, trial.number


def _row(trial: Trial, names: list[str], sampled: bool) -> list[str]:
    values = (trial.value, trial.on_sample) if sampled else (trial.value,)
    measured = ["" if value is None else f"{value:.4f}" for value in values]
    iterations = "" if trial.iterations is None else str(trial.iterations)
    cells = [str(trial.number), *measured, iterations, f"{trial.seconds:.2f}", trial.state]
    params = (trial.params[name] for name in names)
    return cells + [_cell(value) for value in params]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else shown(value)
