"""Fetching a file once: whole or not at all, of the right kind, the same bytes ever after."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from recsys.whole_file import whole_file

logger = logging.getLogger("recsys")

_TIMEOUT = (10, 30)  # seconds to connect, seconds without a byte


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
    get = pooch.HTTPDownloader(
        progressbar=show_progress and sys.stderr.isatty(), chunk_size=1 << 20, timeout=_TIMEOUT
    )
    with whole_file(target) as temporary:
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


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
