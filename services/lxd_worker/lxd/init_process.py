"""The first process of an instance, as the host's kernel knows it."""

from __future__ import annotations

from pathlib import Path

from services.lxd_worker.instances.observation import InitProcess
from shared.platform.run.process_start import start_ticks


def init_of(pid: int, proc: Path = Path("/proc")) -> InitProcess | None:
    """Return the process with its start time; None when there is none, or its line is no such."""
    ticks = start_ticks(pid, proc)
    return None if ticks is None else InitProcess(pid, ticks)
