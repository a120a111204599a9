"""Cache an answer of LXD's for some seconds, because the request is expensive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from services.metrics.sampler.protocols import Monotonic

T = TypeVar("T")


class TtlCache(Generic[T]):
    """Caches an answer for some seconds.

    `last` is the latest one, at first `nothing`; `read_at_s` is when it was requested.
    """

    def __init__(self, ask: Callable[[], T], clock: Monotonic, for_s: float, nothing: T) -> None:
        self._ask = ask
        self._clock = clock
        self._for_s = for_s
        self.read_at_s = float("-inf")
        self.last = nothing

    def read(self) -> T:
        """Return an answer that is at most `for_s` old; raise LxdUnavailable."""
        now_s = self._clock()
        if now_s >= self.read_at_s + self._for_s:
            self.last = self._ask()
            self.read_at_s = now_s
        return self.last
