"""The topic `usage`: the figures of the instances that a client names, at most once an interval.

It has no positions and no log: figures are worth nothing once there are newer ones. A client pays
for what it names, whatever the size of the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec.structs import asdict

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.change_set import InstanceKey
from services.gateway.fleet.view import FleetView
from services.gateway.responses.entry_cache import EntryCache, HostViews, encoded, whole_sample
from services.gateway.responses.instances import resources
from services.gateway.ws.frames import FramedMessage, frame_message
from services.gateway.ws.protocol import Subscribe, TopicFilter

INTERVAL_S = 5.0


class UsageMessage(TopicFilter, frozen=True, kw_only=True, tag="usage"):
    """The figures that are other than before, and the named instances that are gone, by key."""

    entries: dict[str, msgspec.Raw]
    removed: list[str]


class UsageTopic:
    """The figures of all instances, each rendered once for all clients."""

    def __init__(
        self, fleet: FleetView, boundary: ErrorBoundary, interval_s: float = INTERVAL_S
    ) -> None:
        self._fleet = fleet
        self._interval_s = interval_s
        self._cache = EntryCache(encoded(boundary, resources), whole_sample)
        fleet.watch(self._cache.on_change)

    def subscribe(self, request: Subscribe, wakeup: asyncio.Event) -> UsageSubscription:
        """Return what a client that names a host or some instances gets from now on."""
        return UsageSubscription(self, request, wakeup, self._interval_s)

    def figures(self, request: Subscribe) -> dict[str, bytes]:
        """Return the figures of the named instances that are there."""
        hosts = HostViews(self._fleet)
        found: dict[str, bytes] = {}
        for key in self._named(request):
            name, host, project = key
            view = self._fleet.find(key)
            if view is not None and request.includes(host, name, project):
                found[f"{host}/{project}/{name}"] = self._cache.entry(view, hosts)
        return found

    def _named(self, request: Subscribe) -> Sequence[InstanceKey]:
        if not request.keys:
            return sorted(self._fleet.keys_of(request.host or ""))
        return [
            (name, host, project)
            for host, project, name in (key.split("/") for key in request.keys)
        ]


class UsageSubscription:
    """One client's subscription; `wakeup` is set when there is something to send."""

    def __init__(
        self, usage: UsageTopic, request: Subscribe, wakeup: asyncio.Event, interval_s: float
    ) -> None:
        self._usage = usage
        self._request = request
        self._wakeup = wakeup
        self._interval_s = interval_s
        self._sent: dict[str, bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        wakeup.set()

    def messages(self) -> list[FramedMessage]:
        """Return the message to send now, none before the interval is over."""
        if self._timer is not None:
            return []
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._on_interval)
        before, now = self._sent, self._usage.figures(self._request)
        self._sent = now
        known = before or {}
        entries = {key: msgspec.Raw(entry) for key, entry in now.items() if known.get(key) != entry}
        removed = [key for key in known if key not in now]
        if before is not None and not (entries or removed):
            return []
        filters = asdict(self._request.topic_filter)
        message = UsageMessage(**filters, entries=entries, removed=removed)
        return [frame_message(msgspec.json.encode(message))]

    def position(self) -> None:
        """Return that there is nothing to resume from."""

    def close(self) -> None:
        """End the subscription."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_interval(self) -> None:
        self._timer = None
        self._wakeup.set()
