"""The data sets that lists are measured on, each with its split; see quality.py.

lastfm-2k
    Plays; a random fifth of the entries is held out (seed 0).
gowalla
    Visits, all ones; the split of the LightGCN line of papers.
ml-1m
    Ratings of 4 and 5, as ones; a random fifth of them is held out (seed 0).
lastfm-15k
    Listened or not, all ones, a thousand artists; a random fifth is held out.
anime, bookcrossing, citeulike-a, electronics, retailrocket, steam
    Events, all ones whatever their values; a random fifth is held out.
bookcrossing-20
    The books of bookcrossing with at least twenty events, and their readers: all 76,952 books would
    take EASE 24 GB. Of the leaderboard alone.
lastfm-360k
    Plays of a random share of the users of lastfm-360K where `recsys.datasets` finds it or can
    download it; of its synthetic twin, of that scale, elsewhere. A random fifth is held out.

All but the last are files of a folder, whose arrays `FILES` names; none of them is part of recsys.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from recsys import csr, evaluation
from recsys.datasets import DatasetUnavailableError, lastfm360k, lastfm360k_twin

SEED = 0  # of the splits that are made here
INNER_SEED = 1  # of that which settings are chosen on
HELD_OUT = 0.2
SCALE = 0.05  # of lastfm-360K
LEAST_EVENTS = 20  # of a book of bookcrossing-20

FILES = {
    "lastfm-2k": "shape, indptr, indices, plays",
    "gowalla": "shape, train_indptr, train_indices, test_indptr, test_indices",
    "ml-1m": "user, item, rating",
    "lastfm-15k": "shape, indptr, indices",
}
MORE = ("anime", "bookcrossing", "citeulike-a", "electronics", "retailrocket", "steam")


class Data(NamedTuple):
    """Matrices of counts, users x items, float32; no entry is in both."""

    name: str
    train: sp.csr_array
    test: sp.csr_array
    synthetic: bool = False

    def inner(self) -> Data:
        """The training part split once more, into one to train on and one to choose settings by."""
        train, held_out = evaluation.random_split(self.train, HELD_OUT, random_state=INNER_SEED)
        return self._replace(train=sp.csr_array(train), test=sp.csr_array(held_out))


def lastfm(path: Path) -> Data:
    with np.load(path) as data:
        plays = sp.csr_array((data["plays"], data["indices"], data["indptr"]), data["shape"])
    plays = csr.canonical(plays, np.dtype(np.float32))
    held_in = np.random.default_rng(SEED).random(plays.nnz) < 1 - HELD_OUT
    return Data("lastfm-2k", csr.keep(plays, held_in), csr.keep(plays, ~held_in))


def gowalla(path: Path) -> Data:
    with np.load(path) as data:
        parts = (
            sp.csr_array(
                (
                    np.ones(len(data[f"{part}_indices"]), np.float32),
                    data[f"{part}_indices"],
                    data[f"{part}_indptr"],
                ),
                data["shape"],
            )
            for part in ("train", "test")
        )
        return Data("gowalla", *parts)


def movielens(path: Path) -> Data:
    with np.load(path) as data:
        liked = data["rating"] >= 4
        at = data["user"][liked], data["item"][liked]
    return _split("ml-1m", sp.csr_array((np.ones(len(at[0]), np.float32), at)))


def events(path: Path) -> sp.csr_array:
    with np.load(path) as data:
        part = "train_" if "train_indptr" in data else ""
        indptr, indices = (data[f"{part}{each}"] for each in ("indptr", "indices"))
        ones = np.ones(len(indices), np.float32)
        return csr.canonical(sp.csr_array((ones, indices, indptr), data["shape"]), ones.dtype)


def as_ones(path: Path) -> Data:
    return _split(path.stem, events(path))


def known_books(path: Path) -> Data:
    whole = events(path)
    part = whole[:, np.flatnonzero(np.bincount(whole.indices) >= LEAST_EVENTS)]
    return _split(f"{path.stem}-20", part[np.flatnonzero(np.diff(part.indptr))])


def lastfm_large(scale: float) -> Data:
    """Of the users the share `scale`; says where it takes the twin."""
    try:
        whole = lastfm360k()
    except DatasetUnavailableError as error:
        print(f"lastfm-360k: its synthetic twin, as the real data is not here: {error}")
        return _split("lastfm-360k", lastfm360k_twin(scale, SEED).user_items)._replace(
            synthetic=True
        )
    n_users = whole.user_items.shape[0]
    users = np.random.default_rng(SEED).choice(n_users, round(scale * n_users), replace=False)
    part = whole.user_items[np.sort(users)]
    return _split("lastfm-360k", part[:, np.flatnonzero(part.getnnz(axis=0))])


def _split(name: str, user_items: sp.csr_array | sp.csr_matrix) -> Data:
    parts = evaluation.random_split(user_items, HELD_OUT, random_state=SEED)
    return Data(name, *map(sp.csr_array, parts))


READERS: dict[str, Callable[[Path], Data]] = {
    "lastfm-2k": lastfm,
    "gowalla": gowalla,
    "ml-1m": movielens,
    "lastfm-15k": as_ones,
    **dict.fromkeys(MORE, as_ones),
}
ALL_NAMES = (*READERS, "lastfm-360k")
NAMES = (  # of the leaderboard
    *("lastfm-2k", "gowalla", "ml-1m", "lastfm-15k", "anime", "bookcrossing-20", "citeulike-a"),
    *("electronics", "retailrocket", "steam", "lastfm-360k"),
)


def add_options(parser: argparse.ArgumentParser, same: str, **parts: Iterable[str]) -> None:
    """The folder, the scale, and which `parts` to measure, by option; `same`: what figures that
    are kept have in common with the new ones, if any are kept."""
    kept = f"; others keep the figures that --output holds, if they are of the same {same}"
    kept = kept if same else ""
    parser.usage = "%(prog)s [folder] [options]"  # an option with several values would swallow it
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=os.environ.get("RECSYS_DATA", "../shared/data"),
        help=f"folder of {', '.join(f'{name}.npz' for name in READERS)}; default: RECSYS_DATA, or "
        "../shared/data",
    )
    for option, names in parts.items():
        parser.add_argument(
            f"--{option}",
            nargs="+",
            choices=tuple(names),
            metavar="NAME",
            default=list(names),
            help=f"measure these alone{kept}: {'; '.join(names)}",
        )
    if "lastfm-360k" in parts.get("data", ()):
        parser.add_argument(
            "--scale",
            type=float,
            default=SCALE,
            help=f"share of lastfm-360K, or scale of its twin; default: {SCALE}",
        )


def present(names: Iterable[str], folder: Path, scale: float = SCALE) -> Iterator[Data]:
    """Those that are there, one at a time."""
    for name in names:
        data = load(name, folder, scale)
        if data is not None:
            yield data


def ndcg(model: Any, data: Data, k: int) -> float:
    """NDCG@k of a model's lists, on the test items."""
    lists = evaluation.evaluate(model, data.train, data.test, "ndcg", k, show_progress=False)
    return float(lists.mean[f"ndcg@{k}"])


def load(name: str, folder: Path, scale: float = SCALE) -> Data | None:
    """One of ALL_NAMES or NAMES; says so and returns None where it is not there."""
    if name == "lastfm-360k":
        return lastfm_large(scale)
    path = folder / f"{name.removesuffix('-20')}.npz"
    if not path.exists():
        print(f"{path.name} is not in {folder}: left out")
        return None
    return known_books(path) if name == "bookcrossing-20" else READERS[name](path)
