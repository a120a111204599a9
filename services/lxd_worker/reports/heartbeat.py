"""The worker's sign of life, and what it knows of its LXD."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from services.lxd_worker.ports import Journal, Lxd, LxdServer, Signal, WorkerClock
from shared.contracts.errors import LxdUnavailable
from shared.contracts.events import Heartbeat

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LxdHealth:
    """Whether LXD answers requests and sends its events, and who it said it was last.

    `changed` is called at every change of that, because the fleet must not wait to hear of it:
    a gateway believes nothing of a worker that has not said who its LXD is.
    """

    changed: Signal
    server: LxdServer | None = None
    answers: bool = False
    listening: bool = False

    @property
    def connected(self) -> bool:
        """Whether LXD can be told and tells."""
        return self.answers and self.listening

    def probe(self, lxd: Lxd) -> None:
        """Ask LXD who it is."""
        try:
            server = lxd.server()
        except LxdUnavailable:
            self._note(self.server, answers=False)
        else:
            self._note(server, answers=True)

    def listens(self, *, listening: bool) -> None:
        """Take in whether LXD's events are heard."""
        if listening is not self.listening:
            self.listening = listening
            self.changed()

    def _note(self, server: LxdServer | None, *, answers: bool) -> None:
        if answers is not self.answers:
            level = logging.INFO if answers else logging.WARNING
            log.log(level, "lxd answers" if answers else "lxd does not answer")
        known, self.server, self.answers = (self.server, self.answers), server, answers
        if known != (server, answers):
            self.changed()


def heartbeat(
    epoch: int,
    sequence: int,
    watch: LxdHealth,
    journal: Journal,
    clock: WorkerClock,
    interval_s: float,
    calls_queue: str = "",
) -> Heartbeat:
    """Return the sign of life for this moment; waits for nothing."""
    server = watch.server or LxdServer(fingerprint="", version="", kind="", name="")
    return Heartbeat(
        epoch=epoch,
        sequence=sequence,
        clock=f"{clock.unix():.3f}",
        lxd_connected=watch.connected,
        interval_s=interval_s,
        fingerprint=server.fingerprint,
        lxd=server.version,
        server=server.kind,
        server_name=server.name,
        journal_length=journal.length,
        calls_queue=calls_queue,
    )
