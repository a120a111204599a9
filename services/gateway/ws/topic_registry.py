"""The logs of the topics: started for the first client, stopped some time after the last.

Clients with other permissions or another language use another log of a topic, so that an entry is
encoded once for all that see the same. An unused log runs on for a while: its only client may have
lost its connection and come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.operations.service import OperationService
from services.gateway.responses.policy_runs import Explain
from services.gateway.ws.change_log import ChangeLog
from services.gateway.ws.debouncer import Debouncer
from services.gateway.ws.protocol import Topic, TopicFilter
from services.gateway.ws.snapshot_source import SnapshotTopicSource
from services.gateway.ws.topic_channel import TopicChannel
from services.gateway.ws.topic_sources import HostSource, InstanceSource, OperationSource, Source
from services.gateway.ws.usage import UsageTopic
from shared.contracts.errors import FleetError
from shared.contracts.operations import Operation

LINGER_S = 120.0


class TopicLanguage(NamedTuple):
    """A language, and the functions that render in it."""

    code: str
    translate_error: Callable[[FleetError], str]
    render_operation: Callable[[Operation], Any]
    explain_run: Explain


class ClientProfile(NamedTuple):
    """What the entries of a log depend on: permission to see secrets, and language."""

    secrets: bool
    language: TopicLanguage


@dataclass
class RunningTopic:
    """A log that follows its source until `stop` is called."""

    log: ChangeLog
    stop: Callable[[], None]
    subscribers: int = 0
    stop_timer: asyncio.TimerHandle | None = None
    # Dropped once no client uses it.
    channels: WeakValueDictionary[TopicFilter, TopicChannel] = field(
        default_factory=WeakValueDictionary
    )

    def channel(self, topic_filter: TopicFilter) -> TopicChannel:
        """Return the channel that all clients with the same filter share."""
        channel = self.channels.get(topic_filter)
        if channel is None:
            channel = self.channels[topic_filter] = TopicChannel(topic_filter, self.log)
        return channel


class TopicRegistry:
    """The running topics of a gateway."""

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
        self._lock = asyncio.Lock()
        self.usage = UsageTopic(fleet, self._boundary)

    async def acquire(
        self, topic_filter: TopicFilter, profile: ClientProfile
    ) -> tuple[TopicChannel, Callable[[], None]]:
        """Return a channel, and the function that releases it; `usage` has none.

        The fleet view must be ready. Raises DatabaseUnavailable for the topic `operations`.
        """
        key = (topic_filter.topic, _variant(topic_filter.topic, profile))
        async with self._lock:
            if key not in self._running:
                self._running[key] = await _start(self._source(topic_filter.topic, profile))
        running = self._running[key]
        running.subscribers += 1
        if running.stop_timer:
            running.stop_timer.cancel()
        return running.channel(topic_filter), lambda: self._release(key, running)

    def _release(self, key: object, running: RunningTopic) -> None:
        running.subscribers -= 1
        if not running.subscribers:
            loop = asyncio.get_running_loop()
            running.stop_timer = loop.call_later(self._linger_s, self._stop, key)

    def _stop(self, key: object) -> None:
        self._running.pop(key).stop()

    def _source(self, topic: Topic, profile: ClientProfile) -> Source:
        if topic == "instances":
            return InstanceSource(self._fleet, secrets=profile.secrets, boundary=self._boundary)
        if topic == "hosts":
            return HostSource(self._fleet, self._now, self._boundary)
        if topic == "snapshots":
            return SnapshotTopicSource(self._fleet, profile.language.explain_run, self._boundary)
        view = profile.language.render_operation
        return OperationSource(self._operations, view, boundary=self._boundary)


def _variant(topic: Topic, profile: ClientProfile) -> object:
    variants: dict[str, object] = {
        "instances": profile.secrets,
        "hosts": None,
        "operations": profile.language.code,
        "snapshots": profile.language.code,
    }
    return variants[topic]


async def _start(source: Source) -> RunningTopic:
    log = ChangeLog()

    def update() -> None:
        log.update(source.candidates())
        if source.has_more:
            debouncer.trigger()

    debouncer = Debouncer(update)
    unsubscribe = await source.start(debouncer.trigger)

    def stop() -> None:
        unsubscribe()
        debouncer.stop()

    with ExitStack() as undo:
        undo.callback(stop)
        log.update(source.candidates())
        while source.has_more:
            await asyncio.sleep(0)
            log.update(source.candidates())
        undo.pop_all()
    return RunningTopic(log, stop)
