"""Consumes what hosts publish, over one connection, in one greenthread.

Each host has a queue of its own that goes with the connection, so that it can crowd out only its
own messages; what it dropped, or what was published meanwhile, is asked for (`runs.sync`). Hosts
are found by their heartbeats. All requests to the broker are made in the greenthread that reads, as
py-amqp allows one of each only; what a request refuses costs a channel that consumes nothing.
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
from amqp.exceptions import AccessRefused, NotFound
from kombu import Connection

from services.snapshots.bus.inboxes import Inboxes
from services.snapshots.bus.messages import Received, read_heartbeat
from services.snapshots.hosts.registry import HostRegistry
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import PolicyRunChanged, ProtectionReported
from shared.platform.bus import topology
from shared.platform.bus.confirmed_publisher import HEARTBEAT_S, LACKS_RIGHTS
from shared.platform.bus.discovery import QUEUE_LIMITS, DiscoveryPace
from shared.platform.bus.lenient_delivery import install
from shared.platform.run.backoff import Backoff
from shared.platform.token_bucket import TokenBucket

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
# A longer silence of the broker in the middle of a request ends the connection.
REQUEST_TIMEOUT_S = 30.0
IDLE_S = 0.05
SUBSCRIBE_S = 1.0
# People change passwords. Whoever may still publish to two of a host's exchanges could otherwise
# have its queues declared again with each heartbeat.
RENAME_S = 5.0
# Unacknowledged messages of one host, and heartbeats of all.
PREFETCH, DISCOVERY_PREFETCH = 8, 50
HEARTBEATS_PER_S, HEARTBEATS_AT_ONCE = 600.0, 1200.0
QUEUE_ARGUMENTS = {
    "x-max-length": 5_000,
    "x-max-length-bytes": 32 * 2**20,
    "x-overflow": "drop-head",
}


@dataclass(slots=True)
class _Subscription:
    exchange: str
    queue: str
    tag: str


class HostListener:
    """Puts what the hosts of `registry` publish into `inboxes`, and new hosts into `registry`.

    `on_subscribed` is called with each host that is heard from then on, `on_unreadable` with a
    heartbeat that cannot be read, and why.
    """

    def __init__(
        self,
        amqp_uri: str,
        inboxes: Inboxes,
        registry: HostRegistry,
        on_subscribed: Callable[[str], None],
        on_unreadable: Callable[[Received, str], None],
    ) -> None:
        install()
        self._uri = amqp_uri
        self._inboxes = inboxes
        self._registry = registry
        self._on_subscribed = on_subscribed
        self._on_unreadable = on_unreadable
        self._last_error = ""
        # When the exchange of a host was last found to be another one.
        self._renamed_at: dict[str, float] = {}
        self.reply_id = ""
        self.connected = False

    def run(self) -> None:
        """Consume until killed."""
        backoff = Backoff(0.25, 2.0)
        while True:
            with Connection(
                self._uri, heartbeat=HEARTBEAT_S, connect_timeout=CONNECT_TIMEOUT_S
            ) as connection:
                try:
                    self._listen(connection, backoff.reset)
                except (*connection.connection_errors, *connection.channel_errors, OSError) as exc:
                    self._note_loss(exc)
                except eventlet.Timeout as exc:
                    self._note_loss(exc)
                finally:
                    self.connected = False
                    # Not close(), which would wait for a broker that may be away.
                    connection.collect()
            eventlet.sleep(backoff.next_s())

    def _note_loss(self, exc: BaseException) -> None:
        # Never the URI: it contains the password.
        reason = LACKS_RIGHTS if isinstance(exc, AccessRefused) else str(exc) or repr(exc)
        if reason != self._last_error:
            log.warning("hosts are not heard", extra={"reason": reason, "error": repr(exc)[:300]})
        self._last_error = reason

    def _listen(self, connection: Any, on_ready: Callable[[], None]) -> None:
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        self.reply_id = f"snapshots{secrets.token_hex(16)}"
        self._inboxes.begin(self.reply_id)
        session = _Session(connection, self.reply_id, self._inboxes, self._take_heartbeat)
        self._session = session
        self._subscribe_all(session)
        session.begin_discovery()
        self.connected, self._last_error = True, ""
        on_ready()
        log.info("connected to the broker", extra={"purpose": "hosts"})
        subscribed_at = time.monotonic()
        while True:
            session.work(len(self._registry.names))
            if time.monotonic() - subscribed_at >= SUBSCRIBE_S:
                self._subscribe_all(session)
                subscribed_at = time.monotonic()

    def _subscribe_all(self, session: _Session) -> None:
        wanted = self._registry.exchanges
        for host in [host for host in session.subscriptions if host not in wanted]:
            session.unsubscribe(host)
        for host, exchange in wanted.items():
            self._subscribe(session, host, exchange)

    def _subscribe(self, session: _Session, host: str, exchange: str) -> None:
        if session.subscribe(host, exchange):
            self._on_subscribed(host)

    def _take_heartbeat(self, received: Received) -> None:
        host = topology.host_of(received.exchange)
        if self._registry.is_known(host, received.exchange):
            # A second copy, which need not be decoded.
            self._registry.note_heartbeat(host, received.exchange)
            return
        try:
            host = read_heartbeat(received)
        except UnreadableMessage as exc:
            self._on_unreadable(received, exc.reason)
            return
        if self._may_be_found(host) and self._registry.note_heartbeat(host, received.exchange):
            self._session.note_found(received.exchange)
            self._subscribe(self._session, host, received.exchange)

    def _may_be_found(self, host: str) -> bool:
        """Whether a host is new, or its exchange may be another one by now."""
        if self._registry.find(host) is None:
            return True
        now = time.monotonic()
        if now - self._renamed_at.get(host, float("-inf")) < RENAME_S:
            return False
        self._renamed_at[host] = now
        return True


class _Session:
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
        self.subscriptions: dict[str, _Subscription] = {}

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
        self.subscriptions[host] = _Subscription(exchange, queue, tag)
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
