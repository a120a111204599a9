"""The live stream's messages, encoded once for all who watch the same.

Viewers come at any moment, and each gets its updates an interval apart. Time is cut into slots, a
fifth of the interval long: all viewers whose update falls into one slot share one message, so a
thousand viewers cost no more than five.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from services.gateway import units
from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses import instances as shown
from services.gateway.responses.entries import Entries, encoded
from services.gateway.responses.hosts import HostInfo, fleet_information
from services.gateway.ws.frames import FramedMessage, frame_message


class MonitorData(msgspec.Struct, frozen=True):
    """What an update tells; the entries are encoded already."""

    instances: list[msgspec.Raw]
    host: HostInfo


class Update(msgspec.Struct, frozen=True):
    """A message of the stream."""

    type: str
    timestamp: str
    timestamp_utc: str
    data: MonitorData


class MonitorMessages:
    """The messages about one host, or about the whole fleet; of one project, or of all."""

    def __init__(
        self,
        fleet: FleetView,
        host: str | None,
        now: Callable[[], datetime],
        project: str | None = None,
        boundary: ErrorBoundary | None = None,
    ) -> None:
        self._boundary = boundary or ErrorBoundary()
        self._fleet = fleet
        self._host = host
        self._project = project
        self._now = now
        self._entries = Entries(encoded(self._boundary, shown.live))
        self._message = frame_message(b"")
        self._version: int | None = None
        self._slot = -1

    def present(self, slot: int) -> FramedMessage:
        """Return a message for who has just come: of the fleet's newest state, not of the slot's.

        Raises HostNotFound and FleetViewNotReady.
        """
        if self._version != self._fleet.version:
            self._slot = -1
        return self.at(slot)

    def at(self, slot: int) -> FramedMessage:
        """Return the slot's message, or a later one if it has been made already."""
        if slot > self._slot:
            self._message = frame_message(self._encoded())
            self._version = self._fleet.version
            self._slot = slot
        return self._message

    def _encoded(self) -> bytes:
        instances = self._instances()
        hosts = {known.host: known for known in self._watched()}
        entries = self._entries.refreshed(instances, hosts)
        now = self._now()
        update = Update(
            type="update",
            timestamp=units.local_text(now),
            timestamp_utc=units.utc_text(now),
            data=MonitorData(
                instances=[msgspec.Raw(entry) for _, entry in entries],
                host=fleet_information(list(hosts.values()), self._boundary),
            ),
        )
        return msgspec.json.encode(update)

    def _instances(self) -> Sequence[InstanceView]:
        on_host = self._fleet.instances(self._host)
        if self._project is None:
            return on_host
        return [known for known in on_host if known.instance.project == self._project]

    def _watched(self) -> list[HostView]:
        if self._host is not None:
            return [self._fleet.host(self._host)]
        return list(self._fleet.hosts())
