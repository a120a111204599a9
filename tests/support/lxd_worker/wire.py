"""The bus, as a worker's reports see it."""

from __future__ import annotations

from collections.abc import Callable

from services.lxd_worker.reports.publishing import ReportContext
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Event
from tests.support.clock import FakeClock
from tests.support.lxd_worker.omissions import Omissions


class Wire:
    """What was published; `cut` refuses that many publishes first."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.cut = 0
        self.omissions = Omissions()
        self.later: list[Callable[[], None]] = []
        self.on_publish: Callable[[], object] = list

    def publish(self, event: Event) -> None:
        self.on_publish()
        if self.cut:
            self.cut -= 1
            raise BrokerUnavailable
        self.sent.append(event)

    def context(self, clock: FakeClock) -> ReportContext:
        """Return a context whose reports are published here."""
        return ReportContext(
            3, self.publish, clock, self.omissions, lambda _, again: self.later.append(again)
        )
