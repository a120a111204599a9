"""Compute bytes per second between two readings of the same counters."""

from __future__ import annotations

from services.metrics.sampler.kernel_counters import DiskTraffic, Traffic
from shared.contracts.bounds import MOST

Rates = tuple[float | None, float | None]

UNKNOWN: Rates = (None, None)


def network_rates(before: Traffic | None, now: Traffic | None, elapsed_s: float) -> Rates:
    """Return the rates of receiving and sending; unknown if the interfaces or ends differ."""
    if before is None or now is None or before.ends != now.ends:
        return UNKNOWN
    return (
        _rate(before.received, now.received, elapsed_s),
        _rate(before.sent, now.sent, elapsed_s),
    )


def disk_rates(before: DiskTraffic | None, now: DiskTraffic | None, elapsed_s: float) -> Rates:
    """Return the rates of reading and writing."""
    if before is None or now is None:
        return UNKNOWN
    return (
        _rate(before.read, now.read, elapsed_s),
        _rate(before.written, now.written, elapsed_s),
    )


def _rate(before: int | None, now: int | None, elapsed_s: float) -> float | None:
    if before is None or now is None or now < before or elapsed_s <= 0:
        return None
    rate = round((now - before) / elapsed_s, 1)
    return rate if rate <= MOST else None
