"""Time, and waiting for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol


class WorkerClock(Protocol):
    """The clocks of this host."""

    def now(self) -> str:
        """Return the time as RFC 3339 with `Z`."""

    def unix(self) -> float:
        """Return the seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that never go back; their origin means nothing."""

    def sleep(self, seconds: float) -> None:
        """Wait; other greenthreads run meanwhile."""


class SystemClock:
    """The real clocks, see `WorkerClock`."""

    def now(self) -> str:
        """Return the time to the millisecond."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def unix(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return the kernel's monotonic time."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; eventlet has patched this."""
        time.sleep(seconds)


def boot_time() -> tuple[str, float]:
    """Return the id of the present boot, and the seconds since then, suspension included."""
    return _boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
