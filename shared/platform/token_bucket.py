"""A token bucket: limits a rate, with bursts."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Yields `rate` tokens per second, and saves up to `burst` of them."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self, tokens: float) -> float:
        """Take tokens, on credit if there are too few; return the seconds until paid off."""
        self._refill()
        self._tokens -= tokens
        return max(0.0, -self._tokens / self._rate)

    def try_take(self, tokens: float = 1) -> bool:
        """Take tokens if there are enough; return whether there were."""
        self._refill()
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
