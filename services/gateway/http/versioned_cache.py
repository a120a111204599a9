"""Answers that are made once for each state of the fleet.

Many callers ask the same between two changes; they get the same bytes. Ages grow while nothing
changes, so what is kept is also dropped after a second.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from services.gateway.vms.fleet_with_pending import Fleet

# Questions differ without end; when so many answers are kept, they are all dropped.
MOST_KEPT = 256

T = TypeVar("T")


class VersionedCache(Generic[T]):
    """Answers by what was asked, for as long as they are right."""

    def __init__(self, fleet: Fleet, monotonic: Callable[[], float]) -> None:
        self._fleet = fleet
        self._monotonic = monotonic
        self._stamp: tuple[int, int] | None = None
        self._answers: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: Hashable, make: Callable[[], T]) -> T:
        """Return the answer that is kept, or the one that is made now; an error is not kept."""
        stamp = (self._fleet.version, int(self._monotonic()))
        if stamp != self._stamp or len(self._answers) >= MOST_KEPT:
            self._answers.clear()
            self._stamp = stamp
        if question not in self._answers:
            self._answers[question] = make()
        return self._answers[question]
