"""implicit.datasets over recsys.datasets: the published files, rows are items, columns are users.

A file that is in implicit's own folder, ``~/implicit_datasets``, is used as it is; others are
downloaded to the cache folder of `recsys.datasets`, at the first call and never at import.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn


def implicit_folder() -> Path:
    """Where implicit keeps what it downloads."""
    return Path.home() / "implicit_datasets"


def not_built(what: str, instead: str) -> NoReturn:
    """Raise the error of every `generate_dataset`."""
    raise NotImplementedError(f"recsys does not build {what} from the original archive: {instead}")
