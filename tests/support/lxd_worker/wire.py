"""The bus, as a worker's reports see it, and what they had to leave out."""

from __future__ import annotations

from collections.abc import Callable

from services.lxd_worker.omissions import Omission
from services.lxd_worker.reports.publishing import ReportContext
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Event
from tests.support.clock import FakeClock


class Omissions:
    """Takes in every omission, as `Omit`."""

    def __init__(self) -> None:
        self.heard: list[tuple[Omission, str, str]] = []

    def __call__(self, what: Omission, subject: str, reason: str) -> None:
        self.heard.append((what, subject, reason))

    def of(self, what: Omission) -> set[str]:
        """Return the subjects of one kind."""
        return {subject for one, subject, _ in self.heard if one is what}


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
