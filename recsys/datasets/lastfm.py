"""lastfm-360K: where it is found, how it is recognised, and what becomes of it."""

from __future__ import annotations

import gzip
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from . import cache
from .dataset import Dataset, distinct_names
from .download import Source, fetch_any, verify_if_recorded
from .hdf5 import HDF5_START, read_hdf5
from .lastfm_tsv import MEMBER, read_tsv

logger = logging.getLogger("recsys")

_SOURCES = (
    Source(
        "lastfm_360k.hdf5",
        "https://github.com/benfred/recommender_data/releases/download/v1.0/lastfm_360k.hdf5",
        "hdf5",
        20_000_000,
    ),
    Source(
        "lastfm-dataset-360K.tar.gz",
        "http://mtg.upf.edu/static/datasets/last.fm/lastfm-dataset-360K.tar.gz",
        "tar.gz",
        200_000_000,
    ),
)
# Looked for in this order: the first two need no other package.
_FILENAMES = (
    MEMBER,
    f"lastfm-dataset-360K/{MEMBER}",
    "lastfm-dataset-360K.tar.gz",
    "lastfm_360k.hdf5",
)


def lastfm360k(
    path: str | os.PathLike[str] | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    show_progress: bool = True,
) -> Dataset:
    """The play counts of 358,868 Last.fm users for 292,385 artists (Celma, 2010).

    17,559,530 rows, collected from the Last.fm API and distributed for non-commercial use.

    Parameters
    ----------
    path : path, optional
        The original ``usersha1-artmbid-artname-plays.tsv``, the original
        ``lastfm-dataset-360K.tar.gz``, implicit's ``lastfm_360k.hdf5``, or a folder that holds one
        of them. Told apart by their content. By default the folder in the environment variable
        RECSYS_DATA, then ``cache_dir`` is searched.
    cache_dir : path, optional
        Where downloads and the parsed copy are kept. Default: the user's cache folder of the
        platform (``~/.cache/recsys`` on Linux).
    download : bool, default True
        Download the data where it is not found. Needs ``pip install 'recsys-engine[datasets]'``.
        The SHA-256 of a download is recorded beside it, and verified from then on.
    show_progress : bool, default True
        Progress bars, on a terminal or in a notebook.

    Returns
    -------
    Dataset
        Users and artists sorted by id and name. ``report`` counts rows, malformed rows, rows of
        zero plays and rows added to another one of the same user and artist; for the original
        files ``is_published_file`` says whether their MD5 is the published one.

    Raises
    ------
    FileNotFoundError
        If ``path`` is given and is not there.
    ValueError
        If the file is something else, is damaged, or is not what was downloaded first.
    ImportError
        If the file is HDF5 and h5py is not installed.
    DatasetUnavailableError
        If ``path`` is not given and the data is neither found nor downloaded.

    Notes
    -----
    An artist is a name, as for Last.fm itself, whose pages, counts and charts go by name: so
    the result is the same whichever file is read, and names are unique. The MusicBrainz id stands
    in only where a name is empty. (By id, artists would number 294,015.)
    """
    folder = Path(cache_dir) if cache_dir is not None else cache.default_cache_dir()
    source = _given(Path(path)) if path is not None else cache.find(_FILENAMES, folder)
    if source is None:
        source = fetch_any(
            "lastfm-360K",
            _SOURCES,
            folder,
            _kind,
            allowed=download,
            show_progress=show_progress,
            otherwise=f", or give its place: lastfm360k('.../{_SOURCES[0].filename}')",
        )
    dataset = cache.load(source, folder)
    if dataset is None:
        dataset = _read(source, show_progress)
        cache.save(dataset, source, folder)
    return dataset


def _given(path: Path) -> Path:
    if path.is_dir():
        file = cache.search(_FILENAMES, path)
        if file is None:
            raise FileNotFoundError(f"{path} holds none of {', '.join(_FILENAMES)}")
        return file
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; leave path out to download lastfm-360K")
    return path


def _kind(path: Path) -> str:
    """hdf5, tar, tar.gz, gzip (of text) or text, by content."""
    with open(path, "rb") as file:
        start = file.read(4096)
    if start.startswith(HDF5_START):
        return "hdf5"
    packed = start.startswith(b"\x1f\x8b")
    if packed:
        try:
            with gzip.open(path) as unpacked:
                start = unpacked.read(512)
        except (OSError, EOFError) as error:
            raise ValueError(
                f"{path} is damaged or cut short ({error}): download it again"
            ) from error
    if start[257:262] == b"ustar":
        return "tar.gz" if packed else "tar"
    if not start:
        raise ValueError(f"{path} is empty: it is not lastfm-360K")
    if b"\0" in start or start.lstrip()[:1] == b"<":
        what = "a web page" if start.lstrip()[:1] == b"<" else "no text"
        raise ValueError(
            f"{path} is not lastfm-360K: it is {what}; expected the original .tsv or .tar.gz, or "
            f"implicit's .hdf5. Download it again from {_SOURCES[0].url}."
        )
    return "gzip" if packed else "text"


def _read(source: Path, show_progress: bool) -> Dataset:
    verify_if_recorded(source)
    kind = _kind(source)
    if kind == "hdf5":
        dataset = _read_hdf5(source)
    else:
        rows, report = read_tsv(source, kind, show_progress)
        users = [name.decode("ascii") for name in rows.users]
        artists = [name.decode("utf-8", "replace") for name in rows.artists]
        dataset = _assemble(_concatenated(rows.blocks), users, artists, report)
    logger.info("read %r from %s: %s", dataset, source, dataset.report)
    if dataset.report["malformed"]:
        logger.warning(
            "%s: left out %d malformed rows of %d",
            source,
            dataset.report["malformed"],
            dataset.report["rows"],
        )
    return dataset


def _concatenated(
    blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, ...]:
    """One (rows, columns, data), emptying the list on the way."""
    n = sum(len(block[0]) for block in blocks)
    out = tuple(np.empty(n, dtype=dtype) for dtype in (np.int32, np.int32, np.float32))
    while blocks:
        block = blocks.pop()
        n -= len(block[0])
        for whole, part in zip(out, block, strict=True):
            whole[n : n + len(part)] = part
    return out


def _assemble(
    triples: tuple[np.ndarray, ...], users: list[str], artists: list[str], report: dict[str, Any]
) -> Dataset:
    """Sort the ids, add up what occurs twice."""
    rows, columns, plays = triples
    users, row_of = _sorted_ids(users)
    artists, column_of = _sorted_ids(artists)
    listened = len(plays)
    matrix = sp.coo_matrix(
        (plays, (row_of[rows], column_of[columns])), shape=(len(users), len(artists))
    ).tocsr()
    matrix.sum_duplicates()
    matrix.sort_indices()
    return Dataset(
        user_items=matrix,
        users=distinct_names(users),
        items=distinct_names(artists),
        name="lastfm-360K",
        report={**report, "duplicates": listened - matrix.nnz},
    )


def _sorted_ids(names: list[str]) -> tuple[list[str], np.ndarray]:
    """Sorted distinct names, and the place of each given one among them (int32)."""
    ordered = sorted(set(names))
    place = {name: i for i, name in enumerate(ordered)}
    return ordered, np.fromiter((place[name] for name in names), dtype=np.int32, count=len(names))


def _read_hdf5(path: Path) -> Dataset:
    """implicit's file: the group ``artist_user_plays`` is a CSR of artists x users."""
    published = "lastfm_360k.hdf5"
    matrix, artists, users = read_hdf5(path, published, "artist_user_plays", "artist", "user")
    if (matrix.data < 0).any():
        raise ValueError(f"{path} is not implicit's {published}, or is damaged: negative plays")
    rows = matrix.nnz
    matrix = matrix.tocoo()
    matrix.eliminate_zeros()
    report = {"rows": rows, "malformed": 0, "zero_plays": rows - matrix.nnz}
    triples = (matrix.col, matrix.row, matrix.data)
    return _assemble(triples, users.tolist(), artists.tolist(), report)
