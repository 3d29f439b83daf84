"""Files that appear as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end and removed on any error.

    A link is followed: what it points to is replaced.
    """
    check_place(path)
    named, path = path, Path(os.path.realpath(path))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:  # which names the temporary path
        raise type(error)(error.errno, error.strerror, str(named)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp lets nobody else read; what comes out is a file like any other
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        try:
            os.replace(temporary, path)
        except PermissionError as error:
            raise PermissionError(
                f"cannot replace {str(named)!r} ({error.strerror}). Windows replaces no file that "
                "is open, as one is while a model loaded from it is in use: write to another name"
            ) from None
    except OSError as error:
        if error.errno is not None and error.filename in (None, name):
            error.filename = str(named)  # of a full disk nobody says what was being written
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Raise what `whole_file` would, as far as can be known before there is anything to write."""
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; expected the name of a file to write")
    if path.exists() and not path.is_file():
        raise FileExistsError(
            f"{str(path)!r} is a device or a pipe, which would be replaced by a file; expected the "
            "name of a file to write"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}. Create it first"
        )
