"""Read this machine and its processes from the kernel."""

from __future__ import annotations

import os
import time

import psutil

from services.metrics.sampler.kernel_counters import Space
from services.metrics.sampler.reading import HostReading
from shared.platform.run.process_start import start_ticks

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def read_host() -> HostReading:
    """Read CPU times, memory, load and the space of the root file system."""
    memory = psutil.virtual_memory()
    busy_s, total_s = _cpu_seconds()
    disk = psutil.disk_usage("/")
    return HostReading(
        cpus=psutil.cpu_count() or 1,
        cpu_busy_s=busy_s,
        cpu_total_s=total_s,
        memory_total=memory.total,
        memory_used=memory.total - memory.available,
        root_space=Space(used=disk.total - disk.free, total=disk.total),
        load_1=psutil.getloadavg()[0],
    )


def process_age_s(pid: int) -> float | None:
    """Return the seconds since a process started; None if it is gone or hidden from us."""
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / _TICKS_PER_S


def _cpu_seconds() -> tuple[float, float]:
    times = psutil.cpu_times()
    # The kernel includes guests in `user` and `nice` as well.
    total_s = sum(times) - times.guest - times.guest_nice
    return total_s - times.idle - times.iowait, total_s
