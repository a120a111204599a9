"""What processes cost: CPU time and memory, by the kernel's accounts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(slots=True)
class Bill:
    """CPU time that a process took over a time."""

    cpu_ms: float = 0.0
    wall_s: float = 0.0

    @property
    def percent(self) -> float:
        """The share of one core."""
        return self.cpu_ms / self.wall_s / 10


@contextmanager
def billed(process: psutil.Process) -> Iterator[Bill]:
    """Fill a bill with what the process, and what it has started and waited for, take meanwhile."""
    bill = Bill()
    began, before = time.monotonic(), _cpu_ms(process)
    yield bill
    bill.cpu_ms = _cpu_ms(process) - before
    bill.wall_s = time.monotonic() - began


def resident_mb(process: psutil.Process) -> float:
    """Return the memory that a process holds, in millions of bytes."""
    return float(process.memory_info().rss) / 1e6


def _cpu_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    children_ms = 1000 * (times.children_user + times.children_system)
    return _threads_ms(process.pid) + children_ms


def _threads_ms(pid: int) -> float:
    """Return the CPU time of a process's threads; the process's own is told in steps of 10 ms."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e6
