"""Measure the CPU time and memory of processes, by the kernel's accounting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(slots=True)
class CpuUsage:
    """CPU time that a process used, and over which time."""

    cpu_ms: float = 0.0
    wall_s: float = 0.0

    @property
    def percent(self) -> float:
        """Percent of one core."""
        return self.cpu_ms / self.wall_s / 10


@contextmanager
def measure_cpu(process: psutil.Process) -> Iterator[CpuUsage]:
    """Measure a process and its finished children; the result is complete after the block."""
    usage = CpuUsage()
    started_at, before = time.monotonic(), _cpu_ms(process)
    yield usage
    usage.cpu_ms = _cpu_ms(process) - before
    usage.wall_s = time.monotonic() - started_at


def resident_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process, in millions of bytes."""
    return float(process.memory_info().rss) / 1e6


def _cpu_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    children_ms = 1000 * (times.children_user + times.children_system)
    return _threads_ms(process.pid) + children_ms


def _threads_ms(pid: int) -> float:
    """Return the CPU time of a process's threads; the process's own has a resolution of 10 ms."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e6
