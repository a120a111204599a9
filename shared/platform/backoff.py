"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Waits that grow with each failure, up to a bound, with jitter.

    Of each wait at least half is kept, so that a failure never spins; the rest is drawn, so that
    many who fail together come back one by one. `draw` returns a number from 0 up to 1.
    """

    first_s: float = 0.1
    most_s: float = 30.0
    draw: Callable[[], float] = random.random
    _bound_s: float = 0.0

    def next_s(self) -> float:
        """Return the seconds until the next try, after one more failure."""
        self._bound_s = min(self.most_s, self._bound_s * 2 or self.first_s)
        return self._bound_s * (1 + self.draw()) / 2

    def reset(self) -> None:
        """Take in that it worked."""
        self._bound_s = 0.0
