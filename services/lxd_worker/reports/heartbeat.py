"""The worker's heartbeat, and what it knows of the health of its LXD."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.protocols import Lxd, LxdServer, Signal
from services.lxd_worker.reports.publishing import ReportContext
from shared.contracts.errors import LxdUnavailable
from shared.contracts.events import Heartbeat

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LxdHealth:
    """Whether LXD answers requests and sends its events, and who it last said it was.

    `changed` is called at every change of that, because the fleet must hear of it at once: a
    gateway believes nothing of a worker that has not said who its LXD is.
    """

    changed: Signal
    server: LxdServer | None = None
    answers: bool = False
    listening: bool = False

    @property
    def connected(self) -> bool:
        """Whether LXD answers and its events arrive."""
        return self.answers and self.listening

    def probe(self, lxd: Lxd) -> None:
        """Ask LXD who it is."""
        try:
            server = lxd.server()
        except LxdUnavailable:
            self._record(self.server, answers=False)
        else:
            self._record(server, answers=True)

    def set_listening(self, *, listening: bool) -> None:
        """Record whether LXD's events arrive."""
        if listening is not self.listening:
            self.listening = listening
            self.changed()

    def _record(self, server: LxdServer | None, *, answers: bool) -> None:
        if answers is not self.answers:
            level = logging.INFO if answers else logging.WARNING
            log.log(level, "lxd answers" if answers else "lxd does not answer")
        before, self.server, self.answers = (self.server, self.answers), server, answers
        if before != (server, answers):
            self.changed()


def heartbeat(
    context: ReportContext,
    health: LxdHealth,
    journal: Journal,
    interval_s: float,
    sequence: int,
    calls_queue: str = "",
) -> Heartbeat:
    """Return the heartbeat for this moment, the next of which follows after `interval_s`.

    `sequence` is the number of the last event, `calls_queue` the queue that is missing. Waits for
    nothing.
    """
    server = health.server or LxdServer(fingerprint="", version="", kind="", name="")
    return Heartbeat(
        epoch=context.epoch,
        sequence=sequence,
        clock=f"{context.clock.unix():.3f}",
        lxd_connected=health.connected,
        interval_s=interval_s,
        fingerprint=server.fingerprint,
        lxd=server.version,
        server=server.kind,
        server_name=server.name,
        journal_length=journal.length,
        calls_queue=calls_queue,
    )
