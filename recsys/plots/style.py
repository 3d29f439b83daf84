"""What all pictures are made with: colours, figures, axes, files."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by people with any kind of colour blindness: M. Okabe, K. Ito, "Color Universal
# Design", 2008; without the yellow and the black, which a white or a dark ground swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
FAINT = "#999999"
_DASHES = ("-", "--", ":")  # when colours are used up
_LONGEST = 36  # name in a picture, in characters
# Grounds, texts and fonts stay as the user has them: a dark style stays dark, and fonts with the
# characters of other scripts are used.
_STYLE: dict[str, Any] = {
    "axes.prop_cycle": f"cycler('linestyle', {_DASHES}) * cycler('color', {COLOURS})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "lines.markersize": 4,
    "svg.fonttype": "none",  # text stays text: small, and what a reader's font makes of it
    "svg.hashsalt": "recsys",  # the same picture is the same file
}


def style() -> AbstractContextManager[None]:
    """The look of all pictures of recsys, within a ``with`` statement.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    return _matplotlib().rc_context(_STYLE)


def subplots(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], **options: Any
) -> tuple[Figure, np.ndarray]:
    """A new figure and its axes, as `matplotlib.pyplot.subplots` makes them, without pyplot and
    in the style of recsys; what is drawn into them is too within ``with style():``.

    Parameters
    ----------
    rows, columns : int
    size : (width, height)
        Of the whole figure, in inches of 100 pixels.
    **options
        Of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : ndarray of matplotlib.axes.Axes, shape (rows, columns)
    """
    with style():
        figure = _figure_class()(figsize=size, dpi=100, layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure in the format that the ending of `path` names (png, svg, pdf); png else.

    The file appears as a whole or not at all. The same figure gives the same bytes.

    Raises
    ------
    ValueError
        There is no such format.
    OSError
        The file cannot be written.
    """
    path = Path(path)
    kind = path.suffix[1:].lower() or "png"
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with style(), whole_file(path) as temporary:
        figure.savefig(temporary, format=kind, metadata=undated)


def _matplotlib() -> Any:
    try:
        import matplotlib.figure
    except ImportError:
        raise ImportError("a picture needs matplotlib: pip install 'recsys-engine[plot]'") from None
    return matplotlib


@cache
def _figure_class() -> type[Figure]:
    class SelfShowingFigure(_matplotlib().figure.Figure):  # type: ignore[misc]
        """Notebooks know how to show a figure only once pyplot has set up their backend, and then
        show one of pyplot's twice where it is also the value of a cell."""

        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            width, height = (round(inches * self.dpi) for inches in self.get_size_inches())
            memory = io.BytesIO()
            self.savefig(memory, format="png", dpi=2 * self.dpi)  # for screens of many pixels
            return memory.getvalue(), {"width": width, "height": height}

    return SelfShowingFigure


def place(ax: Any, rows: int, size: tuple[float, float]) -> tuple[Any, list[Axes]]:
    """What a function returns, and the axes that it draws into, one below the other."""
    if ax is None:
        figure, axes = subplots(rows, size=size, sharex=True)
        return figure, list(axes.flat)
    panels = list(ax) if isinstance(ax, Iterable) else [ax]
    if len(panels) != rows:
        raise ValueError(
            f"ax must be {rows} matplotlib Axes in a sequence, one for each panel of this picture; "
            f"got {len(panels)}. Leave it out for a figure of its own"
        )
    return ax, panels


def brief(name: Any, longest: int = _LONGEST) -> str:
    """A name in one line, cut where it is too long."""
    line = " ".join(str(name).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def line_styles(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """How the line of each name is drawn, the same one in every panel."""
    kinds = itertools.cycle(itertools.product(_DASHES, COLOURS))
    return {name: dict(zip(("ls", "color"), next(kinds), strict=True)) for name in names}
