"""A cache folder of its own for each test, and no network."""

import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _isolated(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("a test reached for the network")

    monkeypatch.delenv("RECSYS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"
