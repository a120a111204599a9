"""Greenthreads: a bell that wakes one, and work that holds up one only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from eventlet import tpool
from eventlet.event import Event

T = TypeVar("T")


class AutoResetEvent:
    """Rung by many, waited for by one; ringing twice before it is heard counts once."""

    def __init__(self) -> None:
        self._rung = Event()

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        if not self._rung.ready():
            self._rung.send()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return when it has been rung since the last time, or after the time-out; tell which."""
        self._rung.wait(timeout_s)
        if not self._rung.ready():
            return False
        self._rung = Event()
        return True


def in_one_thread(work: Callable[[], T]) -> T:
    """Run it in the process's one native thread; the caller's greenthread alone waits."""
    tpool.set_num_threads(1)
    result: T = tpool.execute(work)
    return result
