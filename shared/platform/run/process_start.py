"""Read when a process was started."""

from __future__ import annotations

from pathlib import Path

# Index of the start time among the fields after the command in /proc/PID/stat.
_START_TIME = 19


def start_ticks(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return a process's start in ticks since boot; None if it is gone or hidden from us.

    The process chooses its command, which is cut anywhere: it may contain any bytes, also brackets.
    """
    if pid <= 0:
        return None
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[_START_TIME])
    except (OSError, ValueError, IndexError):
        return None
