"""The machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Real time; `sleep` lets the other greenthreads work."""

    def now(self) -> str:
        """See `WorkerClock.now`."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def unix(self) -> float:
        """See `WorkerClock.unix`."""
        return time.time()

    def monotonic(self) -> float:
        """See `WorkerClock.monotonic`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `WorkerClock.sleep`."""
        time.sleep(seconds)
