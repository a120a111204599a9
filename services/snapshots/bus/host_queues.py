"""The channels, queues and consumers of one connection, over which hosts are heard.

All requests to the broker are made in the greenthread that reads, as py-amqp allows one of each
only; what a request refuses costs a channel that consumes nothing.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import eventlet
from amqp.exceptions import NotFound

from services.snapshots.bus.inboxes import Inboxes
from services.snapshots.bus.messages import Received
from shared.contracts.events import PolicyRunChanged, ProtectionReported
from shared.platform.bus import topology
from shared.platform.bus.discovery import QUEUE_LIMITS, DiscoveryPace
from shared.platform.token_bucket import TokenBucket

log = logging.getLogger(__name__)

# A longer silence of the broker in the middle of a request ends the connection.
REQUEST_TIMEOUT_S = 30.0
IDLE_S = 0.05
# Unacknowledged messages of one host, and heartbeats of all.
PREFETCH, DISCOVERY_PREFETCH = 8, 50
HEARTBEATS_PER_S, HEARTBEATS_AT_ONCE = 600.0, 1200.0
QUEUE_ARGUMENTS = {
    "x-max-length": 5_000,
    "x-max-length-bytes": 32 * 2**20,
    "x-overflow": "drop-head",
}


@dataclass(slots=True)
class HostQueueSubscription:
    """The queue of a host's exchange, and its consumer."""

    exchange: str
    queue: str
    tag: str


class HostQueues:
    """The channels, queues and consumers of one connection."""

    def __init__(
        self,
        connection: Any,
        reply_id: str,
        inboxes: Inboxes,
        on_heartbeat: Callable[[Received], None],
    ) -> None:
        self._connection = connection
        self._reply_id = reply_id
        self._name = f"snapshots.{secrets.token_hex(16)}"
        self._inboxes = inboxes
        self._on_heartbeat = on_heartbeat
        self._channel = connection.channel()
        self._channel.basic_qos(0, PREFETCH, False)
        self._discovery = connection.channel()
        self._discovery.basic_qos(0, DISCOVERY_PREFETCH, False)
        self._requests = connection.channel()
        self._heartbeats: deque[Received] = deque()
        self._heartbeat_budget = TokenBucket(HEARTBEATS_PER_S, HEARTBEATS_AT_ONCE)
        self._pace = DiscoveryPace()
        self._beat_at = 0.0
        self._tags = 0
        # Exchanges that are not there, as the host's user is not; until a heartbeat comes.
        self._missing: set[str] = set()
        self.subscriptions: dict[str, HostQueueSubscription] = {}

    def note_found(self, exchange: str) -> None:
        """Record that a new host, or exchange, was found."""
        self._missing.discard(exchange)
        self._pace.note_found(time.monotonic())

    def subscribe(self, host: str, exchange: str) -> bool:
        """Consume what a host publishes; return False if we do already, or cannot."""
        current = self.subscriptions.get(host)
        if (current and current.exchange == exchange) or exchange in self._missing:
            return False
        if current:
            self.unsubscribe(host)
        self._tags += 1
        suffix = exchange.removeprefix(topology.HOST_EXCHANGES)
        queue = f"{self._name}.{self._tags}.{suffix}"
        if not self._declare(host, queue, exchange):
            return False
        tag = f"host-{self._tags}"
        self.subscriptions[host] = HostQueueSubscription(exchange, queue, tag)
        with eventlet.Timeout(REQUEST_TIMEOUT_S):
            self._channel.basic_consume(
                queue, tag, callback=lambda message: self._deliver(host, message)
            )
        return True

    def unsubscribe(self, host: str) -> None:
        """Stop consuming what a host publishes; its queue goes with the consumer."""
        self._channel.basic_cancel(self.subscriptions.pop(host).tag, nowait=True)
        self._inboxes.forget(host)

    def begin_discovery(self) -> None:
        """Consume heartbeats of all hosts."""
        self._discovery_queue = f"{self._name}.discovery"
        with eventlet.Timeout(REQUEST_TIMEOUT_S):
            self._discovery.queue_declare(
                self._discovery_queue, exclusive=True, arguments=dict(QUEUE_LIMITS)
            )
            self._bind_discovery()
            self._discovery.basic_consume(self._discovery_queue, callback=self._note_heartbeat)

    def work(self, hosts: int) -> None:
        """Receive for a short while, and acknowledge what has been handled."""
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=IDLE_S)
        for tag in self._inboxes.acknowledgeable():
            self._channel.basic_ack(tag)
        self._take_heartbeats()
        now = time.monotonic()
        if self._pace.is_due(hosts, now):
            self._change_discovery(now)
        if now - self._beat_at >= 1.0:
            self._beat_at = now
            self._connection.heartbeat_check(rate=2)

    def _declare(self, host: str, queue: str, exchange: str) -> bool:
        keys = [
            topology.event_key_of(host, kind) for kind in (PolicyRunChanged, ProtectionReported)
        ]
        try:
            with eventlet.Timeout(REQUEST_TIMEOUT_S):
                self._requests.exchange_declare(exchange, "topic", passive=True)
                self._requests.queue_declare(
                    queue, exclusive=True, auto_delete=True, arguments=dict(QUEUE_ARGUMENTS)
                )
                for key in (*keys, topology.reply_key(host, self._reply_id)):
                    self._requests.queue_bind(queue, exchange, key)
        except NotFound:
            self._missing.add(exchange)
            log.info("a host has no exchange", extra={"host": host})
            self._requests = self._connection.channel()
            return False
        return True

    def _deliver(self, host: str, message: Any) -> None:
        self._inboxes.add(_received(host, message, self._reply_id))

    def _note_heartbeat(self, message: Any) -> None:
        # Handled after the read: it may declare queues.
        self._heartbeats.append(_received("", message, self._reply_id))

    def _take_heartbeats(self) -> None:
        while self._heartbeats and self._heartbeat_budget.try_take():
            received = self._heartbeats.popleft()
            self._on_heartbeat(received)
            self._discovery.basic_ack(received.tag)

    def _change_discovery(self, now: float) -> None:
        with eventlet.Timeout(REQUEST_TIMEOUT_S):
            if self._pace.bound:
                self._discovery.queue_unbind(self._discovery_queue, topology.HEARTBEATS.name, "#")
                self._pace.note(now, bound=False)
            else:
                self._bind_discovery()

    def _bind_discovery(self) -> None:
        self._discovery.queue_bind(self._discovery_queue, topology.HEARTBEATS.name, "#")
        self._pace.note(time.monotonic(), bound=True)


def _received(host: str, message: Any, session: str) -> Received:
    info, body = message.delivery_info, message.body
    return Received(
        host=host,
        exchange=info["exchange"],
        key=info["routing_key"],
        properties=message.properties,
        body=body if isinstance(body, bytes) else bytes(body or "", "utf-8", "surrogateescape"),
        tag=info["delivery_tag"],
        session=session,
    )
