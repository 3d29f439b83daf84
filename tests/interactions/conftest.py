import sys

import pytest

from recsys.interactions import encode, events, files, frames


@pytest.fixture(params=["pyarrow", "no pyarrow"])
def reader(request, monkeypatch):
    """With and without pyarrow."""
    if request.param == "no pyarrow":
        monkeypatch.setitem(sys.modules, "pyarrow", None)


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of a few rows, which are merged often."""
    monkeypatch.setattr(frames, "ROWS", 3)
    monkeypatch.setattr(events, "ROWS", 3)
    monkeypatch.setattr(files, "ROWS", 3)
    monkeypatch.setattr(files, "_LINES", 3)
    monkeypatch.setattr(files, "_BYTES", 64)
    monkeypatch.setattr(encode, "_MERGE", 4)
