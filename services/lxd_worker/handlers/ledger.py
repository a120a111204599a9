"""What of the host is given out, as one order after another is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock

from services.lxd_worker.domain.allotted import Allotted
from services.lxd_worker.domain.entry import Entry
from services.lxd_worker.ports import Clock, Journal, Lxd


@dataclass(slots=True)
class Ledger:
    """What LXD's instances hold, and what unfinished operations were given.

    Whoever gives something out holds `lock` until it is in the journal. The reading takes LXD a
    while, so one reading serves all orders that arrived before it began: many of those that come at
    once.
    """

    journal: Journal
    lxd: Lxd
    clock: Clock
    lock: Lock = field(default_factory=Lock)
    _known: Allotted | None = None
    _began: float = 0.0

    def allotted(self, arrived: float) -> Allotted:
        """Return what is given out; `arrived` is when the order came, by the monotonic clock."""
        if self._known is None or self._began <= arrived:
            began = self.clock.monotonic()
            # In this order: an operation that ends meanwhile is in LXD's list.
            entries = [entry for entry in self.journal.unfinished() if entry.plan]
            self._known = Allotted(tuple(self.lxd.instances()), tuple(entries))
            self._began = began
        return self._known

    def note(self, entry: Entry) -> None:
        """Take in what was given out since the reading."""
        if self._known and entry.plan:
            self._known = replace(self._known, under_way=(*self._known.under_way, entry))
