"""How good models are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks

from .style import COLOURS, brief, place, style

if TYPE_CHECKING:
    from recsys.evaluation import Evaluation


def plot_quality(
    results: Mapping[str, Evaluation], metric: str = "ndcg@20", *, ax: Any = None
) -> Any:
    """What models were measured to be, best first.

    Parameters
    ----------
    results : dict of name -> Evaluation
        As `recsys.evaluation.evaluate` returns them, on the same test matrix.
    metric : str, default "ndcg@20"
        One that all of them have.
    ax : matplotlib.axes.Axes, optional
        Draw there.

    Returns
    -------
    matplotlib.figure.Figure, or `ax` if that is given
        A bar is 1.96 standard errors of the mean over users to either side, a 95 % interval; none
        where a metric is of all lists together. Of two models whose bars overlap one may still be
        better for sure: `recsys.evaluation.compare` tells, user by user.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        `results` is not as described, or empty; one of them was not measured by `metric`.
    """
    rows = sorted(_measured(results, metric), key=lambda row: -row[1])
    names, values, errors = zip(*rows, strict=True)
    users = {len(result.users) for result in results.values()}
    with style():
        shown_by, [axes] = place(ax, 1, (8, 1.2 + 0.32 * len(rows)))
        places = np.arange(len(rows))
        bars = 1.96 * np.nan_to_num(errors)
        axes.errorbar(values, places, xerr=bars, fmt="o", ms=6, color=COLOURS[0], capsize=3)
        axes.set_yticks(places, map(brief, names), parse_math=False)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        side = axes.secondary_yaxis("right")
        side.set_yticks(places, [f"{value:.4f}" for value in values], fontsize="small")
        side.tick_params(length=0)
        side.spines["right"].set_visible(False)
        over = f"mean over {users.pop():,} users" if len(users) == 1 else "mean over users"
        axes.set_xlabel(metric if not bars.any() else f"{metric}, {over}, 95 % intervals")
    return shown_by


def _measured(results: Any, metric: str) -> list[tuple[str, float, float]]:
    """Names, values and standard errors."""
    if not isinstance(results, Mapping) or not results:
        raise TypeError(
            "results must be a dict of name -> what evaluate returned, not empty; got "
            f"{type(results).__name__}. For one result: {{'my model': result}}"
        )
    rows = []
    for name, result in results.items():
        if not hasattr(result, "per_user"):
            raise TypeError(
                f"results[{name!r}] must be what evaluate returned; got {type(result).__name__}"
            )
        values = {**result.mean, **result.overall}
        if metric not in values:
            raise ValueError(
                f"{name!r} was not measured by {metric!r}{checks.nearest(metric, values)}; it has "
                f"{', '.join(values)}. Evaluate with that metric and k"
            )
        rows.append((str(name), values[metric], result.standard_error.get(metric, np.nan)))
    return rows
