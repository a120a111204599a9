"""A clock that stands still until it is told to go on."""

from __future__ import annotations

from collections.abc import Callable

from services.gateway.clock import Clock, rfc3339

# 2026-11-18T11:06:40Z
STARTED = 1_795_000_000.0


class FakeClock:
    """Time as the test has it; the wall clock and the monotonic one go on together.

    It is a worker's clock as it stands; `clock` is a gateway's. `on_sleep` is called while the
    product sleeps, once.
    """

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.on_sleep: Callable[[], object] | None = None
        self._unix_at_0 = STARTED - self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def now(self) -> str:
        return rfc3339(self.unix())

    def unix(self) -> float:
        return self._unix_at_0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        called, self.on_sleep = self.on_sleep, None
        if called:
            called()

    @property
    def clock(self) -> Clock:
        """What the gateway takes."""
        return Clock(monotonic=self.monotonic, wall=self.unix)
