"""Greenthreads: an event that wakes one of them, and a group that is killed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import eventlet
from eventlet.event import Event
from eventlet.greenthread import GreenThread

A = TypeVar("A")


class AutoResetEvent:
    """Set by many, waited for by one; set twice before the wait, it counts once."""

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        """Wake whoever waits, or will wait."""
        if not self._event.ready():
            self._event.send()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return once it is set, or after the time-out; return whether it was set."""
        self._event.wait(timeout_s)
        if not self._event.ready():
            return False
        self._event = Event()
        return True


class GreenthreadGroup:
    """Greenthreads that are killed together."""

    def __init__(self) -> None:
        self._threads: list[GreenThread] = []

    def spawn(self, work: Callable[[A], None], argument: A) -> None:
        """Run work in a greenthread of its own; return at once."""
        thread = eventlet.spawn(work, argument)
        self._threads.append(thread)
        thread.link(lambda _: self._threads.remove(thread))

    def start(self, work: Callable[[A], None], argument: A) -> None:
        """Run work in a greenthread of its own; return once it waits for something.

        So it need not wait for its caller, who has something less urgent left to do.
        """
        self.spawn(work, argument)
        eventlet.sleep(0)

    def kill_all(self) -> None:
        """Kill those that still run."""
        for thread in list(self._threads):
            thread.kill()
