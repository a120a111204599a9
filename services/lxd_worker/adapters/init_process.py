"""The first process of an instance, as the host's kernel knows it."""

from __future__ import annotations

from pathlib import Path

from services.lxd_worker.domain.seen import Init

# Counted after the program's name, which may itself hold spaces and brackets.
_START_TIME = 19


def init_of(pid: int, proc: Path = Path("/proc")) -> Init | None:
    """Return the process with its start time; None when there is no such process."""
    if pid <= 0:
        return None
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return Init(pid, int(fields[_START_TIME]))
