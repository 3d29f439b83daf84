"""Fetching a file once: whole or not at all, of the right kind, the same bytes ever after."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from recsys.progress import progress_bar
from recsys.whole_file import whole_file

from .dataset import DatasetUnavailableError

logger = logging.getLogger("recsys")

EXTRA = "pip install 'recsys-engine[datasets]'"
_TIMEOUT = (10, 30)  # seconds to connect, seconds without a byte


class Source(NamedTuple):
    """One address of a data set."""

    filename: str
    url: str
    kind: str
    least_bytes: int  # a page that says "not found" is smaller


def fetch_any(
    name: str,
    sources: Sequence[Source],
    folder: Path,
    kind_of: Callable[[Path], str],
    *,
    allowed: bool,
    show_progress: bool,
    otherwise: str = "",
) -> Path:
    """Download the first of `sources` that can be had; what comes is checked before it is kept.

    Parameters
    ----------
    name : str
        What the error calls the data.
    kind_of : callable
        Tells what kind of file a path is; ValueError for none that is known.
    allowed : bool
        Whether to try at all.
    otherwise : str
        What else can be done, for the end of the error.

    Raises
    ------
    DatasetUnavailableError
        None can be had; says why, and where to put the file.
    """
    reasons = [] if allowed else ["download=False"]
    if allowed and importlib.util.find_spec("pooch") is None:
        reasons.append(f"downloading needs pooch: {EXTRA}")
    if not reasons:
        for source in sources:
            if source.kind == "hdf5" and importlib.util.find_spec("h5py") is None:
                reasons.append(f"{source.filename} needs h5py: {EXTRA}")
                continue

            def check(file: Path, source: Source = source) -> None:
                _check_kind(file, source, kind_of)

            try:
                target = folder / source.filename
                fetch(source.url, target, check, show_progress)
                return target
            except OSError as error:
                # A failed connection's own text runs over lines; the log has it.
                logger.info("%s: %s", source.url, error)
                reasons.append(f"{source.url}: {_brief(error)}")
    raise DatasetUnavailableError(
        f"{name} is not on this machine and was not downloaded ({'; '.join(reasons)}). "
        f"Get {' or '.join(source.url for source in sources)} and put it into {folder}{otherwise}."
    )


def fetch(url: str, target: Path, check: Callable[[Path], None], show_progress: bool) -> None:
    """Download ``url`` to ``target``.

    Parameters
    ----------
    check : callable
        Gets the downloaded file before it takes its name; raises ValueError if it is wrong.

    Raises
    ------
    ImportError
        If pooch is not installed.
    OSError
        If the address cannot be reached, or answers with an error.
    ValueError
        If the file is not of the right kind, or not the one whose checksum is recorded.
    """
    import pooch

    target.parent.mkdir(parents=True, exist_ok=True)
    logger.info("downloading %s to %s", url, target)
    # pooch puts the real total in, and asks before whether the bar is true.
    options = {"total": 1, "unit": "B", "unit_scale": True, "desc": target.name}
    with progress_bar(show_progress, **options) as bar, whole_file(target) as temporary:
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 20, timeout=_TIMEOUT)
        get(url, str(temporary), None)
        check(temporary)
        verify_checksum(temporary, _record_path(target), came_from=url)


def verify_if_recorded(path: Path) -> None:
    """Check a file against the checksum recorded when it was downloaded, if it was."""
    record = _record_path(path)
    if record.is_file():
        verify_checksum(path, record, came_from=str(path))


def verify_checksum(path: Path, record: Path, came_from: str) -> None:
    """Compare the SHA-256 of ``path`` with the one in ``record``, or record it the first time.

    Nobody publishes a checksum for these files: the first one seen is trusted, and every later
    one has to equal it.
    """
    with open(path, "rb") as file:
        seen = hashlib.file_digest(file, "sha256").hexdigest()
    if not record.is_file():
        record.write_text(seen + "\n", encoding="ascii")
        logger.info("recorded the SHA-256 of %s: %s", came_from, seen)
        return
    recorded = record.read_text(encoding="ascii").strip()
    if seen != recorded:
        raise ValueError(
            f"{came_from} has SHA-256 {seen}, but {record} recorded {recorded} at the first "
            f"download: the file is damaged or was replaced. Delete the file to download it again; "
            f"delete {record.name} too if you trust the new one."
        )


def _brief(error: OSError) -> str:
    text = str(error)
    return text if len(text) <= 100 else type(error).__name__


def _check_kind(file: Path, source: Source, kind_of: Callable[[Path], str]) -> None:
    """Raise OSError, as for an address that fails, unless the file can be what it should be."""
    size = file.stat().st_size
    try:
        kind = kind_of(file)
    except ValueError:
        kind = "something else"
    if kind != source.kind or size < source.least_bytes:
        raise OSError(
            f"what came is {kind} of {size:,} bytes, not {source.kind} of at least "
            f"{source.least_bytes:,}"
        )


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
