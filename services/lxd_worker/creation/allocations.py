"""What of the host is given out, as one order after another is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from threading import Lock

from services.lxd_worker.creation.commitments import Commitments
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.ports import CachedInstances, Journal, Lxd, WorkerClock
from shared.contracts.instances import Instance


@dataclass(slots=True)
class Allocations:
    """What LXD's instances hold, and what unfinished operations were given.

    Whoever gives something out holds `lock` until it is in the journal. The reading takes LXD a
    while, so one reading serves all orders that arrived before it began: many of those that come at
    once.
    """

    journal: Journal
    lxd: Lxd
    clock: WorkerClock
    known: CachedInstances
    lock: Lock = field(default_factory=Lock)
    _allotted: Commitments | None = None
    _began: float = 0.0

    def allotted(self, arrived: float) -> Commitments:
        """Return what is given out; `arrived` is when the order came, by the monotonic clock."""
        if self._allotted is None or self._began <= arrived:
            began = self.clock.monotonic()
            # In this order: an operation that ends meanwhile is in LXD's list.
            entries = [entry for entry in self.journal.unfinished() if entry.plan]
            self._allotted = Commitments(tuple(self._instances()), tuple(entries))
            self._began = began
        return self._allotted

    def _instances(self) -> Iterable[Instance]:
        known = self.known()
        return self.lxd.instances() if known is None else known.values()

    def note(self, entry: JournalEntry) -> None:
        """Take in what was given out since the reading."""
        if self._allotted and entry.plan:
            self._allotted = replace(self._allotted, under_way=(*self._allotted.under_way, entry))
