"""A clock that stands still until it is told to go on."""

from __future__ import annotations

from services.gateway.clock import Clock


class FakeClock:
    """Time as the test has it; both of its clocks go on together."""

    def __init__(self, wall: float = 1_795_000_000.0) -> None:
        self.elapsed_s = 1000.0
        self._started = wall - self.elapsed_s

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.elapsed_s += seconds

    @property
    def clock(self) -> Clock:
        """What the product takes."""
        return Clock(monotonic=lambda: self.elapsed_s, wall=lambda: self._started + self.elapsed_s)
