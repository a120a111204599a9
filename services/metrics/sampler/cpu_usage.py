"""Compute the CPU use of a host or an instance between two readings."""

from __future__ import annotations

from services.metrics.sampler.reading import HostReading, InstanceReading, Reading

NS_PER_S = 1_000_000_000


def host_cpu_percent(earlier: Reading | None, host: HostReading) -> float:
    """Return the part of its CPUs that a host kept busy; without an earlier reading, since boot."""
    if earlier is None or earlier.host.cpu_total_s >= host.cpu_total_s:
        return percent(host.cpu_busy_s, host.cpu_total_s)
    since = earlier.host
    return percent(host.cpu_busy_s - since.cpu_busy_s, host.cpu_total_s - since.cpu_total_s)


def used_cpus(before: InstanceReading | None, now: InstanceReading, age_s: float) -> float | None:
    """Return the mean number of CPUs that an instance kept busy; without an earlier reading, in the
    `age_s` seconds since it was started.
    """
    if now.cpu_ns is None:
        return None
    if before is None:
        used_ns, elapsed_s = now.cpu_ns, age_s
    elif before.cpu_ns is None or now.cpu_ns < before.cpu_ns:
        return None  # the guest has begun to count, or started over, at an unknown time
    else:
        used_ns, elapsed_s = now.cpu_ns - before.cpu_ns, now.at_s - before.at_s
    return used_ns / NS_PER_S / elapsed_s if elapsed_s > 0 else None


def percent(used: float, available: float) -> float:
    """Return the share in percent, limited to 0-100, as the times of readings are inexact."""
    share = used / available if available > 0 else 0.0
    return round(min(max(0.0, share * 100), 100.0), 2)
