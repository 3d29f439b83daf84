"""Progress bars, where somebody watches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_CALM = 0.5  # seconds between updates that a notebook keeps


def progress_bar(show: bool, **options: Any) -> tqdm:
    """A bar on a terminal or in a notebook; nothing elsewhere, or unless `show` says so.

    In a notebook it is a line of text too. The widgets of `tqdm.auto` would need ipywidgets, about
    whose absence it warns, and are not there any more where a saved notebook is read.

    Parameters
    ----------
    show : bool
    **options
        Of `tqdm.tqdm`.
    """
    from tqdm import tqdm  # slow to import, so not before something is watched

    if show and _in_notebook():
        return tqdm(mininterval=_CALM, **options)
    return tqdm(disable=None if show else True, **options)  # None: on terminals only


def _in_notebook() -> bool:
    """Whether what is written is shown in a notebook, whose stream does not say it is a terminal,
    though it rewrites lines like one."""
    kernel = sys.modules.get("ipykernel.iostream")
    return kernel is not None and isinstance(sys.stderr, kernel.OutStream)
