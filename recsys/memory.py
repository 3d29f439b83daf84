"""How much memory there is, for what takes so much that it is asked first."""

from __future__ import annotations

from pathlib import Path


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
