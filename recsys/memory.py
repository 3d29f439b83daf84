"""How much memory there is, for what takes so much that it is asked first."""

from __future__ import annotations

from pathlib import Path


def require(needed: int, what: str, why: str, remedy: str) -> None:
    """MemoryError where there is less than that many bytes."""
    left = available_memory()
    if needed > left:
        raise MemoryError(
            f"{what} takes {needed / 1e9:.3g} GB, for {why}; there are {left / 1e9:.3g} GB. "
            f"{remedy}"
        )


def available_memory() -> int:
    """Bytes that this machine, or its container, has left; far too many where it cannot be told."""
    left = 1 << 62
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        left = next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration):  # another system than Linux
        return left
    try:
        folder = Path("/sys/fs/cgroup")
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return left
    return left if limit == "max" else min(left, max(int(limit) - used, 1))
