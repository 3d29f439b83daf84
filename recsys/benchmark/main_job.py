"""Factorize lastfm-360K, look at what came out, and at how long it took."""

from __future__ import annotations

import difflib
import time
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from recsys import csr, kernels
from recsys.datasets import Dataset, DatasetUnavailableError, lastfm360k, lastfm360k_twin
from recsys.kernels.threads import single_threaded_blas
from recsys.models import ImplicitALS
from recsys.models.confidence import signed_confidence

from . import rows

SAMPLE = 100  # rows of each side that the NumPy reference solves
EXAMPLE_ARTIST = "Joy Division"


# ---- data --------------------------------------------------------------------------------------


def lastfm360k_or_twin(
    scale: float | None = None, seed: int = 0, show_progress: bool = True
) -> tuple[Dataset, str | None]:
    """lastfm-360K, or the twin of it where it cannot be had.

    Parameters
    ----------
    scale : float, optional
        The synthetic twin in any case, so many times the size of lastfm-360K.
    seed : int, default 0
        Of the twin.
    show_progress : bool, default True
        Of a download.

    Returns
    -------
    dataset : Dataset
    reason : str or None
        Why it is not the real one, if that was looked for.

    Raises
    ------
    OSError, ValueError, ImportError
        The data that was found cannot be used; a scale that cannot be.
    """
    if scale is not None:
        return lastfm360k_twin(scale, seed), None
    try:
        return lastfm360k(show_progress=show_progress), None
    except DatasetUnavailableError as error:
        return lastfm360k_twin(1.0, seed), str(error)


def described(dataset: Dataset) -> dict[str, Any]:
    """A data set in a report."""
    n_users, n_items = dataset.user_items.shape
    return {
        "name": dataset.name,
        "synthetic": dataset.synthetic,
        "users": n_users,
        "items": n_items,
        "entries": dataset.user_items.nnz,
    }


def headline(data: Mapping[str, Any]) -> str:
    """A line about what `described` gives, to be shown above every figure."""
    kind = "SYNTHETIC data" if data["synthetic"] else "real data"
    return (
        f"{kind}: {data['name']}, {data['users']:,} users x {data['items']:,} items, "
        f"{data['entries']:,} entries"
    )


# ---- training ----------------------------------------------------------------------------------


class Problem:
    """A matrix and the objective of `recsys.ImplicitALS` on it.

    Parameters
    ----------
    user_items : sparse matrix of counts
    confidence, alpha, regularization, num_threads
        As for `recsys.ImplicitALS`.
    """

    def __init__(
        self,
        user_items: Any,
        confidence: str,
        alpha: float,
        regularization: float,
        num_threads: int = 0,
    ) -> None:
        counts = csr.canonical(user_items, np.dtype(np.float32))
        signed = signed_confidence(counts, confidence, alpha, None)
        self.shape = counts.shape
        self.regularization = regularization
        self.num_threads = kernels.resolve_num_threads(num_threads)
        self.sides = kernels.make_sides(signed, regularization, 0.0, 1.0)
        self.has_dislikes = bool((signed.data <= 0).any())

    def objective(self, user_factors: np.ndarray, item_factors: np.ndarray) -> float:
        return kernels.objective(
            *self.sides, *map(kernels.Factors, (user_factors, item_factors)), self.num_threads
        )


def timed_fit(
    model: ImplicitALS, user_items: Any, problem: Problem, show_progress: bool = True
) -> tuple[list[float], list[float]]:
    """Fit; returns the seconds of each iteration, and the objective after it.

    The objective is computed in the callback, outside the time.
    """
    taken, losses = [], []

    def note(iteration: int, seconds: float, loss: float | None) -> None:
        taken.append(seconds)
        losses.append(problem.objective(model.user_factors, model.item_factors))

    model.fit(user_items, callback=note, show_progress=show_progress)
    return taken, losses


def numpy_reference(problem: Problem, model: ImplicitALS) -> tuple[float, float]:
    """Seconds an iteration of the NumPy reference would take, and how far our rows are from its.

    It solves some rows of each side, drawn with probability proportional to their work, from which
    the time of all rows follows (Hansen and Hurwitz 1943: mean of seconds over probability).
    """
    total, difference = 0.0, 0.0
    factors = (model.user_factors, model.item_factors)
    random = np.random.default_rng(0)
    for side, solved, fixed in zip(problem.sides, factors, factors[::-1], strict=True):
        work = model.factors + np.diff(side.indptr)
        probability = work / work.sum()
        drawn = random.choice(len(work), size=min(SAMPLE, len(work)), p=probability)
        with single_threaded_blas():
            setup = time.perf_counter()
            arguments = rows.arguments(side, fixed, solved, drawn, model.solver, model.cg_steps)
            total += time.perf_counter() - setup
            expected, seconds = rows.by_reference(arguments)
        total += float(np.mean(seconds / probability[drawn]))
        found, _ = rows.native(arguments, problem.num_threads)
        difference = max(difference, rows.relative_difference(found, expected))
    return total, difference


def reference_text(ours: float, numpy_seconds: float, difference: float, threads: int) -> str:
    """What `numpy_reference` found, beside the seconds of an iteration of ours."""
    return (
        f"NumPy reference, row by row: {numpy_seconds:.1f} s an iteration, extrapolated from "
        f"{SAMPLE} rows a side: {numpy_seconds / ours:.0f} times ours with "
        f"{threads} threads. Largest relative difference of a row: {difference:.1e}"
    )


# ---- what the model says -----------------------------------------------------------------------


def choose_artists(dataset: Dataset, names: Iterable[str] | None) -> list[int]:
    """Columns of the artists named, in any case, by default of an example.

    Raises
    ------
    ValueError
        One is unknown; the nearest names are given.
    """
    known = [_text(name).lower() for name in dataset.items]
    column = {name: i for i, name in reversed(list(enumerate(known)))}
    if names is None:
        if EXAMPLE_ARTIST.lower() in column:
            return [column[EXAMPLE_ARTIST.lower()]]
        audience = np.bincount(dataset.user_items.indices, minlength=len(known))
        return [int(np.argsort(-audience, kind="stable")[min(100, len(known) - 1)])]
    for name in names:
        if name.lower() not in column:
            match = difflib.get_close_matches(name.lower(), known, n=3)
            near = ", ".join(repr(_item_name(dataset, column[each])) for each in match)
            raise ValueError(
                f"no artist is named {name!r} in {dataset.name}"
                + (f"; did you mean {near}?" if near else "")
            )
    return [column[name.lower()] for name in names]


def choose_user(dataset: Dataset, row: int | None) -> int:
    """That row, by default one of about 50 entries; ValueError if there is none such."""
    lengths = np.diff(dataset.user_items.indptr)
    if row is None:
        return int(np.argmin(np.abs(lengths - 50)))
    if not 0 <= row < len(lengths):
        raise ValueError(f"--user {row}: rows go from 0 to {len(lengths) - 1}")
    return row


def similar_text(dataset: Dataset, model: ImplicitALS, artist: int, listeners: int) -> str:
    """Artists near one, among those with so many listeners."""
    n_items = dataset.user_items.shape[1]
    ids, scores = model.similar_items(artist, n_items)
    audience = np.bincount(dataset.user_items.indices, minlength=n_items)
    known = np.flatnonzero((audience[ids] >= listeners) & (ids != artist))[:10]
    name = _item_name(dataset, artist)
    head = f"nearest to {name}, of artists with at least {listeners} listeners:"
    return "\n".join([head, *_lines(dataset, ids[known], scores[known], "{:.3f}")])


def user_text(dataset: Dataset, model: ImplicitALS, user: int) -> str:
    """What a user listened to, and what is recommended."""
    row = dataset.user_items[[user]]
    heard = np.argsort(-row.data, kind="stable")[:10]
    return "\n".join(
        [
            f"user {user} listened to {row.nnz} artists, most to:",
            *_lines(dataset, row.indices[heard], row.data[heard], "{:,.0f}"),
            "and is recommended:",
            *_lines(dataset, *model.recommend(user), "{:.3f}"),
        ]
    )


def _item_name(dataset: Dataset, item: int) -> str:
    return _text(dataset.items[item])


def _text(name: Hashable) -> str:
    return name if isinstance(name, str) else f"item {name}"


def _lines(dataset: Dataset, ids: np.ndarray, scores: np.ndarray, form: str) -> list[str]:
    pairs = zip(ids, scores, strict=True)
    return [f"  {form.format(s):>9}  {_item_name(dataset, i)}" for i, s in pairs if i >= 0]
