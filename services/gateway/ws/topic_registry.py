"""The topics' logs: begun with the first viewer, kept for a while after the last.

Callers with other rights or another language read another log of a topic, so an entry is encoded
once for all who see the same. A log that nobody watches goes on for a while: its only viewer may
have lost its connection and come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.operations.service import OperationService
from services.gateway.ws.change_log import ChangeLog
from services.gateway.ws.debouncer import Debouncer
from services.gateway.ws.protocol import Topic, TopicFilter
from services.gateway.ws.topic_channel import TopicChannel
from services.gateway.ws.topic_sources import HostSource, InstanceSource, OperationSource, Source
from shared.contracts.errors import FleetError
from shared.contracts.operations import Operation

LINGER_S = 120.0


class TopicLanguage(NamedTuple):
    """How things are said in one language."""

    language: str
    problem: Callable[[FleetError], str]
    operation: Callable[[Operation], Any]


class ClientProfile(NamedTuple):
    """For whom a log is: what callers may see, and how it is said to them."""

    secrets: bool
    words: TopicLanguage


@dataclass
class RunningTopic:
    """A log that follows its source until `end` is called."""

    log: ChangeLog
    end: Callable[[], None]
    viewers: int = 0
    farewell: asyncio.TimerHandle | None = None
    # A view lives as long as somebody watches it.
    views: WeakValueDictionary[TopicFilter, TopicChannel] = field(
        default_factory=WeakValueDictionary
    )

    def view(self, wanted: TopicFilter) -> TopicChannel:
        """Return the view that all who want the same share."""
        view = self.views.get(wanted)
        if view is None:
            view = self.views[wanted] = TopicChannel(wanted, self.log)
        return view


class TopicRegistry:
    """All logs of a gateway."""

    def __init__(
        self,
        fleet: FleetView,
        operations: OperationService,
        now: Callable[[], datetime],
        linger_s: float = LINGER_S,
        boundary: ErrorBoundary | None = None,
    ) -> None:
        self._boundary = boundary or ErrorBoundary()
        self._fleet = fleet
        self._operations = operations
        self._now = now
        self._linger_s = linger_s
        self._running: dict[object, RunningTopic] = {}
        self._beginning = asyncio.Lock()

    async def enter(
        self, wanted: TopicFilter, audience: ClientProfile
    ) -> tuple[TopicChannel, Callable[[], None]]:
        """Return what to watch, and what to call when done with it.

        The fleet view must be ready. Raises DatabaseUnavailable where operations are wanted.
        """
        key = (wanted.topic, _variant(wanted.topic, audience))
        async with self._beginning:
            if key not in self._running:
                self._running[key] = await _start(self._source(wanted.topic, audience))
        running = self._running[key]
        running.viewers += 1
        if running.farewell:
            running.farewell.cancel()
        return running.view(wanted), lambda: self._leave(key, running)

    def _leave(self, key: object, running: RunningTopic) -> None:
        running.viewers -= 1
        if not running.viewers:
            loop = asyncio.get_running_loop()
            running.farewell = loop.call_later(self._linger_s, self._end, key)

    def _end(self, key: object) -> None:
        self._running.pop(key).end()

    def _source(self, topic: Topic, audience: ClientProfile) -> Source:
        match topic:
            case "instances":
                return InstanceSource(
                    self._fleet, secrets=audience.secrets, boundary=self._boundary
                )
            case "hosts":
                return HostSource(self._fleet, self._now, self._boundary)
            case "operations":
                view = audience.words.operation
                return OperationSource(self._operations, view, boundary=self._boundary)


def _variant(topic: Topic, audience: ClientProfile) -> object:
    variants: dict[Topic, object] = {
        "instances": audience.secrets,
        "hosts": None,
        "operations": audience.words.language,
    }
    return variants[topic]


async def _start(source: Source) -> RunningTopic:
    log = ChangeLog()
    pump = Debouncer(lambda: log.take(source.candidates()))
    unwatch = await source.begin(pump.ask)

    def end() -> None:
        unwatch()
        pump.stop()

    log.take(source.candidates())
    return RunningTopic(log, end)
