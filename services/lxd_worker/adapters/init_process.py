"""The first process of an instance, as the host's kernel knows it.

Its name is the guest's choice, and bytes: any may be in it, and the kernel cuts it anywhere.
"""

from __future__ import annotations

from pathlib import Path

from services.lxd_worker.domain.seen import Init

# Counted after the program's name, which may itself hold spaces and brackets.
_START_TIME = 19


def init_of(pid: int, proc: Path = Path("/proc")) -> Init | None:
    """Return the process with its start time; None when there is none, or its line is no such."""
    if pid <= 0:
        return None
    try:
        fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return Init(pid, int(fields[_START_TIME]))
    except (OSError, IndexError, ValueError):
        return None
