"""Pictures of models and of what was measured, all in one style.

Each function returns a figure that belongs to no window and to no backend: it shows itself in a
notebook, and ``figure.savefig("picture.png")`` writes it to a file. With ``ax=...`` it draws into
axes of your own instead and returns those. Needs matplotlib: ``pip install 'recsys-engine[plot]'``.

Colours and lines are recsys's own; ground, text and fonts are those of ``matplotlib.rcParams``.
Matplotlib's first font warns of characters it lacks, Chinese ones among them: name one behind it
that has them, such as ``rcParams["font.family"] = ["DejaVu Sans", "Noto Sans CJK SC"]``.

>>> from recsys import plots
>>> plots.plot_history(model)                                               # doctest: +SKIP
>>> plots.plot_neighbors(model, item, names=artists)                        # doctest: +SKIP
"""

from .history import plot_history
from .items import plot_map, plot_neighbors
from .quality import plot_quality
from .style import COLOURS, FAINT, save, style, subplots

__all__ = [
    "COLOURS",
    "FAINT",
    "plot_history",
    "plot_map",
    "plot_neighbors",
    "plot_quality",
    "save",
    "style",
    "subplots",
]
