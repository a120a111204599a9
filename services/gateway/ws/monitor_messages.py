"""The monitor's messages, encoded once for all clients with the same filters.

Clients connect at any moment, and each gets its updates an interval apart. Time is divided into
slots of a fifth of the interval: all clients whose update falls into one slot share one message, so
a thousand clients cost no more than five.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from services.gateway import units
from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses import instances as responses
from services.gateway.responses.entry_cache import EntryCache, HostViews, encoded, whole_sample
from services.gateway.responses.hosts import HostInfo, fleet_information
from services.gateway.ws.frames import FramedMessage, frame_message


class MonitorData(msgspec.Struct, frozen=True):
    """The data of an update, with encoded entries."""

    instances: list[msgspec.Raw]
    host: HostInfo


class Update(msgspec.Struct, frozen=True):
    """A message of the monitor."""

    type: str
    timestamp: str
    timestamp_utc: str
    data: MonitorData


class MonitorMessages:
    """The messages about one host or the whole fleet, of one project or all."""

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
        self._entries = EntryCache(encoded(self._boundary, responses.live), whole_sample)
        self._message = frame_message(b"")
        self._version: int | None = None
        self._slot = -1

    def latest(self, slot: int) -> FramedMessage:
        """Return a message for a new client: of the fleet's newest state, not of the slot's.

        Raises HostNotFound and FleetViewNotReady.
        """
        if self._version != self._fleet.version:
            self._slot = -1
        return self.at(slot)

    def at(self, slot: int) -> FramedMessage:
        """Return the slot's message, or a later one if there is one already."""
        if slot > self._slot:
            self._message = frame_message(self._encoded())
            self._version = self._fleet.version
            self._slot = slot
        return self._message

    def _encoded(self) -> bytes:
        self._fleet.require_ready()
        hosts = HostViews(self._fleet)
        hosts.update({view.host: view for view in self._hosts()})
        instances = self._instances()
        entries = [self._entries.entry(view, hosts) for view in instances]
        self._entries.keep_only(map(sort_key, instances))
        now = self._now()
        update = Update(
            type="update",
            timestamp=units.local_text(now),
            timestamp_utc=units.utc_text(now),
            data=MonitorData(
                instances=[msgspec.Raw(entry) for entry in entries],
                host=fleet_information(list(hosts.values()), self._boundary),
            ),
        )
        return msgspec.json.encode(update)

    def _instances(self) -> Sequence[InstanceView]:
        on_host = self._fleet.instances(self._host)
        if self._project is None:
            return on_host
        return [view for view in on_host if view.instance.project == self._project]

    def _hosts(self) -> list[HostView]:
        if self._host is not None:
            return [self._fleet.host(self._host)]
        return list(self._fleet.hosts())
