"""How long to wait before something that failed is tried again.

Everything that goes on for ever waits by this, so that no failure spins, and many that fail
together, a thousand hosts whose broker is restarted, do not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Waits that grow with each failure, up to a bound, with jitter.

    Of each wait half is kept and the rest is drawn; `draw` returns a number from 0 up to 1.
    """

    first_s: float = 0.1
    most_s: float = 30.0
    growth: float = 2.0
    draw: Callable[[], float] = random.random
    _bound_s: float = 0.0

    def next_s(self) -> float:
        """Return the seconds until the next try, after one more failure."""
        grown_s = self._bound_s * self.growth or self.first_s
        self._bound_s = min(self.most_s, grown_s)
        return self._bound_s * (1 + self.draw()) / 2

    def reset(self) -> None:
        """Take in that it worked."""
        self._bound_s = 0.0


def part_of(most_s: float, draw: Callable[[], float] = random.random) -> float:
    """Return a part of a time, drawn: what many do within it they do one by one."""
    return most_s * draw()


def reconnecting() -> Backoff:
    """Return the waits for a broker that is away.

    They grow to about a sixth of the time for which it is: after a short cut a host is back at
    once, and after minutes the hosts come back one by one.
    """
    return Backoff(first_s=0.5, growth=1.15)


def after_a_bug(pause_s: float) -> Backoff:
    """Return the waits of work that is done again and again, with this pause, and breaks."""
    return Backoff(first_s=max(pause_s, 0.01))
