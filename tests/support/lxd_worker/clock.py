"""A clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """Time that stands still until somebody sleeps; `on_sleep` is called meanwhile, once."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.on_sleep: Callable[[], object] | None = None

    def now(self) -> str:
        return f"2026-11-20T10:00:{self.seconds - 1_000.0:06.3f}Z"

    def unix(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        called, self.on_sleep = self.on_sleep, None
        if called:
            called()
