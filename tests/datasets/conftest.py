"""A cache folder of its own for each test, and no network."""

import socket

import pytest


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
