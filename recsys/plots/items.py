"""What a model has learned of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr
from recsys.interactions import Features
from recsys.models import internal
from recsys.models.factor_model import FactorModel

from .style import COLOURS, brief, place, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Names = Sequence[str] | Mapping[Any, str] | None
_AROUND_NAME = np.array([-4, 0, 4, 0])  # pixels that stay free left, below, right and above


def plot_neighbors(
    model: Any, item: Any, N: int = 20, *, names: Names = None, ax: Any = None
) -> Any:
    """The items most similar to one, and how similar they are.

    Parameters
    ----------
    model : model with ``similar_items``
    item : int, or an id where the model speaks ids
    N : int, default 20
        How many, without the item itself.
    names : sequence of str, or dict of id -> str, optional
        What items are called: by column number, or by id where the model speaks ids; by default
        what the model calls them.
    ax : matplotlib.axes.Axes, optional
        Draw there.

    Returns
    -------
    matplotlib.figure.Figure, or `ax` if that is given

    Raises
    ------
    ImportError
        matplotlib is not installed.
    NotFittedError, IndexError, TypeError, ValueError
        As `similar_items` of the model; ValueError also where it finds no neighbour.
    """
    neighbors, scores = model.similar_items(item, N, filter_items=[item])
    listed = np.isfinite(scores)  # places that stay empty are not
    neighbors, scores = neighbors[listed], scores[listed]
    if not len(neighbors):
        raise ValueError(f"item {item!r} has no neighbours to show: nothing was learned of it")
    heading, *labels = _named_items([item, *neighbors], names)
    with style():
        shown_by, [axes] = place(ax, 1, (8, 1.2 + 0.27 * len(neighbors)))
        places = np.arange(len(neighbors))
        bars = axes.barh(places, scores, height=0.7, color=COLOURS[0])
        axes.bar_label(bars, [f"{score:.3g}" for score in scores], padding=3, fontsize="small")
        axes.set_yticks(places, labels, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set_ylim(len(neighbors) - 0.4, -0.6)  # the nearest at the top
        axes.margins(x=0.1)
        cosine = isinstance(model, FactorModel)
        axes.set_xlabel("cosine of the factors" if cosine else "similarity")
        axes.set_title(f"Nearest to {heading}", parse_math=False)
    return shown_by


def plot_map(
    model: Any,
    items: Any = None,
    *,
    N: int = 60,
    names: Names = None,
    features: Sequence[str] = (),
    ax: Any = None,
) -> Any:
    """A map of items: near each other is what the same users like.

    Shows the first two principal components of the items' factors, each of unit length (as their
    cosines are what `similar_items` goes by). The axes say how much of the variance they show;
    what is near in the map may be apart in what it does not show.

    Parameters
    ----------
    model : model with ``item_factors``
    items : array of int, or of ids, shape (n,), optional
        Which items, at least 3; by default the `N` of the most users in training.
    N : int, default 60
        How many, at least 3, where `items` is not given.
    names : sequence of str, or dict of id -> str, optional
        What items are called: by column number, or by id where the model speaks ids; by default
        what the model calls them. A name that would cover another one, or a point, is left out.
    features : sequence of str, default ()
        Features of items to show as well, such as ``"genres=Comedy"``, in another colour: each is
        where an item would be of which nothing else is known.
    ax : matplotlib.axes.Axes, optional
        Draw there.

    Returns
    -------
    matplotlib.figure.Figure, or `ax` if that is given

    Raises
    ------
    ImportError
        matplotlib is not installed.
    NotFittedError, IndexError, TypeError, ValueError
        The model has no factors; items are not as described; or there are too few; it knows no
        such features.
    """
    if not isinstance(model, FactorModel):
        raise TypeError(
            f"a map is made of item_factors, which {type(model).__name__} does not have; use "
            "a factor model, or plot_neighbors"
        )
    factors, ids = model.item_factors, model.items
    if items is None:
        chosen = _most_users(model, N)
    else:
        rows = items if ids is None else ids.rows(items, "items")
        chosen = checks.row_numbers("items", rows, len(factors)).reshape(-1)
    if len(chosen) < 3:
        raise ValueError(f"a map needs at least 3 items; got {len(chosen)}")
    alone = _items_of_one(model, features)
    points, shares = _principal(factors[chosen], alone)
    labels = _named_items(chosen if ids is None else ids.take(chosen), names)
    labels += map(brief, features)
    with style():
        shown_by, [axes] = place(ax, 1, (8, 6))
        for part, colour in zip(np.split(points, [len(chosen)]), COLOURS, strict=False):
            if len(part):
                axes.scatter(part[:, 0], part[:, 1], s=14, color=colour)
        axes.set_aspect("equal", "datalim")  # near is near in any direction
        axes.margins(0.06)
        axes.grid(False)
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        for axis, share, what in zip((axes.xaxis, axes.yaxis), shares, ("1st", "2nd"), strict=True):
            axis.set_label_text(f"{what} principal component ({share:.0%} of variance)")
        _write_names(axes, points, labels)
    return shown_by


def _most_users(model: FactorModel, N: int) -> np.ndarray:
    """Items, that of the most users first."""
    checks.integer("N", N, 3)
    seen = internal.remembered(model)
    users = np.bincount(seen.indices, minlength=seen.shape[1])
    return np.argsort(-users, kind="stable")[:N]


def _items_of_one(model: FactorModel, names: Sequence[str]) -> np.ndarray:
    """The factors of items that have one feature each."""
    if isinstance(names, str):
        raise TypeError(f"features must be a sequence of names; got {names!r}: pass [{names!r}]")
    if not len(names):
        return model.item_factors[:0]
    known = model.item_features
    if known is None:
        raise ValueError("the model knows no features of items: fit it with item_features=...")
    places = {name: place for place, name in enumerate(known.names)}
    for name in names:
        if name not in places:
            hint = checks.nearest(name, places)
            raise ValueError(f"the model knows no feature {name!r} of items{hint}")
    columns = np.array([places[name] for name in names])
    shape = len(names), len(places)
    ones = csr.from_triples(np.ones(len(names), np.float32), np.arange(len(names)), columns, shape)
    learned = model.fold_in_items(item_features=Features(ones, None, known.schema))
    return learned[0] if isinstance(learned, tuple) else learned


def _principal(factors: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unit length in the first two principal components of `factors`, those of `others`
    after them, (n + m, 2), and the shares of the variance that these components have."""
    rows = np.concatenate([factors, others]).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1)
    count = len(factors)
    rows -= rows[:count].mean(axis=0)
    left, sizes, right = np.linalg.svd(rows[:count], full_matrices=False)
    # one of two signs
    right *= np.sign(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])])[:, np.newaxis]
    shares = sizes**2 / max(float(sizes @ sizes), np.finfo(float).tiny)
    points, two = np.zeros((len(rows), 2)), min(2, len(sizes))
    points[:, :two] = rows @ right[:two].T
    return points, np.append(shares, 0)[:2]


def _named_items(items: Iterable[Any], names: Names) -> list[str]:
    if names is None:
        return [f"item {i}" if isinstance(i, int | np.integer) else brief(i) for i in items]
    if isinstance(names, str):
        raise TypeError(f"names must be a sequence or a dict with a name for each; got {names!r}")
    labels = []
    for item in items:
        try:
            labels.append(brief(names[item]))
        except (IndexError, KeyError):
            raise ValueError(
                f"names has {len(names)} names, none for item {item!r}; expected a sequence with "
                "one for each column number, or a dict of id -> name where the model speaks ids"
            ) from None
    return labels


def _write_names(axes: Axes, points: np.ndarray, names: list[str]) -> None:
    """Beside each point, where that covers neither a point nor a name already there; else not."""
    axes.figure.figure.draw_without_rendering()  # settles where in the picture points are
    centres, frame = axes.transData.transform(points), axes.get_window_extent().extents
    taken = np.hstack([centres - 4, centres + 4])
    for name, point, centre in zip(names, points, centres, strict=True):
        text = axes.annotate(
            name, point, (0, 0), textcoords="offset points", va="bottom", fontsize="small",
            parse_math=False,
        )  # fmt: skip
        extent = text.get_window_extent()
        box = _free_place(centre, extent.width, extent.height, taken, frame)
        if box is None:
            text.remove()
            continue
        text.set_position((box[:2] - centre) * 72 / axes.figure.dpi)
        taken = np.vstack([taken, box + _AROUND_NAME])


def _free_place(
    centre: np.ndarray, width: float, height: float, taken: np.ndarray, frame: Any
) -> np.ndarray | None:
    """Left, bottom, right and top of a text at one of eight places around a point, in pixels;
    None where all of them cover something or leave the frame."""
    gap, x, y = 6, *centre
    across = {"right": x + gap, "left": x - gap - width, "middle": x - width / 2}
    up = {"middle": y - height / 2, "above": y + gap, "below": y - gap - height}
    sides = [(h, v) for v in up for h in across if (h, v) != ("middle", "middle")]
    for h, v in sides:
        box = np.array([across[h], up[v], across[h] + width, up[v] + height])
        inside = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
        apart = (box[:2] >= taken[:, 2:]) | (box[2:] <= taken[:, :2])
        if inside and apart.any(axis=1).all():
            return box
    return None
