"""How long to wait before a retry.

All endless loops use it, so that none spins when it fails, and those that fail together (a thousand
hosts whose broker restarts) do not return together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Waits that grow with each failure, up to a bound, with jitter.

    Half of each wait is fixed and half random; `draw` returns a number from 0 up to 1.
    """

    first_s: float = 0.1
    most_s: float = 30.0
    growth: float = 2.0
    draw: Callable[[], float] = random.random
    _bound_s: float = 0.0

    def next_s(self) -> float:
        """Return the seconds until the next attempt, after another failure."""
        grown_s = self._bound_s * self.growth or self.first_s
        self._bound_s = min(self.most_s, grown_s)
        return self._bound_s * (1 + self.draw()) / 2

    def reset(self) -> None:
        """Start over after a success."""
        self._bound_s = 0.0


def jitter(most_s: float, draw: Callable[[], float] = random.random) -> float:
    """Return a random part of a time, so that many who wait within it do not act together."""
    return most_s * draw()


def reconnect_backoff() -> Backoff:
    """Return the waits for a broker that is away.

    They grow to about a sixth of the outage: after a short one a host is back at once, after
    minutes the hosts return one by one.
    """
    return Backoff(first_s=0.5, growth=1.15)


def bug_backoff(pause_s: float) -> Backoff:
    """Return the waits of a loop with this pause whose task raises unexpected errors."""
    return Backoff(first_s=max(pause_s, 0.01))
