"""When the kernel started a process."""

from __future__ import annotations

from pathlib import Path

# The place of the start time among the fields that follow the command in /proc/PID/stat.
_START_TIME = 19


def start_ticks(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return a process's start in ticks since boot; None where it is gone or hidden from us.

    The command is the process's own choice, and cut anywhere: any bytes may be in it, brackets too.
    """
    if pid <= 0:
        return None
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[_START_TIME])
    except (OSError, ValueError, IndexError):
        return None
